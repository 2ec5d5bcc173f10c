//! Which server a URL names: `ldapi://`, `ldaps://`, or `ldap://` to this machine (RFC 4516).

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// A server, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUrl {
    /// A UNIX socket.
    Socket(PathBuf),
    /// TLS from the first octet.
    Tls {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// In clear: to this machine, or until StartTLS.
    Plain {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl ServerUrl {
    /// Reads a URL. That of a socket may have its path as it is, `ldapi:///run/slapd/ldapi`, or
    /// with `%2F` for each slash, as OpenLDAP writes it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Self::parse_for_start_tls(text)? {
            Self::Plain { host, .. } if !is_this_machine(&host) => Err(format!(
                "{host} is another machine, where passwords and secrets must not go in clear; write ldaps://"
            )),
            url @ (Self::Socket(_) | Self::Tls { .. } | Self::Plain { .. }) => Ok(url),
        }
    }

    /// The same, for who goes over to TLS before anything else is sent: `ldap://` may name
    /// another machine.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn parse_for_start_tls(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| WANTED.to_owned())?;
        match scheme.to_ascii_lowercase().as_str() {
            "ldapi" => socket(rest),
            "ldaps" => authority(rest, 636).map(|(host, port)| Self::Tls { host, port }),
            "ldap" => authority(rest, 389).map(|(host, port)| Self::Plain { host, port }),
            _ => Err(WANTED.to_owned()),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "ldapi://{}", path.display()),
            Self::Tls { host, port } => write!(f, "ldaps://{}:{port}", bracketed(host)),
            Self::Plain { host, port } => write!(f, "ldap://{}:{port}", bracketed(host)),
        }
    }
}

fn socket(rest: &str) -> Result<ServerUrl, String> {
    let path = decoded(rest).ok_or("the path of the socket has a broken % escape")?;
    let path = if rest.starts_with('/') { path } else { path.trim_end_matches('/').to_owned() };
    if !Path::new(&path).is_absolute() || path == "/" {
        return Err("write the path of the socket: ldapi:///run/slapd/ldapi".into());
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(format!("the path of a socket has {LONGEST_SOCKET_PATH} octets at most"));
    }
    Ok(ServerUrl::Socket(PathBuf::from(path)))
}

fn authority(rest: &str, port: u16) -> Result<(String, u16), String> {
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '@', ' ']) {
        return Err("write host and port only, such as ldaps://ldap.example.com:636".into());
    }
    let (host, given) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, rest)) => (address, Some(rest.strip_prefix(':').unwrap_or("none"))),
        None => match authority.rsplit_once(':') {
            Some((host, given)) => (host, Some(given)),
            None => (authority, None),
        },
    };
    let is_bare_address = host.contains(':') && !authority.starts_with('[');
    if host.is_empty() || is_bare_address {
        return Err("write the host; an IPv6 address stands in brackets".into());
    }
    match given.map(str::parse) {
        None => Ok((host.to_owned(), port)),
        Some(Ok(given)) if given != 0 => Ok((host.to_owned(), given)),
        Some(_) => Err("the port must be a number from 1 to 65535".into()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// An address of IPv6 as it stands in a URL.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Resolves `%2F` and its like.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok().filter(|octet| *octet != 0)?);
        rest = after;
    }
    String::from_utf8(out).ok()
}

/// `sun_path` has 108 octets, the last of which is NUL.
const LONGEST_SOCKET_PATH: usize = 107;
const WANTED: &str = "write ldapi:///path, ldaps://host, or ldap://localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_hosts_and_ports() {
        let socket = |path: &str| ServerUrl::Socket(path.into());
        let tls = |host: &str, port| ServerUrl::Tls { host: host.into(), port };
        let plain = |host: &str, port| ServerUrl::Plain { host: host.into(), port };
        for (text, expected) in [
            ("ldapi:///run/slapd/ldapi", socket("/run/slapd/ldapi")),
            ("ldapi://%2Frun%2fslapd%2Fldapi", socket("/run/slapd/ldapi")),
            ("ldapi://%2Frun%2Fslapd%2Fldapi/", socket("/run/slapd/ldapi")),
            ("LDAPI:///tmp/a%20b", socket("/tmp/a b")),
            ("ldaps://ldap.example.com", tls("ldap.example.com", 636)),
            ("ldaps://ldap.example.com:1636/", tls("ldap.example.com", 1636)),
            ("ldaps://[2001:db8::1]:1636", tls("2001:db8::1", 1636)),
            ("ldap://localhost", plain("localhost", 389)),
            ("ldap://127.0.0.7:3890", plain("127.0.0.7", 3890)),
            ("ldap://[::1]", plain("::1", 389)),
        ] {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!(url, expected, "{text}");
            assert_eq!(ServerUrl::parse(&url.to_string().replace("a b", "a%20b")), Ok(url));
        }
    }

    #[test]
    fn who_begins_tls_may_do_so_elsewhere() {
        let plain = ServerUrl::Plain { host: "dc1.example.com".into(), port: 389 };
        assert_eq!(ServerUrl::parse_for_start_tls("ldap://dc1.example.com"), Ok(plain));
        assert!(ServerUrl::parse("ldap://dc1.example.com").is_err());
        assert!(ServerUrl::parse_for_start_tls("http://dc1.example.com").is_err());
    }

    #[test]
    fn says_what_is_wrong() {
        let long = format!("ldapi:///{}", "a".repeat(107));
        for (text, expected) in [
            ("ldap.example.com", "write ldapi:///path"),
            ("http://localhost", "write ldapi:///path"),
            ("ldap://ldap.example.com", "is another machine"),
            ("ldap://192.0.2.1", "is another machine"),
            ("ldap://localhost.example.com", "is another machine"),
            ("ldapi://", "write the path of the socket"),
            ("ldapi:///", "write the path of the socket"),
            ("ldapi://run/slapd", "write the path of the socket"),
            ("ldapi:///a%2", "broken % escape"),
            ("ldapi:///a%00b", "broken % escape"),
            (&long, "107 octets at most"),
            ("ldaps://", "write the host"),
            ("ldaps://:636", "write the host"),
            ("ldaps://2001:db8::1", "in brackets"),
            ("ldaps://host:0", "a number from 1"),
            ("ldaps://host:65536", "a number from 1"),
            ("ldaps://[::1]636", "a number from 1"),
            ("ldaps://host/dc=example?uid", "host and port only"),
            ("ldaps://user@host", "host and port only"),
        ] {
            let error = ServerUrl::parse(text).map(|url| url.to_string());
            let error = error.expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
