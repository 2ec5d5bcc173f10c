//! Which requests are looked at: whose, for which entries.

use std::time::Duration;

use countersign_core::{
    domain::dn::Dn,
    wire::backsock::{Answer, Bind, Compare, Origin, ResultCode},
};

use crate::config::back_sock::BackSockSettings;

/// By what slapd's requests are judged before anybody is asked about them.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The users who may connect, by number; root and the daemon's user if empty.
    pub users: Vec<u32>,
    /// The suffixes of databases that slapd may ask for.
    pub suffixes: Vec<Dn>,
    /// What accounts are below.
    pub accounts: Vec<Dn>,
    /// What tokens are below; they can be compared with.
    pub tokens: Vec<Dn>,
    /// How many requests are answered at once. slapd has a thread for each, and needs some
    /// itself to answer our own questions.
    pub max_requests: usize,
    /// After this time slapd is told that we are busy, whatever is still being decided.
    pub time_limit: Duration,
}

impl From<&BackSockSettings> for Rules {
    fn from(settings: &BackSockSettings) -> Self {
        Self {
            users: settings.socket.users.clone(),
            suffixes: settings.suffixes.clone(),
            accounts: settings.accounts.clone(),
            tokens: settings.tokens.clone(),
            max_requests: settings.max_requests,
            time_limit: settings.time_limit,
        }
    }
}

impl Rules {
    /// The answer to a bind that nobody needs to be asked about.
    pub(super) fn judge_bind(&self, bind: &Bind) -> Option<Answer> {
        let is_ours = self.knows(&bind.origin) && is_below(&bind.dn, &self.accounts);
        (!is_ours).then(|| Answer::of(ResultCode::INVALID_CREDENTIALS))
    }

    /// The answer to a comparison that nobody needs to be asked about. Only slapd knows
    /// other values, and values of other entries.
    pub(super) fn judge_compare(&self, compare: &Compare) -> Option<Answer> {
        if !self.knows(&compare.origin) {
            return Some(Answer::of(ResultCode::INVALID_CREDENTIALS));
        }
        let is_ours = is_below(&compare.dn, &self.accounts) || is_below(&compare.dn, &self.tokens);
        let is_ours = is_ours && compare.is_about_otp();
        (!is_ours).then_some(Answer::Continue)
    }

    /// Whether a request is for a database that slapd may ask for.
    fn knows(&self, origin: &Origin) -> bool {
        let is_known =
            |suffix: &String| Dn::parse(suffix).is_ok_and(|dn| self.suffixes.contains(&dn));
        !origin.suffixes.is_empty() && origin.suffixes.iter().all(is_known)
    }
}

fn is_below(dn: &str, bases: &[Dn]) -> bool {
    let Ok(dn) = Dn::parse(dn) else { return false };
    bases.iter().any(|base| dn != *base && dn.is_within(base))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn rules() -> Rules {
        let names = |texts: &[&str]| texts.iter().map(|text| Dn::parse(text).unwrap()).collect();
        Rules {
            users: Vec::new(),
            suffixes: names(&["dc=example,dc=test", "o=other"]),
            accounts: names(&["ou=accounts,dc=example,dc=test"]),
            tokens: names(&["cn=otp,dc=example,dc=test"]),
            max_requests: 2,
            time_limit: Duration::from_secs(30),
        }
    }

    fn origin(suffixes: &[&str]) -> Origin {
        let suffixes = suffixes.iter().map(|suffix| (*suffix).to_owned()).collect();
        Origin { suffixes, ..Origin::default() }
    }

    fn bind(dn: &str, suffixes: &[&str]) -> Option<Answer> {
        let (origin, dn) = (origin(suffixes), dn.to_owned());
        rules().judge_bind(&Bind { origin, dn, credentials: b"x".to_vec().into() })
    }

    fn compare(dn: &str, attribute: &str, suffixes: &[&str]) -> Option<Answer> {
        let (origin, dn, attribute) = (origin(suffixes), dn.to_owned(), attribute.to_owned());
        rules().judge_compare(&Compare { origin, dn, attribute, value: b"x".to_vec().into() })
    }

    const SUFFIX: &[&str] = &["dc=example,dc=test"];
    const REFUSED: Option<Answer> = Some(Answer::of(ResultCode::INVALID_CREDENTIALS));

    #[test]
    fn binds_are_looked_at_below_the_accounts_in_any_spelling() {
        for dn in
            ["uid=alice,ou=accounts,dc=example,dc=test", "UID=Al, OU=Accounts,dc=EXAMPLE,DC=test"]
        {
            assert_eq!(bind(dn, SUFFIX), None, "{dn}");
        }
    }

    #[test]
    fn binds_as_any_other_entry_are_refused() {
        for dn in [
            "",
            "no name",
            "ou=accounts,dc=example,dc=test",
            "uid=alice,ou=admins,dc=example,dc=test",
            "uid=alice,ou=accounts\\,dc=example,dc=test",
            "cn=admin,dc=example,dc=test",
            "serialNumber=1,cn=otp,dc=example,dc=test",
        ] {
            assert_eq!(bind(dn, SUFFIX), REFUSED, "{dn}");
        }
    }

    #[test]
    fn requests_for_another_database_are_refused() {
        let alice = "uid=alice,ou=accounts,dc=example,dc=test";
        let mixed: &[&str] = &["dc=example,dc=test", "dc=foreign"];
        for suffixes in [&[][..], &["dc=foreign"], &["DC=test"], &["no name"], mixed] {
            assert_eq!(bind(alice, suffixes), REFUSED, "{suffixes:?}");
            assert_eq!(compare(alice, "oathHOTPValue", suffixes), REFUSED, "{suffixes:?}");
        }
        assert_eq!(bind(alice, &["O=Other", "dc=Example, dc=test"]), None);
    }

    #[test]
    fn otps_are_compared_with_accounts_and_tokens_and_all_else_is_left_to_slapd() {
        for dn in ["uid=al,ou=accounts,dc=example,dc=test", "cn=1,cn=otp,dc=example,dc=test"] {
            assert_eq!(compare(dn, "oathHOTPValue", SUFFIX), None, "{dn}");
            assert_eq!(compare(dn, "userPassword", SUFFIX), Some(Answer::Continue), "{dn}");
        }
        let elsewhere = compare("cn=1,dc=example,dc=test", "oathHOTPValue", SUFFIX);
        assert_eq!(elsewhere, Some(Answer::Continue));
    }
}
