//! What slapd needs so that it asks Countersign at binds: LDIF for cn=config, entries, units.
//!
//! Nothing here reads or changes anything. Everything is derived from the config of
//! Countersign, so that the two sides agree about paths, names and who may do what.

use std::path::PathBuf;

use serde::Serialize;

mod access;
mod entries;
mod overlay;
mod site;
mod units;

pub(in crate::app::ldap) use overlay::pattern;
pub use site::{Options, SiteError};

/// What is to be written down.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The DN of the database in cn=config.
    pub database: String,
    /// As whom the daemon is known to slapd.
    pub identity: String,
    /// The user that the daemon runs as, if slapd knows it by that (SASL EXTERNAL over ldapi).
    pub user: Option<u32>,
    /// The group of administrators who issue and reset tokens.
    pub administrators: Option<String>,
    /// The identity that sets enrolment passwords.
    pub enrolment: Option<String>,
    /// The daemon may add and remove tokens itself.
    pub manages_tokens: bool,
    /// slapo-otp is loaded, which brings nearly all of the schema.
    pub beside_slapo_otp: bool,
    /// Which characters names of accounts and tokens have, as a class of a regular expression.
    pub names: String,
    /// Below this are persons.
    pub base: String,
    /// Below these are accounts.
    pub accounts: Vec<String>,
    /// Below these are tokens.
    pub tokens: Vec<String>,
    /// Names of attributes.
    pub attributes: Attributes,
    /// How binds come to Countersign; `None` if they do not come by overlay sock.
    pub socket: Option<Socket>,
    /// Whether the daemon needs nothing but UNIX sockets.
    pub isolated: bool,
    /// The user of the service unit.
    pub user_name: String,
    /// The config file of Countersign.
    pub config_file: PathBuf,
}

/// What the mapping of the directory calls what.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// In the DN of an account.
    pub account: String,
    /// In the DN of a token.
    pub token: String,
    /// From a token to its person.
    pub owner: String,
    /// From an account to its person.
    pub person: Option<String>,
}

/// The socket that overlay sock asks.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its group, which is that of slapd.
    pub group: Option<String>,
    /// slapd checks the password itself, asked through this URL.
    pub hand_back: Option<String>,
}

/// One part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Attribute types and object classes.
    Schema,
    /// The module of overlay sock.
    Module,
    /// Who the daemon is to slapd.
    Identity,
    /// Indexes that the searches of the daemon need.
    Index,
    /// Access rules.
    Access,
    /// Overlay sock itself.
    Overlay,
    /// Where tokens and their parameters are.
    Entries,
    /// The unit that holds the socket.
    SocketUnit,
    /// The unit of the daemon.
    ServiceUnit,
}

/// Where a part belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Into cn=config, by `ldapmodify`.
    Config,
    /// Into the database, by `ldapadd`.
    Data,
    /// Into a file.
    File(PathBuf),
}

/// A part, ready to be used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// Which one it is.
    pub name: Name,
    /// Where it belongs.
    pub place: Place,
    /// What an administrator has to know.
    pub notes: Vec<String>,
    /// The text itself.
    pub text: String,
}

/// All parts, in the order in which they are to be applied.
#[must_use]
pub fn write(wanted: &Wanted) -> Vec<Part> {
    let parts = [
        Some(schema(wanted)),
        wanted.socket.is_some().then(overlay::module),
        identity(wanted),
        Some(index(wanted)),
        Some(access::write(wanted)),
        wanted.socket.as_ref().map(|socket| overlay::write(wanted, socket)),
        Some(entries::write(wanted)),
        wanted.socket.as_ref().map(units::socket),
        Some(units::service(wanted)),
    ];
    parts.into_iter().flatten().collect()
}

/// The schema as it is, or what slapo-otp leaves out of it.
fn schema(wanted: &Wanted) -> Part {
    let (note, text) = if wanted.beside_slapo_otp {
        ("slapo-otp brings the schema of OATH-LDAP, all but the values of compares", VALUES)
    } else {
        ("the schema of OATH-LDAP; slapo-otp brings nearly all of it, so not beside that", SCHEMA)
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text = lines.flat_map(|line| [line, "\n"]).collect::<String>();
    let text = text.trim().replacen("cn=config\n", "cn=config\nchangetype: add\n", 1) + "\n\n";
    Part { name: Name::Schema, place: Place::Config, notes: vec![note.to_owned()], text }
}

/// By the user whom the kernel names at the other end of the UNIX socket.
fn identity(wanted: &Wanted) -> Option<Part> {
    let user = wanted.user?;
    let text = format!(
        "dn: cn=config\nchangetype: modify\nadd: olcAuthzRegexp\nolcAuthzRegexp: \
         {{0}}gidNumber=[0-9]+\\+uidNumber={user},cn=peercred,cn=external,cn=auth {}\n\n",
        quoted(&wanted.identity)
    );
    let note = format!(
        "the user {user} ({}) is {} to slapd over ldapi; no entry is needed for it",
        wanted.user_name, wanted.identity
    );
    Some(Part { name: Name::Identity, place: Place::Config, notes: vec![note], text })
}

/// Each in a record of its own, so that one that is there already stops no other.
fn index(wanted: &Wanted) -> Part {
    let Attributes { token, owner, person, .. } = &wanted.attributes;
    let own = ["oathTokenIdentifier", "oathHOTPToken", "oathTOTPToken"];
    let own = own.into_iter().chain(["oathHOTPParams", "oathTOTPParams"]);
    let mut names: Vec<&str> = own.collect();
    let more = [Some(token), Some(owner), person.as_ref()];
    for name in more.into_iter().flatten() {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    let records = names.iter().map(|name| {
        let database = &wanted.database;
        format!("dn: {database}\nchangetype: modify\nadd: olcDbIndex\nolcDbIndex: {name} eq\n\n")
    });
    let notes = vec![
        "ldapmodify -c goes on after an index that is there already (\"duplicate index\")"
            .to_owned(),
        format!(
            "an index for {} is also needed; Debian's slapd has one for uid",
            wanted.attributes.account
        ),
    ];
    Part { name: Name::Index, place: Place::Config, notes, text: records.collect() }
}

/// A word of slapd's config in quotation marks.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\""))
}

/// The schema of OATH-LDAP, as LDIF.
pub(in crate::app::ldap) const SCHEMA: &str = include_str!("../schema.ldif");
const VALUES: &str = "\
dn: cn=oath-ldap-values,cn=schema,cn=config
objectClass: olcSchemaConfig
cn: oath-ldap-values
olcAttributeTypes: ( 1.3.6.1.4.1.5427.1.389.4226.4.16 NAME 'oathOTPValue' DESC 'OTP value to
  compare with (supertype, never stored)' EQUALITY caseIgnoreIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26{20} SINGLE-VALUE )
olcAttributeTypes: ( 1.3.6.1.4.1.5427.1.389.4226.4.16.1 NAME 'oathHOTPValue'
  DESC 'HOTP value to compare with (never stored)' SUP oathOTPValue )
olcAttributeTypes: ( 1.3.6.1.4.1.5427.1.389.4226.4.16.2 NAME 'oathTOTPValue'
  DESC 'TOTP value to compare with (never stored)' SUP oathOTPValue )
";

#[cfg(test)]
mod tests;
