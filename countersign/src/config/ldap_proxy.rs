//! The listener that is an LDAP proxy: `[ldap-proxy]`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    domain::name::{LoginKey, LoginName},
    pki::profile::Span,
};
use serde::Deserialize;

use super::{
    Wrong, duration,
    file::yes,
    server_url::ServerUrl,
    socket::{SocketFile, SocketSettings, check_socket},
    wrong,
};

/// `[ldap-proxy]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LdapProxyFile {
    /// TCP addresses for LDAP.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// A UNIX socket (ldapi).
    pub socket: Option<PathBuf>,
    /// Its mode, in octal digits.
    pub socket_mode: Option<String>,
    /// Its group.
    pub socket_group: Option<String>,
    /// The users who may connect; everybody whom the mode lets if empty.
    #[serde(default)]
    pub socket_users: Vec<String>,
    /// `[ldap-proxy.tls]`
    pub tls: Option<LdapTlsFile>,
    /// The directory servers, the first that can be reached is taken: `ldap://`, `ldaps://`
    /// or `ldapi://`.
    pub upstream: Servers,
    /// Trust anchors for their certificates, PEM; those of the system if absent.
    pub upstream_trust: Option<PathBuf>,
    /// Whether StartTLS is asked of them.
    #[serde(default)]
    pub upstream_start_tls: bool,
    /// What becomes of SASL binds.
    #[serde(default)]
    pub sasl: SaslFile,
    /// The mechanisms that pass, if any do.
    pub sasl_mechanisms: Option<Vec<String>>,
    /// What becomes of accounts without a token.
    #[serde(default)]
    pub without_token: WithoutToken,
    /// Who binds by the password alone: distinguished names and login names.
    #[serde(default)]
    pub exempt: Vec<String>,
    /// Whether passwords are refused where others can read them.
    #[serde(default = "yes")]
    pub require_tls: bool,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// How many clients may be connected.
    pub max_connections: Option<usize>,
    /// How many of them from one address.
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// How long a client may be silent.
    pub idle_limit: Option<Span>,
    /// How long the directory server may take for a connection, and for a bind.
    pub time_limit: Option<Span>,
    /// Octets of the longest request that is taken.
    pub max_message: Option<usize>,
}

/// One URL or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Servers {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// `[ldap-proxy.tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LdapTlsFile {
    /// TCP addresses for LDAPS.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// The certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS#8 PEM.
    pub key: PathBuf,
    /// Whether StartTLS is offered on the addresses for LDAP.
    #[serde(default = "yes")]
    pub start_tls: bool,
}

/// What becomes of SASL binds, which have no OTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaslFile {
    /// They are refused.
    #[default]
    Refuse,
    /// The directory decides about them.
    Pass,
}

/// What becomes of SASL binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sasl {
    /// They are refused.
    Refuse,
    /// The directory decides about those by these mechanisms.
    Pass(Vec<String>),
}

/// What becomes of a bind of an account that has no token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutToken {
    /// It is refused: a directory knows an account by more names than we do.
    #[default]
    Refuse,
    /// The directory decides about it, by the password alone.
    Pass,
}

/// The LDAP proxy.
#[derive(Debug)]
pub struct LdapProxySettings {
    /// TCP addresses for LDAP.
    pub listen: Vec<SocketAddr>,
    /// A UNIX socket.
    pub socket: Option<SocketSettings>,
    /// TLS for clients.
    pub tls: Option<LdapTlsFile>,
    /// The directory servers.
    pub upstream: LdapServerSettings,
    /// What becomes of accounts without a token.
    pub without_token: WithoutToken,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// How many clients may be connected.
    pub max_connections: usize,
    /// How many of them from one IPv4 address, or one IPv6 network of 64 bits.
    pub max_connections_per_address: usize,
    /// What else counts for a connection.
    pub rules: LdapProxyRules,
}

/// Directory servers, of which the first that can be reached is taken.
#[derive(Debug, Clone)]
pub struct LdapServerSettings {
    /// Where they are; there is at least one.
    pub addresses: Vec<ServerUrl>,
    /// Trust anchors for their certificates, PEM; those of the system if absent.
    pub trust: Option<PathBuf>,
    /// Whether StartTLS is asked of those at `ldap://`.
    pub start_tls: bool,
    /// How long a connection may take.
    pub time_limit: Duration,
}

/// What counts for a connection.
#[derive(Debug, Clone)]
pub struct LdapProxyRules {
    /// What becomes of SASL binds.
    pub sasl: Sasl,
    /// Names that bind by the password alone, whatever becomes of others without a token.
    pub exempt: HashSet<LoginKey>,
    /// Whether passwords are refused where others can read them.
    pub require_tls: bool,
    /// How long a client may be silent, and how long a response may wait for it.
    pub idle_limit: Duration,
    /// How long the directory server may take for a bind.
    pub time_limit: Duration,
    /// Octets of the longest request that is taken.
    pub max_message: usize,
}

impl LdapProxyRules {
    /// Whether whoever binds by this name needs no OTP.
    #[must_use]
    pub fn is_exempt(&self, name: &str) -> bool {
        !self.exempt.is_empty() && key_of(name).is_some_and(|key| self.exempt.contains(&key))
    }
}

pub(super) fn check_ldap_proxy(
    file: LdapProxyFile,
    base: &Path,
) -> Result<LdapProxySettings, Wrong> {
    let key = "ldap-proxy";
    let is_anywhere = !file.listen.is_empty()
        || file.socket.is_some()
        || file.tls.as_ref().is_some_and(|tls| !tls.listen.is_empty());
    if !is_anywhere {
        return wrong(key, "it listens nowhere; give listen, tls.listen or socket");
    }
    let socket_file = SocketFile {
        mode: file.socket_mode.as_deref(),
        group: file.socket_group.as_deref(),
        users: &file.socket_users,
    };
    let socket = file.socket.map(|path| check_socket(key, &socket_file, base.join(path)));
    let tls = file.tls.map(|tls| LdapTlsFile {
        certificate: base.join(tls.certificate),
        key: base.join(tls.key),
        ..tls
    });
    let max_connections = file.max_connections.unwrap_or(MAX_CONNECTIONS);
    let per_address = file.max_connections_per_address.map(NonZeroUsize::get);
    let time_limit = file.time_limit.map_or(TIME_LIMIT, duration);
    Ok(LdapProxySettings {
        listen: file.listen,
        socket: socket.transpose()?,
        tls,
        upstream: LdapServerSettings {
            addresses: addresses(file.upstream, file.upstream_start_tls)?,
            trust: file.upstream_trust.map(|path| base.join(path)),
            start_tls: file.upstream_start_tls,
            time_limit,
        },
        without_token: file.without_token,
        login_attribute: file.login_attribute,
        max_connections,
        max_connections_per_address: per_address.unwrap_or(max_connections.div_ceil(4)),
        rules: LdapProxyRules {
            sasl: sasl(file.sasl, file.sasl_mechanisms)?,
            exempt: file.exempt.iter().map(exempt).collect::<Result<_, _>>()?,
            require_tls: file.require_tls,
            idle_limit: file.idle_limit.map_or(IDLE_LIMIT, duration),
            time_limit,
            max_message: file.max_message.unwrap_or(MAX_MESSAGE),
        },
    })
}

/// A password does not leave this machine in clear.
fn addresses(servers: Servers, start_tls: bool) -> Result<Vec<ServerUrl>, Wrong> {
    let key = "ldap-proxy.upstream";
    let urls = match servers {
        Servers::One(url) => vec![url],
        Servers::Several(urls) => urls,
    };
    if urls.is_empty() {
        return wrong(key, "there is none; give the URL of a directory server");
    }
    let parse = if start_tls { ServerUrl::parse_for_start_tls } else { ServerUrl::parse };
    let more = ", or ldap:// with upstream-start-tls = true";
    let parse = |url: &String| parse(url).or_else(|cause| wrong(key, cause + more));
    urls.iter().map(parse).collect()
}

fn sasl(sasl: SaslFile, mechanisms: Option<Vec<String>>) -> Result<Sasl, Wrong> {
    let key = "ldap-proxy.sasl-mechanisms";
    match (sasl, mechanisms) {
        (SaslFile::Refuse, None) => Ok(Sasl::Refuse),
        (SaslFile::Refuse, Some(_)) => wrong(key, "they need sasl = \"pass\""),
        (SaslFile::Pass, None) => Ok(Sasl::Pass(MECHANISMS.map(Into::into).into())),
        // The directory would take the client for us.
        (SaslFile::Pass, Some(some)) if some.iter().any(|name| name == "EXTERNAL") => {
            wrong(key, "EXTERNAL would give every client the rights of the proxy")
        }
        (SaslFile::Pass, Some(some)) => Ok(Sasl::Pass(some)),
    }
}

/// The key of a name that is exempt.
fn exempt(name: &String) -> Result<LoginKey, Wrong> {
    // A distinguished name with a slip in it would exempt nobody.
    let key = key_of(name).filter(|key| key.dn().is_some() || !name.contains('='));
    let cause = || format!("{name:?} is neither a distinguished name nor a login name");
    key.map_or_else(|| wrong("ldap-proxy.exempt", cause()), Ok)
}

/// What the name of a bind is compared by.
fn key_of(name: &str) -> Option<LoginKey> {
    let login = LoginName::of_dn(name).ok().or_else(|| LoginName::parse(name).ok());
    login.map(|login| login.key().clone())
}

const MAX_CONNECTIONS: usize = 4096;
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
const IDLE_LIMIT: Duration = Duration::from_secs(900);
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// By which a ticket is shown, and no password.
const MECHANISMS: [&str; 2] = ["GSSAPI", "GSS-SPNEGO"];

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(more: &str) -> Result<LdapProxySettings, String> {
        let text = format!("listen = [\"127.0.0.1:389\"]\n{more}");
        let file = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        check_ldap_proxy(file, Path::new("/etc/countersign")).map_err(in_words)
    }

    fn in_words(wrong: Wrong) -> String {
        format!("{}: {}", wrong.key, wrong.cause)
    }

    #[test]
    fn what_is_not_said_is_on_the_safe_side() {
        let settings = checked("upstream = \"ldaps://dc1.example.com\"").unwrap();
        assert!(settings.rules.require_tls && settings.rules.sasl == Sasl::Refuse);
        assert_eq!(settings.without_token, WithoutToken::Refuse);
        assert!(settings.rules.exempt.is_empty());
        assert_eq!((settings.max_connections, settings.rules.max_message), (4096, 16 << 20));
        assert!(settings.socket.is_none() && settings.tls.is_none());
    }

    #[test]
    fn an_address_has_a_quarter_of_the_connections_or_what_is_said() {
        let per_address = |more: &str| {
            let settings = checked(&format!("upstream = \"ldaps://dc1\"\n{more}"))?;
            Ok::<_, String>(settings.max_connections_per_address)
        };
        assert_eq!(per_address(""), Ok(1024));
        assert_eq!(per_address("max-connections = 1"), Ok(1));
        assert_eq!(per_address("max-connections = 10"), Ok(3));
        assert_eq!(per_address("max-connections-per-address = 4096"), Ok(4096));
        assert!(per_address("max-connections-per-address = 0").is_err());
    }

    #[test]
    fn servers_are_one_or_several_and_see_no_password_in_clear() {
        let addresses = |value: &str| {
            let settings = checked(&format!("upstream = {value}"))?;
            Ok::<_, String>(settings.upstream.addresses.len())
        };
        assert_eq!(addresses("\"ldapi:///run/slapd/ldapi\""), Ok(1));
        assert_eq!(addresses("[\"ldaps://dc1\", \"ldaps://dc2:3269\"]"), Ok(2));
        for here in ["localhost", "127.0.0.1:1389", "[::1]"] {
            assert_eq!(addresses(&format!("\"ldap://{here}\"")), Ok(1));
        }
        let away = "\"ldap://dc1.example.com\"";
        assert!(addresses(away).unwrap_err().contains("upstream-start-tls"));
        assert_eq!(addresses(&format!("{away}\nupstream-start-tls = true")), Ok(1));
        assert!(addresses("[]").unwrap_err().contains("ldap-proxy.upstream"));
        assert!(addresses("\"dc1\"").unwrap_err().contains("write ldapi:///path"));
    }

    #[test]
    fn paths_are_relative_to_the_config() {
        let settings = checked(
            "upstream = \"ldaps://dc1\"\nupstream-trust = \"ca.pem\"\nsocket = \"ldapi\"\n\
             [tls]\nlisten = [\"[::]:636\"]\ncertificate = \"server.pem\"\nkey = \"server.key\"",
        );
        let settings = settings.unwrap();
        assert_eq!(settings.upstream.trust.unwrap(), Path::new("/etc/countersign/ca.pem"));
        assert_eq!(settings.socket.unwrap().path, Path::new("/etc/countersign/ldapi"));
        let tls = settings.tls.unwrap();
        assert!(tls.start_tls && tls.key == Path::new("/etc/countersign/server.key"));
    }

    #[test]
    fn sasl_passes_by_tickets_and_never_by_the_rights_of_the_proxy() {
        let sasl = |more: &str| {
            let settings = checked(&format!("upstream = \"ldaps://dc1\"\n{more}"))?;
            Ok::<_, String>(settings.rules.sasl)
        };
        let tickets = Sasl::Pass(vec!["GSSAPI".into(), "GSS-SPNEGO".into()]);
        assert_eq!(sasl("sasl = \"pass\""), Ok(tickets));
        let one = "sasl = \"pass\"\nsasl-mechanisms = [\"SCRAM-SHA-256\"]";
        assert_eq!(sasl(one), Ok(Sasl::Pass(vec!["SCRAM-SHA-256".into()])));
        let external = "sasl = \"pass\"\nsasl-mechanisms = [\"GSSAPI\", \"EXTERNAL\"]";
        assert!(sasl(external).unwrap_err().contains("rights of the proxy"));
        assert!(sasl("sasl-mechanisms = [\"GSSAPI\"]").unwrap_err().contains("sasl = \"pass\""));
    }

    #[test]
    fn names_that_are_exempt_are_read_and_slips_are_found() {
        let exempt = |names: &str| {
            let settings = checked(&format!("upstream = \"ldaps://dc1\"\nexempt = [{names}]"))?;
            let mut keys: Vec<_> =
                settings.rules.exempt.iter().map(|key| key.as_str().to_owned()).collect();
            keys.sort();
            Ok::<_, String>(keys)
        };
        let names = "'CN=Svc, OU=Services,dc=example', 'Svc@example.com', 'EXAMPLE\\Svc'";
        let keys = ["cn=svc,ou=services,dc=example", "example\\svc", "svc@example.com"];
        assert_eq!(exempt(names).unwrap(), keys);
        for slip in ["", "cn=svc,,dc=example", "cn=svc;", "@example.com"] {
            let wrong = exempt(&format!("'{slip}'")).unwrap_err();
            assert!(wrong.contains("ldap-proxy.exempt") && wrong.contains("neither"), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_that_listens_nowhere_is_none() {
        let file = toml::from_str("upstream = \"ldaps://dc1\"").unwrap();
        let wrong = check_ldap_proxy(file, Path::new("/")).map_err(in_words).unwrap_err();
        assert!(wrong.contains("listens nowhere"), "{wrong}");
    }
}
