//! One-time passwords of the OATH initiative: HOTP (RFC 4226), TOTP (RFC 6238).

pub mod hotp;
pub mod key_uri;
pub mod totp;
