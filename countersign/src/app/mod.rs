//! One file per use case: load, decide, commit, record.

pub mod accounting;
pub mod admin;
pub mod authenticate;
pub mod bind;
pub mod bind_proxy;
pub mod command;
pub mod countersign;
pub mod examine;
pub mod hand_back;
pub mod health;
pub mod issue;
pub mod krb5;
pub mod ldap;
pub mod ldap_proxy;
pub mod login;
pub mod password;
pub mod pin;
pub mod proxy;
pub mod publish;
pub mod renew;
pub mod sign;

use countersign_core::{domain::id::CorrelationId, time::UnixTime};

/// Who asks for something, and when.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The name of a client certificate's holder, an address, or the local user.
    pub peer: String,
    /// Follows the request through all parts.
    pub correlation: CorrelationId,
    /// The time it arrived.
    pub at: UnixTime,
}
