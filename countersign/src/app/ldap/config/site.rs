//! What the config of Countersign says of slapd.

use countersign_core::{domain::dn::Dn, ldap::mapping::Profile};

use super::{Attributes, Socket, Wanted};
use crate::config::{
    Config,
    back_sock::{BackSockSettings, PasswordBy},
    delivery::DeliveryMeans,
    directory::DirectorySettings,
    server_url::ServerUrl,
};

/// What no config of Countersign says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The DN of the database in cn=config.
    pub database: Option<String>,
    /// As whom the daemon is known to slapd.
    pub identity: Option<String>,
    /// The user of the daemon, with its number if this machine knows it.
    pub user: (String, Option<u32>),
    /// The group of the socket, by name.
    pub group: Option<String>,
    /// The group of administrators who issue and reset tokens.
    pub administrators: Option<String>,
    /// The identity that sets enrolment passwords.
    pub enrolment: Option<String>,
    /// The daemon may add and remove tokens itself.
    pub manages_tokens: bool,
    /// slapo-otp is loaded.
    pub beside_slapo_otp: bool,
    /// Which characters names have.
    pub names: Option<String>,
}

/// Why there is nothing to be written.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Nothing that has to do with slapd.
    #[error(
        "the config has neither [directory] nor [back-sock]; add the one for accounts and tokens \
         in slapd, the other for binds that slapd asks about"
    )]
    NoDirectory,
    /// The number of the user is not known here.
    #[error(
        "this machine has no user {0:?}, and slapd knows the daemon by the number of its user; \
         make the user, or name another one or a number by --user"
    )]
    NoUser(String),
    /// A name that would be more than a name.
    #[error("{0} is {1:?}; that is no name that slapd's config can hold")]
    Name(&'static str, String),
    /// A class of characters that lets through what breaks requests.
    #[error(
        "--names {0:?}: write characters and ranges, such as a-z0-9._-; the brackets stand around them"
    )]
    Names(String),
}

impl Wanted {
    /// What is wanted for a config.
    ///
    /// # Errors
    ///
    /// The config has nothing to do with slapd, or something is missing.
    pub fn of(config: &Config, options: Options) -> Result<Self, SiteError> {
        let (directory, back_sock) = (config.directory.as_ref(), config.back_sock.as_ref());
        let base = base(directory, back_sock).ok_or(SiteError::NoDirectory)?;
        let accounts = accounts(directory, back_sock, &base);
        let tokens = tokens(directory, back_sock, &base);
        let names = options.names.unwrap_or_else(|| NAMES.to_owned());
        if names.is_empty() || names.contains(['[', ']', '^', '=', ',']) || has_control(&names) {
            return Err(SiteError::Names(names));
        }
        let wanted = Self {
            database: options.database.unwrap_or_else(|| DATABASE.to_owned()),
            identity: identity(directory, options.identity, &base),
            user: user(directory, &options.user)?,
            user_name: options.user.0,
            administrators: options.administrators,
            enrolment: options.enrolment,
            manages_tokens: options.manages_tokens,
            beside_slapo_otp: options.beside_slapo_otp,
            names,
            base,
            accounts,
            tokens,
            attributes: attributes(directory, back_sock),
            socket: back_sock.map(|settings| socket(settings, options.group)),
            isolated: isolated(config),
            config_file: config.file.clone(),
        };
        wanted.named()?;
        Ok(wanted)
    }

    /// Everything stands in one line of LDIF.
    fn named(&self) -> Result<(), SiteError> {
        let named = [
            ("--database", Some(&self.database)),
            ("--identity", Some(&self.identity)),
            ("--administrators", self.administrators.as_ref()),
            ("--enrolment", self.enrolment.as_ref()),
        ];
        for (key, value) in named {
            let Some(value) = value else { continue };
            if has_control(value) || Dn::parse(value).is_err() {
                return Err(SiteError::Name(key, value.clone()));
            }
        }
        Ok(())
    }
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}

/// What the store's tree hangs on, or the database.
fn base(
    directory: Option<&DirectorySettings>,
    back_sock: Option<&BackSockSettings>,
) -> Option<String> {
    let suffix = back_sock.and_then(|settings| settings.suffixes.first());
    let base = directory.map(|settings| normal(&settings.base));
    base.or_else(|| suffix.map(Dn::to_string))
}

/// Where binds may come from, or where the store's accounts are.
fn accounts(
    directory: Option<&DirectorySettings>,
    back_sock: Option<&BackSockSettings>,
    base: &str,
) -> Vec<String> {
    match (back_sock, directory) {
        (Some(settings), _) => settings.accounts.iter().map(Dn::to_string).collect(),
        (None, Some(settings)) => vec![normal(&settings.account_base)],
        (None, None) => vec![base.to_owned()],
    }
}

/// Where tokens are; an embedded store has none in slapd. Rules for tokens must not be rules
/// for everything, so they have a place of their own.
fn tokens(
    directory: Option<&DirectorySettings>,
    back_sock: Option<&BackSockSettings>,
    base: &str,
) -> Vec<String> {
    let named = back_sock.iter().flat_map(|settings| settings.tokens.iter().map(Dn::to_string));
    let named: Vec<_> = named.collect();
    let Some(settings) = directory else { return named };
    let own = normal(&settings.token_base);
    match (own == base, named.is_empty(), named.contains(&own)) {
        (true, true, _) => vec![format!("cn=otp,{base}")],
        (true, false, _) | (false, _, true) => named,
        (false, _, false) => [vec![own], named].concat(),
    }
}

/// As it is compared; the config was checked for that.
fn normal(name: &str) -> String {
    Dn::parse(name).map_or_else(|_| name.to_owned(), |dn| dn.to_string())
}

/// Whoever the daemon binds as; over ldapi a name that needs no entry.
fn identity(directory: Option<&DirectorySettings>, named: Option<String>, base: &str) -> String {
    let server = directory.map(|settings| &settings.server);
    let bound = server.and_then(|server| server.bind.as_ref()).map(|(dn, _)| dn.clone());
    let assumed = server.and_then(|server| server.authorization_id.as_deref());
    let assumed = assumed.and_then(|name| name.strip_prefix("dn:")).map(str::to_owned);
    named.or(bound).or(assumed).unwrap_or_else(|| format!("cn=countersign,{base}"))
}

/// The number by which slapd knows the daemon, if it is by that.
fn user(
    directory: Option<&DirectorySettings>,
    (name, number): &(String, Option<u32>),
) -> Result<Option<u32>, SiteError> {
    let by_socket = |settings: &&DirectorySettings| {
        settings.server.bind.is_none() && settings.server.url.starts_with("ldapi:")
    };
    if directory.filter(by_socket).is_none() {
        return Ok(None);
    }
    number.map(Some).ok_or_else(|| SiteError::NoUser(name.clone()))
}

fn attributes(
    directory: Option<&DirectorySettings>,
    back_sock: Option<&BackSockSettings>,
) -> Attributes {
    let usual = Profile::default().mapping();
    let mapping = directory.map_or(&usual, |settings| &settings.mapping);
    let login = back_sock.and_then(|settings| settings.login_attribute.clone());
    Attributes {
        account: login.unwrap_or_else(|| mapping.account.name.clone()),
        token: mapping.token.rdn.clone(),
        owner: mapping.token.owner.clone(),
        person: mapping.account.person.clone(),
    }
}

fn socket(settings: &BackSockSettings, group: Option<String>) -> Socket {
    let hand_back = settings.hand_back_url.clone();
    Socket {
        path: settings.socket.path.clone(),
        mode: settings.socket.mode,
        group: group.or_else(|| settings.socket.group.map(|group| group.to_string())),
        hand_back: hand_back.filter(|_| settings.password == PasswordBy::Directory),
    }
}

/// Whether UNIX sockets are all that the config needs.
fn isolated(config: &Config) -> bool {
    let radius = config.radius.as_ref().is_some_and(|radius| {
        !radius.listen.is_empty() || !radius.listen_tcp.is_empty() || radius.tls.is_some()
    });
    let is_local = |url: &str| url.starts_with("ldapi:");
    let proxy = config.ldap_proxy.as_ref().is_some_and(|proxy| {
        let is_socket = |url: &ServerUrl| matches!(url, ServerUrl::Socket(_));
        let is_remote = !proxy.upstream.addresses.iter().all(is_socket);
        !proxy.listen.is_empty() || proxy.tls.is_some() || is_remote
    });
    let directory =
        config.directory.as_ref().is_some_and(|directory| !is_local(&directory.server.url));
    let delivery = config.deliveries.iter().any(|delivery| match delivery.means {
        DeliveryMeans::Mail(_) | DeliveryMeans::Http(_) => true,
        DeliveryMeans::Script(_) => false,
    });
    let servers = config.otpce.is_some() || config.est.is_some() || config.http.is_some();
    let asked = !config.upstreams.is_empty() || config.bind_proxy.is_some();
    !(radius || proxy || directory || delivery || servers || asked)
}

const NAMES: &str = "a-z0-9._-";
const DATABASE: &str = "olcDatabase={1}mdb,cn=config";
