//! MIT krb5 as its KDC reads it: profiles, OTP token types, user strings, and
//! what follows for a principal.
//!
//! * [`profile`]: the format of `krb5.conf` and `kdc.conf`.
//! * [`token_type`]: the section `[otp]`, what the KDC makes of it.
//! * [`user_string`]: the string attribute `otp` of a principal.
//! * [`principal`]: a principal as `kadmin` shows it; [`dump`]: as `kdb5_util dump` writes it.
//! * [`forecast`]: what happens when a principal logs on.
//! * [`login`]: the login name of a principal that a KDC sends.
//! * [`log`]: what the lines of a KDC's log mean.
//!
//! Where the KDC is stricter or more lenient than its manual, this follows the KDC.

pub mod dump;
pub mod finding;
pub mod forecast;
pub mod log;
pub mod login;
pub mod principal;
pub mod profile;
pub mod token_type;
pub mod user_string;
