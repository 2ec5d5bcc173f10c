//! Who is asked: upstream servers, other CAs, the daemon itself.

pub mod control;
pub mod est;
pub mod http;
pub mod kadmin;
pub mod kerberos;
pub mod otpce;
pub mod radius;

#[cfg(test)]
pub(crate) mod tests;
