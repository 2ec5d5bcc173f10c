//! Whether the name that a KDC sends leads to an account, and whether a token of it can do what
//! the client demands.

use super::{Asked, client::KdcClient};
use crate::app::{
    admin::{AccountView, TokenView},
    examine::{Finding, Findings},
};

impl Asked {
    /// The name by which the account is looked up.
    #[must_use]
    pub fn login(&self) -> String {
        login(&self.step.user_name, &self.client)
    }

    /// What follows from the answer about that name.
    #[must_use]
    pub fn examine(&self, account: Result<&AccountView, String>) -> Vec<Finding> {
        let mut findings = Findings::default();
        let object = format!("principal {}", self.principal);
        match account {
            Err(error) => {
                let finding = format!(
                    "for the user {:?} of {}: {error}",
                    self.step.user_name,
                    self.client.object()
                );
                findings.error(&object, finding, REALM);
            }
            Ok(view) => self.account(&object, view, &mut findings),
        }
        findings.into_vec()
    }

    fn account(&self, object: &str, view: &AccountView, findings: &mut Findings) {
        let name = &view.account.name;
        findings.good(object, format!("{:?} is the account {name}", self.step.user_name));
        if view.account.disabled {
            let finding = format!("the account {name} is disabled");
            findings.error(object, finding, &format!("countersign account enable {name}"));
        }
        let demanded = &self.client.indicators;
        let fits = |token: &&TokenView| {
            !token.disabled && demanded.iter().all(|word| token.indicators.contains(word))
        };
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
        findings.warning(
            object,
            finding,
            "countersign token add, or token set --indicator; an \
             account that an upstream decides about needs none here",
        );
    }
}

/// A name without a realm gets the client's.
#[must_use]
pub fn login(user_name: &str, client: &KdcClient) -> String {
    match &client.default_realm {
        Some(realm) if !user_name.contains('@') => format!("{user_name}@{realm}"),
        Some(_) | None => user_name.to_owned(),
    }
}

const REALM: &str = "add the account; or let the names agree: realm of the account or of [site], \
     default-realm of the client, strip_realm of the token type, or \"username\" of the user \
     string";
