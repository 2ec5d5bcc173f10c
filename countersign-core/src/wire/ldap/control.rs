//! Controls of a bind that is passed on: who really asks, and what the password policy says.

use super::ber::{Elements, OCTET_STRING, SEQUENCE, put};

/// The Session Tracking control (draft-wahl-ldap-session-03): for the server's log, where a
/// request that somebody passes on came from.
pub const SESSION_TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";
/// Password policy, request and response (draft-behera-ldap-password-policy-10 §6).
pub const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// The value of the Session Tracking control for a user's name at an address (§2).
#[must_use]
pub fn session_tracking(address: &str, user: &str) -> Vec<u8> {
    let (mut parts, mut value) = (Vec::new(), Vec::new());
    // Address, host name, what kind of identifier it is, the identifier.
    for part in [address, "", USER_NAME, user] {
        put(&mut parts, OCTET_STRING, part.as_bytes());
    }
    put(&mut value, SEQUENCE, &parts);
    value
}

/// What the error of a password policy response means; nothing if it names none that is known.
#[must_use]
pub fn policy_error(value: &[u8]) -> Option<&'static str> {
    let mut outer = Elements(value);
    let mut parts = Elements(outer.expect(SEQUENCE).ok()?);
    while let Ok(Some((tag, content))) = parts.next() {
        if let (ERROR, [code]) = (tag, content) {
            return POLICY_ERRORS.get(usize::from(*code)).copied();
        }
    }
    None
}

/// The identifier is the name of a user (draft-wahl-ldap-session-03 §2.3).
const USER_NAME: &str = "1.3.6.1.4.1.21008.108.63.1.3";
/// `error [1] ENUMERATED`, implicitly tagged.
const ERROR: u8 = 0x81;
/// In the order of their numbers.
const POLICY_ERRORS: [&str; 9] = [
    "password expired",
    "account locked",
    "the password must be changed after it was reset",
    "the password may not be changed",
    "the old password is wanted, too",
    "the password is not good enough",
    "the password is too short",
    "the password was changed too short a time ago",
    "the password was used before",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_tracking_names_address_and_user() {
        let expected = [
            &[0x30, 45][..],
            &[0x04, 9],
            b"192.0.2.1",
            &[0x04, 0],
            &[0x04, 28],
            b"1.3.6.1.4.1.21008.108.63.1.3",
            &[0x04, 0],
        ];
        assert_eq!(session_tracking("192.0.2.1", ""), expected.concat());
        assert_eq!(USER_NAME.len(), 28);
    }

    #[test]
    fn a_policy_error_is_told_in_words() {
        let cases: [(&[u8], Option<&str>); 7] = [
            (&[0x30, 3, 0x81, 1, 1], Some("account locked")),
            (&[0x30, 8, 0xa0, 3, 0x80, 1, 5, 0x81, 1, 0], Some("password expired")),
            (&[0x30, 5, 0xa0, 3, 0x81, 1, 5], None),
            (&[0x30, 3, 0x81, 1, 9], None),
            (&[0x30, 0], None),
            (&[0x30, 9, 0x81], None),
            (&[], None),
        ];
        for (value, expected) in cases {
            assert_eq!(policy_error(value), expected, "{value:02x?}");
        }
    }
}
