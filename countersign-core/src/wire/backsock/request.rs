//! Requests, as far as anybody here acts upon them.

use std::{borrow::Cow, net::SocketAddr};

use crate::secret::Secret;

/// What slapd wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// A simple bind.
    Bind(Bind),
    /// A comparison.
    Compare(Compare),
    /// An operation that slapd is to go on with by itself.
    Other(Operation),
    /// Word of something that is over; it is not answered.
    Notice(Notice),
}

/// A simple bind (RFC 4513 §5.1.3). A SASL bind does not come this way.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where it comes from.
    pub origin: Origin,
    /// Who wants to be known, as slapd prints it.
    pub dn: String,
    /// The password, and whatever was typed behind it.
    pub credentials: Secret<Vec<u8>>,
}

/// An assertion about an entry (RFC 4511 §4.10).
#[derive(Debug, PartialEq, Eq)]
pub struct Compare {
    /// Where it comes from.
    pub origin: Origin,
    /// The entry.
    pub dn: String,
    /// The attribute description.
    pub attribute: String,
    /// What its value is said to be; an OTP, perhaps.
    pub value: Secret<Vec<u8>>,
}

/// What is told about the connection of an operation. slapd is configured to tell more or less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The number that the client gave to the operation.
    pub message: u64,
    /// Who is bound on the connection; always empty with a bind.
    pub bound: Option<String>,
    /// The other end of the connection.
    pub peer: Option<Peer>,
    /// The security strength factor of the connection; 0 is clear text.
    pub strength: Option<u64>,
    /// The number of the connection.
    pub connection: Option<u64>,
    /// The suffixes of the database.
    pub suffixes: Vec<String>,
}

/// The other end of a connection to slapd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Ip(SocketAddr),
    /// The path of slapd's own UNIX socket.
    Path(String),
}

/// Operations that are answered by `CONTINUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Adds an entry.
    Add,
    /// Removes an entry.
    Delete,
    /// Any extended operation.
    Extended,
    /// Changes an entry.
    Modify,
    /// Moves an entry.
    ModifyDn,
    /// Searches.
    Search,
}

/// What is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An entry is sent to a client.
    Entry,
    /// A result is sent to a client.
    Result,
    /// A client is gone.
    Unbind,
}

impl Compare {
    /// Whether the value is said to be an OTP (`oathOTPValue` and what is derived from it).
    #[must_use]
    pub fn is_about_otp(&self) -> bool {
        let (attribute, _options) = self.attribute.split_once(';').unwrap_or((&self.attribute, ""));
        OTP_VALUES.iter().any(|name| attribute.eq_ignore_ascii_case(name))
    }
}

impl Peer {
    /// As slapd writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once('=')? {
            ("IP", address) => address.parse().ok().map(Self::Ip),
            ("PATH", path) => Some(Self::Path(path.to_owned())),
            _ => None,
        }
    }

    /// The address without its port, or the path.
    #[must_use]
    pub fn host(&self) -> Cow<'_, str> {
        match self {
            Self::Ip(address) => address.ip().to_canonical().to_string().into(),
            Self::Path(path) => path.into(),
        }
    }
}

/// By name and by number (1.3.6.1.4.1.5427.1.389.4226.4.16 and below).
const OTP_VALUES: [&str; 6] = [
    "oathOTPValue",
    "oathHOTPValue",
    "oathTOTPValue",
    "1.3.6.1.4.1.5427.1.389.4226.4.16",
    "1.3.6.1.4.1.5427.1.389.4226.4.16.1",
    "1.3.6.1.4.1.5427.1.389.4226.4.16.2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_slapd_writes_them() {
        let ip = |text: &str| Some(Peer::Ip(text.parse().unwrap()));
        assert_eq!(Peer::parse("IP=127.0.0.1:56406"), ip("127.0.0.1:56406"));
        assert_eq!(Peer::parse("IP=[::1]:58938"), ip("[::1]:58938"));
        let path = Peer::parse("PATH=/run/slapd/ldapi");
        assert_eq!(path, Some(Peer::Path("/run/slapd/ldapi".into())));
        for wrong in ["", "IP", "IP=", "IP=127.0.0.1", "ip=127.0.0.1:1", "IP=localhost:1"] {
            assert_eq!(Peer::parse(wrong), None, "{wrong}");
        }
        assert_eq!(ip("[::ffff:10.0.0.1]:1").unwrap().host(), "10.0.0.1");
        assert_eq!(path.unwrap().host(), "/run/slapd/ldapi");
    }

    #[test]
    fn values_that_are_otps_are_known_by_name_number_and_with_options() {
        let is_otp = |attribute: &str| {
            let (origin, dn) = (Origin::default(), String::new());
            let attribute = attribute.to_owned();
            Compare { origin, dn, attribute, value: Vec::new().into() }.is_about_otp()
        };
        for name in OTP_VALUES.into_iter().chain(["OATHhotpvalue", "oathTOTPValue;x-one"]) {
            assert!(is_otp(name), "{name}");
        }
        for name in ["oathHOTPCounter", "userPassword", "oathHOTPValueOfOthers", ""] {
            assert!(!is_otp(name), "{name}");
        }
    }
}
