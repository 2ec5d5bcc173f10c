//! What is written for a KDC.

use super::*;

fn written(client: KdcClient, wanted: &Wanted) -> Result<Stanza, StanzaError> {
    stanza::write(&[client], &[view(&["alice", "alice@otp.test"])], Some("otp.test"), wanted)
}

#[test]
fn the_stanza_of_a_socket_is_complete() {
    let place = Place::new("");
    let stanza = written(place.client(), &Wanted::default()).unwrap();
    let socket = place.path("otp.sock");
    let expected = format!(
        "[otp]\n    kdc = {{\n        server = {socket}\n        timeout = 5\n        strip_realm = false\n        indicator = otp\n    }}\n"
    );
    assert_eq!(stanza.profile, expected);
    let tool = ["kadmin.local", "-r", "OTP.TEST"];
    let add = ["addprinc", "-nokey", "+requires_preauth", "alice@OTP.TEST"];
    let set = ["setstr", "alice@OTP.TEST", "otp", r#"[{"type":"kdc"}]"#];
    assert_eq!(stanza.commands, [add, set].map(|words| [&tool[..], &words[..]].concat()));
    assert!(stanza.notes.iter().any(|note| note.contains("restart")));
}

#[test]
fn the_stanza_follows_what_is_wanted() {
    let place = Place::new("");
    let mut long = place.client();
    long.settings.deadline = Some(Duration::from_millis(29_500));
    let wanted = Wanted {
        token_type: Some("hard".into()),
        indicators: vec!["hardware".into()],
        strip_realm: true,
        realm: Some("Other.Test".into()),
        existing: true,
        ..Wanted::default()
    };
    let stanza = written(long, &wanted).unwrap();
    for line in ["hard = {", "timeout = 31", "strip_realm = true", "indicator = hardware"] {
        assert!(stanza.profile.contains(line), "{}", stanza.profile);
    }
    let verbs: Vec<_> = stanza.commands.iter().map(|command| command[3].as_str()).collect();
    assert_eq!(verbs, ["modprinc", "setstr", "purgekeys"]);
    assert!(stanza.commands[1].contains(&"alice@Other.Test".to_owned()));
    // With the realm the name would lead nowhere, so the string has one that does.
    let stanza = written(place.client(), &Wanted { strip_realm: false, ..wanted }).unwrap();
    assert_eq!(stanza.commands[1][6], r#"[{"type":"hard","username":"alice"}]"#);
}

#[test]
fn the_default_socket_is_the_default_type() {
    let place = Place::new("");
    let client = KdcClient {
        way: Way::Socket { path: "/run/krb5kdc/DEFAULT.socket".into(), users: Vec::new() },
        ..place.client()
    };
    let stanza = written(client, &Wanted::default()).unwrap();
    assert!(stanza.profile.contains("    DEFAULT = {"), "{}", stanza.profile);
    assert_eq!(stanza.commands[1][6], "[{}]");
}

#[test]
fn over_udp_the_server_must_be_known_and_a_secret_is_named() {
    let place = Place::new("");
    let over_udp = |listen: &str| KdcClient {
        way: Way::Network {
            network: "10.0.0.1/32".parse().unwrap(),
            listen: vec![listen.parse().unwrap()],
        },
        ..place.client()
    };
    let stanza = written(over_udp("10.0.0.5:1812"), &Wanted::default()).unwrap();
    for line in ["server = 10.0.0.5:1812", "secret = countersign-kdc.secret", "retries = 3"] {
        assert!(stanza.profile.contains(line), "{}", stanza.profile);
    }
    for listen in ["0.0.0.0:1812", "[::1]:1812"] {
        let error = written(over_udp(listen), &Wanted::default()).unwrap_err();
        assert!(matches!(error, StanzaError::NoServer(_)), "{error}");
    }
    let wanted = Wanted { server: Some("otp.test:1645".into()), ..Wanted::default() };
    let stanza = written(over_udp("0.0.0.0:1812"), &wanted).unwrap();
    assert!(stanza.profile.contains("server = otp.test:1645"));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let place = Place::new("");
    let named = |name: &str| Wanted { token_type: Some(name.into()), ..Wanted::default() };
    let error = written(place.client(), &named("a b")).unwrap_err();
    assert!(matches!(error, StanzaError::TypeName(_)), "{error}");
    let mut two = [place.client(), place.client()];
    two[1].settings.name = "other".into();
    let error = stanza::write(&two, &[], None, &named("x")).unwrap_err();
    assert!(error.to_string().contains("kdc, other"), "{error}");
    let none = stanza::write(&[], &[], None, &Wanted::default()).unwrap_err();
    assert!(matches!(none, StanzaError::NoClient));
    let error = stanza::write(&two[..1], &[view(&[])], None, &Wanted::default()).unwrap_err();
    assert!(error.to_string().contains("--realm"), "{error}");
}

#[test]
fn a_server_that_the_kdc_cannot_use_is_refused() {
    let place = Place::new("");
    let wanted = |server: &str| Wanted { server: Some(server.into()), ..Wanted::default() };
    let error = written(place.client(), &wanted("10.0.0.5:1812")).unwrap_err();
    assert!(matches!(error, StanzaError::ServerOfSocket(_)), "{error}");
    let listen = vec!["0.0.0.0:1812".parse().unwrap()];
    let way = Way::Network { network: "10.0.0.1/32".parse().unwrap(), listen };
    for server in ["[2001:db8::5]:1812", "2001:db8::5", "/run/socket", ""] {
        let client = KdcClient { way: way.clone(), ..place.client() };
        let error = written(client, &wanted(server)).unwrap_err();
        assert!(matches!(error, StanzaError::Server(_)), "{server}: {error}");
    }
}

#[test]
fn every_note_is_said_once_and_says_what_is_missing() {
    let place = Place::new("");
    let mut clients = [place.client(), place.client()];
    clients[0].settings.name = "other".into();
    clients[0].settings.is_kdc = false;
    let accounts = [view(&["alice", "alice@otp.test"])];
    let stanza = stanza::write(&clients, &accounts, Some("otp.test"), &Wanted::default()).unwrap();
    let having = |word: &str| stanza.notes.iter().filter(|note| note.contains(word)).count();
    for word in ["radius.client.other does not say kdc = true", "for the type other", "CAP_DAC"] {
        assert_eq!(having(word), 1, "{word}: {:#?}", stanza.notes);
    }
}
