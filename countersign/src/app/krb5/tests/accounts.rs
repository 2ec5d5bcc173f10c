//! What is said of the account that a principal leads to.

use countersign_core::domain::{account::Validity, id::TokenId, token::TokenKind};

use super::*;
use crate::app::admin::TokenView;

#[tokio::test]
async fn an_account_must_be_there_and_have_a_token_that_can_do_what_is_demanded() {
    let place = Place::new(VPN);
    let examined = place.check(STRING, &[place.client()]).await;
    let asked = &examined.asked[0];
    let missing = asked.examine(Err("there is no account \"alice\"".into()));
    assert!(missing[0].grade == Grade::Error && missing[0].remedy.contains("strip_realm"));
    let found = asked.examine(Ok(&view(&["alice"])));
    assert_eq!(found[0].grade, Grade::Good);
    assert!(found[1].finding.contains("has no token"), "{found:?}");
    assert_eq!(found[1].grade, Grade::Error);
    let mut far = view(&["alice"]);
    far.account.authentication = Authentication::Upstream("rsa".into());
    let found = asked.examine(Ok(&far));
    assert!(found[1].grade == Grade::Good && found[1].finding.contains("upstream.rsa"));
    let mut disabled = view(&["alice"]);
    disabled.account.disabled = true;
    assert!(asked.examine(Ok(&disabled)).iter().any(|found| found.grade == Grade::Error));
}

const ID: TokenId = TokenId::from_bytes([1; 16]);

fn token(label: &str, indicators: &[&str]) -> TokenView {
    TokenView {
        id: ID,
        label: label.into(),
        kind: TokenKind::Remote { upstream: "rsa".into(), user_name: None },
        owner: None,
        accounts: Vec::new(),
        pin: false,
        indicators: indicators.iter().map(|word| (*word).to_owned()).collect(),
        disabled: false,
        validity: Validity::default(),
        counter: None,
    }
}

#[tokio::test]
async fn what_keeps_an_account_out_is_named_with_the_command_against_it() {
    let place = Place::new(VPN);
    let asked = place.check(STRING, &[place.client()]).await.asked.remove(0);
    let with = |tokens: Vec<TokenView>, gate| AccountView { tokens, gate, ..view(&["alice"]) };
    let disabled = TokenView { disabled: true, ..token("key 7", &["otp"]) };
    let locked = Gate::LockedOut { until: None };
    for (view, word, remedy) in [
        (with(vec![], Gate::Open), "has no token", "token add alice --type totp --indicator otp"),
        (with(vec![disabled], Gate::Open), "is disabled", &*format!("token enable {ID}")),
        (
            with(vec![token("key 7", &["gold"])], Gate::Open),
            "demands: otp",
            &*format!("token set {ID} --indicator gold --indicator otp"),
        ),
        (with(vec![token("key 7", &["otp"])], locked), "locked", "account unlock alice"),
    ] {
        let found = asked.examine(Ok(&view));
        let [_, found] = &found[..] else { panic!("{found:#?}") };
        assert!(found.finding.contains(word) && found.grade == Grade::Error, "{found:?}");
        assert!(found.remedy.contains(remedy), "{found:?}");
    }
    let good = with(vec![token("key 7", &["otp", "gold"])], Gate::Open);
    assert_eq!(asked.examine(Ok(&good)).len(), 1);
    let unanswered = asked.unanswered();
    assert!(unanswered[0].finding.contains("does not answer"), "{unanswered:?}");
}
