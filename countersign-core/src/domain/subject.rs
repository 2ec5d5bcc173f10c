//! An account with all that a decision about it needs.

use super::{
    account::Account,
    counter::{FailureCounter, TokenCounter},
    parameters::Parameters,
    password::PasswordHash,
    token::Token,
};
use crate::secret::Secret;

/// An account with its failures and its tokens.
///
/// `S` is what stands for a token's shared secret: sealed as it comes from the
/// store, or in clear as the decision needs it.
#[derive(Debug, Clone)]
pub struct Subject<S> {
    /// The account.
    pub account: Account,
    /// Its failures since the last success.
    pub failures: FailureCounter,
    /// The tokens assigned to it.
    pub tokens: Vec<Holding<S>>,
    /// The hashes of its static password; `None` if the store keeps no passwords.
    pub password: Option<Vec<PasswordHash>>,
}

/// One token of a subject.
#[derive(Debug, Clone)]
pub struct Holding<S> {
    /// The token.
    pub token: Token,
    /// Its counter.
    pub counter: TokenCounter,
    /// Its shared secret; `None` for a remote token.
    pub secret: Option<S>,
    /// What it shares with others of its group.
    pub parameters: Parameters,
}

/// A shared secret in clear.
pub type ClearSecret = Secret<Vec<u8>>;

impl<S> Subject<S> {
    /// The same subject with every secret opened by `open`. A token whose secret it does not
    /// open is as one that has none.
    pub fn map_secrets<T>(self, mut open: impl FnMut(&Token, S) -> Option<T>) -> Subject<T> {
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for Holding { token, counter, secret, parameters } in self.tokens {
            let secret = secret.and_then(|sealed| open(&token, sealed));
            tokens.push(Holding { token, counter, secret, parameters });
        }
        let Self { account, failures, password, .. } = self;
        Subject { account, failures, tokens, password }
    }
}
