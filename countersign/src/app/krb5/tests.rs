//! What `krb5 check` finds, without a KDC.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    domain::{
        account::{Account, Authentication},
        id::AccountId,
        lockout::Gate,
    },
    secret::Secret,
};

use super::{
    account::Way::{Here, Nowhere, Upstream},
    client::Way,
    stanza::{Stanza, StanzaError, Wanted},
    *,
};
use crate::{
    app::admin::AccountView,
    config::{
        radius::{ClientSettings, RealmSettings, Source},
        socket::SocketSettings,
    },
};

mod accounts;
mod writing;

/// A realm of its own in a directory, with a socket that is listened on.
struct Place {
    directory: tempfile::TempDir,
    _listener: UnixListener,
}

impl Place {
    fn new(otp: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("otp.sock")).unwrap();
        let place = Self { directory, _listener: listener };
        place.write("krb5.conf", "[libdefaults]\ndefault_realm = OTP.TEST\n");
        place.write("kdc.conf", &format!("[otp]\n{}", otp.replace("@", &place.path(""))));
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn places(&self) -> realm::Places {
        realm::Places {
            krb5_conf: self.path("krb5.conf"),
            kdc_conf: self.path("kdc.conf").into(),
            run_directory: self.path("run"),
            realm: None,
        }
    }

    async fn check(&self, otp: &str, clients: &[KdcClient]) -> Examined {
        let who = Who::String { principal: "alice".into(), otp: otp.into() };
        let examination = Examination { places: self.places(), who, log: None };
        check(&examination, Some(clients)).await
    }

    fn client(&self) -> KdcClient {
        let path: PathBuf = self.path("otp.sock").into();
        let socket =
            SocketSettings { path: path.clone(), mode: 0o600, group: None, users: Vec::new() };
        let settings =
            ClientSettings::new("kdc".into(), Source::Socket(socket), Secret::new(Vec::new()));
        let settings = ClientSettings {
            is_kdc: true,
            require_message_authenticator: false,
            deadline: Some(Duration::from_secs(4)),
            indicators: vec!["otp".to_owned()].into(),
            ..settings
        };
        KdcClient { settings, way: Way::Socket { path, users: Vec::new() }, realms: Vec::new() }
    }
}

const VPN: &str = "vpn = {\nserver = @otp.sock\nindicator = otp\n}\n";
const STRING: &str = r#"[{"type":"vpn"}]"#;

#[track_caller]
fn says(examined: &Examined, grade: Grade, object: &str, word: &str) {
    let is_it = |finding: &&Finding| {
        finding.grade == grade && finding.object == object && finding.finding.contains(word)
    };
    assert!(examined.findings.iter().any(|f| is_it(&f)), "{word}: {:#?}", examined.findings);
}

#[track_caller]
fn says_nothing_of(examined: &Examined, word: &str) {
    let found = examined.findings.iter().find(|finding| finding.finding.contains(word));
    assert!(found.is_none(), "{found:#?}");
}

#[tokio::test]
async fn both_sides_that_agree_are_good() {
    let place = Place::new(VPN);
    let examined = place.check(STRING, &[place.client()]).await;
    says(&examined, Grade::Good, "otp type vpn", "radius.client.kdc");
    says(&examined, Grade::Good, "principal alice@OTP.TEST", "\"alice\"");
    let [asked] = &examined.asked[..] else { panic!("{examined:?}") };
    assert_eq!((asked.way(), &*asked.client.settings.name), (Here("alice".into()), "kdc"));
    says_nothing_of(&examined, "DEFAULT");
}

#[tokio::test]
async fn what_the_sides_do_not_agree_about_is_found() {
    let place = Place::new(VPN);
    let change = |change: &dyn Fn(&mut KdcClient)| {
        let mut client = place.client();
        change(&mut client);
        client
    };
    let slow = change(&|client| client.settings.deadline = Some(Duration::from_secs(5)));
    let weak = change(&|client| client.settings.indicators = [].into());
    let plain = change(&|client| client.settings.is_kdc = false);
    let strict = change(&|client| client.settings.require_message_authenticator = true);
    let secret = change(&|client| client.settings.secret = Secret::new(b"x".to_vec()));
    let closed = change(&|client| {
        client.way = Way::Socket { path: place.path("otp.sock").into(), users: vec![4711] };
    });
    let other =
        change(&|client| client.way = Way::Socket { path: "/other".into(), users: Vec::new() });
    for (client, grade, word) in [
        (slow, Grade::Error, "the KDC waits 5 s"),
        (weak, Grade::Warning, "does not demand"),
        (plain, Grade::Warning, "kdc = true"),
        (strict, Grade::Error, "demands Message-Authenticator"),
        (secret, Grade::Error, "its secret is not that of"),
        (closed, Grade::Error, "does not let connect"),
        (other, Grade::Warning, "no client"),
    ] {
        let examined = place.check(STRING, &[client]).await;
        says(&examined, grade, "otp type vpn", word);
    }
    let spare =
        change(&|client| client.way = Way::Socket { path: "/other".into(), users: Vec::new() });
    let examined = place.check(STRING, &[place.client(), spare]).await;
    says(&examined, Grade::Warning, "radius.client.kdc", "no token type");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_breaks_everybody() {
    let place =
        Place::new(&format!("{VPN}udp = {{\nserver = 127.0.0.1:1812\nsecret = @secret\n}}\n"));
    let examined = place.check(STRING, &[]).await;
    says(&examined, Grade::Error, "otp type udp", "nobody");
    says(&examined, Grade::Error, "principal alice@OTP.TEST", "nobody");
    place.write("secret", "");
    says(&place.check(STRING, &[]).await, Grade::Error, "otp type udp", "empty");
    place.write("secret", " it \n");
    let over_udp = |secret: &[u8], require| KdcClient {
        way: Way::Network {
            network: "127.0.0.0/8".parse().unwrap(),
            listen: vec!["0.0.0.0:1812".parse().unwrap()],
        },
        settings: ClientSettings {
            secret: Secret::new(secret.to_vec()),
            require_message_authenticator: require,
            ..place.client().settings
        },
        ..place.client()
    };
    let examined = place.check(STRING, &[over_udp(b"it", false)]).await;
    says(&examined, Grade::Good, "otp type udp", "answers it");
    says_nothing_of(&examined, "its secret is");
    says_nothing_of(&examined, "Message-Authenticator, which");
    let examined = place.check(STRING, &[over_udp(b"other", false)]).await;
    says(&examined, Grade::Error, "otp type udp", "its secret is not that of");
}

#[tokio::test]
async fn files_are_read_as_the_kdc_reads_them() {
    let place = Place::new(VPN);
    let directory = place.path("d");
    fs::create_dir(&directory).unwrap();
    place.write("d/1.conf", "[otp]\nvpn = {\nindicator = later\n}\n");
    place.write("d/2.conf~", "nonsense = [");
    place.write("krb5.conf", &format!("includedir {directory}\n[libdefaults]\n"));
    let examined = place.check(STRING, &[]).await;
    says(&examined, Grade::Good, "principal alice", "indicators otp, later");
    place.write("d/1.conf", "[otp]\nvpn = {\nword\n}\n");
    let examined = place.check(STRING, &[]).await;
    let [.., finding] = &examined.findings[..] else { panic!("{examined:?}") };
    assert!(finding.finding.contains("d/1.conf:3") && finding.grade == Grade::Error, "{finding:?}");
    place.write("krb5.conf", "include /nowhere/krb5.conf\n");
    let examined = place.check(STRING, &[]).await;
    let object = format!("file {}", place.path("krb5.conf"));
    says(&examined, Grade::Error, &object, "/nowhere/krb5.conf, which cannot be read");
}

#[tokio::test]
async fn several_kdcs_and_udp_send_an_otp_twice() {
    let place = Place::new(VPN);
    let realm =
        "[libdefaults]\ndefault_realm = OTP.TEST\n%\n[realms]\nOTP.TEST = {\nkdc = a\nkdc = b\n}\n";
    place.write("krb5.conf", &realm.replace('%', ""));
    says(&place.check(STRING, &[]).await, Grade::Warning, "realm OTP.TEST", "the same OTP");
    place.write("krb5.conf", &realm.replace('%', "udp_preference_limit = 1"));
    says_nothing_of(&place.check(STRING, &[]).await, "the same OTP");
}

#[tokio::test]
async fn a_dump_has_everybody() {
    let place = Place::new(VPN);
    let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/krb5/dump.txt");
    let read = async |named| {
        let who = Who::Dump { file: dump.into(), named };
        check(&Examination { places: place.places(), who, log: None }, None).await
    };
    let examined = read(Named::All).await;
    says(&examined, Grade::Error, "principal alice@OTP.TEST", "\"watchword\"");
    says(&examined, Grade::Error, "principal bob@OTP.TEST", "quotes are gone");
    says(&examined, Grade::Warning, "principal bob@OTP.TEST", "policy strict");
    says(&examined, Grade::Good, "principal host/web.otp.test@OTP.TEST", "vpn");
    let examined = read(Named::These(vec!["ghost".into()])).await;
    says(&examined, Grade::Error, "principal ghost@OTP.TEST", "does not have it");
    says_nothing_of(&examined, "quotes are gone");
}

#[tokio::test]
async fn a_log_is_summarised() {
    let place = Place::new(VPN);
    place.write("log", "preauth (otp) verify failure: Connection refused\nx\n");
    let log = Some(place.path("log").into());
    let examination = Examination { places: place.places(), who: Who::Nobody, log };
    let examined = check(&examination, None).await;
    let object = format!("log {}", place.path("log"));
    says(&examined, Grade::Warning, &object, "nobody listens");
    let missing = Examination { log: Some("/nowhere/log".into()), ..examination };
    says(&check(&missing, None).await, Grade::Error, "log /nowhere/log", "No such file");
}

#[tokio::test]
async fn names_go_where_the_listener_sends_them() {
    let place = Place::new(VPN);
    let mut client = place.client();
    client.settings.default_realm = Some("P.TEST".into());
    client.realms = vec![
        RealmSettings { name: "far.test".into(), upstream: Some("far".into()), strip: false },
        RealmSettings { name: "near.test".into(), upstream: None, strip: true },
    ];
    let asked = async |user_name: &str| {
        let string = format!(r#"[{{"type":"vpn","username":"{user_name}"}}]"#);
        place.check(&string, std::slice::from_ref(&client)).await.asked.remove(0)
    };
    assert_eq!(asked("alice").await.way(), Here("alice@P.TEST".into()));
    assert_eq!(asked("alice@X").await.way(), Here("alice@X".into()));
    assert_eq!(asked("alice@NEAR.TEST").await.way(), Here("alice".into()));
    let far = asked("alice@FAR.TEST").await;
    assert_eq!(far.way(), Upstream("far".into()));
    assert!(far.elsewhere()[0].finding.contains("upstream.far"));
    let nowhere = asked("a@b@c").await;
    assert!(matches!(nowhere.way(), Nowhere(_)), "{nowhere:?}");
    assert_eq!(nowhere.elsewhere()[0].grade, Grade::Error);
}

fn view(logins: &[&str]) -> AccountView {
    let account = Account::new(AccountId::from_bytes([9; 16]), "alice".into());
    AccountView {
        account,
        owner: None,
        logins: logins.iter().map(|login| (*login).to_owned()).collect(),
        failures: 0,
        last_failure: None,
        gate: Gate::Open,
        tokens: Vec::new(),
    }
}

#[tokio::test]
async fn a_secret_in_the_place_of_its_file_is_not_shown() {
    let place = Place::new("udp = {\nserver = 192.0.2.1:1812\nsecret = Correct/Horse\n}\n");
    let mut client = place.client();
    client.settings.secret = Secret::new(b"Correct/Horse".to_vec());
    let examined = place.check("[]", &[client]).await;
    says(&examined, Grade::Error, "otp type udp", "radius.client.kdc itself");
    says_nothing_of(&examined, "Horse");
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_is_warned_of() {
    let place = Place::new("udp = {\nserver = 192.0.2.1:1812\nsecret = @secret\n}\n");
    place.write("secret", "it");
    let set = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(place.path("secret"), permissions).unwrap();
    };
    set(0o644);
    says(&place.check("[]", &[]).await, Grade::Warning, "otp type udp", "can read its secret");
    set(0o640);
    says_nothing_of(&place.check("[]", &[]).await, "can read its secret");
}

#[tokio::test]
async fn what_breaks_a_type_is_said_once() {
    let place = Place::new("vpn = {\nserver = @otp.sock\nindicator = otp\ntimeout = -1\n}\n");
    let examined = place.check(STRING, &[place.client()]).await;
    says(&examined, Grade::Error, "otp type vpn", "crashes");
    says_nothing_of(&examined, "the KDC waits 0 s");
    let place = Place::new("udp = {\nserver = 127.0.0.1:1812\n}\n");
    let mut client = place.client();
    client.way = Way::Network {
        network: "127.0.0.0/8".parse().unwrap(),
        listen: vec!["0.0.0.0:1812".parse().unwrap()],
    };
    client.settings.secret = Secret::new(b"it".to_vec());
    let examined = place.check("[]", &[client]).await;
    says(&examined, Grade::Error, "otp type udp", "has no secret");
    says_nothing_of(&examined, "its secret is not that of");
}

#[tokio::test]
async fn commands_name_the_realm_that_was_asked_about() {
    let place = Place::new(VPN);
    let places = realm::Places { realm: Some("OTHER.TEST".into()), ..place.places() };
    let who = Who::String { principal: "alice".into(), otp: "[{type:vpn}]".into() };
    let examined = check(&Examination { places, who, log: None }, None).await;
    says(&examined, Grade::Error, "principal alice@OTHER.TEST", "quotes are gone");
    let command = "kadmin.local -r OTHER.TEST setstr alice@OTHER.TEST otp";
    assert!(examined.findings.iter().any(|found| found.remedy.contains(command)), "{examined:?}");
}

#[tokio::test]
async fn principals_of_another_realm_are_looked_at_in_that_realm() {
    let place = Place::new(VPN);
    let who = Who::Database(Named::These(vec!["alice@OTHER.TEST".into()]));
    let examined = check(&Examination { places: place.places(), who, log: None }, None).await;
    says(&examined, Grade::Error, "principal alice@OTHER.TEST", "its realm is OTHER.TEST");
    assert!(examined.findings.iter().any(|found| found.remedy.contains("--realm OTHER.TEST")));
}

#[test]
fn var_run_is_run() {
    let place = Place::new("");
    let client = KdcClient {
        way: Way::Socket { path: "/run/x.socket".into(), users: Vec::new() },
        ..place.client()
    };
    let server = countersign_core::krb5::token_type::Server::parse("/var/run/x.socket");
    let token_type = countersign_core::krb5::token_type::TokenType::new("x", server);
    assert!(client::serving(&token_type, &[client]).is_some());
    assert!(Path::new("/run").exists());
}
