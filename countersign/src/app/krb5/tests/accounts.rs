//! What is said of the account that a principal leads to.

use super::*;

#[tokio::test]
async fn an_account_must_be_there_and_have_a_token_that_can_do_what_is_demanded() {
    let place = Place::new(VPN);
    let examined = place.check(STRING, &[place.client()]).await;
    let asked = &examined.asked[0];
    let missing = asked.examine(Err("there is no account \"alice\"".into()));
    assert!(missing[0].grade == Grade::Error && missing[0].remedy.contains("strip_realm"));
    let found = asked.examine(Ok(&view(&["alice"])));
    assert_eq!(found[0].grade, Grade::Good);
    assert!(found[1].finding.contains("demands: otp"), "{found:?}");
    assert_eq!(found[1].grade, Grade::Error);
    let mut far = view(&["alice"]);
    far.account.authentication = Authentication::Upstream("rsa".into());
    let found = asked.examine(Ok(&far));
    assert!(found[1].grade == Grade::Good && found[1].finding.contains("upstream.rsa"));
    let mut disabled = view(&["alice"]);
    disabled.account.disabled = true;
    assert!(asked.examine(Ok(&disabled)).iter().any(|found| found.grade == Grade::Error));
}
