//! Tokens that are added, assigned and removed through the store; what it refuses to keep.

use countersign::store::SealedSecret;
use countersign_core::{
    domain::{
        account::{Account, Person},
        id::PersonId,
        name::Site,
        token::Token,
    },
    oath::hotp::{Algorithm, Digits},
};

use super::*;

fn rig(users: &[User]) -> Rig {
    Rig::with(&Setup::default(), users, as_administrator)
}

fn token(label: &str, accounts: &[AccountId]) -> Token {
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    let id = TokenId::from_bytes([9; 16]);
    Token { accounts: accounts.to_vec(), ..Token::new(id, label.into(), kind) }
}

fn secret() -> Option<SealedSecret> {
    Some(SealedSecret("plain:MTIzNDU2Nzg5MDEyMzQ1Njc4OTA".into()))
}

#[test]
fn a_token_is_added_below_its_base_and_the_account_refers_to_it() {
    let rig = rig(&[User::without_token("alice")]);
    block_on(async {
        let alice = rig.find("alice").await.unwrap().account;
        let new = Token {
            owner: alice.person,
            identifier: Some("ubhe00000042".into()),
            ..token("Alice's key, 2nd", &[alice.id])
        };
        let id = rig.store.insert_token(new.clone(), secret(), 5).await.unwrap();
        let subject = rig.find("alice").await.unwrap();
        let held = &subject.tokens[0];
        let expected = Token { id, ..new };
        assert_eq!(held.token, expected);
        assert_eq!((held.secret.clone(), held.counter), (secret(), at(5)));
        assert_eq!(rig.store.tokens(None, 9).await.unwrap(), [expected]);
        assert_eq!(rig.store.commit(spend(id, 5, 6)).await.unwrap(), DONE);

        rig.store.remove_token(id).await.unwrap();
        assert!(rig.find("alice").await.unwrap().tokens.is_empty());
        assert!(rig.store.tokens(None, 9).await.unwrap().is_empty());
        let gone = rig.store.remove_token(id).await;
        assert!(matches!(gone, Err(StoreError::NotFound { what: "token", .. })), "{gone:?}");
    });
}

#[test]
fn a_token_goes_from_one_account_to_another() {
    let rig = rig(&[User::totp("alice"), User::without_token("bob")]);
    block_on(async {
        let bob = rig.find("bob").await.unwrap().account.id;
        let before = rig.store.tokens(None, 9).await.unwrap().remove(0);
        let after = Token { accounts: vec![bob], ..before.clone() };
        rig.store.replace_token(before.clone(), after.clone()).await.unwrap();
        assert!(rig.find("alice").await.unwrap().tokens.is_empty());
        assert_eq!(rig.find("bob").await.unwrap().tokens[0].token, after);
        let late = rig.store.replace_token(before, after.clone()).await;
        assert!(matches!(late, Err(StoreError::Changed { .. })), "{late:?}");
        let disabled = Token { disabled: true, ..after.clone() };
        let refused = rig.store.replace_token(after, disabled).await;
        assert!(matches!(refused, Err(StoreError::NoPlace { .. })), "{refused:?}");
    });
}

#[test]
fn a_token_that_cannot_be_assigned_is_not_added() {
    let rig = rig(&[User::hotp("alice"), User::without_token("bob")]);
    block_on(async {
        let [alice, bob] = [rig.find("alice").await.unwrap(), rig.find("bob").await.unwrap()]
            .map(|subject| subject.account.id);
        let refused = rig.store.insert_token(token("second", &[bob, alice]), secret(), 0).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("a second token in oathHOTPToken of uid=alice"), "{error}");
        assert_eq!(rig.store.tokens(None, 9).await.unwrap().len(), 1);
        assert!(rig.find("bob").await.unwrap().tokens.is_empty());

        rig.store.insert_token(token("first", &[bob]), secret(), 0).await.unwrap();
        let again = rig.store.insert_token(token("first", &[]), secret(), 0).await;
        assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    });
}

#[test]
fn what_the_schema_has_no_place_for_is_refused_in_words() {
    let rig = rig(&[]);
    let remote = TokenKind::Remote { upstream: "other".into(), user_name: None };
    let eight = TokenKind::Hotp { algorithm: Algorithm::Sha256, digits: Digits::SIX };
    let sealed = Some(SealedSecret("c2VhbGVk".into()));
    block_on(async {
        for (new, secret, expected) in [
            (Token { kind: remote, ..token("a", &[]) }, None, "a token of this type"),
            (Token { kind: eight, ..token("a", &[]) }, secret(), "want Sha1 and 6 digits"),
            (Token { disabled: true, ..token("a", &[]) }, secret(), "unassign it instead"),
            (
                Token { indicators: vec!["hardware".into()], ..token("a", &[]) },
                secret(),
                "no place for indicators",
            ),
            (token("a", &[]), sealed, "directory.keys must name a key"),
        ] {
            let error = rig.store.insert_token(new, secret, 0).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(rig.store.tokens(None, 9).await.unwrap().is_empty());
    });
}

#[test]
fn accounts_and_persons_are_left_to_the_directory() {
    let rig = rig(&[User::without_token("alice")]);
    block_on(async {
        let account = Account::new(AccountId::from_bytes([1; 16]), "new".into());
        let person = Person { id: PersonId::from_bytes([1; 16]), name: "New".into(), mail: None };
        for refused in [
            rig.store.insert_account(account.clone(), Site::default()).await,
            rig.store.replace_account(account.clone(), account.clone(), Site::default()).await,
            rig.store.remove_account(account.id).await,
            rig.store.put_person(person).await,
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("change it there, by the directory's own tools"), "{error}");
        }
        let accounts = rig.store.accounts(None, 9).await.unwrap();
        assert_eq!(accounts.len(), 1);
        assert_eq!((accounts[0].name.as_str(), accounts[0].person.is_some()), ("alice", true));
    });
}

#[test]
fn more_accounts_than_one_page_are_listed() {
    let users: Vec<_> = (0..1_203).map(|n| User::without_token(&format!("u{n:04}"))).collect();
    let rig = rig(&users);
    block_on(async {
        let (mut after, mut names) = (None, Vec::new());
        loop {
            let page = rig.store.accounts(after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            names.extend(page.into_iter().map(|account| account.name));
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1_203);
    });
}
