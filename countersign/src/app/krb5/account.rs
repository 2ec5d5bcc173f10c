//! Whether the name that a KDC sends leads to an account, and whether a token of it can do what
//! the client demands.

use countersign_core::domain::{account::Authentication, lockout::Gate};

use super::Asked;
use crate::app::{
    admin::{AccountView, TokenView},
    examine::{Finding, Findings},
};

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The account of this login name is looked up.
    Here(String),
    /// It is sent on to this upstream.
    Upstream(String),
    /// It is refused, because no login name can stand for it.
    Nowhere(String),
}

impl Asked {
    /// What becomes of it.
    #[must_use]
    pub fn way(&self) -> Way {
        match self.client.login(&self.step.user_name) {
            Ok((_, Some(upstream))) => Way::Upstream(upstream),
            Ok((login, None)) => Way::Here(login),
            Err(error) => Way::Nowhere(error.to_string()),
        }
    }

    /// What follows for one that no account is looked up for.
    #[must_use]
    pub fn elsewhere(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let (object, asked) = (self.object(), self.described());
        match self.way() {
            Way::Here(_) => {}
            Way::Upstream(upstream) => {
                let finding = format!("{asked} is sent on to upstream.{upstream}");
                findings.good(&object, finding);
            }
            Way::Nowhere(error) => findings.error(&object, format!("{asked}: {error}"), REALM),
        }
        findings.into_vec()
    }

    /// What follows from the answer about the account.
    #[must_use]
    pub fn examine(&self, account: Result<&AccountView, String>) -> Vec<Finding> {
        let mut findings = Findings::default();
        match account {
            Err(error) => {
                let finding = format!("{}: {error}", self.described());
                findings.error(&self.object(), finding, REALM);
            }
            Ok(view) => self.account(&self.object(), view, &mut findings),
        }
        findings.into_vec()
    }

    /// What follows if the daemon runs, but says nothing about the account.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let finding = format!("{}: the daemon runs and does not answer", self.described());
        findings.error(&self.object(), finding, "look at its log, and restart it");
        findings.into_vec()
    }

    fn object(&self) -> String {
        format!("principal {}", self.principal)
    }

    fn described(&self) -> String {
        format!("the user {:?} of {}", self.step.user_name, self.client.object())
    }

    fn account(&self, object: &str, view: &AccountView, findings: &mut Findings) {
        let name = &view.account.name;
        findings.good(object, format!("{:?} is the account {name}", self.step.user_name));
        if view.account.disabled {
            let finding = format!("the account {name} is disabled");
            findings.error(object, finding, &format!("countersign account enable {name}"));
        }
        if let Gate::LockedOut { .. } = view.gate {
            let finding = format!("the account {name} is locked after {} failures", view.failures);
            findings.error(object, finding, &format!("countersign account unlock {name}"));
        }
        if let Authentication::Upstream(upstream) = &view.account.authentication {
            let finding = format!("upstream.{upstream} decides about the account {name}");
            findings.good(object, finding);
            return;
        }
        self.tokens(object, view, findings);
    }

    /// One that is good enough and switched on is enough. Commands name tokens by what no other
    /// token has.
    fn tokens(&self, object: &str, view: &AccountView, findings: &mut Findings) {
        let (name, demanded) = (&view.account.name, &self.client.settings.indicators);
        let fits = |token: &&TokenView| demanded.iter().all(|word| token.indicators.contains(word));
        if view.tokens.iter().filter(fits).any(|token| !token.disabled) {
            return;
        }
        let words = demanded.join(", ");
        let (finding, cure) = match (view.tokens.iter().find(fits), view.tokens.first()) {
            (Some(token), _) => (
                format!("the token {:?} of the account {name} is disabled", token.label),
                format!("countersign token enable {}", token.id),
            ),
            (None, Some(token)) => (
                format!(
                    "no token of the account {name} has the indicators that {} demands: {words}",
                    self.client.object()
                ),
                format!(
                    "countersign token set {}{}; or give it another token",
                    token.id,
                    options(token, demanded)
                ),
            ),
            (None, None) => (
                format!("the account {name} has no token"),
                format!("countersign token add {name} --type totp{}", listed(demanded.iter())),
            ),
        };
        findings.error(object, finding, &cure);
    }
}

/// `token set` replaces all that there are.
fn options(token: &TokenView, demanded: &[String]) -> String {
    let missing = demanded.iter().filter(|word| !token.indicators.contains(word));
    listed(token.indicators.iter().chain(missing))
}

fn listed<'a>(indicators: impl Iterator<Item = &'a String>) -> String {
    indicators.map(|word| format!(" --indicator {word}")).collect()
}

const REALM: &str = "add the account; or let the names agree: realm of the account or of [site], \
     default-realm of the client, strip_realm of the token type, or \"username\" of the user \
     string";
