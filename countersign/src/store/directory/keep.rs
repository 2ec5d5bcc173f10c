//! Tokens that are added, assigned and removed. Accounts and persons are not ours to keep.

use countersign_core::{
    domain::{
        account::Validity,
        id::{AccountId, TokenId},
        token::{Token, TokenKind},
    },
    ldap::{
        counter::{Modification, counter_value},
        entry::Entry,
        mapping::PlainSecrets,
        schema::{Method, attribute},
        time,
        token::{self, PLAIN, TokenEntry},
    },
};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

use super::{DirectoryStore, list::folded, list::references};
use crate::{
    directory::ResultCode,
    store::{SealedSecret, StoreError},
};

impl DirectoryStore {
    /// Adds the entry, then lets the accounts refer to it. If one of them cannot, the entry goes
    /// away again.
    pub(super) async fn add_token(
        &self,
        new: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Result<TokenId, StoreError> {
        let method = self.check_new(&new)?;
        let accounts = self.account_entries(&new.accounts).await?;
        let dn = token::dn_below(&self.mapping.token.rdn, &new.label, &self.places.tokens);
        let attributes = self.attributes_of(&new, method, secret, first).await?;
        let attributes: Vec<_> =
            attributes.iter().map(|(name, values)| (name.as_str(), values.clone())).collect();
        self.directory.add(&dn, &attributes).await.map_err(|error| match error.code() {
            Some(ResultCode::ENTRY_ALREADY_EXISTS) => StoreError::exists("token entry", &dn),
            Some(_) | None => error.into(),
        })?;
        let mut assigned = Ok(());
        for account in &accounts {
            if assigned.is_ok() {
                assigned = self.assign(account, method, &dn).await;
            }
        }
        match assigned {
            Ok(()) => self.id_at(&dn, method).await,
            Err(error) => {
                self.withdraw(&dn, &accounts, method).await;
                Err(error)
            }
        }
    }

    /// Replaces what an entry has a place for: the accounts and the identifier.
    pub(super) async fn change_token(&self, from: Token, to: Token) -> Result<(), StoreError> {
        let Some(entry) = self.token_entry(to.id).await? else {
            return Err(StoreError::not_found("token", to.id));
        };
        let accounts = self.account_entries(&to.accounts).await?;
        let kept = self.kept(&entry).await?;
        if kept != from {
            return Err(StoreError::changed("token", to.id));
        }
        let same = Token {
            accounts: from.accounts.clone(),
            identifier: from.identifier.clone(),
            ..to.clone()
        };
        if same != from {
            return Err(no_place(
                "that change of a token",
                "the OATH-LDAP schema has accounts and an identifier for a token, and all else in its parameters",
            ));
        }
        let is_left = |id: &&AccountId| !to.accounts.contains(id);
        let left: Vec<_> = from.accounts.iter().filter(is_left).copied().collect();
        for account in self.account_entries(&left).await? {
            self.unassign(&account, entry.method, &entry.dn).await?;
        }
        for account in accounts {
            if !refers(&account, &entry.dn)? {
                self.assign(&account, entry.method, &entry.dn).await?;
            }
        }
        if to.identifier != from.identifier {
            let values = to.identifier.into_iter().map(String::into_bytes).collect();
            let identifier = Modification::Replace(attribute::IDENTIFIER.into(), values);
            self.directory.modify(&entry.dn, &[identifier]).await?;
        }
        Ok(())
    }

    /// Removes the references, then the entry. Its mark stays.
    pub(super) async fn delete_token(&self, id: TokenId) -> Result<(), StoreError> {
        let Some(entry) = self.token_entry(id).await? else {
            return Err(StoreError::not_found("token", id));
        };
        let holders = self.holders(std::slice::from_ref(&entry)).await?;
        let holders = holders.get(&folded(&entry.dn)).cloned().unwrap_or_default();
        for account in self.account_entries(&holders).await? {
            self.unassign(&account, entry.method, &entry.dn).await?;
        }
        Ok(self.directory.delete(&entry.dn).await?)
    }

    /// How its OTPs come about, if the schema has a place for all that it is.
    fn check_new(&self, new: &Token) -> Result<Method, StoreError> {
        let method = match new.kind {
            TokenKind::Hotp { .. } => Method::Hotp,
            TokenKind::Totp { .. } => Method::Totp,
            TokenKind::Remote { .. } | TokenKind::Delivered { .. } => {
                return Err(no_place("a token of this type", "the schema has HOTP and TOTP only"));
            }
        };
        let extra = [
            (new.pin.is_some(), "a PIN", "the password of the account stands before the OTP"),
            (!new.indicators.is_empty(), "indicators", "the schema has none"),
            (new.disabled, "a disabled token", "unassign it instead"),
            (
                new.validity != Validity::default(),
                "the validity of one token",
                "oathSecretMaxAge of its parameters limits it",
            ),
        ];
        match extra.into_iter().find(|(is_there, ..)| *is_there) {
            Some((_, what, cause)) => Err(no_place(what, cause)),
            None => Ok(method),
        }
    }

    /// All that a new entry has. Its parameters must say of the OTPs what the token says.
    async fn attributes_of(
        &self,
        new: &Token,
        method: Method,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Result<Vec<(String, Vec<Vec<u8>>)>, StoreError> {
        let mut classes = vec![b"device".to_vec(), method.token_class().into()];
        classes.sort();
        let mut out = vec![
            (attribute::OBJECT_CLASS.to_owned(), classes),
            ("cn".to_owned(), vec![new.label.clone().into()]),
            (attribute::FAILURE_COUNT.to_owned(), vec![b"0".to_vec()]),
            (attribute::SECRET_TIME.to_owned(), vec![time::write(self.clock.now()).into()]),
        ];
        if !self.mapping.token.rdn.eq_ignore_ascii_case("cn") {
            out.push((self.mapping.token.rdn.clone(), vec![new.label.clone().into()]));
        }
        let mut add = |name: &str, value: Option<Vec<u8>>| {
            out.extend(value.map(|value| (name.to_owned(), vec![value])));
        };
        let counter = counter_value(method, self.mapping.token.hotp_counter, first);
        add(method.counter_attribute(), counter);
        add(attribute::IDENTIFIER, new.identifier.clone().map(String::into_bytes));
        add(attribute::SECRET, secret.map(|secret| self.written(&secret)).transpose()?);
        let parameters = self.check_parameters(new, method).await?;
        add(method.parameters_attribute(), Some(parameters.into_bytes()));
        if let Some(owner) = new.owner {
            let any = format!("({}=*)", attribute::OBJECT_CLASS);
            let owner = self.entry_of(&owner.to_string(), &any, &[attribute::ENTRY_UUID]).await?;
            add(&self.mapping.token.owner, owner.map(|entry| entry.dn().as_bytes().to_vec()));
        }
        Ok(out)
    }

    async fn check_parameters(&self, new: &Token, method: Method) -> Result<String, StoreError> {
        let (key, dn) = match method {
            Method::Hotp => ("directory.token.hotp-parameters", &self.places.hotp_parameters),
            Method::Totp => ("directory.token.totp-parameters", &self.places.totp_parameters),
        };
        let Some(dn) = dn else {
            let cause = format!("{key} must name the entry with the parameters of new ones");
            return Err(no_place("a new token", &cause));
        };
        let parameters = self.parameters_at(dn, method, key).await?;
        if parameters.kind != new.kind {
            let cause = format!(
                "the parameters {dn} want {}; give the token the same algorithm, digits and period, or name other parameters in {key}",
                described(&parameters.kind)
            );
            return Err(no_place(&format!("a token with {}", described(&new.kind)), &cause));
        }
        Ok(dn.clone())
    }

    /// A secret as it is written: encrypted, or in clear where the site wants that.
    fn written(&self, secret: &SealedSecret) -> Result<Vec<u8>, StoreError> {
        let Some(plain) = secret.0.strip_prefix(PLAIN) else {
            let is_ours = !secret.0.starts_with('{') && !secret.0.contains('.');
            if is_ours {
                let cause = "it is sealed with the master key; directory.keys must name a key to encrypt it to";
                return Err(no_place("the secret of the token", cause));
            }
            return Ok(secret.0.clone().into_bytes());
        };
        let octets = BASE64URL_NOPAD.decode(plain.as_bytes()).unwrap_or_default();
        match self.mapping.token.plain_secrets {
            PlainSecrets::Raw => Ok(octets),
            PlainSecrets::Base32 => Ok(BASE32_NOPAD.encode(&octets).into_bytes()),
            PlainSecrets::Refuse => {
                let cause = "it is not encrypted, and directory.plain-secrets does not allow that";
                Err(no_place("the secret of the token", cause))
            }
        }
    }

    /// A token as it is now, with its accounts.
    async fn kept(&self, entry: &TokenEntry) -> Result<Token, StoreError> {
        let holders = self.holders(std::slice::from_ref(entry)).await?;
        let accounts = holders.get(&folded(&entry.dn)).cloned().unwrap_or_default();
        self.token_listed(entry, accounts).await
    }

    async fn account_entries(&self, ids: &[AccountId]) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let is = &self.mapping.account.filter;
            let entry = self.entry_of(&id.to_string(), is, &REFERRING).await?;
            entries.push(entry.ok_or_else(|| StoreError::not_found("account", id))?);
        }
        Ok(entries)
    }

    /// The schema has room for one token of a kind in an account.
    async fn assign(&self, account: &Entry, method: Method, dn: &str) -> Result<(), StoreError> {
        let name = method.token_attribute();
        if !account.values(name).is_empty() {
            let what = format!("a second token in {name} of {}", account.dn());
            return Err(no_place(&what, "the schema has room for one; unassign the other first"));
        }
        let mut modifications = Vec::new();
        if !account.is_a(method.user_class()) {
            let class = vec![method.user_class().as_bytes().to_vec()];
            modifications.push(Modification::Add(attribute::OBJECT_CLASS.into(), class));
        }
        modifications.push(Modification::Add(name.into(), vec![dn.as_bytes().to_vec()]));
        Ok(self.directory.modify(account.dn(), &modifications).await?)
    }

    /// An account of TOTP tokens must have one, so it stops being one.
    async fn unassign(&self, account: &Entry, method: Method, dn: &str) -> Result<(), StoreError> {
        let references = account.texts(method.token_attribute())?;
        let Some(reference) = references.iter().find(|one| folded(one) == folded(dn)) else {
            return Ok(());
        };
        let reference = vec![reference.as_bytes().to_vec()];
        let mut modifications =
            vec![Modification::Delete(method.token_attribute().into(), reference)];
        if method == Method::Totp && references.len() == 1 && account.is_a(method.user_class()) {
            let class = vec![method.user_class().as_bytes().to_vec()];
            modifications.push(Modification::Delete(attribute::OBJECT_CLASS.into(), class));
        }
        Ok(self.directory.modify(account.dn(), &modifications).await?)
    }

    /// Takes back a token that could not be assigned, as far as that is possible.
    async fn withdraw(&self, dn: &str, accounts: &[Entry], method: Method) {
        for account in accounts {
            let read = self.directory.read(account.dn(), ANY, &REFERRING).await;
            if let Ok(Some(account)) = read {
                let _ = self.unassign(&account, method, dn).await;
            }
        }
        if let Err(error) = self.directory.delete(dn).await {
            tracing::warn!(%error, token = dn, "a token that could not be assigned is still there");
        }
    }

    async fn id_at(&self, dn: &str, method: Method) -> Result<TokenId, StoreError> {
        let entry = self.token_at(dn, method).await?;
        let entry = entry.ok_or_else(|| StoreError::not_found("token entry", dn))?;
        Ok(entry.identifier(attribute::ENTRY_UUID)?)
    }
}

fn refers(account: &Entry, dn: &str) -> Result<bool, StoreError> {
    Ok(references(account)?.into_iter().any(|one| folded(one) == folded(dn)))
}

fn no_place(what: &str, cause: &str) -> StoreError {
    StoreError::NoPlace { what: what.to_owned(), cause: cause.to_owned() }
}

fn described(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Hotp { algorithm, digits } => {
            format!("{algorithm:?} and {} digits", digits.length())
        }
        TokenKind::Totp { algorithm, digits, period } => {
            format!("{algorithm:?}, {} digits and {period} s", digits.length())
        }
        TokenKind::Remote { .. } | TokenKind::Delivered { .. } => "no shared secret".to_owned(),
    }
}

const ANY: &str = "(objectClass=*)";
const REFERRING: [&str; 4] =
    [attribute::OBJECT_CLASS, attribute::ENTRY_UUID, attribute::HOTP_TOKEN, attribute::TOTP_TOKEN];
