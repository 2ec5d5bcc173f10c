//! Bind proxy: a bind at a read-only consumer is passed on to the provider of its token.
//!
//! The order of decisions: where the client comes from; whether the account has a token; which
//! provider the token has. Only a provider to which there is no connection is passed over: one
//! that was asked and did not answer may have spent the OTP.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_core::{domain::dn::Dn, ldap::entry::Entry, secret::Secret};
use tokio_util::sync::CancellationToken;

use self::{
    accounts::{Accounts, Found, Known},
    choice::Choice,
};
use crate::{
    client::provider::{Provider, Replied, Unreplied},
    config::bind_proxy::{BindProxySettings, Peers},
    directory::{Directory, DirectoryError, Scope, Search},
};

mod accounts;
mod choice;

/// Passes binds on.
pub struct BindProxy {
    settings: BindProxySettings,
    accounts: Accounts,
    choice: Choice,
    providers: Vec<Provider>,
    replica: Directory,
}

/// A bind of a client of this consumer.
#[derive(Debug)]
pub struct ProxiedBind<'a> {
    /// The name, as slapd prints it.
    pub dn: &'a str,
    /// Password, token identifier and OTP.
    pub credentials: &'a Secret<Vec<u8>>,
    /// Where the client is.
    pub client: Client,
}

/// Where a client of slapd is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// At an address.
    At(IpAddr),
    /// On slapd's UNIX socket.
    Local,
    /// slapd does not tell.
    Untold,
}

/// What becomes of a bind.
#[derive(Debug, PartialEq, Eq)]
pub enum Proxied {
    /// Binds of this client are none of ours: the replica decides, by the password alone.
    Exempt,
    /// The account has no token.
    Declined,
    /// Its token is validated on this machine.
    Here,
    /// A provider has answered.
    Answered(Replied),
    /// Nobody can say anything now.
    Unavailable(&'static str),
    /// There is too much to do.
    Busy,
}

impl BindProxy {
    /// A proxy that knows no account yet.
    ///
    /// # Errors
    ///
    /// The address, the trust anchors or the certificate for a server cannot be used.
    pub fn new(settings: BindProxySettings) -> Result<Self, DirectoryError> {
        let names = settings.providers.iter().map(|provider| provider.url.clone()).collect();
        let providers = settings.providers.iter();
        let providers = providers.map(|server| Provider::new(server, settings.connections));
        Ok(Self {
            accounts: Accounts::default(),
            choice: Choice::new(names, settings.pause),
            providers: providers.collect::<Result<_, _>>()?,
            replica: Directory::new(&settings.replica, 1)?,
            settings,
        })
    }

    /// Decides about a bind, or has a provider decide.
    pub async fn bind(&self, bind: &ProxiedBind<'_>) -> Proxied {
        // A provider validates for everybody, wherever he is.
        if self.settings.own.is_none() {
            match is_proxied(bind.client, &self.settings.never, &self.settings.only) {
                Some(true) => {}
                Some(false) => return Proxied::Exempt,
                None => return Proxied::Unavailable(UNTOLD),
            }
        }
        match self.token_of(bind.dn).await {
            Ok(None) if self.settings.own.is_some() => Proxied::Here,
            Ok(None) => Proxied::Declined,
            Ok(Some(token)) if self.is_own(&token) => Proxied::Here,
            Ok(Some(token)) => self.pass_on(bind, &token).await,
            Err(text) => Proxied::Unavailable(text),
        }
    }

    /// The token of an account. Who is not among those that were found by the last search is
    /// looked up: the replica knows other spellings of a name than we do, and who has got a
    /// token since.
    async fn token_of(&self, dn: &str) -> Result<Option<Arc<str>>, &'static str> {
        let name = Dn::parse(dn).map_err(|_| NO_NAME)?;
        match self.accounts.known(&name) {
            Known::NotYet => return Err(NOT_YET),
            Known::WithToken(token) => return Ok(Some(token)),
            Known::WithoutToken => {}
        }
        let read = self.replica.read(dn, &self.settings.filter, &TOKENS).await;
        let read = read.map_err(|error| {
            tracing::error!(%error, "an account was not looked up on the replica");
            NOT_READ
        })?;
        Ok(read.as_ref().and_then(|entry| accounts::token_of(&found(entry))))
    }

    /// Searches the replica for accounts with tokens, now and then again, until it is stopped.
    pub async fn watch(&self, stop: &CancellationToken) {
        loop {
            let wait = match self.refresh().await {
                Ok(found) => {
                    tracing::debug!(found, "accounts with tokens on the replica");
                    self.settings.refresh
                }
                Err(error) => {
                    tracing::error!(%error, "the accounts with tokens were not read anew");
                    self.settings.refresh.min(RETRY)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Whether the token has its provider here, wherever else it could be validated: two
    /// providers that both think the other one gone would both accept its OTP.
    fn is_own(&self, token: &str) -> bool {
        let first = self.choice.preference(token).first().copied();
        self.settings.own.is_some() && self.settings.own == first
    }

    async fn pass_on(&self, bind: &ProxiedBind<'_>, token: &str) -> Proxied {
        // On a provider, the others' tokens are theirs alone.
        let only = self.settings.own.map(|_| 1);
        let order = match only {
            Some(_) => self.choice.preference(token),
            None => self.choice.order(token, Instant::now()),
        };
        for place in order.into_iter().take(only.unwrap_or(usize::MAX)) {
            let address = match bind.client {
                Client::At(address) => address.to_string(),
                Client::Local | Client::Untold => String::new(),
            };
            let provider = &self.providers[place];
            match provider.bind(bind.dn, bind.credentials, &address).await {
                Ok(replied) => {
                    self.choice.reached(place);
                    return Proxied::Answered(replied);
                }
                Err(Unreplied::NotAsked(error)) => self.pass_over(place, &error),
                Err(Unreplied::Busy(error)) => {
                    tracing::debug!(%error, "a provider has enough to do");
                    return Proxied::Busy;
                }
                Err(Unreplied::Unanswered(error)) => {
                    tracing::warn!(%error, "a provider was asked and did not answer");
                    return Proxied::Unavailable(UNANSWERED);
                }
            }
        }
        Proxied::Unavailable(NOBODY)
    }

    fn pass_over(&self, place: usize, error: &DirectoryError) {
        if self.choice.unreachable(place, Instant::now()) {
            tracing::warn!(%error, "a provider is passed over for a while");
        }
    }

    async fn refresh(&self) -> Result<usize, Unrefreshed> {
        let search = Search {
            base: self.settings.base.as_str(),
            scope: Scope::Subtree,
            filter: &self.settings.filter,
            attributes: &TOKENS,
            limit: 0,
        };
        let mut all = Vec::new();
        let each = |entry: Entry| all.push(found(&entry));
        self.replica.search_pages(&search, each).await?;
        Ok(self.accounts.replace(&all, self.settings.minimum)?)
    }
}

/// Why the accounts are not known anew.
#[derive(Debug, thiserror::Error)]
enum Unrefreshed {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    TooFew(#[from] accounts::TooFew),
}

fn found(entry: &Entry) -> Found {
    let tokens = TOKENS.iter().flat_map(|name| entry.texts(name).unwrap_or_default());
    Found { dn: entry.dn().to_owned(), tokens: tokens.map(str::to_owned).collect() }
}

/// Whether binds of a client are passed on: those of the clients that are named and, if none
/// is, of all that have an address. A client that is exempt is never one of them. `None`: it
/// depends on where the client is, and slapd does not tell.
fn is_proxied(client: Client, never: &Peers, only: &Peers) -> Option<bool> {
    let address = match client {
        Client::At(address) => Some(address),
        Client::Local => None,
        Client::Untold => return None,
    };
    let is_meant = if only.is_empty() { address.is_some() } else { only.contain(address) };
    Some(is_meant && !never.contain(address))
}

/// The attributes that name an account's tokens.
const TOKENS: [&str; 2] = ["oathHOTPToken", "oathTOTPToken"];
/// After a search that failed.
const RETRY: Duration = Duration::from_secs(5);

const NO_NAME: &str = "the name cannot be read";
const UNTOLD: &str =
    "slapd does not tell where its clients are; add `olcDbSocketExtensions: peername`";
const NOT_READ: &str = "the account could not be looked up on the replica";
const NOT_YET: &str = "the accounts with tokens are not known yet";
const UNANSWERED: &str = "the OATH provider did not answer";
const NOBODY: &str = "no OATH provider can be reached";

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(unix: bool, networks: &[&str]) -> Peers {
        Peers { unix, networks: networks.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn where_a_client_comes_from_decides_first() {
        let local = peers(true, &["127.0.0.1/32", "::1/128"]);
        let nobody = peers(false, &[]);
        let vpn = peers(false, &["10.0.0.0/8"]);
        let address = |text: &str| Client::At(text.parse().unwrap());
        let cases = [
            (address("192.0.2.1"), &local, &nobody, true),
            (address("127.0.0.1"), &local, &nobody, false),
            (address("::1"), &local, &nobody, false),
            (Client::Local, &local, &nobody, false),
            (Client::Local, &nobody, &nobody, false),
            (Client::Local, &nobody, &peers(true, &[]), true),
            (address("10.1.2.3"), &local, &vpn, true),
            (address("192.0.2.1"), &local, &vpn, false),
            (address("10.1.2.3"), &vpn, &vpn, false),
            (address("127.0.0.1"), &nobody, &nobody, true),
        ];
        assert_eq!(is_proxied(Client::Untold, &local, &nobody), None);
        for (address, never, only, expected) in cases {
            assert_eq!(
                is_proxied(address, never, only),
                Some(expected),
                "{address:?} {never:?} {only:?}"
            );
        }
    }
}
