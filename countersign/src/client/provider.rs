//! A provider of a directory that is asked about binds, with the credentials of the user.
//!
//! A bind spends an OTP, so it is sent once. What was sent and not answered is not tried
//! anywhere else.

use std::borrow::Cow;

use countersign_core::{
    secret::Secret,
    wire::ldap::control::{PASSWORD_POLICY, SESSION_TRACKING, policy_error, session_tracking},
};

use crate::{
    config::directory::ServerSettings,
    directory::{
        DirectoryError,
        binds::{Binds, Control},
    },
};

/// A directory server that decides about binds.
pub struct Provider {
    binds: Binds,
}

/// The answer of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replied {
    /// The result code (RFC 4511 §4.1.9).
    pub code: u32,
    /// What the client is to be told.
    pub text: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unreplied {
    /// Nothing was sent.
    NotAsked(DirectoryError),
    /// Nothing was sent, because it has enough to do with us.
    Busy(DirectoryError),
    /// It was asked; the OTP may be spent.
    Unanswered(DirectoryError),
}

impl Provider {
    /// A provider that nothing was asked yet.
    ///
    /// # Errors
    ///
    /// The address, the trust anchors or the certificate cannot be used.
    pub fn new(server: &ServerSettings, connections: usize) -> Result<Self, DirectoryError> {
        Ok(Self { binds: Binds::new(server, connections)? })
    }

    /// Binds there, for a client at this address.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn bind(
        &self,
        dn: &str,
        credentials: &Secret<Vec<u8>>,
        address: &str,
    ) -> Result<Replied, Unreplied> {
        let controls = [
            Control { kind: SESSION_TRACKING, value: Some(session_tracking(address, dn)) },
            Control { kind: PASSWORD_POLICY, value: None },
        ];
        let result = self.binds.bind(dn, credentials, &controls).await.map_err(unreplied)?;
        let policy = result.controls.iter().find(|(kind, _)| kind == PASSWORD_POLICY);
        let policy = policy.and_then(|(_, value)| policy_error(value));
        let text = match (result.code, policy) {
            // The back-sock protocol has no place for the control itself.
            (1.., Some(error)) if result.text.is_empty() => Cow::Borrowed(error),
            (0, _) => Cow::Borrowed(""),
            _ => Cow::Owned(result.text),
        };
        Ok(Replied { code: result.code, text: text.into_owned() })
    }
}

fn unreplied(error: DirectoryError) -> Unreplied {
    match error {
        DirectoryError::Unanswered { .. } | DirectoryError::Refused { .. } => {
            Unreplied::Unanswered(error)
        }
        DirectoryError::Busy { .. } => Unreplied::Busy(error),
        DirectoryError::Settings { .. } | DirectoryError::Unreachable { .. } => {
            Unreplied::NotAsked(error)
        }
    }
}
