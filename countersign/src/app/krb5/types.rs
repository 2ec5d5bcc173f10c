//! The token types of a realm: what the profile says, what is there, and what Countersign makes
//! of the requests.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use countersign_core::{
    krb5::token_type::{BREAKS, Server, TokenType, TokenTypes, object, secret_of},
    secret::Secret,
};

use super::{
    add,
    client::{KdcClient, Way, serving},
    kdc::{self, Process},
    realm::Realm,
    socket,
};
use crate::app::examine::Findings;

/// The types, and whether the KDC can read their secrets.
pub(super) struct Types {
    pub(super) types: TokenTypes,
    /// In the same order; `None` for one that it cannot read.
    secrets: Vec<Option<Secret<Vec<u8>>>>,
}

/// Reads what the profile and the files of the secrets say.
pub(super) fn read(realm: &Realm, clients: Option<&[KdcClient]>, findings: &mut Findings) -> Types {
    let (mut types, found) = TokenTypes::read(&realm.profile, &realm.places.run_directory);
    add(found, findings);
    let clients = clients.unwrap_or_default();
    let secrets = types.types.iter().map(|one| {
        let found = misplaced(one, clients, findings);
        found.map_or_else(|| secret(realm, one, findings), |()| None)
    });
    let secrets: Vec<_> = secrets.collect();
    types.broken |= secrets.iter().any(Option::is_none);
    Types { types, secrets }
}

/// Looks at sockets and compares both sides. `used`: the names of the types of somebody.
pub(super) async fn examine(
    realm: &Realm,
    types: &Types,
    used: &[&str],
    clients: Option<&[KdcClient]>,
    version: Option<&str>,
    findings: &mut Findings,
) {
    let kdc = kdc::running(realm);
    for (token_type, secret) in types.types.types.iter().zip(&types.secrets) {
        let client = clients.and_then(|clients| serving(token_type, clients));
        // Nobody needs to have the built-in type.
        if token_type.built_in && client.is_none() && !used.contains(&token_type.name.as_str()) {
            continue;
        }
        describe(token_type, findings);
        let object = object(&token_type.name);
        match &token_type.server {
            Server::Socket(path) => {
                socket::examine(&object, Path::new(path), kdc.as_ref(), findings).await;
            }
            Server::Host { host, port } => {
                socket::examine_port(&object, host, port.as_deref(), findings);
            }
        }
        if let Some(client) = client {
            compare(token_type, client, secret.as_ref(), kdc.as_ref(), findings);
            compare_authenticator(token_type, client, version, findings);
        } else if clients.is_some() {
            findings.warning(&object, NOT_OURS, ADD_CLIENT);
        }
    }
    for client in clients.unwrap_or_default().iter().filter(|client| client.settings.is_kdc) {
        let asks = |one| serving(one, std::slice::from_ref(client)).is_some();
        if !types.types.types.iter().any(asks) {
            findings.warning(&client.object(), NOBODY_ASKS, ADD_TYPE);
        }
    }
}

fn describe(token_type: &TokenType, findings: &mut Findings) {
    let TokenType { name, server, timeout, strip_realm, indicators, built_in, .. } = token_type;
    let realm = if *strip_realm { "without" } else { "with" };
    let indicators = match &indicators[..] {
        [] => "no indicator".to_owned(),
        words => format!("the indicators {}", words.join(", ")),
    };
    let origin = if *built_in { "built in: " } else { "" };
    let finding = format!(
        "{origin}it asks {server}, waits {timeout} s, sends names {realm} realm, promises \
             {indicators}"
    );
    findings.good(&object(name), finding);
}

/// Whether the secret stands where the name of its file belongs; it is not to be shown then.
fn misplaced(token_type: &TokenType, clients: &[KdcClient], findings: &mut Findings) -> Option<()> {
    let name = token_type.secret_file.as_ref()?;
    let is_it = |client: &&KdcClient| client.settings.secret.expose() == name.as_bytes();
    let client = clients.iter().find(is_it)?;
    let ours = client.object();
    let finding = format!("`secret` is the shared secret of {ours} itself; {BREAKS}");
    findings.error(
        &object(&token_type.name),
        finding,
        "name a file whose first line is the secret; and make another secret, because the KDC \
         has written this one into its log",
    );
    Some(())
}

/// The secret, or `None` if the KDC cannot read it, which keeps OTP off for everybody.
fn secret(
    realm: &Realm,
    token_type: &TokenType,
    findings: &mut Findings,
) -> Option<Secret<Vec<u8>>> {
    let Some(name) = &token_type.secret_file else { return Some(Secret::new(Vec::new())) };
    let path: PathBuf = realm.places.kdc_directory().join(name);
    let object = object(&token_type.name);
    let octets = match std::fs::read(&path) {
        Ok(octets) => Secret::new(octets),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            findings.warning(
                &object,
                format!("its secret {} cannot be read from here", path.display()),
                "run this as root",
            );
            return Some(Secret::new(Vec::new()));
        }
        Err(error) => {
            let finding = format!("its secret {}: {error}; {BREAKS}", path.display());
            let cure =
                "secret must name a file whose first line is the secret, not be the secret itself";
            findings.error(&object, finding, cure);
            return None;
        }
    };
    let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.mode());
    if mode & 0o004 != 0 {
        let shown = path.display();
        let finding = format!("every user of this machine can read its secret {shown}");
        findings.warning(&object, finding, &format!("chmod 600 {shown}"));
    }
    match secret_of(octets.expose()) {
        Ok(secret) => Some(Secret::new(secret.to_vec())),
        Err(error) => {
            let finding = format!("its secret {}: {error}; {BREAKS}", path.display());
            findings.error(&object, finding, "write the secret into its first line");
            None
        }
    }
}

/// What both sides must agree about.
fn compare(
    token_type: &TokenType,
    client: &KdcClient,
    secret: Option<&Secret<Vec<u8>>>,
    kdc: Option<&Process>,
    findings: &mut Findings,
) {
    let (object, ours) = (object(&token_type.name), client.object());
    findings.good(&object, format!("{ours} of Countersign answers it"));
    if !client.settings.is_kdc {
        let finding = format!(
            "{ours} does not say kdc = true: an answer with an attribute or a \
                 Message-Authenticator that the KDC does not know is dropped without a word, and \
                 the logon runs into its timeout"
        );
        findings.warning(&object, finding, "set kdc = true for the client");
    }
    // A host without a secret has been found already.
    let has_secret =
        token_type.secret_file.is_some() || matches!(token_type.server, Server::Socket(_));
    if has_secret && secret.is_some_and(|secret| *secret != client.settings.secret) {
        let finding =
            format!("its secret is not that of {ours}: every logon runs into the timeout");
        findings.error(
            &object,
            finding,
            "write the same secret on both sides; a socket needs none on either",
        );
    }
    compare_deadline(&object, token_type, client, findings);
    compare_users(&object, client, kdc, findings);
    let undemanded: Vec<_> = token_type
        .indicators
        .iter()
        .filter(|indicator| !client.settings.indicators.contains(indicator))
        .map(String::as_str)
        .collect();
    if !undemanded.is_empty() {
        let finding = format!(
            "it promises {}, which {ours} does not demand: whatever token is accepted there, the \
                 ticket says so",
            undemanded.join(", ")
        );
        findings.warning(
            &object,
            finding,
            "set require-indicators of the client to the \
             indicators of the type; one socket and one type for each strength",
        );
    }
}

/// Root and whoever the daemon runs as may connect without being named.
fn compare_users(object: &str, client: &KdcClient, kdc: Option<&Process>, findings: &mut Findings) {
    let Way::Socket { path, users } = &client.way else { return };
    let user = kdc.map_or(0, |kdc| kdc.user);
    let own = std::fs::metadata(path).is_ok_and(|socket| socket.uid() == user);
    let may = if users.is_empty() { user == 0 || own } else { users.contains(&user) };
    if !may {
        let finding = format!(
            "the KDC runs as uid {user}, which {} does not let connect: its connections are closed",
            client.object()
        );
        findings.error(object, finding, "name its user in socket-users of the client");
    }
}

fn compare_deadline(
    object: &str,
    token_type: &TokenType,
    client: &KdcClient,
    findings: &mut Findings,
) {
    let Some(deadline) = client.settings.deadline else { return };
    // A negative one crashes the KDC, which has been found already.
    let Ok(timeout) = u64::try_from(token_type.timeout) else { return };
    if deadline.as_secs_f64() >= std::time::Duration::from_secs(timeout).as_secs_f64() {
        let finding = format!(
            "the KDC waits {timeout} s, and {} answers after {} s at the latest: a slow answer \
                 comes when nobody waits for it, and a second token is never asked",
            client.object(),
            deadline.as_secs_f64()
        );
        findings.error(
            object,
            finding,
            "make deadline of the client shorter than timeout of the type",
        );
    }
}

fn compare_authenticator(
    token_type: &TokenType,
    client: &KdcClient,
    version: Option<&str>,
    findings: &mut Findings,
) {
    let object = object(&token_type.name);
    let sends = version.and_then(sends_message_authenticator);
    if client.settings.require_message_authenticator && sends != Some(true) {
        let finding = format!(
            "{} demands Message-Authenticator, which KDCs up to 1.21 never send: every logon \
                 runs into the timeout",
            client.object()
        );
        let remedy = match client.way {
            Way::Socket { .. } => {
                "set kdc = true for the client, or \
                 require-message-authenticator = false"
            }
            Way::Network { .. } => {
                "set require-message-authenticator = false for this client \
                 until every KDC is 1.22 or newer; better, use a socket"
            }
        };
        if sends == Some(false) {
            findings.error(&object, finding, remedy);
        } else {
            findings.warning(&object, finding, remedy);
        }
    }
}

const NOBODY_ASKS: &str = "no token type of this KDC asks by it";
const ADD_TYPE: &str = "`countersign krb5 config` writes the token type; another KDC may have it";
const NOT_OURS: &str =
    "no client of Countersign's config is meant by it; if another server is, that is well";
const ADD_CLIENT: &str = "add [radius.client.NAME] with socket and kdc = true, or with the KDC's \
     address; `countersign krb5 config` writes the other side";

/// Since 1.22; some distributions have it in their 1.21.
fn sends_message_authenticator(version: &str) -> Option<bool> {
    let mut numbers = version.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    match (numbers.next()?, numbers.next()?) {
        (1, 21) => None,
        version => Some(version >= (1, 22)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_who_sends_message_authenticator() {
        for (version, sends) in [
            ("1.20.1", Some(false)),
            ("1.22", Some(true)),
            ("1.22-final", Some(true)),
            ("2.0", Some(true)),
            ("1.21.3", None),
            ("nonsense", None),
        ] {
            assert_eq!(sends_message_authenticator(version), sends, "{version}");
        }
    }
}
