//! The tables of the records, and every change of them: check first, then write.
//!
//! A change that fails with a caller's error has written nothing, so it may
//! share a transaction with others.

use countersign_core::domain::{
    account::{Account, Person},
    id::{AccountId, PersonId, TokenId},
    name::{LoginKey, Site},
    time::UnixTime,
    token::Token,
};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::journal::{CounterKey, CounterValue, KEY_LENGTH, Mark, StoreIdentity};
use crate::store::{CERTIFICATE_REQUEST, CertificateRecord, SealedSecret, StoreError};

/// An account as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub(super) account: Account,
    /// The names it holds in the index, so that they can be freed whatever the site is by then.
    pub(super) login_keys: Vec<String>,
    /// The tokens assigned to it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<TokenId>,
}

/// A token as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TokenRow {
    pub(super) token: Token,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SealedSecret>,
}

/// What a store says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) store: StoreIdentity,
    /// The master key that its secrets are sealed with.
    pub(super) vault_key_id: String,
}

/// All tables, open for reading at one point in time.
pub(super) struct Snapshot {
    accounts: ReadOnlyTable<Id, Json>,
    login_keys: ReadOnlyTable<&'static str, Id>,
    persons: ReadOnlyTable<Id, Json>,
    tokens: ReadOnlyTable<Id, Json>,
    counters: ReadOnlyTable<&'static [u8; KEY_LENGTH], CounterValue>,
    certificates: ReadOnlyTable<&'static str, Json>,
}

/// All tables, open for writing.
pub(super) struct Tables<'t> {
    accounts: Table<'t, Id, Json>,
    login_keys: Table<'t, &'static str, Id>,
    persons: Table<'t, Id, Json>,
    tokens: Table<'t, Id, Json>,
    counters: Table<'t, &'static [u8; KEY_LENGTH], CounterValue>,
    certificates: Table<'t, &'static str, Json>,
    /// The certificate that was recorded for a request, by the request's SHA-256.
    requests: Table<'t, &'static str, &'static str>,
    expiries: Table<'t, (u64, &'static str), ()>,
    numbers: Table<'t, &'static str, u64>,
    meta: Table<'t, &'static str, Json>,
}

type Id = [u8; 16];
type Json = &'static [u8];

impl Snapshot {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            accounts: transaction.open_table(ACCOUNTS).map_err(fault)?,
            login_keys: transaction.open_table(LOGIN_KEYS).map_err(fault)?,
            persons: transaction.open_table(PERSONS).map_err(fault)?,
            tokens: transaction.open_table(TOKENS).map_err(fault)?,
            counters: transaction.open_table(COUNTERS).map_err(fault)?,
            certificates: transaction.open_table(CERTIFICATES).map_err(fault)?,
        })
    }

    /// The account of a name, with the tokens assigned to it.
    pub(super) fn find(
        &self,
        key: &LoginKey,
    ) -> Result<Option<(Account, Vec<TokenRow>)>, StoreError> {
        let Some(id) = self.login_keys.get(key.as_str()).map_err(fault)? else {
            return Ok(None);
        };
        let Some(row) = read::<_, AccountRow>(&self.accounts, id.value(), "account")? else {
            return Err(damaged("login_keys", format!("{} leads to no account", key.as_str())));
        };
        let mut tokens = Vec::with_capacity(row.tokens.len());
        for id in &row.tokens {
            let Some(token) = read(&self.tokens, *id.as_bytes(), "token")? else {
                return Err(damaged("accounts", format!("token {id} is assigned, but not there")));
            };
            tokens.push(token);
        }
        Ok(Some((row.account, tokens)))
    }

    pub(super) fn counter(&self, key: &CounterKey) -> Result<Option<CounterValue>, StoreError> {
        Ok(self.counters.get(&key.0).map_err(fault)?.map(|value| value.value()))
    }

    pub(super) fn person(&self, id: PersonId) -> Result<Option<Person>, StoreError> {
        read(&self.persons, *id.as_bytes(), "person")
    }

    pub(super) fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let after = after.map(|id| *id.as_bytes());
        page(&self.accounts, after, limit, "account", |row: AccountRow| row.account)
    }

    pub(super) fn tokens(
        &self,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<Token>, StoreError> {
        let after = after.map(|id| *id.as_bytes());
        page(&self.tokens, after, limit, "token", |row: TokenRow| row.token)
    }

    pub(super) fn certificates(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>, StoreError> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (from, std::ops::Bound::Unbounded);
        let rows = self.certificates.range::<&str>(range).map_err(fault)?;
        let rows = rows.take(limit).map(|row| parse(row.map_err(fault)?.1.value(), "certificate"));
        rows.collect()
    }
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            accounts: transaction.open_table(ACCOUNTS).map_err(fault)?,
            login_keys: transaction.open_table(LOGIN_KEYS).map_err(fault)?,
            persons: transaction.open_table(PERSONS).map_err(fault)?,
            tokens: transaction.open_table(TOKENS).map_err(fault)?,
            counters: transaction.open_table(COUNTERS).map_err(fault)?,
            certificates: transaction.open_table(CERTIFICATES).map_err(fault)?,
            requests: transaction.open_table(REQUESTS).map_err(fault)?,
            expiries: transaction.open_table(EXPIRIES).map_err(fault)?,
            numbers: transaction.open_table(NUMBERS).map_err(fault)?,
            meta: transaction.open_table(META).map_err(fault)?,
        })
    }

    /// Says once and for all what store this is.
    pub(super) fn name(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let key_id = identity.vault_key_id.as_bytes();
        self.meta.insert("format", FORMAT.to_be_bytes().as_slice()).map_err(fault)?;
        self.meta.insert("store", identity.store.as_slice()).map_err(fault)?;
        self.meta.insert("vault-key", key_id).map_err(fault)?;
        self.meta.insert(ENTRY_NAMES_KEY, [].as_slice()).map_err(fault)?;
        self.set_mark(Mark { generation: 1, sequence: 0 })
    }

    /// What store this is; `None` if its creation was never finished.
    pub(super) fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let Some(format) = self.meta(FORMAT_KEY)? else { return Ok(None) };
        if format != FORMAT.to_be_bytes() {
            return Err(StoreError::Unusable {
                object: RECORDS.to_owned(),
                cause: "its format is of another version of this program; use that version, or export there and import here".to_owned(),
            });
        }
        let store = self.meta("store")?.and_then(|octets| octets.try_into().ok());
        let key_id = self.meta("vault-key")?.and_then(|octets| String::from_utf8(octets).ok());
        let (Some(store), Some(vault_key_id)) = (store, key_id) else {
            return Err(damaged("meta", "the store does not say which one it is".to_owned()));
        };
        Ok(Some(Identity { store, vault_key_id }))
    }

    /// The first generation of the journal whose moves are not all in the records.
    pub(super) fn mark(&self) -> Result<Mark, StoreError> {
        let octets = self.meta(MARK_KEY)?.unwrap_or_default();
        let Some((generation, sequence)) = octets.split_first_chunk::<8>() else {
            return Err(damaged("meta", "the journal's generation is missing".to_owned()));
        };
        let sequence = sequence.try_into().map(u64::from_be_bytes);
        let sequence = sequence.map_err(|_| damaged("meta", "the journal's mark".to_owned()))?;
        Ok(Mark { generation: u64::from_be_bytes(*generation), sequence })
    }

    pub(super) fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError> {
        let octets = [mark.generation.to_be_bytes(), mark.sequence.to_be_bytes()].concat();
        self.meta.insert(MARK_KEY, octets.as_slice()).map_err(fault)?;
        Ok(())
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(key).map_err(fault)?.map(|value| value.value().to_vec()))
    }

    pub(super) fn set_counter(
        &mut self,
        key: &CounterKey,
        value: &CounterValue,
    ) -> Result<(), StoreError> {
        self.counters.insert(&key.0, value).map_err(fault)?;
        Ok(())
    }

    /// Gives a counter its first value; `false` if it has one from before.
    fn begin_counter(
        &mut self,
        key: &CounterKey,
        value: &CounterValue,
    ) -> Result<bool, StoreError> {
        let fresh = self.counters.get(&key.0).map_err(fault)?.is_none();
        if fresh {
            self.set_counter(key, value)?;
        }
        Ok(fresh)
    }

    /// `false` if its failures have a counter from before.
    pub(super) fn insert_account(
        &mut self,
        account: Account,
        site: &Site,
        failures: &CounterValue,
    ) -> Result<bool, StoreError> {
        let id = account.id;
        if self.accounts.get(id.as_bytes()).map_err(fault)?.is_some() {
            return Err(StoreError::exists("account", id));
        }
        let row = AccountRow { account, login_keys: Vec::new(), tokens: Vec::new() };
        self.put_account(row, site)?;
        self.begin_counter(&CounterKey::failures(id), failures)
    }

    pub(super) fn replace_account(
        &mut self,
        from: &Account,
        to: Account,
        site: &Site,
    ) -> Result<(), StoreError> {
        let row = self.account(to.id)?;
        if row.account != *from {
            return Err(StoreError::changed("account", to.id));
        }
        self.put_account(AccountRow { account: to, ..row }, site)
    }

    /// Writes the account, frees the names it had and takes those it has, unless one is taken.
    fn put_account(&mut self, mut row: AccountRow, site: &Site) -> Result<(), StoreError> {
        let id = row.account.id;
        let keys = row.account.login_keys(site);
        for key in &keys {
            let holder = self.login_keys.get(key.as_str()).map_err(fault)?;
            let holder = holder.map(|holder| AccountId::from_bytes(holder.value()));
            if let Some(account) = holder.filter(|holder| *holder != id) {
                return Err(StoreError::NameTaken { name: key.as_str().to_owned(), account });
            }
        }
        self.free_names(&row)?;
        for key in &keys {
            self.login_keys.insert(key.as_str(), id.as_bytes()).map_err(fault)?;
        }
        row.login_keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
        write(&mut self.accounts, *id.as_bytes(), &row)
    }

    /// Indexes the distinguished names of accounts, once: stores that were made before have no
    /// index of them. Where two accounts have one name, it leads to the first; `check` and
    /// the next change of the other say so.
    pub(super) fn index_entry_names(&mut self) -> Result<(), StoreError> {
        if self.meta(ENTRY_NAMES_KEY)?.is_some() {
            return Ok(());
        }
        let rows = self.accounts.iter().map_err(fault)?.map(|row| {
            let (_, row) = row.map_err(fault)?;
            parse::<AccountRow>(row.value(), "account")
        });
        for mut row in rows.collect::<Result<Vec<_>, StoreError>>()? {
            let Some(key) = row.account.dn_key() else { continue };
            if self.login_keys.get(key.as_str()).map_err(fault)?.is_none() {
                let id = row.account.id;
                self.login_keys.insert(key.as_str(), id.as_bytes()).map_err(fault)?;
                row.login_keys.push(key.as_str().to_owned());
                write(&mut self.accounts, *id.as_bytes(), &row)?;
            }
        }
        self.meta.insert(ENTRY_NAMES_KEY, [].as_slice()).map_err(fault)?;
        Ok(())
    }

    fn free_names(&mut self, row: &AccountRow) -> Result<(), StoreError> {
        for key in &row.login_keys {
            self.login_keys.remove(key.as_str()).map_err(fault)?;
        }
        Ok(())
    }

    pub(super) fn remove_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        let row = self.account(id)?;
        self.free_names(&row)?;
        self.accounts.remove(id.as_bytes()).map_err(fault)?;
        for token in row.tokens {
            let mut row = self.token(token)?;
            row.token.accounts.retain(|account| *account != id);
            write(&mut self.tokens, *token.as_bytes(), &row)?;
        }
        Ok(())
    }

    pub(super) fn put_person(&mut self, person: &Person) -> Result<(), StoreError> {
        write(&mut self.persons, *person.id.as_bytes(), person)
    }

    /// `false` if it has a counter from before.
    pub(super) fn insert_token(
        &mut self,
        row: &TokenRow,
        counter: &CounterValue,
    ) -> Result<bool, StoreError> {
        let id = row.token.id;
        if self.tokens.get(id.as_bytes()).map_err(fault)?.is_some() {
            return Err(StoreError::exists("token", id));
        }
        self.assign(&row.token, &[])?;
        write(&mut self.tokens, *id.as_bytes(), row)?;
        self.begin_counter(&CounterKey::token(id), counter)
    }

    pub(super) fn replace_token(&mut self, from: &Token, to: Token) -> Result<(), StoreError> {
        let row = self.token(to.id)?;
        if row.token != *from {
            return Err(StoreError::changed("token", to.id));
        }
        self.assign(&to, &row.token.accounts)?;
        write(&mut self.tokens, *to.id.as_bytes(), &TokenRow { token: to, ..row })
    }

    pub(super) fn remove_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        let row = self.token(id)?;
        let nobody = Token { accounts: Vec::new(), ..row.token.clone() };
        self.assign(&nobody, &row.token.accounts)?;
        self.tokens.remove(id.as_bytes()).map_err(fault)?;
        Ok(())
    }

    /// Writes the token into its accounts and out of those it had before.
    fn assign(&mut self, token: &Token, before: &[AccountId]) -> Result<(), StoreError> {
        let rows = token.accounts.iter().map(|id| self.account(*id));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        for id in before.iter().filter(|id| !token.accounts.contains(id)) {
            let mut row = self.account(*id)?;
            row.tokens.retain(|assigned| *assigned != token.id);
            write(&mut self.accounts, *id.as_bytes(), &row)?;
        }
        for mut row in rows {
            if let Err(place) = row.tokens.binary_search(&token.id) {
                row.tokens.insert(place, token.id);
                write(&mut self.accounts, *row.account.id.as_bytes(), &row)?;
            }
        }
        Ok(())
    }

    fn account(&self, id: AccountId) -> Result<AccountRow, StoreError> {
        let row = read(&self.accounts, *id.as_bytes(), "account")?;
        row.ok_or_else(|| StoreError::not_found("account", id))
    }

    fn token(&self, id: TokenId) -> Result<TokenRow, StoreError> {
        let row = read(&self.tokens, *id.as_bytes(), "token")?;
        row.ok_or_else(|| StoreError::not_found("token", id))
    }

    pub(super) fn insert_certificate(
        &mut self,
        certificate: &CertificateRecord,
    ) -> Result<(), StoreError> {
        let serial = certificate.serial.as_str();
        if self.certificates.get(serial).map_err(fault)?.is_some() {
            return Err(StoreError::exists("certificate", serial));
        }
        if certificate.account.is_some() {
            let request = certificate.request_sha256.as_str();
            if self.requests.get(request).map_err(fault)?.is_some() {
                return Err(StoreError::exists(CERTIFICATE_REQUEST, request));
            }
            self.requests.insert(request, serial).map_err(fault)?;
        }
        self.expiries.insert((certificate.not_after.0, serial), ()).map_err(fault)?;
        self.put_certificate(certificate)
    }

    pub(super) fn revoke_certificate(
        &mut self,
        serial: &str,
        at: UnixTime,
    ) -> Result<(), StoreError> {
        let row = self.certificates.get(serial).map_err(fault)?;
        let row = row.map(|row| parse::<CertificateRecord>(row.value(), "certificate"));
        let mut row = row.ok_or_else(|| StoreError::not_found("certificate", serial))??;
        row.revoked.get_or_insert(at);
        self.put_certificate(&row)
    }

    fn put_certificate(&mut self, certificate: &CertificateRecord) -> Result<(), StoreError> {
        let json = serialize(certificate);
        let serial = certificate.serial.as_str();
        self.certificates.insert(serial, json.as_slice()).map_err(fault)?;
        Ok(())
    }

    /// Removes at most `limit` certificates; returns how many.
    pub(super) fn prune_certificates(
        &mut self,
        before: UnixTime,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let expired = self.expiries.range(..(before.0, "")).map_err(fault)?.take(limit);
        let expired = expired.map(|row| {
            let (key, _) = row.map_err(fault)?;
            let (not_after, serial) = key.value();
            Ok((not_after, serial.to_owned()))
        });
        let expired = expired.collect::<Result<Vec<_>, StoreError>>()?;
        for (not_after, serial) in &expired {
            self.expiries.remove((*not_after, serial.as_str())).map_err(fault)?;
            let removed = self.certificates.remove(serial.as_str()).map_err(fault)?;
            let Some(removed) = removed else { continue };
            let removed: CertificateRecord = parse(removed.value(), "certificate")?;
            if removed.account.is_some() {
                self.requests.remove(removed.request_sha256.as_str()).map_err(fault)?;
            }
        }
        Ok(expired.len() as u64)
    }

    pub(super) fn next_number(&mut self, series: &str) -> Result<u64, StoreError> {
        let last = self.numbers.get(series).map_err(fault)?.map_or(0, |number| number.value());
        self.numbers.insert(series, last + 1).map_err(fault)?;
        Ok(last + 1)
    }
}

/// What redb reports, in our words.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are not ours, and more may come")]
pub(super) fn fault(error: impl Into<redb::Error>) -> StoreError {
    let object = RECORDS.to_owned();
    match error.into() {
        redb::Error::Corrupted(cause) => StoreError::Damaged { object, cause },
        redb::Error::DatabaseAlreadyOpen => StoreError::Unusable {
            object,
            cause:
                "another process has it open; is the daemon running? Talk to it, or stop it first"
                    .to_owned(),
        },
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            let cause = "no space is left on the disk; make room, then start again".to_owned();
            StoreError::Unusable { object, cause }
        }
        redb::Error::PreviousIo => StoreError::Unusable {
            object,
            cause: "the disk failed before; see to it, then start again".to_owned(),
        },
        error => StoreError::Unusable { object, cause: error.to_string() },
    }
}

fn read<T: ReadableTable<Id, Json>, R: DeserializeOwned>(
    table: &T,
    id: Id,
    what: &str,
) -> Result<Option<R>, StoreError> {
    table.get(id).map_err(fault)?.map(|row| parse(row.value(), what)).transpose()
}

fn write<R: Serialize>(table: &mut Table<'_, Id, Json>, id: Id, row: &R) -> Result<(), StoreError> {
    table.insert(id, serialize(row).as_slice()).map_err(fault)?;
    Ok(())
}

fn page<R: DeserializeOwned, T>(
    table: &ReadOnlyTable<Id, Json>,
    after: Option<Id>,
    limit: usize,
    what: &str,
    pick: impl Fn(R) -> T,
) -> Result<Vec<T>, StoreError> {
    let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    let rows = table.range::<Id>((from, std::ops::Bound::Unbounded)).map_err(fault)?;
    rows.take(limit).map(|row| Ok(pick(parse(row.map_err(fault)?.1.value(), what)?))).collect()
}

fn parse<R: DeserializeOwned>(json: &[u8], what: &str) -> Result<R, StoreError> {
    serde_json::from_slice(json).map_err(|error| damaged(what, error.to_string()))
}

fn serialize(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("records have only text keys")
}

fn damaged(part: &str, cause: String) -> StoreError {
    StoreError::Damaged { object: format!("{RECORDS} ({part})"), cause }
}

/// The file of the records.
pub(super) const RECORDS: &str = "records.redb";
const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "format";
/// There once distinguished names are in the index of names.
const ENTRY_NAMES_KEY: &str = "entry-names";
const MARK_KEY: &str = "journal";

const ACCOUNTS: TableDefinition<'_, Id, Json> = TableDefinition::new("accounts");
const LOGIN_KEYS: TableDefinition<'_, &str, Id> = TableDefinition::new("login-keys");
const PERSONS: TableDefinition<'_, Id, Json> = TableDefinition::new("persons");
const TOKENS: TableDefinition<'_, Id, Json> = TableDefinition::new("tokens");
const COUNTERS: TableDefinition<'_, &[u8; KEY_LENGTH], CounterValue> =
    TableDefinition::new("counters");
const CERTIFICATES: TableDefinition<'_, &str, Json> = TableDefinition::new("certificates");
const REQUESTS: TableDefinition<'_, &str, &str> = TableDefinition::new("certificate-requests");
const EXPIRIES: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("certificate-expiries");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const META: TableDefinition<'_, &str, Json> = TableDefinition::new("meta");

#[cfg(test)]
mod tests {
    use redb::{Database, backends::InMemoryBackend};

    use super::*;

    fn account(number: u8) -> Account {
        let id = AccountId::from_bytes([number; 16]);
        let dn = Some("UID=alice, OU=people".into());
        Account { dn, ..Account::new(id, format!("alice{number}")) }
    }

    #[test]
    fn entry_names_of_an_older_store_are_indexed_once_and_lead_to_the_first() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut tables = Tables::open(&transaction).unwrap();
            for number in [1, 2] {
                let row =
                    AccountRow { account: account(number), login_keys: vec![], tokens: vec![] };
                write(&mut tables.accounts, [number; 16], &row).unwrap();
            }
            tables.index_entry_names().unwrap();
            tables.index_entry_names().unwrap();
            let key = account(1).dn_key().unwrap();
            let holder = tables.login_keys.get(key.as_str()).unwrap().unwrap().value();
            assert_eq!(holder, [1; 16]);
            let row = tables.account(AccountId::from_bytes([1; 16])).unwrap();
            assert_eq!(row.login_keys, [key.as_str()]);
            let taken = tables.replace_account(&account(2), account(2), &Site::default());
            assert!(matches!(taken, Err(StoreError::NameTaken { .. })), "{taken:?}");
        }
        transaction.abort().unwrap();
    }
}
