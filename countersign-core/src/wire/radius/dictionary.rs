//! Codes and attribute numbers; unknown ones survive. Below, what attributes hold.

use std::fmt;

pub mod definition;
pub mod file;
pub mod value;
pub mod vendor;

/// A number with a name for some of its values, and a place for all the others.
macro_rules! named_numbers {
    (
        $(#[$doc:meta])*
        $type:ident { $($(#[$value_doc:meta])* $constant:ident = $number:literal, $name:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub u8);

        impl $type {
            $($(#[$value_doc])* pub const $constant: Self = Self($number);)*

            /// The name that the standards give it, if this table has it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }

            /// The number of this name, whatever the case of its letters.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Self($number));
                })*
                None
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => self.0.fmt(f),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

named_numbers! {
    /// What a packet is (RFC 2865 §4, RFC 2866 §4, RFC 5997).
    Code {
        /// A client asks.
        ACCESS_REQUEST = 1, "Access-Request";
        /// Yes.
        ACCESS_ACCEPT = 2, "Access-Accept";
        /// No.
        ACCESS_REJECT = 3, "Access-Reject";
        /// A client reports.
        ACCOUNTING_REQUEST = 4, "Accounting-Request";
        /// The report was recorded.
        ACCOUNTING_RESPONSE = 5, "Accounting-Response";
        /// A second round is wanted.
        ACCESS_CHALLENGE = 11, "Access-Challenge";
        /// A client asks whether the server is alive.
        STATUS_SERVER = 12, "Status-Server";
    }
}

named_numbers! {
    /// What an attribute is (RFC 2865 §5, RFC 2866, RFC 2868, RFC 2869, RFC 3162, RFC 4372, RFC 5580).
    AttributeNumber {
        /// Who wants to log on.
        USER_NAME = 1, "User-Name";
        /// The password, hidden.
        USER_PASSWORD = 2, "User-Password";
        /// The answer to a CHAP challenge.
        CHAP_PASSWORD = 3, "CHAP-Password";
        /// IPv4 address of the client.
        NAS_IP_ADDRESS = 4, "NAS-IP-Address";
        /// Physical port of the client.
        NAS_PORT = 5, "NAS-Port";
        /// The kind of service.
        SERVICE_TYPE = 6, "Service-Type";
        /// PPP, SLIP and the like.
        FRAMED_PROTOCOL = 7, "Framed-Protocol";
        /// The address the user gets.
        FRAMED_IP_ADDRESS = 8, "Framed-IP-Address";
        /// Its netmask.
        FRAMED_IP_NETMASK = 9, "Framed-IP-Netmask";
        /// How routing is done.
        FRAMED_ROUTING = 10, "Framed-Routing";
        /// The name of a filter list.
        FILTER_ID = 11, "Filter-Id";
        /// The largest unit.
        FRAMED_MTU = 12, "Framed-MTU";
        /// How headers are compressed.
        FRAMED_COMPRESSION = 13, "Framed-Compression";
        /// Where to connect the user.
        LOGIN_IP_HOST = 14, "Login-IP-Host";
        /// By which service.
        LOGIN_SERVICE = 15, "Login-Service";
        /// At which port.
        LOGIN_TCP_PORT = 16, "Login-TCP-Port";
        /// Text for the user.
        REPLY_MESSAGE = 18, "Reply-Message";
        /// A number to call back.
        CALLBACK_NUMBER = 19, "Callback-Number";
        /// A place to call back.
        CALLBACK_ID = 20, "Callback-Id";
        /// A route for the user's network.
        FRAMED_ROUTE = 22, "Framed-Route";
        /// An IPX network.
        FRAMED_IPX_NETWORK = 23, "Framed-IPX-Network";
        /// What ties the rounds of one logon together.
        STATE = 24, "State";
        /// What the server wants to read again in accounting.
        CLASS = 25, "Class";
        /// Attributes of a maker.
        VENDOR_SPECIFIC = 26, "Vendor-Specific";
        /// Seconds until the session ends.
        SESSION_TIMEOUT = 27, "Session-Timeout";
        /// Seconds of silence until the session ends.
        IDLE_TIMEOUT = 28, "Idle-Timeout";
        /// What to do when the session ends.
        TERMINATION_ACTION = 29, "Termination-Action";
        /// The number called.
        CALLED_STATION_ID = 30, "Called-Station-Id";
        /// Where the user comes from.
        CALLING_STATION_ID = 31, "Calling-Station-Id";
        /// The name of the client.
        NAS_IDENTIFIER = 32, "NAS-Identifier";
        /// What a proxy wants to get back.
        PROXY_STATE = 33, "Proxy-State";
        /// A LAT service.
        LOGIN_LAT_SERVICE = 34, "Login-LAT-Service";
        /// A LAT node.
        LOGIN_LAT_NODE = 35, "Login-LAT-Node";
        /// A LAT group.
        LOGIN_LAT_GROUP = 36, "Login-LAT-Group";
        /// The AppleTalk network of the link.
        FRAMED_APPLETALK_LINK = 37, "Framed-AppleTalk-Link";
        /// An AppleTalk network.
        FRAMED_APPLETALK_NETWORK = 38, "Framed-AppleTalk-Network";
        /// An AppleTalk zone.
        FRAMED_APPLETALK_ZONE = 39, "Framed-AppleTalk-Zone";
        /// The challenge of CHAP, if it is not the authenticator.
        CHAP_CHALLENGE = 60, "CHAP-Challenge";
        /// The kind of port.
        NAS_PORT_TYPE = 61, "NAS-Port-Type";
        /// How many ports a user may have.
        PORT_LIMIT = 62, "Port-Limit";
        /// A LAT port.
        LOGIN_LAT_PORT = 63, "Login-LAT-Port";
        /// The kind of tunnel.
        TUNNEL_TYPE = 64, "Tunnel-Type";
        /// What the tunnel runs over.
        TUNNEL_MEDIUM_TYPE = 65, "Tunnel-Medium-Type";
        /// How the user connected, in words.
        CONNECT_INFO = 77, "Connect-Info";
        /// A piece of an EAP packet.
        EAP_MESSAGE = 79, "EAP-Message";
        /// HMAC-MD5 over the whole packet.
        MESSAGE_AUTHENTICATOR = 80, "Message-Authenticator";
        /// The group of a tunnel, often a VLAN.
        TUNNEL_PRIVATE_GROUP_ID = 81, "Tunnel-Private-Group-Id";
        /// Seconds between interim reports.
        ACCT_INTERIM_INTERVAL = 85, "Acct-Interim-Interval";
        /// The port, in words.
        NAS_PORT_ID = 87, "NAS-Port-Id";
        /// The name of an address pool.
        FRAMED_POOL = 88, "Framed-Pool";
        /// What stands for the user towards others.
        CHARGEABLE_USER_IDENTITY = 89, "Chargeable-User-Identity";
        /// IPv6 address of the client.
        NAS_IPV6_ADDRESS = 95, "NAS-IPv6-Address";
        /// The interface part of an IPv6 address.
        FRAMED_INTERFACE_ID = 96, "Framed-Interface-Id";
        /// An IPv6 prefix for the user.
        FRAMED_IPV6_PREFIX = 97, "Framed-IPv6-Prefix";
        /// Where to connect the user, IPv6.
        LOGIN_IPV6_HOST = 98, "Login-IPv6-Host";
        /// A route for the user's IPv6 network.
        FRAMED_IPV6_ROUTE = 99, "Framed-IPv6-Route";
        /// The name of an IPv6 address pool.
        FRAMED_IPV6_POOL = 100, "Framed-IPv6-Pool";
        /// Why a request failed.
        ERROR_CAUSE = 101, "Error-Cause";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_numbers_and_back() {
        for number in 0..=u8::MAX {
            let attribute = AttributeNumber(number);
            if let Some(name) = attribute.name() {
                assert_eq!(AttributeNumber::from_name(name), Some(attribute));
            }
        }
        assert_eq!(
            AttributeNumber::from_name("filter-id"),
            Some(AttributeNumber::FILTER_ID),
            "the case of letters is nothing"
        );
        assert_eq!(AttributeNumber::from_name("Fliter-Id"), None);
    }

    #[test]
    fn unknown_numbers_survive_and_are_shown_as_numbers() {
        assert_eq!(Code(99).to_string(), "99");
        assert_eq!(format!("{:?}", AttributeNumber(241)), "241");
        assert_eq!(format!("{:?}", Code::ACCESS_REQUEST), "Access-Request");
    }
}
