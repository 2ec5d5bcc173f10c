//! LDAPv3 messages as far as a proxy needs them (RFC 4511).
//!
//! Binds, StartTLS and results are read and made; all else is known by its head and passes
//! as octets. Lengths are definite (§5.1), nothing is read by recursion, and what is read
//! of a message must fill it, so that who stands behind sees the same in it.

pub mod bind;
pub mod control;
pub mod extended;
pub mod message;
pub mod result;

mod ber;
