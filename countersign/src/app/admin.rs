//! Administer: accounts, persons and tokens.
//!
//! One [`AdminRequest`] in, one [`AdminReply`] out, one audit event for each
//! that changes something. Requests are carried out one after the other, so
//! that no administrator overwrites what another has just written.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_core::domain::{
    account::{Account, Validity},
    event::{Event, What},
    id::{AccountId, CorrelationId, TokenId},
    name::{LoginName, Site},
    policy::Policy,
    subject::Subject,
    token::Token,
};
use tokio::sync::Mutex;

pub use self::{
    error::AdminError,
    reply::{AccountName, AccountView, AdminReply, CounterView, TokenView, login_of},
    request::{
        AccountFields, AdminRequest, ClearText, MAX_PAGE, NewKind, NewPerson, NewSecret, NewToken,
        Setting, TokenFields,
    },
};
use crate::{
    audit::Audit,
    clock::Clock,
    config::delivery::DeliveryKind,
    store::{SealedSecret, Store},
    vault::{self, Vault},
};

mod account;
mod delivery;
mod error;
mod name;
mod reply;
mod request;
#[cfg(test)]
mod testing;
mod token;

/// Carries out what administrators ask for.
pub struct Admin {
    parts: Parts,
    turn: Mutex<()>,
}

/// What an [`Admin`] works with.
pub struct Parts {
    /// Accounts, tokens, counters.
    pub store: Arc<dyn Store>,
    /// Seals and opens shared secrets.
    pub vault: Arc<Vault>,
    /// Takes an event for every change.
    pub audit: Arc<dyn Audit>,
    /// Tells when it happened.
    pub clock: Arc<dyn Clock>,
    /// The domain of names without one.
    pub site: Site,
    /// How far a resynchronisation looks, and what a count of failures means.
    pub policy: Policy,
    /// The names of the upstreams in the config.
    pub upstreams: BTreeSet<String>,
    /// The delivery channels in the config, and where they deliver to.
    pub deliveries: BTreeMap<String, DeliveryKind>,
}

impl Admin {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, turn: Mutex::new(()) }
    }

    /// Carries out a request of the local user `by`.
    ///
    /// # Errors
    ///
    /// Why it was not done. If the store failed, it may be done all the same.
    pub async fn execute(&self, by: &str, request: AdminRequest) -> Result<AdminReply, AdminError> {
        let _turn = self.turn.lock().await;
        let action = request.action();
        let reply = self.carry_out(request).await?;
        if let Some(action) = action {
            self.parts.audit.record(Event {
                at: self.parts.clock.now(),
                correlation: CorrelationId::from_bytes(vault::random_octets()),
                what: What::Administered { by: by.to_owned(), action, object: reply.object() },
            });
        }
        Ok(reply)
    }

    async fn carry_out(&self, request: AdminRequest) -> Result<AdminReply, AdminError> {
        match request {
            AdminRequest::AccountAdd { name, person, fields } => {
                self.account_add(name, person, fields).await
            }
            AdminRequest::AccountList { after, limit } => self.account_list(after, limit).await,
            AdminRequest::AccountShow { account } => self.account_show(&account).await,
            AdminRequest::AccountSet { account, fields } => {
                self.account_set(&account, fields).await
            }
            AdminRequest::AccountSwitch { account, enabled } => {
                self.account_switch(&account, enabled).await
            }
            AdminRequest::AccountUnlock { account } => self.account_unlock(&account).await,
            AdminRequest::AccountRemove { account } => self.account_remove(&account).await,
            AdminRequest::TokenAdd(token) => self.token_add(token).await,
            AdminRequest::TokenList { after, limit } => self.token_list(after, limit).await,
            AdminRequest::TokenShow { token } => self.token_show(&token).await,
            AdminRequest::TokenSet { token, fields } => self.token_set(&token, fields).await,
            AdminRequest::TokenSwitch { token, enabled } => {
                self.token_switch(&token, enabled).await
            }
            AdminRequest::TokenAssign { token, account, assigned } => {
                self.token_assign(&token, &account, assigned).await
            }
            AdminRequest::TokenResync { token, first, second } => {
                self.token_resync(&token, [&first, &second]).await
            }
            AdminRequest::TokenRemove { token } => self.token_remove(&token).await,
        }
    }

    /// The account of a name in any of its forms.
    async fn subject(&self, name: &str) -> Result<Subject<SealedSecret>, AdminError> {
        let login = LoginName::parse(name)
            .map_err(|cause| AdminError::Name { name: name.to_owned(), cause })?;
        let found = self.parts.store.find(login.key()).await?;
        found.ok_or_else(|| AdminError::NoAccount(name.to_owned()))
    }

    /// The account of an id, if it is still there.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, AdminError> {
        let before = before(*id.as_bytes()).map(AccountId::from_bytes);
        let page = self.parts.store.accounts(before, 1).await?;
        Ok(page.into_iter().find(|account| account.id == id))
    }

    /// The token of an id or of a label that no other token has.
    async fn token(&self, name: &str) -> Result<Token, AdminError> {
        if let Ok(id) = name.parse::<TokenId>() {
            let before = before(*id.as_bytes()).map(TokenId::from_bytes);
            let page = self.parts.store.tokens(before, 1).await?;
            let found = page.into_iter().find(|token| token.id == id);
            return found.ok_or_else(|| AdminError::NoToken(name.to_owned()));
        }
        let (mut after, mut found) = (None, None);
        loop {
            let page = self.parts.store.tokens(after, MAX_PAGE).await?;
            after = page.last().map(|token| token.id);
            for token in page.into_iter().filter(|token| token.label == name) {
                if let Some(Token { id, label, .. }) = found.replace(token) {
                    return Err(AdminError::ManyTokens { label, id });
                }
            }
            if after.is_none() {
                return found.ok_or_else(|| AdminError::NoToken(name.to_owned()));
            }
        }
    }

    fn check_upstream(&self, name: &str) -> Result<(), AdminError> {
        let known = &self.parts.upstreams;
        if known.contains(name) {
            return Ok(());
        }
        Err(AdminError::UpstreamUnknown { name: name.to_owned(), known: listed(known) })
    }
}

/// Names in a sentence.
fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.is_empty() { "none".to_owned() } else { names }
}

fn check_validity(Validity { not_before, not_after }: Validity) -> Result<(), AdminError> {
    match (not_before, not_after) {
        (Some(start), Some(end)) if start > end => Err(AdminError::Validity { start, end }),
        (Some(_), Some(_)) | (None, _) | (_, None) => Ok(()),
    }
}

/// The id before this one, so that a page of one after it is the record of this id.
fn before(id: [u8; 16]) -> Option<[u8; 16]> {
    u128::from_be_bytes(id).checked_sub(1).map(u128::to_be_bytes)
}
