//! Bind: the name and the credentials of an LDAP bind in, a verdict out, for every listener
//! that LDAP clients bind through.
//!
//! The credentials are the static password, the token identifier if the token has one, and
//! the OTP, in this order and without anything between them (OATH-LDAP).

use std::{fmt, sync::Arc};

use countersign_core::{
    domain::{
        attempt::{Attempt, ListenerKind, Terms},
        dn::Dn,
        name::LoginName,
        parameters::Wording,
        password::PasswordRule,
        verdict::Outcome,
    },
    secret::Secret,
};

use super::{
    Asked,
    authenticate::{Answer, Authenticator, Pending},
};
use crate::store::StoreError;

/// Decides about the binds of one listener.
pub struct Binder {
    authenticator: Arc<Authenticator>,
    listener: ListenerKind,
    rules: BindRules,
}

/// What differs from listener to listener.
#[derive(Debug, Clone)]
pub struct BindRules {
    /// Who checks the static password.
    pub password: PasswordRule,
    /// Whether the directory decides about accounts without a token.
    pub may_decline: bool,
    /// Whether the store finds an account by every name that the directory finds it by, because
    /// the store [is that directory](crate::store::Store::compares_names). If not, nobody knows
    /// whose name it is that has letters which directories compare in many ways.
    pub store_compares_names: bool,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
}

/// A bind that somebody asks about.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The name: a distinguished name or, where the directory takes others, a login name.
    pub name: String,
    /// Password, token identifier and OTP.
    pub credentials: Secret<Vec<u8>>,
    /// Where exactly it came from, for the audit.
    pub origin: Option<String>,
}

/// What becomes of a bind.
#[derive(Debug)]
pub enum Bound {
    /// The OTP was right and is spent, and so was the password, if it was checked here; if
    /// not, what the directory says to it must be told.
    Accepted(Box<Accepted>),
    /// The credentials are refused.
    Rejected(Wording),
    /// The account has no token; the directory decides about it.
    Declined,
    /// No decision could be made.
    Unavailable,
}

/// A bind that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// How many octets of the credentials are the static password.
    pub password_length: usize,
    /// What the client is to be told.
    pub wording: Wording,
    /// Whoever checks the password has not said yet whether it was right.
    pending: Option<Pending>,
}

impl Accepted {
    /// The directory accepted the password as well.
    pub async fn confirmed_by_directory(self) {
        if let Some(pending) = self.pending {
            pending.confirmed().await;
        }
    }

    /// The directory refused the password: it is a failure, although the OTP was right.
    pub fn refused_by_directory(self) {
        if let Some(pending) = self.pending {
            pending.refused();
        }
    }

    /// The directory did not say whether the password is right.
    pub async fn unanswered_by_directory(self) {
        if let Some(pending) = self.pending {
            pending.unanswered().await;
        }
    }
}

impl Binder {
    /// Decides by the authenticator, for one listener.
    #[must_use]
    pub fn new(
        authenticator: Arc<Authenticator>,
        listener: ListenerKind,
        rules: BindRules,
    ) -> Self {
        Self { authenticator, listener, rules }
    }

    /// Decides about a bind.
    pub async fn bind(&self, bind: Bind, asked: &Asked) -> Bound {
        let terms = Terms {
            password: self.rules.password,
            may_decline: self.rules.may_decline,
            ..Terms::default()
        };
        self.decide(bind, terms, asked).await
    }

    /// Decides about a comparison with an OTP: what is compared is identifier and OTP.
    pub async fn compare(&self, bind: Bind, asked: &Asked) -> Bound {
        let terms = Terms { password: PasswordRule::NotAsked, ..Terms::default() };
        self.decide(bind, terms, asked).await
    }

    /// Whether whoever the directory says is bound must use a token here. The name is an
    /// authorization identity, `dn:…` or `u:…` (RFC 4513 §5.2.1.8); who has none, or one that
    /// cannot be read, cannot be told, and must. So must everybody while the store cannot be
    /// read.
    pub async fn has_token(&self, authorization: &str) -> bool {
        self.finds_token(authorization).await.unwrap_or_else(|error| {
            self.authenticator.complain(STORE_FAILED, &error);
            true
        })
    }

    async fn finds_token(&self, authorization: &str) -> Result<bool, StoreError> {
        let Some(login) = self.identity(authorization).await? else { return Ok(true) };
        let is_known = self.authenticator.account(&login).await?.is_some();
        if is_known || login.key().dn().is_some() {
            return self.authenticator.has_token(&login).await;
        }
        // The directory writes a domain that we may not have been told of.
        match LoginName::parse(local_part(login.given())) {
            Ok(local) => self.authenticator.has_token(&local).await,
            Err(_) => Ok(true),
        }
    }

    /// Tells the operator that the directory could not be asked about a password, but not at
    /// every bind.
    pub fn complain_of_directory(&self, error: &dyn fmt::Display) {
        self.authenticator.complain("the directory was not asked about a password", error);
    }

    async fn decide(&self, bind: Bind, terms: Terms, asked: &Asked) -> Bound {
        let (login, may_decline) = match self.looked_up(&bind.name, &terms).await {
            Ok(Some(found)) => found,
            Ok(None) => return Bound::Rejected(Wording::default()),
            Err(error) => {
                self.authenticator.complain(STORE_FAILED, &error);
                return Bound::Unavailable;
            }
        };
        let attempt = Attempt {
            correlation: asked.correlation,
            login,
            passcode: bind.credentials,
            listener: self.listener,
            peer: asked.peer.clone(),
            at: asked.at,
            terms: Terms { origin: bind.origin, may_decline, ..terms },
        };
        match attempt.terms.password {
            PasswordRule::Elsewhere => {
                let (answer, pending) = self.authenticator.begin(attempt).await;
                bound(answer, pending)
            }
            PasswordRule::Required | PasswordRule::NotAsked => {
                bound(self.authenticator.authenticate(attempt).await, None)
            }
        }
    }

    /// The name in an authorization identity, if it can be read.
    async fn identity(&self, authorization: &str) -> Result<Option<LoginName>, StoreError> {
        let dn = authorization.strip_prefix("dn:").map(str::trim_start);
        let dn = dn.filter(|dn| Dn::parse(dn).is_ok());
        match dn.or(authorization.strip_prefix("u:")) {
            Some(name) => self.login(name).await,
            None => Ok(None),
        }
    }

    /// The name that an account is looked up by, and whether the directory may decide: it must
    /// not if it could take the name of nobody here for that of an account with a token.
    async fn looked_up(
        &self,
        name: &str,
        terms: &Terms,
    ) -> Result<Option<(LoginName, bool)>, StoreError> {
        let Some(login) = self.login(name).await? else { return Ok(None) };
        let is_certain = self.rules.store_compares_names || is_plain(name);
        let may_decline = terms.may_decline
            && (is_certain || self.authenticator.account(&login).await?.is_some());
        Ok(Some((login, may_decline)))
    }

    /// The name that an account is looked up by; none if no account can have it.
    async fn login(&self, name: &str) -> Result<Option<LoginName>, StoreError> {
        let Ok(login) = LoginName::of_dn(name) else { return Ok(LoginName::parse(name).ok()) };
        let Some(attribute) = &self.rules.login_attribute else { return Ok(Some(login)) };
        if self.authenticator.account(&login).await?.is_some() {
            return Ok(Some(login));
        }
        let dn = login.key().dn();
        let value = dn.as_ref().and_then(|dn| dn.leaf_value(attribute));
        Ok(value.and_then(|value| LoginName::parse_bare(value).ok()).or(Some(login)))
    }
}

/// What stands beside the domain or the realm.
fn local_part(name: &str) -> &str {
    let name = name.split_once('\\').map_or(name, |(_, local)| local);
    name.rsplit_once('@').map_or(name, |(local, _)| local)
}

/// Of names that are none of entries, directories have their own kinds.
fn is_plain(name: &str) -> bool {
    Dn::parse(name).map_or(true, |dn| dn.is_plain())
}

fn bound(answer: Answer, pending: Option<Pending>) -> Bound {
    let wording = answer.wording.map(|wording| *wording).unwrap_or_default();
    match (answer.verdict.outcome, answer.accepted) {
        (Outcome::Accepted, Some(accepted)) => {
            let password_length = accepted.password_length;
            Bound::Accepted(Accepted { password_length, wording, pending }.into())
        }
        (Outcome::Accepted | Outcome::Rejected | Outcome::Challenged, _) => {
            Bound::Rejected(wording)
        }
        (Outcome::Declined, _) => Bound::Declined,
        (Outcome::Unavailable, _) => Bound::Unavailable,
    }
}

const STORE_FAILED: &str = "the store failed during a bind";
