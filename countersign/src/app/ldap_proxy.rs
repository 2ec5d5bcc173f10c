//! The LDAP proxy: who binds through it, and which directory server stands behind it.

use super::bind::Binder;
pub use crate::client::ldap_server::{LdapServer, LdapServerError, Octets, Unreachable};

/// What the listener that is an LDAP proxy needs.
pub struct LdapProxy {
    /// Decides about binds.
    pub binder: Binder,
    /// Where all else is done.
    pub server: LdapServer,
}
