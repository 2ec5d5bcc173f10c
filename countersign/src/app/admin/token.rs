//! Tokens: add, list, show, set, switch, assign, resynchronise, remove.

use countersign_core::{
    domain::{
        account::{Account, Validity},
        counter::{Change, Move, TokenCounter},
        id::TokenId,
        policy::RESYNC_LIMIT,
        step::resynchronise,
        subject::{ClearSecret, Holding},
        token::{PinHash, Token, TokenKind},
    },
    oath::{
        hotp::Algorithm,
        key_uri::{self, KeyUri},
    },
    secret::Secret,
};

use super::{
    Admin, AdminError, AdminReply, ClearText, MAX_PAGE, NewKind, NewSecret, NewToken, Setting,
    TokenFields, TokenView, check_validity,
    error::apply,
    login_of,
    name::{apply_names, check_names},
};
use crate::{
    app::pin::Argon2Pins,
    store::{Committed, SealedSecret},
    vault::random_octets,
};

impl Admin {
    pub(super) async fn token_add(&self, new: NewToken) -> Result<AdminReply, AdminError> {
        let NewToken { label, accounts, kind, pin, indicators, not_before, not_after } = new;
        let validity = Validity { not_before, not_after };
        check_validity(validity)?;
        let accounts = self.accounts(&accounts).await?;
        let owner = accounts.first().and_then(|account| account.person);
        let (kind, first, secret) = self.read_kind(kind)?;
        self.check_delivery(&kind, owner).await?;
        let label = check_label(label.unwrap_or_else(|| label_of(accounts.first(), &kind)))?;
        let pin = match pin {
            Some(_) if secret.is_none() => {
                return Err(AdminError::Remote { label, what: "the PIN" });
            }
            Some(pin) => Some(hash(pin).await?),
            None => None,
        };
        let mut token = Token {
            owner,
            accounts: accounts.iter().map(|account| account.id).collect(),
            pin,
            indicators: check_names("indicator", indicators)?,
            validity,
            ..Token::new(TokenId::from_bytes(random_octets()), label, kind)
        };
        let uri = self.uri(&token, accounts.first(), first, secret.as_ref());
        let sealed = match &secret {
            Some(secret) => {
                let octets = secret.octets.expose_bytes();
                Some(self.parts.vault.seal_for_store(token.id, octets)?)
            }
            None => None,
        };
        token.id = self.parts.store.insert_token(token.clone(), sealed, first).await?;
        let counter = TokenCounter { next: first, ..TokenCounter::default() };
        let names = self.names(&token.accounts).await?;
        let counter = (!token.accounts.is_empty()).then_some(counter);
        Ok(AdminReply::TokenAdded { token: TokenView::new(token, names, counter), uri })
    }

    pub(super) async fn token_list(
        &self,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<AdminReply, AdminError> {
        let page = self.parts.store.tokens(after, limit.min(MAX_PAGE)).await?;
        let mut views = Vec::with_capacity(page.len());
        for token in page {
            let names = self.names(&token.accounts).await?;
            views.push(TokenView::new(token, names, None));
        }
        Ok(AdminReply::Tokens(views))
    }

    pub(super) async fn token_show(&self, name: &str) -> Result<AdminReply, AdminError> {
        let token = self.token(name).await?;
        self.shown(token).await.map(AdminReply::Token)
    }

    pub(super) async fn token_set(
        &self,
        name: &str,
        fields: TokenFields,
    ) -> Result<AdminReply, AdminError> {
        let before = self.token(name).await?;
        let mut token = before.clone();
        let TokenFields { label, pin, to, indicators, not_before, not_after } = fields;
        if let Some(label) = label {
            token.label = check_label(label)?;
        }
        apply(&mut token.validity.not_before, not_before, |_| Ok(()))?;
        apply(&mut token.validity.not_after, not_after, |_| Ok(()))?;
        check_validity(token.validity)?;
        apply_names("indicator", &mut token.indicators, indicators)?;
        self.set_address(&mut token, to).await?;
        match pin {
            None => {}
            Some(_) if matches!(token.kind, TokenKind::Remote { .. }) => {
                return Err(AdminError::Remote { label: token.label, what: "the PIN" });
            }
            Some(Setting::Clear) => token.pin = None,
            Some(Setting::To(pin)) => token.pin = Some(hash(pin).await?),
        }
        if token == before {
            return Err(AdminError::NothingToChange);
        }
        self.put(before, token).await
    }

    async fn set_address(
        &self,
        token: &mut Token,
        to: Option<Setting<String>>,
    ) -> Result<(), AdminError> {
        if to.is_none() {
            return Ok(());
        }
        let TokenKind::Delivered { to: address, .. } = &mut token.kind else {
            return Err(AdminError::NotDelivered(token.label.clone()));
        };
        apply(address, to, |_| Ok(()))?;
        self.check_delivery(&token.kind, token.owner).await
    }

    pub(super) async fn token_switch(
        &self,
        name: &str,
        enabled: bool,
    ) -> Result<AdminReply, AdminError> {
        let before = self.token(name).await?;
        let token = Token { disabled: !enabled, ..before.clone() };
        self.put(before, token).await
    }

    pub(super) async fn token_assign(
        &self,
        name: &str,
        account: &str,
        assigned: bool,
    ) -> Result<AdminReply, AdminError> {
        let before = self.token(name).await?;
        let mut token = before.clone();
        let account = self.subject(account).await?.account.id;
        token.accounts.retain(|id| *id != account);
        if assigned {
            token.accounts.push(account);
        }
        self.put(before, token).await
    }

    /// Spends both OTPs, so that neither of them logs anybody on.
    pub(super) async fn token_resync(
        &self,
        name: &str,
        [first, second]: [&ClearText; 2],
    ) -> Result<AdminReply, AdminError> {
        for _ in 0..MAX_ROUNDS {
            let token = self.token(name).await?;
            let label = token.label.clone();
            if matches!(token.kind, TokenKind::Remote { .. }) {
                return Err(AdminError::Remote { label, what: "the counter" });
            }
            if matches!(token.kind, TokenKind::Delivered { .. }) {
                return Err(AdminError::InStep(label));
            }
            let Some(holding) = self.holding(&token).await? else {
                return Err(AdminError::Unassigned { label });
            };
            let holding = self.open(holding)?;
            let otps = [first, second].map(|otp| otp.0.expose_bytes());
            let now = self.parts.clock.now();
            let Some(to) = resynchronise(&holding, &self.parts.policy, now, otps) else {
                return Err(AdminError::NotInReach { label, reach: self.reach(&token.kind) });
            };
            let tokens = vec![Move { id: token.id, from: holding.counter, to }];
            if self.parts.store.commit(Change { failures: None, tokens }).await? == Committed::Done
            {
                return self.shown(token).await.map(AdminReply::Token);
            }
        }
        Err(AdminError::Busy(format!("token {name:?}")))
    }

    pub(super) async fn token_remove(&self, name: &str) -> Result<AdminReply, AdminError> {
        let view = {
            let token = self.token(name).await?;
            self.shown(token).await?
        };
        self.parts.store.remove_token(view.id).await?;
        Ok(AdminReply::TokenRemoved(view))
    }

    async fn accounts(&self, names: &[String]) -> Result<Vec<Account>, AdminError> {
        let mut accounts: Vec<Account> = Vec::with_capacity(names.len());
        for name in names {
            let account = self.subject(name).await?.account;
            if accounts.iter().all(|other| other.id != account.id) {
                accounts.push(account);
            }
        }
        Ok(accounts)
    }

    /// The type, the first counter, and the shared secret of a new token.
    fn read_kind(&self, kind: NewKind) -> Result<(TokenKind, u64, Option<Given>), AdminError> {
        Ok(match kind {
            NewKind::Hotp { algorithm, digits, counter, secret } => {
                let secret = read_secret(secret, algorithm)?;
                (TokenKind::Hotp { algorithm, digits }, counter, Some(secret))
            }
            NewKind::Totp { algorithm, digits, period, secret } => {
                let secret = read_secret(secret, algorithm)?;
                (TokenKind::Totp { algorithm, digits, period }, 0, Some(secret))
            }
            NewKind::Remote { upstream, user_name } => {
                self.check_upstream(&upstream)?;
                user_name.as_deref().map_or(Ok(()), check_user_name)?;
                (TokenKind::Remote { upstream, user_name }, 0, None)
            }
            NewKind::Delivered { channel, to, digits } => {
                let secret = Given { octets: draw(Algorithm::Sha1), shown: None };
                (TokenKind::Delivered { channel, to, digits }, 0, Some(secret))
            }
        })
    }

    /// The URI by which an app takes a token over, if it is to be shown.
    fn uri(
        &self,
        token: &Token,
        account: Option<&Account>,
        counter: u64,
        secret: Option<&Given>,
    ) -> Option<ClearText> {
        let Given { octets, shown: Some(issuer) } = secret? else { return None };
        let (kind, algorithm, digits) = match token.kind {
            TokenKind::Hotp { algorithm, digits } => {
                (key_uri::Kind::Hotp { counter }, algorithm, digits)
            }
            TokenKind::Totp { algorithm, digits, period } => {
                (key_uri::Kind::Totp { period }, algorithm, digits)
            }
            TokenKind::Remote { .. } | TokenKind::Delivered { .. } => return None,
        };
        let named = account.map(|account| account.effective_upn().unwrap_or(login_of(account)));
        let uri = KeyUri {
            kind,
            issuer: issuer.clone().or_else(|| self.parts.site.realm.clone()),
            account: named.unwrap_or_else(|| token.label.clone()),
            secret: octets.clone(),
            algorithm,
            digits,
        };
        Some(ClearText(uri.to_uri()))
    }

    /// Not if it was changed meanwhile: what was done to it by somebody else is not undone.
    async fn put(&self, from: Token, to: Token) -> Result<AdminReply, AdminError> {
        self.parts.store.replace_token(from, to.clone()).await?;
        self.shown(to).await.map(AdminReply::Token)
    }

    async fn shown(&self, token: Token) -> Result<TokenView, AdminError> {
        let names = self.names(&token.accounts).await?;
        let counter = self.holding(&token).await?.map(|holding| holding.counter);
        Ok(TokenView::new(token, names, counter))
    }

    /// The token with its counter and secret, by way of one of its accounts.
    async fn holding(&self, token: &Token) -> Result<Option<Holding<SealedSecret>>, AdminError> {
        let Some(id) = token.accounts.first() else { return Ok(None) };
        let Some(account) = self.account(*id).await? else { return Ok(None) };
        let subject = self.subject(&login_of(&account)).await?;
        Ok(subject.tokens.into_iter().find(|holding| holding.token.id == token.id))
    }

    fn open(&self, sealed: Holding<SealedSecret>) -> Result<Holding<ClearSecret>, AdminError> {
        let Holding { token, counter, secret, parameters } = sealed;
        let secret = secret.map(|sealed| self.parts.vault.open_secret(token.id, &sealed));
        Ok(Holding { token, counter, secret: secret.transpose()?, parameters })
    }

    /// How far a resynchronisation looks, in words.
    fn reach(&self, kind: &TokenKind) -> String {
        let totp = &self.parts.policy.totp;
        match kind {
            TokenKind::Totp { period, .. } => {
                let steps = u64::from(totp.window) + u64::from(totp.resync_window);
                format!("{} seconds before or after now", steps * u64::from(period.get()))
            }
            TokenKind::Hotp { .. } | TokenKind::Remote { .. } | TokenKind::Delivered { .. } => {
                format!("its next {RESYNC_LIMIT} OTPs")
            }
        }
    }
}

/// The shared secret of a new token; with the issuer if it is to be shown.
struct Given {
    octets: ClearSecret,
    shown: Option<Option<String>>,
}

fn read_secret(secret: NewSecret, algorithm: Algorithm) -> Result<Given, AdminError> {
    let octets = secret.given()?.unwrap_or_else(|| draw(algorithm));
    let shown = match secret {
        NewSecret::DrawAndShow { issuer } => Some(issuer),
        NewSecret::Base32(_) | NewSecret::Hex(_) => None,
    };
    Ok(Given { octets, shown })
}

/// As long as the hash, as RFC 6238 §5.1 wants it.
fn draw(algorithm: Algorithm) -> ClearSecret {
    let drawn: Secret<[u8; 64]> = Secret::new(random_octets());
    Secret::new(drawn.expose()[..algorithm.output_length()].to_vec())
}

async fn hash(ClearText(pin): ClearText) -> Result<PinHash, AdminError> {
    let octets = pin.expose().len();
    if !(4..=64).contains(&octets) {
        return Err(AdminError::PinLength { octets });
    }
    let hashed = tokio::task::spawn_blocking(move || Argon2Pins.hash(&pin)).await;
    hashed.ok().and_then(Result::ok).ok_or(AdminError::PinHash)
}

/// Whether it can stand in a User-Name (RFC 2865 §5.1).
fn check_user_name(name: &str) -> Result<(), AdminError> {
    if name.trim().is_empty() || name.len() > 253 || name.contains(char::is_control) {
        let cause = "a User-Name has 1 to 253 octets and no control characters";
        return Err(AdminError::field("user name", name, cause));
    }
    Ok(())
}

fn check_label(label: String) -> Result<String, AdminError> {
    if label.trim().is_empty() || label.chars().any(char::is_control) {
        let cause = "a label has text and no control characters";
        return Err(AdminError::field("label", &label, cause));
    }
    if label.parse::<TokenId>().is_ok() {
        return Err(AdminError::field("label", &label, "it looks like the id of a token"));
    }
    Ok(label)
}

fn label_of(account: Option<&Account>, kind: &TokenKind) -> String {
    let kind = match kind {
        TokenKind::Hotp { .. } => "hotp",
        TokenKind::Totp { .. } => "totp",
        TokenKind::Remote { upstream, .. } => upstream,
        TokenKind::Delivered { channel, .. } => channel,
    };
    account.map_or_else(|| kind.to_owned(), |account| format!("{} {kind}", account.name))
}

/// How often a resynchronisation is tried against attempts at the same time.
const MAX_ROUNDS: usize = 32;

#[cfg(test)]
mod tests;
