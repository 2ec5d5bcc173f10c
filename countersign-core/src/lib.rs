//! The rules and wire formats of Countersign: bytes and values in, bytes and values out.
//!
//! In reading order:
//!
//! * [`secret`]: the one type that may hold a passcode, PIN or shared secret.
//! * [`time`]: points in time; whoever calls brings them.
//! * [`oath`]: one-time passwords, RFC 4226 and RFC 6238.
//! * [`domain`]: accounts, tokens, attempts, and the decision about an attempt.
//! * [`ldap`]: a directory's entries as accounts, persons, tokens and parameters.
//! * [`wire`]: what travels: RADIUS packets, MS-OTPCE documents, LDAP messages, requests of slapd.
//! * [`jose`]: keys and encrypted secrets as JSON texts; read and written, never opened.
//! * [`krb5`]: MIT krb5 as its KDC reads it: profiles, OTP token types, user strings.
//! * [`pki`]: certificates and requests as data; prepares and completes, never holds a key.
//!
//! What is not here: sockets, files, threads, async, a clock, randomness, logging.
//! Time and random bytes are arguments. The crate `countersign` drives it.

#![deny(missing_docs)]

pub mod domain;
pub mod jose;
pub mod krb5;
pub mod ldap;
pub mod oath;
pub mod pki;
pub mod secret;
pub mod time;
pub mod wire;
