//! The directory, slapd's socket and the bind proxy under examination. Nobody is asked;
//! `countersign ldap check` asks slapd.

use std::path::Path;

use countersign_core::{domain::account::Account, ldap::mapping::PlainSecrets};

use super::Findings;
use crate::{
    config::{
        Config,
        back_sock::{BackSockSettings, PasswordBy, WithoutToken},
        bind_proxy::BindProxySettings,
        directory::DirectorySettings,
    },
    directory::Directory,
    vault::keys::SiteKeys,
};

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    if let Some(directory) = &config.directory {
        examine_directory(directory, findings);
    }
    if let Some(back_sock) = &config.back_sock {
        examine_back_sock(back_sock, findings);
    }
    if let Some(proxy) = &config.bind_proxy {
        examine_bind_proxy(proxy, findings);
    }
}

fn examine_directory(directory: &DirectorySettings, findings: &mut Findings) {
    let object = "directory";
    match Directory::new(&directory.server, directory.connections) {
        Ok(server) => findings.good(
            object,
            format!(
                "accounts and tokens are those of {}, below {}; what it is like says \
                 `countersign ldap check`",
                server.name(),
                directory.base
            ),
        ),
        Err(error) => findings.error(object, error.to_string(), "correct [directory]"),
    }
    examine_keys(directory, findings);
}

fn examine_keys(directory: &DirectorySettings, findings: &mut Findings) {
    let object = "directory.keys";
    let is_plain = directory.mapping.token.plain_secrets != PlainSecrets::Refuse;
    match SiteKeys::load(&directory.keys) {
        Ok(keys) if keys.newest().is_none() && !is_plain => findings.error(
            object,
            "there is no private key, so no token of the directory can be used",
            "make one with `countersign ldap genkey` and name its file in directory.keys",
        ),
        Ok(keys) => {
            let names: Vec<_> = keys.key_ids().collect();
            if !names.is_empty() {
                findings.good(object, format!("secrets are opened by {}", names.join(", ")));
            }
        }
        Err(error) => findings.error(object, error.to_string(), "correct directory.keys"),
    }
    if is_plain {
        findings.warning(
            object,
            "secrets may stand in the directory in clear (plain-secrets)",
            "encrypt them with `countersign ldap migrate --apply`, then remove plain-secrets",
        );
    }
}

fn examine_back_sock(back_sock: &BackSockSettings, findings: &mut Findings) {
    let object = "back-sock";
    let accounts: Vec<_> = back_sock.accounts.iter().map(ToString::to_string).collect();
    findings.good(
        object,
        format!(
            "slapd asks on {} about accounts below {}; {} requests at once, then it is told that \
             we are busy",
            back_sock.socket.path.display(),
            accounts.join(" and "),
            back_sock.max_requests
        ),
    );
    let without = match back_sock.without_token {
        WithoutToken::Continue => "bind by their password alone, which slapd checks",
        WithoutToken::Refuse => "are refused",
    };
    findings.good(object, format!("accounts without a token {without}"));
    let password = match back_sock.password {
        PasswordBy::Check => "by its hash in the directory",
        PasswordBy::Directory => "by slapd, which is asked with the password alone",
    };
    findings.good(object, format!("the static password is checked {password}"));
    examine_socket_users(&back_sock.socket.path, &back_sock.socket.users, findings);
}

/// With the embedded store slapd asks about the names that its pattern admits; who has another
/// one binds by the password alone. What `countersign ldap config` writes admits these.
pub(super) fn examine_name(config: &Config, account: &Account, findings: &mut Findings) {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if config.back_sock.is_none()
        || config.directory.is_some()
        || account.name.bytes().all(is_usual)
    {
        return;
    }
    findings.warning(
        &format!("account {}", account.name),
        "the usual pattern of slapd's overlay does not admit this name: then slapd does not ask about it, and lets it in by the password alone",
        "widen olcOvSocketDNpat (`countersign ldap config overlay --names`), or rename the account",
    );
}

fn examine_socket_users(path: &Path, users: &[u32], findings: &mut Findings) {
    if users.is_empty() {
        findings.warning(
            "back-sock.socket-users",
            format!("only root and the daemon's own user may ask on {}", path.display()),
            "name the user that slapd runs as, on Debian socket-users = [\"openldap\"]",
        );
    }
}

fn examine_bind_proxy(proxy: &BindProxySettings, findings: &mut Findings) {
    let object = "bind-proxy";
    let providers: Vec<_> = proxy.providers.iter().map(|provider| provider.url.as_str()).collect();
    findings.good(
        object,
        format!(
            "binds of the accounts that {} finds with {} are passed on to {}, each token to one \
             of them",
            proxy.replica.url,
            proxy.filter,
            providers.join(" and ")
        ),
    );
    for server in proxy.providers.iter().chain([&proxy.replica]) {
        if let Err(error) = Directory::new(server, 1) {
            findings.error(object, error.to_string(), "correct [bind-proxy]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};

    /// Grades and objects of what is found in a config with these sections.
    fn found(sections: &str) -> Vec<(Grade, String, String)> {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("countersign.toml");
        let text = format!(
            "master-key = \"k\"\nstore = \"s\"\naudit-log = \"a\"\ncontrol-socket = \"c\"\n{sections}"
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let mut findings = Findings::default();
        examine(&config, &mut findings);
        let findings = findings.into_vec().into_iter();
        findings.map(|found| (found.grade, found.object, found.finding)).collect()
    }

    fn has(findings: &[(Grade, String, String)], grade: Grade, object: &str, words: &str) {
        let is_it = |(found, place, text): &(Grade, String, String)| {
            *found == grade && place == object && text.contains(words)
        };
        assert!(findings.iter().any(is_it), "{grade:?} {object} {words}: {findings:#?}");
    }

    const BACK_SOCK: &str =
        "[back-sock]\nsocket = \"x\"\nsuffixes = [\"dc=x\"]\naccounts = [\"ou=a,dc=x\"]\n";

    #[test]
    fn a_back_sock_says_whom_it_answers_and_who_checks_passwords() {
        let own =
            "password = \"directory\"\nhand-back-url = \"ldapi:///l\"\nlogin-attribute = \"uid\"\n";
        let found = found(&format!("{BACK_SOCK}{own}"));
        has(&found, Grade::Good, "back-sock", "ou=a,dc=x");
        has(&found, Grade::Good, "back-sock", "by slapd");
        has(&found, Grade::Warning, "back-sock.socket-users", "only root");
    }

    #[test]
    fn names_that_slapd_does_not_ask_about_are_a_warning() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("countersign.toml");
        let text = format!(
            "master-key = \"k\"\nstore = \"s\"\naudit-log = \"a\"\ncontrol-socket = \"c\"\n{BACK_SOCK}\
             password = \"directory\"\nhand-back-url = \"ldapi:///l\"\nlogin-attribute = \"uid\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let count = |name: &str| {
            let id = countersign_core::domain::id::AccountId::from_bytes([1; 16]);
            let mut findings = Findings::default();
            examine_name(&config, &Account::new(id, name.into()), &mut findings);
            findings.into_vec().len()
        };
        assert_eq!([count("alice.b-2_c"), count("o'brien"), count("jürgen")], [0, 1, 1]);
    }

    #[test]
    fn a_directory_without_a_key_is_an_error_unless_secrets_are_plain() {
        let directory = "[directory]\nurl = \"ldapi:///run/ldapi\"\nbase = \"dc=x\"\n";
        let without = found(&format!("{BACK_SOCK}{directory}"));
        has(&without, Grade::Good, "directory", "ldapi:///run/ldapi");
        has(&without, Grade::Error, "directory.keys", "no private key");
        let plain = found(&format!("{BACK_SOCK}{directory}plain-secrets = \"base32\"\n"));
        has(&plain, Grade::Warning, "directory.keys", "in clear");
        let missing = found(&format!("{BACK_SOCK}{directory}keys = [\"none/*.priv\"]\n"));
        has(&missing, Grade::Error, "directory.keys", "none");
    }

    #[test]
    fn a_bind_proxy_says_whom_it_asks() {
        let bind_proxy = "[bind-proxy]\nproviders = [\"ldaps://p1\"]\nreplica = \"ldapi:///l\"\n\
                          base = \"dc=x\"\ntrust = \"none.pem\"\n";
        let found_proxy = found(&format!("{BACK_SOCK}{bind_proxy}"));
        has(&found_proxy, Grade::Good, "bind-proxy", "ldaps://p1");
        has(&found_proxy, Grade::Error, "bind-proxy", "none.pem");
    }
}
