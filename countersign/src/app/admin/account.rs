//! Accounts: add, list, show, set, switch, unlock, remove.

use countersign_core::{
    domain::{
        account::{Account, Authentication, Person},
        counter::{Change, FailureCounter, Move},
        id::{AccountId, PersonId},
        lockout::gate,
        name::LoginName,
        subject::{Holding, Subject},
    },
    pki::{dn::DistinguishedName, extension::Sid},
};

use super::{
    AccountFields, AccountName, AccountView, Admin, AdminError, AdminReply, MAX_PAGE, NewPerson,
    Setting, TokenView, check_validity, error::apply, login_of, name::apply_names,
};
use crate::{
    store::{Committed, SealedSecret},
    vault::random_octets,
};

impl Admin {
    pub(super) async fn account_add(
        &self,
        name: String,
        person: Option<NewPerson>,
        fields: AccountFields,
    ) -> Result<AdminReply, AdminError> {
        LoginName::parse_bare(&name).map_err(|cause| AdminError::field("name", &name, cause))?;
        let mut account = Account::new(AccountId::from_bytes(random_octets()), name);
        if fields.domain.is_none() && fields.realm.is_none() {
            account.domain = self.parts.site.domain.clone();
            account.realm = self.parts.site.realm.clone();
        }
        self.set_fields(&mut account, fields)?;
        let person = person.map(check_person).transpose()?;
        account.person = person.as_ref().map(|person| person.id);
        // The account first: its names may be taken, and then no person is to be left behind.
        let login = login_of(&account);
        self.parts.store.insert_account(account, self.parts.site.clone()).await?;
        if let Some(person) = person {
            self.parts.store.put_person(person).await?;
        }
        self.account_show(&login).await
    }

    pub(super) async fn account_list(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<AdminReply, AdminError> {
        Ok(AdminReply::Accounts(self.parts.store.accounts(after, limit.min(MAX_PAGE)).await?))
    }

    pub(super) async fn account_show(&self, name: &str) -> Result<AdminReply, AdminError> {
        let Subject { account, failures, tokens, .. } = self.subject(name).await?;
        let owner = match account.person {
            Some(id) => self.parts.store.person(id).await?,
            None => None,
        };
        let mut views = Vec::with_capacity(tokens.len());
        for Holding { token, counter, .. } in tokens {
            let accounts = self.names(&token.accounts).await?;
            views.push(TokenView::new(token, accounts, Some(counter)));
        }
        let logins = account.login_keys(&self.parts.site);
        Ok(AdminReply::Account(Box::new(AccountView {
            logins: logins.iter().map(|key| key.as_str().to_owned()).collect(),
            owner,
            failures: failures.failures,
            last_failure: (failures.failures > 0).then_some(failures.last),
            gate: gate(failures, &self.parts.policy.lockout, self.parts.clock.now()),
            tokens: views,
            account,
        })))
    }

    pub(super) async fn account_set(
        &self,
        name: &str,
        fields: AccountFields,
    ) -> Result<AdminReply, AdminError> {
        let before = self.subject(name).await?.account;
        let mut account = before.clone();
        self.set_fields(&mut account, fields)?;
        if account == before {
            return Err(AdminError::NothingToChange);
        }
        self.replace(before, account).await
    }

    pub(super) async fn account_switch(
        &self,
        name: &str,
        enabled: bool,
    ) -> Result<AdminReply, AdminError> {
        let before = self.subject(name).await?.account;
        let account = Account { disabled: !enabled, ..before.clone() };
        self.replace(before, account).await
    }

    pub(super) async fn account_unlock(&self, name: &str) -> Result<AdminReply, AdminError> {
        for _ in 0..MAX_ROUNDS {
            let Subject { account, failures: from, .. } = self.subject(name).await?;
            let to = FailureCounter::default();
            let failures = (from != to).then_some(Move { id: account.id, from, to });
            let change = Change { failures, tokens: Vec::new() };
            if change.is_empty() || self.parts.store.commit(change).await? == Committed::Done {
                return self.account_show(name).await;
            }
        }
        Err(AdminError::Busy(format!("account {name:?}")))
    }

    pub(super) async fn account_remove(&self, name: &str) -> Result<AdminReply, AdminError> {
        let Subject { account, tokens, .. } = self.subject(name).await?;
        self.parts.store.remove_account(account.id).await?;
        let left = tokens.into_iter().filter(|holding| holding.token.accounts == [account.id]);
        let left = left.map(|Holding { mut token, .. }: Holding<SealedSecret>| {
            token.accounts.clear();
            TokenView::new(token, Vec::new(), None)
        });
        Ok(AdminReply::AccountRemoved { left: left.collect(), account })
    }

    /// The accounts of these ids, as far as they are there, named.
    pub(super) async fn names(&self, ids: &[AccountId]) -> Result<Vec<AccountName>, AdminError> {
        let mut names = Vec::with_capacity(ids.len());
        for id in ids {
            names.extend(self.account(*id).await?.as_ref().map(AccountName::new));
        }
        Ok(names)
    }

    /// Not if it was changed meanwhile: what was done to it by somebody else is not undone.
    async fn replace(&self, from: Account, to: Account) -> Result<AdminReply, AdminError> {
        let login = login_of(&to);
        self.parts.store.replace_account(from, to, self.parts.site.clone()).await?;
        self.account_show(&login).await
    }

    fn set_fields(&self, account: &mut Account, fields: AccountFields) -> Result<(), AdminError> {
        let AccountFields { domain, realm, upn, dn, sid, not_before, not_after, upstream, groups } =
            fields;
        apply(&mut account.domain, domain, |domain| check_bare("domain", domain))?;
        apply(&mut account.realm, realm, |realm| check_bare("realm", realm))?;
        apply(&mut account.upn, upn, |upn| check_upn(upn))?;
        apply(&mut account.dn, dn, |dn| check_dn(dn))?;
        apply(&mut account.sid, sid, |sid| match sid.parse::<Sid>() {
            Ok(_) => Ok(()),
            Err(_) => Err(AdminError::field("SID", sid, "it must look like S-1-5-21-1-2-3-1001")),
        })?;
        apply(&mut account.validity.not_before, not_before, |_| Ok(()))?;
        apply(&mut account.validity.not_after, not_after, |_| Ok(()))?;
        check_validity(account.validity)?;
        apply_names("group", &mut account.groups, groups)?;
        let login = login_of(account);
        LoginName::parse(&login).map_err(|cause| AdminError::Name { name: login, cause })?;
        match upstream {
            None => {}
            Some(Setting::Clear) => account.authentication = Authentication::Tokens,
            Some(Setting::To(name)) => {
                self.check_upstream(&name)?;
                account.authentication = Authentication::Upstream(name);
            }
        }
        Ok(())
    }
}

fn check_person(NewPerson { name, mail }: NewPerson) -> Result<Person, AdminError> {
    if name.trim().is_empty() {
        return Err(AdminError::field("person", &name, "the name is empty"));
    }
    Ok(Person { id: PersonId::from_bytes(random_octets()), name, mail })
}

fn check_bare(field: &'static str, value: &str) -> Result<(), AdminError> {
    LoginName::parse_bare(value).map_err(|cause| AdminError::field(field, value, cause))?;
    Ok(())
}

fn check_upn(upn: &str) -> Result<(), AdminError> {
    if !upn.contains('@') || upn.contains('\\') {
        let cause = "it must look like alice@example.com";
        return Err(AdminError::field("UPN", upn, cause));
    }
    LoginName::parse(upn).map_err(|cause| AdminError::field("UPN", upn, cause))?;
    Ok(())
}

fn check_dn(dn: &str) -> Result<(), AdminError> {
    let name: DistinguishedName = dn.parse().map_err(|cause| AdminError::field("DN", dn, cause))?;
    if name.is_empty() {
        return Err(AdminError::field("DN", dn, "it is empty"));
    }
    name.to_name().map_err(|cause| AdminError::field("DN", dn, cause))?;
    Ok(())
}

/// How often an unlock is tried against attempts that fail at the same time.
const MAX_ROUNDS: usize = 32;

#[cfg(test)]
mod tests;
