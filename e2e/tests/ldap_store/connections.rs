//! Connections to slapd: lost, refused, over TLS, as somebody else.

use super::*;
use crate::support::openssl::Authority;

#[test]
fn a_server_that_is_gone_is_said_and_found_again() {
    let mut rig = Rig::new(&[User::hotp("alice")]);
    block_on(async {
        let token = rig.find("alice").await.unwrap().tokens[0].token.id;
        rig.slapd.kill();
        let error = rig.store.find(key("alice").key()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
        let error = rig.store.commit(spend(token, 0, 1)).await.unwrap_err();
        assert!(error.to_string().contains("is the server running?"), "{error}");
        assert!(rig.store.health().is_err());

        rig.slapd.run();
        assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter, at(0));
        assert!(rig.store.health().is_ok());
        assert_eq!(rig.store.commit(spend(token, 0, 1)).await.unwrap(), DONE);
    });
}

#[test]
fn health_finds_out_by_itself_that_the_server_is_back() {
    let mut rig = Rig::new(&[User::hotp("alice")]);
    block_on(async {
        assert!(rig.find("alice").await.is_some());
        rig.slapd.kill();
        assert!(rig.store.find(key("alice").key()).await.is_err());
        rig.slapd.run();
        let opened = rig.store.directory().connections_opened();
        while rig.store.health().is_err() {
            tokio::task::yield_now().await;
        }
        assert!(rig.store.directory().connections_opened() > opened);
    });
}

#[test]
fn a_restart_between_reading_and_moving_is_not_noticed() {
    let mut rig = Rig::new(&[User::hotp("alice")]);
    block_on(async {
        for next in 0..3 {
            let token = rig.find("alice").await.unwrap().tokens[0].token.id;
            rig.slapd.restart();
            assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter.next, next);
            assert_eq!(rig.store.commit(spend(token, next, next + 1)).await.unwrap(), DONE);
        }
    });
}

#[test]
fn over_tls_the_server_must_be_who_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (identity, trust) = slapd::tls(directory.path());
    let setup = Setup { tls: Some((identity, trust.clone())), ..Setup::default() };
    let rig = Rig::with(&setup, &[User::hotp("alice")], as_administrator);
    let with_trust = |trust: Option<std::path::PathBuf>, url: String| {
        let mut settings = settings(&rig.slapd);
        as_administrator(&mut settings);
        settings.server.url = url;
        settings.server.trust = trust;
        open(&settings, rig.local.clone())
    };
    let url = format!("ldaps://localhost:{}", rig.slapd.tls_port);
    block_on(async {
        let store = with_trust(Some(trust.clone()), url.clone());
        assert!(store.find(key("alice").key()).await.unwrap().is_some());
        let (_, other) = slapd::tls(&rig.path().join("other"));
        for store in [with_trust(None, url.clone()), with_trust(Some(other), url)] {
            let error = store.find(key("alice").key()).await.unwrap_err().to_string();
            assert!(error.contains("cannot be reached"), "{error}");
            assert!(error.contains("certificate"), "{error}");
        }
    });
}

#[test]
fn over_tls_the_directory_knows_us_by_our_certificate() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(directory.path(), "ldap-ca");
    let identity = authority.issue("server", "localhost", "EXAMPLE");
    let setup = Setup { tls: Some((identity, authority.certificate())), ..Setup::default() };
    let rig = Rig::with(&setup, &[], |_| {});
    let own = authority.issue("machine", "validator", "EXAMPLE");
    let mut settings = settings(&rig.slapd);
    settings.server.url = format!("ldaps://localhost:{}", rig.slapd.tls_port);
    settings.server.trust = Some(authority.certificate());
    settings.server.identity = Some((own.certificate, own.key));
    let store = open(&settings, rig.local.clone());
    block_on(async {
        assert_eq!(store.directory().who_am_i().await.unwrap(), "dn:cn=validator");
    });
}

#[test]
fn a_bind_that_is_refused_says_as_whom() {
    let rig = Rig::with(&Setup::default(), &[], |settings| {
        settings.server.bind =
            Some(("cn=admin,dc=example,dc=test".into(), "wrong".to_owned().into()));
    });
    block_on(async {
        let error = rig.store.find(key("alice").key()).await.unwrap_err().to_string();
        let expected = "the bind as cn=admin,dc=example,dc=test was refused: result code 49";
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("wrong"), "{error}");
    });
}

#[test]
fn the_directory_knows_us_by_the_socket() {
    let rig = Rig::new(&[]);
    block_on(async {
        let who = rig.store.directory().who_am_i().await.unwrap();
        assert_eq!(who, "dn:uid=validator,ou=services,dc=example,dc=test");
    });
}

#[test]
fn a_counter_that_must_not_be_written_is_an_error_and_no_conflict() {
    let alice = User::hotp("alice");
    let access = vec!["to * by * read".to_owned()];
    let setup = Setup { access: Some(access), ..Setup::default() };
    let rig = Rig::with(&setup, std::slice::from_ref(&alice), |_| {});
    block_on(async {
        let token = rig.find("alice").await.unwrap().tokens[0].token.id;
        let error = rig.store.commit(spend(token, 0, 1)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("refused to modify {:?}", alice.token_dn())), "{error}");
        assert!(error.contains("result code 50"), "{error}");
    });
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let rig = Rig::new(&[]);
    let mut settings = settings(&rig.slapd);
    settings.server = server("ldapi:///nowhere/ldapi".into());
    let store = open(&settings, rig.local.clone());
    block_on(async {
        let error = store.find(key("alice").key()).await.unwrap_err().to_string();
        assert!(error.contains("ldapi:///nowhere/ldapi cannot be reached"), "{error}");
        assert!(error.contains("is this the path of its socket?"), "{error}");
    });
}
