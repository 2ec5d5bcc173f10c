//! Controls of a bind that is passed on: who really asks, and what the password policy says.

use der::{Decode, Reader, SliceReader, Tag, TagNumber, asn1::OctetStringRef};

/// The Session Tracking control (draft-wahl-ldap-session-03): for the provider's log, where the
/// bind came from. Its value: address, host name, what the identifier is, the identifier.
pub(super) const SESSION_TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";
/// The identifier is a name of the user.
const USER_NAME: &str = "1.3.6.1.4.1.21008.108.63.1.3";
/// Password policy, request and response (draft-behera-ldap-password-policy-10 §6).
pub(super) const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// The value of the Session Tracking control.
pub(super) fn session_tracking(address: &str, identifier: &str) -> Vec<u8> {
    let parts = [address, "", USER_NAME, identifier];
    let content: Vec<u8> =
        parts.iter().flat_map(|part| element(OCTET_STRING, part.as_bytes())).collect();
    element(SEQUENCE, &content)
}

/// What the error of a password policy response means; nothing if it names none.
pub(super) fn policy_error(value: &[u8]) -> Option<&'static str> {
    let mut reader = SliceReader::new(value).ok()?;
    reader.sequence(|inner| -> der::Result<_> {
        let mut error = None;
        while !inner.is_finished() {
            let element = der::asn1::AnyRef::decode(inner)?;
            if der::Tagged::tag(&element).number() == TagNumber(1) {
                error = element.value().first().copied();
            }
        }
        Ok(error)
    })
    .ok()
    .flatten()
    .and_then(|error| ERRORS.get(usize::from(error)).copied())
}
