//! Whether the name that a KDC sends leads to an account, and whether a token of it can do what
//! the client demands.

use countersign_core::domain::account::Authentication;

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
        let demanded = &self.client.settings.indicators;
        let fits = |token: &&TokenView| {
            !token.disabled && demanded.iter().all(|word| token.indicators.contains(word))
        };
        if let Authentication::Upstream(upstream) = &view.account.authentication {
            let finding = format!("upstream.{upstream} decides about the account {name}");
            findings.good(object, finding);
            return;
        }
        if view.tokens.iter().any(|token| fits(&token)) {
            return;
        }
        let finding = match &demanded[..] {
            [] => format!("the account {name} has no token that is switched on"),
            words => format!(
                "no token of the account {name} has the indicators that {} demands: {}",
                self.client.object(),
                words.join(", ")
            ),
        };
        findings.error(object, finding, "countersign token add; or token set --indicator");
    }
}

const REALM: &str = "add the account; or let the names agree: realm of the account or of [site], \
     default-realm of the client, strip_realm of the token type, or \"username\" of the user \
     string";
