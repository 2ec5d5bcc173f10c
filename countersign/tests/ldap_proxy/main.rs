//! The LDAP proxy over real sockets, with a directory server that the tests speak for.
//!
//! Nothing is measured. That something is not passed on is seen by what comes next.

#![expect(clippy::unwrap_used, reason = "these are tests from end to end")]

#[path = "../radius/authority.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod authority;
mod binds;
mod limits;
mod passing;
mod support;
mod tls;
mod upstream;
