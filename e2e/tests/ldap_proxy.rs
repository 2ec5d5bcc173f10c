//! OpenLDAP's programs through the LDAP proxy, with Debian's slapd behind it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
};

use tempfile::{TempDir, tempdir};

use crate::support::{
    clock::{LIMIT, poll},
    countersign::Site,
    directory::{Entry, SUFFIX, User, service_dn},
    ldap::{As, Binder, Ldap, bind_request, element, read_message},
    oath::OathToken,
    ports,
    process::{Service, run},
    slapd::{ADMIN, ADMIN_PASSWORD, Setup, Slapd, tls},
};

mod application;

/// slapd with alice, who has a token here, and bob, who has none; and the proxy in front,
/// with bob and the services as exempt.
struct Stage {
    slapd: Slapd,
    site: Site,
    _home: TempDir,
    daemon: Option<Service>,
    port: u16,
    tls_port: u16,
    trust: PathBuf,
    token: OathToken,
}

impl Stage {
    /// With this in `[ldap-proxy]`, beside where it listens.
    #[track_caller]
    fn new(settings: &str, more: &[Entry]) -> Self {
        Self::with_upstream(settings, more, Slapd::ldapi_url)
    }

    #[track_caller]
    fn with_upstream(settings: &str, more: &[Entry], upstream: impl Fn(&Slapd) -> String) -> Self {
        let home = tempdir().unwrap();
        let (identity, trust) = tls(&home.path().join("ca"));
        let setup = Setup {
            tls: Some((identity.clone(), trust.clone())),
            database: vec!["olcSizeLimit: unlimited".into()],
            ..Setup::default()
        };
        let users = [User::without_token("alice"), User::without_token("bob")];
        let entries = [users[0].entries(), users[1].entries(), more.to_vec()].concat();
        let slapd = Slapd::start(home.path(), &setup, &entries);
        let site = Site::new();
        let (port, tls_port) = (ports::free(), ports::free());
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        site.configure_with(&format!(
            "[ldap-proxy]\nlisten = [\"127.0.0.1:{port}\"]\nsocket = \"ldapi\"\n\
             exempt = [{:?}, {ADMIN:?}, {:?}]\n\
             upstream = \"{}\"\nupstream-trust = \"{}\"\n{settings}\n[ldap-proxy.tls]\n\
             listen = [\"127.0.0.1:{tls_port}\"]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n",
            bob(),
            service_dn("provider"),
            upstream(&slapd),
            trust.display(),
        ));
        let token = OathToken::usual(b"12345678901234567890");
        site.run(["account", "add", "alice", "--dn", &users[0].dn()]).succeeded();
        site.add_token("alice", "hotp", &token, &[]);
        let daemon = Some(site.serve());
        Self { slapd, site, _home: home, daemon, port, tls_port, trust, token }
    }

    /// alice's password with the OTP of a counter.
    fn credentials(&self, counter: u64) -> String {
        format!("alice-pw{}", self.token.otp(counter))
    }

    fn ldapi(&self) -> Ldap {
        let path = self.socket().display().to_string().replace('/', "%2F");
        Ldap::new(format!("ldapi://{path}"))
    }

    fn socket(&self) -> PathBuf {
        self.site.directory().join("ldapi")
    }

    fn ldaps(&self) -> Ldap {
        let url = format!("ldaps://127.0.0.1:{}", self.tls_port);
        Ldap { trust: Some(self.trust.clone()), ..Ldap::new(url) }
    }

    fn start_tls(&self) -> Ldap {
        let url = format!("ldap://127.0.0.1:{}", self.port);
        Ldap { trust: Some(self.trust.clone()), start_tls: true, ..Ldap::new(url) }
    }

    fn plain(&self) -> Ldap {
        Ldap::new(format!("ldap://127.0.0.1:{}", self.port))
    }
}

#[test]
fn password_and_otp_bind_over_every_way_in() {
    let stage = Stage::new("", &[]);
    for (counter, ldap) in [stage.ldapi(), stage.ldaps(), stage.start_tls()].iter().enumerate() {
        let right = stage.credentials(u64::try_from(counter).unwrap());
        let said = ldap.whoami(As::Simple(&alice(), &right));
        assert_eq!(said.text.trim(), format!("dn:{}", alice()), "{ldap:?}");
        for wrong in [&*right, "alice-pw", "alice-pw000000"] {
            assert_eq!(ldap.bind(&alice(), wrong), INVALID, "{ldap:?} {wrong}");
        }
        assert_eq!(ldap.whoami(As::Anonymous).text.trim(), "anonymous");
        assert_eq!(ldap.bind(&bob(), "bob-pw"), 0, "{ldap:?}");
        assert_eq!(ldap.bind(&bob(), "bob-p"), INVALID, "{ldap:?}");
    }
    assert_eq!(stage.plain().bind(&alice(), &stage.credentials(3)), CONFIDENTIALITY_REQUIRED);
    assert_eq!(stage.ldapi().bind(&alice(), &format!("alic-pw{}", stage.token.otp(3))), INVALID);
    stage.site.has_recorded("wrong-password");
    assert_eq!(stage.ldapi().bind(&alice(), &stage.credentials(3)), INVALID, "it is spent");
    assert_eq!(stage.ldapi().bind(&alice(), &stage.credentials(4)), 0);
}

#[test]
fn who_has_no_token_binds_if_exempt_or_if_all_may() {
    let carol = User::without_token("carol");
    let (name, password) = (carol.dn(), "carol-pw");
    let stage = Stage::new("", &carol.entries());
    assert_eq!(stage.ldapi().bind(&name, password), INVALID);
    assert_eq!(stage.ldapi().bind("UID=Bob, OU=Accounts,DC=example,DC=test", "bob-pw"), 0);
    let stage = Stage::new("without-token = \"pass\"", &carol.entries());
    assert_eq!(stage.ldapi().bind(&name, password), 0);
    assert_eq!(stage.ldapi().bind(&name, "bob-pw"), INVALID);
    assert_eq!(stage.ldapi().bind(&alice(), "alice-pw"), INVALID);
    assert_eq!(stage.ldapi().bind(&alice(), &stage.credentials(0)), 0);
}

#[test]
fn slapd_is_reached_over_every_way_there_is() {
    for (settings, upstream) in [
        ("", Slapd::ldaps_url as fn(&Slapd) -> String),
        ("upstream-start-tls = true", |slapd| format!("ldap://127.0.0.1:{}", slapd.port)),
        ("", |slapd| format!("ldap://127.0.0.1:{}", slapd.port)),
    ] {
        let stage = Stage::with_upstream(settings, &[], upstream);
        assert_eq!(stage.ldaps().bind(&alice(), &stage.credentials(0)), 0, "{settings}");
    }
}

/// Every spelling that slapd takes for alice's entry.
#[test]
fn no_spelling_of_a_name_leads_around_the_token() {
    let stage = Stage::new("without-token = \"pass\"", &[]);
    for name in [
        "UID=ALICE, OU=Accounts,DC=example,DC=test",
        "0.9.2342.19200300.100.1.1=alice,ou=accounts,dc=example,dc=test",
        "userid=alice,ou=accounts,dc=example,dc=test",
        r"uid=\61lice,ou=accounts,dc=example,dc=test",
        "uid=#0405616C696365,ou=accounts,dc=example,dc=test",
        "uid=alice;ou=accounts;dc=example;dc=test",
        "uid=alice,organizationalUnitName=accounts,domainComponent=example,dc=test",
        "uid=alice,2.5.4.11=accounts,dc=example,dc=test",
        "uid=\u{ff41}lice,ou=accounts,dc=example,dc=test",
    ] {
        assert_ne!(stage.ldapi().bind(name, "alice-pw"), 0, "{name}");
    }
}

#[test]
fn searches_and_changes_pass_whatever_their_size() {
    let stage = Stage::new("", &people(3000));
    let ldap = stage.ldaps();
    let found = |said: crate::support::ldap::Said| said.text.matches("\ndn: ").count() + 1;
    let right = stage.credentials(0);
    let as_alice = As::Simple(&alice(), &right);
    assert_eq!(found(ldap.search(as_alice, SUFFIX, "(cn=person*)", &["cn", "description"])), 3000);
    let mut paged = ldap.command("ldapsearch", As::Simple(&bob(), "bob-pw"));
    paged.args(["-LLL", "-E", "pr=100/noprompt", "-b", SUFFIX, "(cn=person*)", "cn"]);
    assert_eq!(run(&mut paged, b"").succeeded().matches("dn: ").count(), 3000);

    let as_admin = As::Simple(ADMIN, ADMIN_PASSWORD);
    let photo = "QUJD".repeat(500_000);
    let change =
        format!("dn: {}\nchangetype: modify\nadd: jpegPhoto\njpegPhoto:: {photo}\n", person(7));
    assert_eq!(ldap.modify(as_admin, &change).code, 0);
    let values = ldap.values(as_admin, &person(7), "jpegPhoto");
    assert_eq!(values[0].len(), 1_500_000);
    assert_eq!(ldap.compare(as_admin, &person(7), "cn:person7").code, 6);
    assert_eq!(ldap.compare(as_admin, &person(7), "cn:person8").code, 5);
}

#[test]
fn a_password_is_changed_through_the_proxy() {
    let stage = Stage::new("", &[]);
    let mut command = stage.ldaps().command("ldappasswd", As::Simple(ADMIN, ADMIN_PASSWORD));
    run(command.args(["-s", "another", &bob()]), b"").succeeded();
    assert_eq!(stage.ldaps().bind(&bob(), "bob-pw"), INVALID);
    assert_eq!(stage.ldaps().bind(&bob(), "another"), 0);
}

#[test]
fn an_abandoned_search_is_abandoned_there_and_the_connection_goes_on() {
    let stage = Stage::new("", &people(1000));
    let mut stream = UnixStream::connect(stage.socket()).unwrap();
    stream.write_all(&search(1)).unwrap();
    let first = read_message(&mut stream).unwrap();
    assert!(!first.is_empty());
    let abandon = element(0x30, &[element(2, &[2]), element(0x50, &[1])].concat());
    stream.write_all(&abandon).unwrap();
    stream.write_all(&bind_request(3, bob().as_bytes(), b"bob-pw")).unwrap();
    loop {
        let message = read_message(&mut stream).unwrap();
        let bind_response = element(0x30, &[element(2, &[3]), element(0x61, SUCCESS)].concat());
        if message == bind_response {
            break;
        }
    }
    let found = poll(LIMIT, || stage.slapd.log().contains("ABANDON msg=1").then_some(()));
    assert!(found.is_some(), "{}", stage.slapd.log());
}

#[test]
fn sasl_is_refused_or_passes_by_mechanism() {
    let stage = Stage::new("", &[]);
    assert_eq!(stage.ldapi().whoami(As::External).code, NOT_SUPPORTED);
    let settings = "sasl = \"pass\"\nsasl-mechanisms = [\"SCRAM-SHA-256\", \"DIGEST-MD5\"]";
    let stage = Stage::new(settings, &[]);
    stage.slapd.configure(
        "dn: cn=config\nchangetype: modify\nadd: olcAuthzRegexp\n\
         olcAuthzRegexp: uid=([^,]+),cn=[^,]+,cn=auth uid=$1,ou=accounts,dc=example,dc=test\n-\n\
         replace: olcPasswordHash\nolcPasswordHash: {CLEARTEXT}\n",
    );
    assert_eq!(stage.ldapi().whoami(As::External).code, NOT_SUPPORTED);
    let sasl = |mechanism: &str, properties: &str| {
        let mut command = Command::new("ldapwhoami");
        command.env("LDAPNOINIT", "1").args(["-H", &stage.ldapi().url, "-Q", "-Y", mechanism]);
        command.args(["-U", "bob", "-w", "bob-pw", "-O", properties]);
        run(&mut command, b"")
    };
    let said = sasl("SCRAM-SHA-256", "none").succeeded();
    assert_eq!(said.trim(), format!("dn:{}", bob()));
    let said = sasl("DIGEST-MD5", "maxssf=0").succeeded();
    assert_eq!(said.trim(), format!("dn:{}", bob()));
    // With a layer whatever is said after the bind would be hidden.
    sasl("DIGEST-MD5", "minssf=1").failed();
    assert_eq!(sasl("CRAM-MD5", "none").status.code(), Some(NOT_SUPPORTED));
}

#[test]
fn two_thousand_clients_are_served_at_once() {
    let stage = Stage::new("require-tls = false\nmax-connections-per-address = 4096", &[]);
    let mut clients: Vec<_> = (0..2000)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(&bind_request(1, b"", b"")).unwrap();
            stream
        })
        .collect();
    for client in &mut clients {
        read_message(client).unwrap();
    }
    let mut last = Binder::tcp(stage.port).unwrap();
    let (code, _) = last.bind(alice().as_bytes(), stage.credentials(0).as_bytes()).unwrap();
    assert_eq!(code, 0);
    for client in &mut clients {
        client.write_all(&bind_request(2, bob().as_bytes(), b"bob-pw")).unwrap();
    }
    for client in &mut clients {
        assert_eq!(read_message(client).unwrap(), bound(2));
    }
}

#[test]
fn a_slapd_that_is_killed_takes_its_clients_along_and_no_otp() {
    let mut stage = Stage::new("", &[]);
    let mut client = UnixStream::connect(stage.socket()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(&bind_request(1, bob().as_bytes(), b"bob-pw")).unwrap();
    assert_eq!(read_message(&mut client).unwrap(), bound(1));
    stage.slapd.kill();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    let notice = String::from_utf8_lossy(&rest).into_owned();
    assert!(notice.contains("1.3.6.1.4.1.1466.20036"), "{notice}");
    assert_eq!(stage.ldapi().bind(&alice(), &stage.credentials(0)), UNAVAILABLE);
    stage.slapd.run();
    assert_eq!(stage.ldapi().bind(&alice(), &stage.credentials(0)), 0);
}

#[test]
fn the_daemon_stops_while_clients_are_connected() {
    let mut stage = Stage::new("", &[]);
    let mut client = UnixStream::connect(stage.socket()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(&bind_request(1, bob().as_bytes(), b"bob-pw")).unwrap();
    assert_eq!(read_message(&mut client).unwrap(), bound(1));
    let daemon = stage.daemon.take().unwrap();
    assert!(daemon.stop().success());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("1.3.6.1.4.1.1466.20036"));
}

/// A search for everything below the suffix.
fn search(message: u8) -> Vec<u8> {
    let content = [
        element(4, SUFFIX.as_bytes()),
        element(0x0a, &[2]),
        element(0x0a, &[0]),
        element(2, &[0]),
        element(2, &[0]),
        element(1, &[0]),
        element(0x87, b"objectClass"),
        element(0x30, &[]),
    ];
    element(0x30, &[element(2, &[message]), element(0x63, &content.concat())].concat())
}

fn bound(message: u8) -> Vec<u8> {
    element(0x30, &[element(2, &[message]), element(0x61, SUCCESS)].concat())
}

fn people(count: u32) -> Vec<Entry> {
    let entry = |number| {
        Entry::new(person(number), &["inetOrgPerson"])
            .with("cn", format!("person{number}"))
            .with("sn", "Person")
            .with("description", "x".repeat(500))
    };
    (0..count).map(entry).collect()
}

fn person(number: u32) -> String {
    format!("cn=person{number},ou=people,{SUFFIX}")
}

fn alice() -> String {
    User::without_token("alice").dn()
}

fn bob() -> String {
    User::without_token("bob").dn()
}

const SUCCESS: &[u8] = b"\x0a\x01\x00\x04\x00\x04\x00";
const INVALID: i32 = 49;
const NOT_SUPPORTED: i32 = 7;
const CONFIDENTIALITY_REQUIRED: i32 = 13;
const UNAVAILABLE: i32 = 52;
