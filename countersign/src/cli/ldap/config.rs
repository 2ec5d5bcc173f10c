//! `countersign ldap config`: what slapd should have so that it asks Countersign.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use clap::{Args, ValueEnum};
use nix::unistd::{Gid, Group, User};

use crate::{
    app::ldap::config::{Name, Options, Part, Place, SiteError, Wanted, write},
    cli::{Context, output},
    exit::Exit,
};

/// Write what slapd needs: schema, overlay, access rules, and units for systemd
///
/// Nothing is changed. Everything follows from the config, so that both sides agree. What
/// is for cn=config is LDIF for ldapmodify, what is for the database as well; units are
/// files. Without names of parts all of them are written, in the order of their use.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Config {
    /// Which parts [default: all]
    #[arg(value_enum)]
    parts: Vec<PartName>,
    #[command(flatten)]
    naming: Naming,
    /// A groupOfNames whose members issue and reset tokens
    #[arg(long, value_name = "DN")]
    administrators: Option<String>,
    /// Who sets enrolment passwords of tokens
    #[arg(long, value_name = "DN")]
    enrolment: Option<String>,
    /// The daemon may add and remove tokens (countersign token add, remove)
    #[arg(long)]
    manages_tokens: bool,
    /// slapo-otp is loaded, which brings nearly all of the schema
    #[arg(long)]
    beside_slapo_otp: bool,
}

/// What both sides must agree on, and no config of Countersign says.
#[derive(Debug, Args)]
pub(super) struct Naming {
    /// The database in cn=config [default: olcDatabase={1}mdb,cn=config]
    #[arg(long, value_name = "DN")]
    database: Option<String>,
    /// As whom slapd knows the daemon [default: bind-dn or authorization-id of the config,
    /// or else cn=countersign,BASE]
    #[arg(long, value_name = "DN")]
    identity: Option<String>,
    /// The user that the daemon runs as, a name or a number
    #[arg(long, value_name = "USER", default_value = "countersign")]
    user: String,
    /// Which characters names of accounts and tokens have [default: a-z0-9._-]
    #[arg(long, value_name = "CHARACTERS")]
    names: Option<String>,
}

/// Parts, and `slapd` for all that belong into cn=config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    /// schema, module, identity, index, access and overlay
    Slapd,
    /// Attribute types and object classes of OATH-LDAP
    Schema,
    /// The module of overlay sock
    Module,
    /// Who the daemon is to slapd
    Identity,
    /// Indexes
    Index,
    /// Access rules
    Access,
    /// Overlay sock
    Overlay,
    /// Where tokens are, and parameters of tokens
    Entries,
    /// The unit that holds the socket
    SocketUnit,
    /// The unit of the daemon
    ServiceUnit,
}

impl Config {
    /// Writes it on standard output.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        let options = Options {
            administrators: self.administrators,
            enrolment: self.enrolment,
            manages_tokens: self.manages_tokens,
            beside_slapo_otp: self.beside_slapo_otp,
            ..self.naming.options(&config)
        };
        let is_root = options.user.1 == Some(0);
        let mut parts = write(&Wanted::of(&config, options)?);
        parts
            .retain(|part| self.parts.is_empty() || self.parts.iter().any(|name| name.names(part)));
        if is_root && parts.iter().any(|part| part.name == Name::Identity) {
            let _ = writeln!(io::stderr().lock(), "{ROOT}");
        }
        output::show(context.json, &parts, |parts| text(parts))?;
        Ok(Exit::Success)
    }
}

impl Naming {
    fn options(self, config: &crate::config::Config) -> Options {
        let number = |name: &str| {
            let found = User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
            found.or_else(|| name.parse().ok())
        };
        let group = config.back_sock.as_ref().and_then(|settings| settings.socket.group);
        Options {
            database: self.database,
            identity: self.identity,
            group: group.and_then(group_name),
            names: self.names,
            user: (self.user.clone(), number(&self.user)),
            ..Options::default()
        }
    }

    /// What is wanted where the number of the user does not matter.
    pub(super) fn wanted(self, config: &crate::config::Config) -> Result<Wanted, SiteError> {
        let mut options = self.options(config);
        options.user.1 = options.user.1.or(Some(0));
        Wanted::of(config, options)
    }
}

impl PartName {
    fn names(self, part: &Part) -> bool {
        match self {
            Self::Slapd => part.place == Place::Config,
            Self::Schema => part.name == Name::Schema,
            Self::Module => part.name == Name::Module,
            Self::Identity => part.name == Name::Identity,
            Self::Index => part.name == Name::Index,
            Self::Access => part.name == Name::Access,
            Self::Overlay => part.name == Name::Overlay,
            Self::Entries => part.name == Name::Entries,
            Self::SocketUnit => part.name == Name::SocketUnit,
            Self::ServiceUnit => part.name == Name::ServiceUnit,
        }
    }
}

fn group_name(number: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(number)).ok().flatten().map(|group| group.name)
}

/// Comments are comments of LDIF and of units alike, so that each part can be used as it is.
fn text(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        let _ = match &part.place {
            Place::Config => writeln!(text, "# cn=config: ldapmodify -c -Y EXTERNAL -H ldapi:///"),
            Place::Data => writeln!(text, "# database: ldapmodify -c -x -D ADMINISTRATOR -W"),
            Place::File(file) => writeln!(text, "# {}", file.display()),
        };
        for note in &part.notes {
            let _ = writeln!(text, "# {note}");
        }
        let _ = writeln!(text, "{}\n", part.text.trim_end());
    }
    text
}

const ROOT: &str = "\
warning: the daemon's user is root. slapd will know root over ldapi as the daemon, and root will
no longer administer slapd by `-Y EXTERNAL`. Give the daemon a user of its own: --user NAME";

const EXAMPLES: &str = "\
Examples:
  countersign ldap config                  everything, to be read first
  countersign ldap config slapd | ldapmodify -c -Y EXTERNAL -H ldapi:///
  countersign ldap config access --administrators cn=otp-admins,ou=groups,dc=example,dc=com
  countersign ldap config socket-unit >/etc/systemd/system/countersign-slapd.socket";
