//! What a KDC should read so that it asks Countersign: `[otp]`, and the commands of `kadmin.local`.

use std::{collections::HashSet, net::SocketAddr};

use countersign_core::krb5::{
    token_type::{Server, TokenType},
    user_string::{ControlCharacter, UserString, UserToken},
};
use serde::Serialize;

use super::client::{KdcClient, Way};
use crate::app::admin::AccountView;

/// What somebody wants to have.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The name of the type, if there is one client.
    pub token_type: Option<String>,
    /// What tickets say; what the client demands if none is given.
    pub indicators: Vec<String>,
    /// Whether names go without the realm.
    pub strip_realm: bool,
    /// The realm of principals whose account has none.
    pub realm: Option<String>,
    /// Where the KDC finds the daemon, for a client over UDP.
    pub server: Option<String>,
    /// The KDC's file with the secret.
    pub secret_file: Option<String>,
    /// Seconds that the KDC waits.
    pub timeout: Option<i32>,
    /// Whether the principals exist already.
    pub existing: bool,
}

/// What is to be written and done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stanza {
    /// The section `[otp]`.
    pub profile: String,
    /// Programs with their arguments.
    pub commands: Vec<Vec<String>>,
    /// What else an administrator has to know.
    pub notes: Vec<String>,
}

/// Why there is nothing to be written.
#[derive(Debug, thiserror::Error)]
pub enum StanzaError {
    /// There is none.
    #[error(
        "the config has no client for a KDC; add [radius.client.NAME] with socket and kdc = true"
    )]
    NoClient,
    /// One type for several clients.
    #[error(
        "--type names one token type, and there are several clients; choose one by --client: {0}"
    )]
    ManyClients(String),
    /// A name that the format cannot hold.
    #[error(
        "the token type cannot be called {0:?}; choose a name of letters, digits, - and _ by --type"
    )]
    TypeName(String),
    /// The daemon listens on every address.
    #[error(
        "radius.client.{0} is asked over UDP; say by --server HOST:PORT where the KDC finds the \
             daemon"
    )]
    NoServer(String),
    /// An address that a KDC cannot read.
    #[error(
        "--server {0}: a KDC takes HOST:PORT with a name or an IPv4 address; write a name for an \
             IPv6 address"
    )]
    Server(String),
    /// There is no server where there is a socket.
    #[error(
        "--server is for a client over UDP, and radius.client.{0} is asked through its socket; \
             leave it out, or choose another client by --client"
    )]
    ServerOfSocket(String),
    /// A principal without a realm.
    #[error("account {0}: it has no realm, nor has [site]; give one by --realm")]
    NoRealm(String),
    /// A name that cannot be written.
    #[error(transparent)]
    Control(#[from] ControlCharacter),
}

/// Writes it. The type of the first client is that of the accounts.
///
/// # Errors
///
/// Something is missing or cannot be written.
pub fn write(
    clients: &[KdcClient],
    accounts: &[AccountView],
    site_realm: Option<&str>,
    wanted: &Wanted,
) -> Result<Stanza, StanzaError> {
    let first = clients.first().ok_or(StanzaError::NoClient)?;
    if clients.len() > 1 && wanted.token_type.is_some() {
        let names: Vec<_> = clients.iter().map(|client| client.settings.name.as_str()).collect();
        return Err(StanzaError::ManyClients(names.join(", ")));
    }
    let is_socket = |client: &KdcClient| matches!(client.way, Way::Socket { .. });
    if wanted.server.is_some() && clients.iter().all(is_socket) {
        return Err(StanzaError::ServerOfSocket(first.settings.name.clone()));
    }
    let types = clients.iter().map(|client| token_type(client, wanted));
    let types = types.collect::<Result<Vec<_>, _>>()?;
    let mut profile = String::from("[otp]\n");
    for token_type in &types {
        let name = || StanzaError::TypeName(token_type.name.clone());
        profile += &token_type.to_profile().ok_or_else(name)?;
    }
    let mut commands = Vec::new();
    for view in accounts {
        let realm = realm(view, site_realm, wanted)?;
        commands.extend(commands_for(view, &realm, first, &types[0], wanted)?);
    }
    Ok(Stanza { profile, commands, notes: notes(clients, &types, wanted, !accounts.is_empty()) })
}

fn token_type(client: &KdcClient, wanted: &Wanted) -> Result<TokenType, StanzaError> {
    let (server, secret_file) = match &client.way {
        Way::Socket { path, .. } => {
            let secret = !client.settings.secret.expose().is_empty();
            (Server::Socket(path.display().to_string()), secret)
        }
        Way::Network { listen, .. } => {
            let named = wanted.server.as_deref().map(named_server).transpose()?;
            let server = named.or_else(|| listen.iter().find_map(reachable));
            (server.ok_or_else(|| StanzaError::NoServer(client.settings.name.clone()))?, true)
        }
    };
    let usual_secret = || format!("countersign-{}.secret", client.settings.name);
    let indicators = if wanted.indicators.is_empty() {
        &*client.settings.indicators
    } else {
        &*wanted.indicators
    };
    Ok(TokenType {
        secret_file: secret_file.then(|| wanted.secret_file.clone().unwrap_or_else(usual_secret)),
        timeout: wanted.timeout.unwrap_or_else(|| timeout(client)),
        strip_realm: wanted.strip_realm,
        indicators: indicators.to_vec(),
        ..TokenType::new(&type_name(client, wanted), server)
    })
}

/// The built-in socket belongs to the type `DEFAULT`.
fn type_name(client: &KdcClient, wanted: &Wanted) -> String {
    let default = match &client.way {
        Way::Socket { path, .. } => path.file_name().is_some_and(|name| name == "DEFAULT.socket"),
        Way::Network { .. } => false,
    };
    let usual = if default { TokenType::DEFAULT } else { &client.settings.name };
    wanted.token_type.clone().unwrap_or_else(|| usual.to_owned())
}

/// A host that the KDC can look up; it splits at the last colon, whatever is before it.
fn named_server(text: &str) -> Result<Server, StanzaError> {
    let server = Server::parse(text);
    let usable = match &server {
        Server::Host { host, .. } => !host.is_empty() && !host.contains([':', '[', ']', '/', ' ']),
        Server::Socket(_) => false,
    };
    if usable { Ok(server) } else { Err(StanzaError::Server(text.to_owned())) }
}

/// An address that can be written down: IPv4, and not all addresses at once.
fn reachable(address: &SocketAddr) -> Option<Server> {
    let usable = address.is_ipv4() && !address.ip().is_unspecified();
    usable.then(|| Server::parse(&address.to_string()))
}

/// A second more than the daemon takes at most.
fn timeout(client: &KdcClient) -> i32 {
    let longest =
        client.settings.deadline.map_or(0, |deadline| deadline.as_millis().div_ceil(1000));
    i32::try_from(longest + 1).unwrap_or(i32::MAX).max(TokenType::DEFAULT_TIMEOUT)
}

fn realm(
    view: &AccountView,
    site_realm: Option<&str>,
    wanted: &Wanted,
) -> Result<String, StanzaError> {
    if let Some(realm) = &wanted.realm {
        return Ok(realm.clone());
    }
    let realm = view.account.realm.as_deref().or(site_realm);
    let missing = || StanzaError::NoRealm(view.account.name.clone());
    realm.map(str::to_uppercase).ok_or_else(missing)
}

fn commands_for(
    view: &AccountView,
    realm: &str,
    client: &KdcClient,
    token_type: &TokenType,
    wanted: &Wanted,
) -> Result<Vec<Vec<String>>, StanzaError> {
    let principal = format!("{}@{realm}", view.account.name);
    let sent = if wanted.strip_realm { &view.account.name } else { &principal };
    let leads_here = leads_to(view, sent, client);
    let named = (token_type.name != TokenType::DEFAULT).then(|| token_type.name.clone());
    let token = UserToken {
        token_type: named,
        user_name: if leads_here { None } else { view.logins.first().cloned() },
        indicators: None,
    };
    let string = UserString::write(&[token])?;
    // The realm is said, because kadmin.local takes a principal of any realm into the database
    // of the default one, where no KDC looks for it. A name must not look like an option; a backslash is quoting to Kerberos.
    let argument = if principal.starts_with('-') { format!("\\{principal}") } else { principal };
    let command = |words: &[&str]| {
        let tool = ["kadmin.local", "-r", realm];
        tool.iter().chain(words).map(|word| (*word).to_owned()).collect()
    };
    let set = command(&["setstr", &argument, "otp", &string]);
    Ok(if wanted.existing {
        let require = command(&["modprinc", "+requires_preauth", &argument]);
        vec![require, set, command(&["purgekeys", "-all", &argument])]
    } else {
        vec![command(&["addprinc", "-nokey", "+requires_preauth", &argument]), set]
    })
}

/// Whether a name that the KDC sends is one of the account's, or sent on.
fn leads_to(view: &AccountView, sent: &str, client: &KdcClient) -> bool {
    match client.login(sent) {
        Ok((_, Some(_))) => true,
        Ok((login, None)) => view.logins.contains(&login.to_lowercase()),
        Err(_) => false,
    }
}

fn notes(
    clients: &[KdcClient],
    types: &[TokenType],
    wanted: &Wanted,
    has_commands: bool,
) -> Vec<String> {
    let mut notes = vec![RESTART.to_owned()];
    for (client, token_type) in clients.iter().zip(types) {
        let TokenType { name, timeout, .. } = token_type;
        match &client.way {
            Way::Socket { .. } => notes.push(SOCKET.to_owned()),
            Way::Network { .. } => notes.push(MESSAGE_AUTHENTICATOR.to_owned()),
        }
        if !client.settings.is_kdc {
            notes.push(format!(
                "{} does not say kdc = true: add it, and deadline = \"4s\", or the KDC cannot \
                     use the answers",
                client.object()
            ));
        }
        if let Some(file) = &token_type.secret_file {
            notes.push(format!(
                "{file}: a file in the KDC's directory (/etc/krb5kdc), mode 0600, whose first \
                     line is the secret of {}; without it the KDC has OTP for nobody",
                client.object()
            ));
        }
        if let Some(deadline) = client.settings.deadline {
            notes.push(format!(
                "timeout of {name}: the KDC waits {timeout} s, the daemon answers after {} s at \
                     the latest; keep it that way round",
                deadline.as_secs_f64()
            ));
        }
        if !token_type.indicators.is_empty()
            && *wanted.indicators != *client.settings.indicators
            && !wanted.indicators.is_empty()
        {
            notes.push(format!(
                "the type {name} promises {}; set require-indicators of {} to the same, or every \
                     token gets this promise",
                token_type.indicators.join(", "),
                client.object()
            ));
        }
    }
    notes.push(ARMOUR.to_owned());
    if let ([first, _, ..], true) = (types, has_commands) {
        notes.push(format!(
            "the commands are for the type {}; --client chooses another",
            first.name
        ));
    }
    if has_commands {
        notes.push(QUOTES.to_owned());
    }
    if wanted.existing && has_commands {
        notes.push(PURGE.to_owned());
    }
    let mut said = HashSet::new();
    notes.retain(|note| said.insert(note.clone()));
    notes
}

const RESTART: &str = "put [otp] into kdc.conf and restart the KDC (systemctl restart krb5-kdc): \
     it reads token types once. User strings count from the next logon on";
const SOCKET: &str = "the packaged unit runs the KDC as root without CAP_DAC_OVERRIDE: the \
     socket must be root's (a systemd socket unit makes it so), or of a group of the KDC's with \
     mode 0660";
const MESSAGE_AUTHENTICATOR: &str = "KDCs up to 1.21 send no Message-Authenticator, so a client with kdc = true \
    is not asked for one; set require-message-authenticator = true as soon as every KDC is 1.22 or newer";
const ARMOUR: &str =
    "users need armour: kinit -n -c FILE:/tmp/armour, then kinit -T FILE:/tmp/armour NAME";
const QUOTES: &str = "run the commands as they are, by the shell; within kadmin and by -q the \
     double quotes get lost";
const PURGE: &str = "purgekeys -all takes the password away: only OTP and certificates log the \
     principal on then. To keep it, leave this out and set require_auth on the services";
