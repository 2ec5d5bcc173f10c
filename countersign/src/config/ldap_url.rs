//! Addresses of directory servers: `ldap://`, `ldaps://`, `ldapi://` (RFC 4516 §2, without
//! anything behind the host).

use std::{fmt, path::PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;

use super::upstream::HostPort;

/// Where a directory server is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapAddress {
    /// `ldap://host[:port]`
    Tcp(HostPort),
    /// `ldaps://host[:port]`
    Tls(HostPort),
    /// `ldapi:///path`, or with the slashes of the path as `%2f`.
    Unix(PathBuf),
}

impl LdapAddress {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is right.
    pub fn parse(url: &str) -> Result<Self, String> {
        let cause = || {
            format!("{url:?} is no ldap://host[:port], ldaps://host[:port] or ldapi:///path/socket")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(cause)?;
        match scheme {
            "ldap" => host_port(rest, LDAP).map(Self::Tcp).ok_or_else(cause),
            "ldaps" => host_port(rest, LDAPS).map(Self::Tls).ok_or_else(cause),
            "ldapi" => path(rest).map(Self::Unix).ok_or_else(cause),
            _ => Err(cause()),
        }
    }
}

impl fmt::Display for LdapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "ldap://{address}"),
            Self::Tls(address) => write!(f, "ldaps://{address}"),
            Self::Unix(path) => write!(f, "ldapi://{}", path.display()),
        }
    }
}

fn host_port(text: &str, default: u16) -> Option<HostPort> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, rest) = text.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
        }
        None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port? {
        "" if text.ends_with(':') => return None,
        "" => default,
        port => port.parse().ok().filter(|port| *port != 0)?,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    (!host.is_empty() && host.chars().all(is_name))
        .then(|| HostPort { host: host.to_owned(), port })
}

/// A path as such, or with `%2f` for its slashes as OpenLDAP wants it.
fn path(text: &str) -> Option<PathBuf> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'%' {
            let (digits, more) = rest.split_at_checked(2)?;
            octets.extend(HEXUPPER_PERMISSIVE.decode(digits).ok()?);
            rest = more;
        } else {
            octets.push(*first);
        }
    }
    let path = PathBuf::from(String::from_utf8(octets).ok()?);
    (path.is_absolute() && path.file_name().is_some()).then_some(path)
}

const LDAP: u16 = 389;
const LDAPS: u16 = 636;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ldap_tools_take() {
        for (url, expected) in [
            ("ldap://dc1.example.com", "ldap://dc1.example.com:389"),
            ("ldaps://dc1.example.com/", "ldaps://dc1.example.com:636"),
            ("ldaps://192.0.2.1:3269", "ldaps://192.0.2.1:3269"),
            ("ldap://[2001:db8::1]", "ldap://[2001:db8::1]:389"),
            ("ldap://[::1]:1389", "ldap://[::1]:1389"),
            ("ldapi:///run/slapd/ldapi", "ldapi:///run/slapd/ldapi"),
            ("ldapi://%2Frun%2fslapd%2Fldapi", "ldapi:///run/slapd/ldapi"),
        ] {
            assert_eq!(
                LdapAddress::parse(url).map(|address| address.to_string()),
                Ok(expected.into())
            );
        }
    }

    #[test]
    fn refuses_what_is_no_server() {
        for url in [
            "",
            "dc1.example.com",
            "http://dc1.example.com",
            "ldap://",
            "ldap://:389",
            "ldap://host:",
            "ldap://host:0",
            "ldap://host/dc=example",
            "ldap://[host]",
            "ldap://[::1",
            "ldap://[::1]389",
            "ldapi://",
            "ldapi://run/ldapi",
            "ldapi:///",
            "ldapi://%2",
            "ldapi://%zz",
        ] {
            let error = LdapAddress::parse(url).unwrap_err();
            assert!(error.contains("ldapi:///path"), "{url}");
        }
    }
}
