//! Who is asked: upstream servers, other CAs, the daemon itself.

pub mod control;
pub mod delivery;
pub mod est;
pub mod http;
pub mod kadmin;
pub mod kerberos;
pub mod ldap_server;
pub mod otpce;
pub mod provider;
pub mod radius;
pub mod slapd;
pub mod tls;

#[cfg(test)]
pub(crate) mod tests;
