//! The LDAP store on a slapd of the test, and a keeper that adds what only the directory's own
//! tools may add.

#![allow(dead_code, reason = "the tests that use the rest of it come with the parts they judge")]

use std::{path::Path, sync::Arc, time::Duration};

use countersign::{
    clock::SystemClock,
    config::directory::{DirectorySettings, ServerSettings},
    store::{
        Answer, CertificateRecord, Committed, SealedSecret, Store, StoreError,
        directory::DirectoryStore, embedded::Embedded,
    },
};
use countersign_core::{
    domain::{
        account::{Account, Person},
        counter::Change,
        id::{AccountId, PersonId, TokenId},
        name::{LoginKey, LoginName, Site},
        subject::Subject,
        time::UnixTime,
        token::Token,
    },
    ldap::mapping::{PlainSecrets, Profile},
};

use super::{
    directory::{ACCOUNTS, Entry, SUFFIX, TOKENS, User, parameters_dn},
    ldap::As,
    slapd::{ADMIN, ADMIN_PASSWORD, Setup, Slapd},
};

/// A slapd with users, and the store on it, both in a directory of the test.
pub struct Rig {
    pub slapd: Slapd,
    pub local: Arc<Embedded>,
    pub store: Arc<DirectoryStore>,
    directory: tempfile::TempDir,
}

impl Rig {
    /// With the settings of [`settings`].
    pub fn new(users: &[User]) -> Self {
        Self::with(&Setup::default(), users, |_| {})
    }

    /// With settings that differ.
    pub fn with(
        setup: &Setup,
        users: &[User],
        change: impl FnOnce(&mut DirectorySettings),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let entries: Vec<_> = users.iter().flat_map(User::entries).collect();
        let slapd = Slapd::start(&directory.path().join("slapd"), setup, &entries);
        let local = directory.path().join("store");
        std::fs::create_dir(&local).expect("a directory");
        let local = Arc::new(Embedded::create(&local, "key").expect("a store"));
        let mut settings = settings(&slapd);
        change(&mut settings);
        let store = Arc::new(open(&settings, local.clone()));
        Self { slapd, local, store, directory }
    }

    /// A second store on the same directory, with marks of its own: another provider.
    pub fn other(&self) -> DirectoryStore {
        let local = self.directory.path().join("other");
        std::fs::create_dir(&local).expect("a directory");
        open(&settings(&self.slapd), Arc::new(Embedded::create(&local, "key").expect("a store")))
    }

    /// Where files of the test may be.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whoever logs on by this name.
    pub async fn find(&self, name: &str) -> Option<Subject<SealedSecret>> {
        self.store.find(key(name).key()).await.expect("the directory answers")
    }
}

/// A login name or a distinguished name.
pub fn key(name: &str) -> LoginName {
    LoginName::of_dn(name).or_else(|_| LoginName::parse(name)).expect("a name")
}

/// The store of these settings.
pub fn open(settings: &DirectorySettings, local: Arc<Embedded>) -> DirectoryStore {
    let site = Site { domain: Some("EXAMPLE".into()), realm: Some("example.com".into()) };
    DirectoryStore::new(settings, site, local, Arc::new(SystemClock)).expect("settings")
}

/// Over ldapi with SASL EXTERNAL, secrets in base32.
pub fn settings(slapd: &Slapd) -> DirectorySettings {
    let mut mapping = Profile::InetOrgPerson.mapping();
    mapping.account.filter = "(objectClass=account)".into();
    mapping.token.plain_secrets = PlainSecrets::Base32;
    DirectorySettings {
        server: server(format!("ldapi://{}", slapd.ldapi_socket().display())),
        connections: 8,
        parameters_cache: Duration::from_secs(600),
        mapping,
        base: SUFFIX.into(),
        account_base: ACCOUNTS.into(),
        token_base: TOKENS.into(),
        hotp_parameters: Some(parameters_dn("hotp")),
        totp_parameters: Some(parameters_dn("totp")),
        keys: Vec::new(),
    }
}

/// A server that is asked with SASL EXTERNAL.
pub fn server(url: String) -> ServerSettings {
    ServerSettings {
        url,
        trust: None,
        identity: None,
        bind: None,
        authorization_id: None,
        time_limit: Duration::from_secs(10),
    }
}

/// The settings of somebody who may do everything.
pub fn as_administrator(settings: &mut DirectorySettings) {
    settings.server.bind = Some((ADMIN.into(), ADMIN_PASSWORD.to_owned().into()));
}

/// The store with a keeper: accounts, and tokens with the identifiers that they are to have, are
/// added by the administrator of the directory; everything else is the store.
pub struct Kept {
    rig: Rig,
}

impl Kept {
    /// On an empty directory.
    pub fn new() -> Self {
        let rig = Rig::with(&Setup::default(), &[], |settings| {
            settings.mapping.token.plain_secrets = PlainSecrets::Raw;
            as_administrator(settings);
        });
        Self { rig }
    }

    /// Adds entries with identifiers of their own (Relax Rules).
    fn add(&self, entries: &[Entry]) {
        let ldif: String = entries.iter().map(Entry::ldif).collect();
        let who = As::Simple(ADMIN, ADMIN_PASSWORD);
        let said = self.rig.slapd.ldapi().add_relaxed(who, &ldif);
        assert_eq!(said.code, 0, "{}\n{ldif}", said.text);
    }

    fn account_dn(&self, id: AccountId) -> Option<String> {
        let who = As::Simple(ADMIN, ADMIN_PASSWORD);
        let filter = format!("(&(objectClass=account)(entryUUID={id}))");
        let said = self.rig.slapd.ldapi().search(who, ACCOUNTS, &filter, &["dn"]);
        said.text.lines().find_map(|line| line.strip_prefix("dn: ").map(str::to_owned))
    }
}

impl Store for Kept {
    fn find(&self, key: &LoginKey) -> Answer<'_, Option<Subject<SealedSecret>>> {
        self.rig.store.find(key)
    }

    fn commit(&self, change: Change) -> Answer<'_, Committed> {
        self.rig.store.commit(change)
    }

    fn insert_account(&self, account: Account, _: Site) -> Answer<'_, ()> {
        let dn = format!("uid={},{ACCOUNTS}", account.name);
        let entry = Entry::new(dn, &["account", "oathHOTPUser"])
            .with("uid", &account.name)
            .with("entryUUID", account.id.to_string());
        self.add(&[entry]);
        Box::pin(std::future::ready(Ok(())))
    }

    fn replace_account(&self, from: Account, to: Account, site: Site) -> Answer<'_, ()> {
        self.rig.store.replace_account(from, to, site)
    }

    fn remove_account(&self, id: AccountId) -> Answer<'_, ()> {
        self.rig.store.remove_account(id)
    }

    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Answer<'_, Vec<Account>> {
        self.rig.store.accounts(after, limit)
    }

    fn put_person(&self, person: Person) -> Answer<'_, ()> {
        self.rig.store.put_person(person)
    }

    fn person(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        self.rig.store.person(id)
    }

    fn insert_token(
        &self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Answer<'_, TokenId> {
        let id = token.id;
        let missing = token.accounts.iter().find(|id| self.account_dn(**id).is_none());
        if let Some(account) = missing {
            let error = StoreError::NotFound { what: "account", id: account.to_string() };
            return Box::pin(std::future::ready(Err(error)));
        }
        let dn = format!("cn={},{TOKENS}", token.label);
        let entry = Entry::new(&dn, &["device", "oathHOTPToken"])
            .with("cn", &token.label)
            .with("serialNumber", &token.label)
            .with("entryUUID", id.to_string())
            .with("oathHOTPParams", parameters_dn("hotp"))
            .with("oathHOTPCounter", first.to_string())
            .with("oathSecret", secret.map_or("none".into(), |secret| secret.0));
        self.add(&[entry]);
        for account in token.accounts {
            let account = self.account_dn(account).expect("it was there a moment ago");
            self.rig.slapd.modify(&format!(
                "dn: {account}\nchangetype: modify\nadd: oathHOTPToken\noathHOTPToken: {dn}\n"
            ));
        }
        Box::pin(std::future::ready(Ok(id)))
    }

    fn replace_token(&self, from: Token, to: Token) -> Answer<'_, ()> {
        self.rig.store.replace_token(from, to)
    }

    fn remove_token(&self, id: TokenId) -> Answer<'_, ()> {
        let store = self.rig.store.clone();
        Box::pin(async move { store.remove_token(id).await })
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Answer<'_, Vec<Token>> {
        self.rig.store.tokens(after, limit)
    }

    fn insert_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()> {
        self.rig.store.insert_certificate(certificate)
    }

    fn revoke_certificate(&self, serial: String, at: UnixTime) -> Answer<'_, ()> {
        self.rig.store.revoke_certificate(serial, at)
    }

    fn certificates(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<CertificateRecord>> {
        self.rig.store.certificates(after, limit)
    }

    fn prune_certificates(&self, before: UnixTime) -> Answer<'_, u64> {
        self.rig.store.prune_certificates(before)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.rig.store.health()
    }

    fn next_number(&self, series: &'static str) -> Answer<'_, u64> {
        self.rig.store.next_number(series)
    }
}
