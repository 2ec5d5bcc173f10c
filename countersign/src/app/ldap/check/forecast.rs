//! What would become of a bind: from the name to the account, its tokens, their parameters and
//! state. No secret, no OTP.

use countersign_core::{
    domain::{
        dn::Dn,
        lockout::{Gate, gate},
        token::TokenKind,
    },
    ldap::{
        account::{self, AccountEntry, TokenReference},
        entry::Entry,
        filter,
        parameters::{self, ParametersEntry},
        token::{self, TokenEntry},
    },
    time::UnixTime,
};

use super::population::{Population, SecretState, over, secret_state};
use crate::{
    app::{examine::Findings, ldap::config::Wanted},
    config::{
        Config,
        back_sock::{PasswordBy, WithoutToken},
        directory::DirectorySettings,
    },
    directory::{Directory, DirectoryError, Scope, Search},
};

/// What the forecast rests on.
pub(super) struct Asked<'a> {
    pub(super) config: &'a Config,
    pub(super) settings: &'a DirectorySettings,
    pub(super) wanted: &'a Wanted,
    pub(super) keys: &'a [String],
    pub(super) now: UnixTime,
}

impl Asked<'_> {
    /// Follows a bind of this name.
    pub(super) async fn examine(
        &self,
        directory: &Directory,
        population: &Population,
        name: &str,
        findings: &mut Findings,
    ) {
        let object = format!("bind {name}");
        match self.entry(directory, name).await {
            Err(error) => findings.error(&object, error.to_string(), "see above"),
            Ok(None) => self.nobody(&object, findings),
            Ok(Some(entry)) => self.account(&object, &entry, population, findings),
        }
    }

    /// By its name, or by the login name.
    async fn entry(
        &self,
        directory: &Directory,
        name: &str,
    ) -> Result<Option<Entry>, DirectoryError> {
        let mapping = &self.settings.mapping.account;
        let attributes = account::attributes(mapping);
        if Dn::parse(name).is_ok() {
            return directory.read(name, &mapping.filter, &attributes).await;
        }
        let found = filter::all(&[mapping.filter.clone(), filter::equals(&mapping.name, name)]);
        let search = Search {
            base: &self.settings.account_base,
            scope: Scope::Subtree,
            filter: &found,
            attributes: &attributes,
            limit: 2,
        };
        let mut entries = directory.search(&search).await?;
        Ok(if entries.len() == 1 { entries.pop() } else { None })
    }

    fn nobody(&self, object: &str, findings: &mut Findings) {
        let filter = &self.settings.mapping.account.filter;
        findings.error(
            object,
            format!("no such account, or not one by the filter {filter}, or several"),
            "correct the name, or directory.account.filter",
        );
    }

    pub(super) fn account(
        &self,
        object: &str,
        entry: &Entry,
        population: &Population,
        findings: &mut Findings,
    ) {
        let read = match account::read(entry, &self.settings.mapping.account, None) {
            Ok(read) => read,
            Err(error) => return findings.error(object, error.to_string(), "correct the entry"),
        };
        findings.good(object, format!("the account is {}", entry.dn()));
        self.place(object, entry.dn(), findings);
        self.validity(object, &read, findings);
        self.password(object, &read, findings);
        if read.tokens.is_empty() {
            return self.without_token(object, findings);
        }
        for reference in &read.tokens {
            self.token(object, reference, population, findings);
        }
    }

    /// Whether the bind reaches us at all.
    fn place(&self, object: &str, dn: &str, findings: &mut Findings) {
        let (Some(back_sock), Ok(name)) = (&self.config.back_sock, Dn::parse(dn)) else { return };
        if !back_sock.accounts.iter().any(|base| name.is_within(base)) {
            let finding =
                "it is below none of back-sock.accounts, so a bind that comes here is refused";
            return findings.error(object, finding, "add its place to back-sock.accounts");
        }
        let kind = &self.wanted.attributes.account;
        let value = name.leaf_value(kind);
        let is_plain = |value: &str| {
            value.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet))
        };
        if self.wanted.names == "a-z0-9._-" && !value.is_some_and(is_plain) {
            let finding = format!(
                "the usual pattern of overlay sock wants {kind}=… of letters, digits, . _ -"
            );
            findings.warning(object, finding, "countersign ldap config overlay --names a-z0-9._@-");
        }
    }

    fn validity(&self, object: &str, read: &AccountEntry, findings: &mut Findings) {
        let validity = &read.account.validity;
        let early = validity.not_before.is_some_and(|time| self.now < time);
        let late = validity.not_after.is_some_and(|time| self.now > time);
        if early || late {
            let finding = if early {
                "the account is not valid yet"
            } else {
                "the account is not valid any more"
            };
            findings.error(object, finding, "correct its validity");
        }
    }

    fn password(&self, object: &str, read: &AccountEntry, findings: &mut Findings) {
        let by_us = match &self.config.back_sock {
            Some(settings) => settings.password == PasswordBy::Check,
            None => true,
        };
        match (by_us, read.password.len()) {
            (false, _) => findings.good(object, "slapd checks the static password"),
            (true, 0) => findings.error(
                object,
                "no userPassword can be seen, so no password is right",
                "countersign ldap config access",
            ),
            (true, count) => findings.good(
                object,
                format!("the static password is checked here (values of userPassword: {count})"),
            ),
        }
    }

    fn without_token(&self, object: &str, findings: &mut Findings) {
        let by_slapd = self.config.back_sock.as_ref().map(|settings| settings.without_token);
        let (finding, remedy) = match by_slapd {
            Some(WithoutToken::Continue) => (
                "it has no token: slapd decides by the password alone",
                "give it a token, or without-token = \"refuse\" in [back-sock]",
            ),
            Some(WithoutToken::Refuse) | None => {
                ("it has no token, so it is refused", "countersign token add")
            }
        };
        findings.warning(object, finding, remedy);
    }

    fn token(
        &self,
        object: &str,
        reference: &TokenReference,
        population: &Population,
        findings: &mut Findings,
    ) {
        let Some(entry) = find(&population.tokens, &reference.dn) else {
            let finding = format!("the token {} is not there, or we may not see it", reference.dn);
            return findings.error(
                object,
                finding,
                "correct the reference; countersign ldap config access",
            );
        };
        let read = match token::read(entry, reference.method, &self.settings.mapping.token) {
            Ok(read) => read,
            Err(error) => return findings.error(object, error.to_string(), "correct the entry"),
        };
        let set = match self.parameters(&read, population) {
            Ok(set) => set,
            Err(error) => return findings.error(object, error, "correct the parameters"),
        };
        self.state(object, &read, &set, findings);
    }

    fn parameters(
        &self,
        read: &TokenEntry,
        population: &Population,
    ) -> Result<ParametersEntry, String> {
        let Some(dn) = &read.parameters else { return Ok(ParametersEntry::absent(read.method)) };
        let entry = find(&population.parameters, dn)
            .ok_or_else(|| format!("the parameters {dn} are not there, or we may not see them"))?;
        parameters::read(entry, read.method).map_err(|error| error.to_string())
    }

    fn state(
        &self,
        object: &str,
        read: &TokenEntry,
        set: &ParametersEntry,
        findings: &mut Findings,
    ) {
        let dn = &read.dn;
        let secret = match secret_state(read, self.keys) {
            SecretState::Usable => None,
            SecretState::Waits => Some("waits for its enrolment".to_owned()),
            SecretState::Hidden => Some("has no oathSecret that we can see".to_owned()),
            SecretState::Damaged(error) => {
                Some(format!("has an oathSecret that cannot be read: {error}"))
            }
            SecretState::Unknown(key) => {
                Some(format!("is encrypted to the key {key}, which is not here"))
            }
        };
        if let Some(why) = secret {
            return findings.error(
                object,
                format!("the token {dn} {why}"),
                "enrol it, or add the key",
            );
        }
        if let Some(why) = over(read, set, self.now) {
            return findings.error(object, format!("the token {dn}: {why}"), "enrol it anew");
        }
        match gate(read.position.failures(None), &self.config.policy.lockout, self.now) {
            Gate::Open => {}
            Gate::Throttled { until } => {
                let seconds = until.since(self.now);
                let finding = format!("after failures the account has to wait for {seconds} s");
                findings.warning(object, finding, "wait");
            }
            Gate::LockedOut { .. } => findings.error(
                object,
                format!("the account is locked after failures (oathFailureCount of {dn})"),
                "countersign account unlock, or delete oathFailureCount",
            ),
        }
        findings.good(object, expected(read, set));
    }
}

/// What has to be typed.
fn expected(read: &TokenEntry, set: &ParametersEntry) -> String {
    let identifier = read.identifier.as_ref().map_or(String::new(), |text| format!("{text:?}, "));
    let (digits, how) = match &set.kind {
        TokenKind::Hotp { digits, .. } => {
            let next = read.position.counter(None).next;
            let ahead = set.parameters.look_ahead.map_or(String::new(), |ahead| {
                format!(" to {}", next.saturating_add(ahead.into()))
            });
            (digits.length(), format!("of the counters {next}{ahead}"))
        }
        TokenKind::Totp { digits, period, .. } => {
            (digits.length(), format!("another one every {period} s"))
        }
        TokenKind::Delivered { .. } | TokenKind::Remote { .. } => return String::new(),
    };
    format!("what is typed: password, {identifier}OTP of {digits} digits, {how} ({})", read.dn)
}

fn find<'a>(entries: &'a [Entry], dn: &str) -> Option<&'a Entry> {
    let dn = Dn::parse(dn).ok()?;
    entries.iter().find(|entry| Dn::parse(entry.dn()).is_ok_and(|found| found == dn))
}
