//! The companion daemon of MIT Kerberos' OTP preauthentication, judged by a real KDC.

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    kdc_otp::{OtpRealm, site, socket, token_type},
    oath::OathToken,
};

/// Nothing that the daemon says leads to these words, only an answer that does not come.
const SILENCE: &str = "Connection timed out";
/// The daemon answered, and not with an Accept.
const ANSWERED: &str = "Generic preauthentication failure";
const REFUSED: &str = "Preauthentication failed";

/// The token type `otp`, which strips the realm, and `DEFAULT`, which does not.
fn usual_types(site: &Site) -> String {
    let socket = socket(site);
    let default = token_type("DEFAULT", socket.display(), &["strip_realm = false"]);
    default + &token_type("otp", socket.display(), &["indicator = otp"])
}

/// The same server over UDP.
fn over_udp(site: &Site) -> String {
    site.configure_with(&format!(
        "radius.client.e2e = {{ address = '127.0.0.1', secret = '{RADIUS_SECRET}', \
         kdc = true, require-message-authenticator = false }}"
    ));
    let secret = site.write("otp.secret", RADIUS_SECRET);
    let secret = format!("secret = {}", secret.display());
    token_type("udp", format_args!("127.0.0.1:{}", site.radius_port), &[&secret, "indicator = otp"])
}

const OTP: &str = r#"[{"type":"otp"}]"#;

#[test]
fn ticket_for_an_otp_through_the_socket_and_through_udp() {
    let site = site();
    let types = usual_types(&site) + &over_udp(&site);
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("alice", OTP);
    realm.add("nobody", OTP);
    realm.kinit("alice", "000000").refused(REFUSED);
    realm.kinit("nobody", &token.otp(0)).refused(REFUSED);
    realm.kinit("alice", &token.otp(0)).succeeded(&realm);
    realm.kinit("alice", &token.otp(0)).refused(REFUSED);
    // The user string counts from the next login on, without a restart of the KDC.
    realm.admin(&["setstr", "alice", "otp", r#"[{"type":"udp"}]"#]);
    realm.kinit("alice", &token.otp(0)).refused(REFUSED);
    realm.kinit("alice", "000000").refused(REFUSED);
    realm.kinit("alice", &token.otp(1)).succeeded(&realm);
    realm.kinit("alice", &token.otp(1)).refused(REFUSED);
    realm.admin(&["setstr", "alice", "otp", OTP]);
    realm.kinit("alice", &token.otp(1)).refused(REFUSED);
    assert_eq!(realm.log().matches(ANSWERED).count(), 7, "{}", realm.log());
    assert!(!realm.log().contains(SILENCE), "{}", realm.log());
    site.has_accepted(2);
    for otp in [token.otp(0), token.otp(1)] {
        let log = std::fs::read_to_string(site.log_file()).unwrap() + &site.audit_log();
        assert!(!log.contains(&otp), "an OTP was written down:\n{log}");
    }
}

#[test]
fn principals_are_accounts_with_and_without_their_realm() {
    let site = site();
    let types = usual_types(&site);
    let [token, of_admin] = ["alice", "alice/admin"].map(|name| {
        site.add_account(name);
        let token = OathToken::usual(format!("{name:*<20}").as_bytes());
        let secret = site.write("secret", token.base32());
        let secret = secret.to_str().unwrap();
        site.run(["token", "add", name, "--type", "hotp", "--secret-file", secret]).succeeded();
        token
    });
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("alice", "[]");
    realm.add("alice/admin", "[]");
    realm.add("shared", r#"[{"type":"otp","username":"alice"}]"#);
    realm.kinit("alice", &token.otp(0)).succeeded(&realm);
    realm.kinit("alice/admin", &token.otp(1)).refused(REFUSED);
    realm.kinit("alice/admin", &of_admin.otp(0)).succeeded(&realm);
    realm.kinit("alice", &of_admin.otp(1)).refused(REFUSED);
    for principal in ["alice", "alice/admin"] {
        realm.admin(&["setstr", principal, "otp", OTP]);
    }
    realm.kinit("alice/admin", &of_admin.otp(1)).succeeded(&realm);
    realm.kinit("alice", &token.otp(2)).succeeded(&realm);
    realm.kinit("shared", &token.otp(3)).succeeded(&realm);
    site.has_recorded("alice@CORP.EXAMPLE");
}

#[test]
fn name_without_a_realm_gets_the_realm_of_its_kdc() {
    let site = site();
    let lab = site.file("lab.sock");
    site.configure_with(&format!(
        "radius.client.lab = {{ socket = {lab:?}, kdc = true, default-realm = 'LAB.EXAMPLE' }}"
    ));
    let types = usual_types(&site) + &token_type("lab", lab.display(), &[]);
    let token = site.add_user("dora", "hotp");
    site.run(["account", "add", "dora", "--domain", "LAB", "--realm", "lab.example"]).succeeded();
    let of_lab = OathToken::usual(b"a secret of the lab.");
    site.add_token("dora@lab.example", "hotp", &of_lab, &[]);
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("dora", OTP);
    realm.kinit("dora", &of_lab.otp(0)).refused(REFUSED);
    realm.kinit("dora", &token.otp(0)).succeeded(&realm);
    realm.admin(&["setstr", "dora", "otp", r#"[{"type":"lab"}]"#]);
    realm.kinit("dora", &token.otp(1)).refused(REFUSED);
    realm.kinit("dora", &of_lab.otp(0)).succeeded(&realm);
}

#[test]
fn locked_account_is_refused_and_the_kdc_counts_on_its_own() {
    let site = site();
    site.configure_with("policy.lockout = { throttle-after = 1000, lock-after = 2 }");
    let types = usual_types(&site);
    let [alice, bob] = ["alice", "bob"].map(|name| site.add_user(name, "hotp"));
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("alice", OTP);
    for _ in 0..2 {
        realm.kinit("alice", "000000").refused(REFUSED);
    }
    realm.kinit("alice", &alice.otp(0)).refused(REFUSED);
    site.has_recorded("locked");
    site.run(["account", "unlock", "alice"]).succeeded();
    realm.kinit("alice", &alice.otp(0)).succeeded(&realm);
    site.run(["account", "disable", "alice"]).succeeded();
    realm.kinit("alice", &alice.otp(1)).refused(REFUSED);
    assert!(!realm.log().contains(SILENCE), "{}", realm.log());

    realm.add("bob", OTP);
    realm.admin(&["addpol", "-maxfailure", "1", "patient"]);
    realm.admin(&["modprinc", "-policy", "patient", "bob"]);
    realm.kinit("bob", "000000").refused(REFUSED);
    realm.kinit("bob", &bob.otp(0)).refused("credentials have been revoked");
    realm.admin(&["modprinc", "-unlock", "bob"]);
    realm.kinit("bob", &bob.otp(0)).succeeded(&realm);
}

#[test]
fn indicator_lands_in_the_ticket() {
    let site = site();
    let strong = site.file("strong.sock");
    site.configure_with(&format!(
        "radius.client.strong = {{ socket = {strong:?}, kdc = true, \
         require-indicators = ['hardware'] }}"
    ));
    let types = usual_types(&site)
        + &token_type("strong", strong.display(), &["indicator = otp", "indicator = hardware"]);
    let [alice, bob] = ["alice", "bob"].map(|name| site.add_user(name, "hotp"));
    site.run(["token", "set", "alice hotp", "--indicator", "hardware"]).succeeded();
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    let (need_otp, need_hardware) = ("svc/otp.corp.example", "svc/hardware.corp.example");
    realm.add_service(need_otp, "otp");
    realm.add_service(need_hardware, "hardware");
    realm.add("alice", OTP);
    let ticket = realm.kinit("alice", &alice.otp(0)).succeeded(&realm);
    realm.kvno(&ticket, need_otp).succeeded();
    let refused = realm.kvno(&ticket, need_hardware).failed();
    assert!(refused.contains("KDC policy rejects request"), "{refused}");
    // What the type promises, the daemon keeps: a weaker token is none there.
    for principal in ["alice", "bob"] {
        let add = if principal == "bob" { "addprinc" } else { "modprinc" };
        let nokey: &[&str] = if principal == "bob" { &["-nokey"] } else { &[] };
        realm.admin(&[&[add], nokey, &["+requires_preauth", principal]].concat());
        realm.admin(&["setstr", principal, "otp", r#"[{"type":"strong"}]"#]);
    }
    let ticket = realm.kinit("alice", &alice.otp(1)).succeeded(&realm);
    realm.kvno(&ticket, need_otp).succeeded();
    realm.kvno(&ticket, need_hardware).succeeded();
    realm.kinit("bob", &bob.otp(0)).refused(REFUSED);
    realm.admin(&["setstr", "bob", "otp", r#"[{"type":"otp","indicators":["hardware"]}]"#]);
    let ticket = realm.kinit("bob", &bob.otp(0)).succeeded(&realm);
    assert!(realm.kvno(&ticket, need_otp).failed().contains("KDC policy rejects request"));
    realm.kvno(&ticket, need_hardware).succeeded();
}

/// The KDC gives the same OTP to one type after the other, until one says yes.
#[test]
fn second_token_of_a_principal_is_asked_after_the_first_refused() {
    let site = site();
    let types = usual_types(&site) + &over_udp(&site);
    let [first, second] = ["first", "second"].map(|name| site.add_user(name, "hotp"));
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("alice", r#"[{"type":"otp","username":"first"},{"type":"udp","username":"second"}]"#);
    realm.kinit("alice", &first.otp(0)).succeeded(&realm);
    realm.kinit("alice", &second.otp(0)).succeeded(&realm);
    realm.kinit("alice", &first.otp(0)).refused(REFUSED);
    realm.kinit("alice", &second.otp(0)).refused(REFUSED);
    realm.kinit("alice", "000000").refused(REFUSED);
    realm.kinit("alice", &first.otp(1)).succeeded(&realm);
    // Both types lead to the same account: what the first took, the second does not see.
    let both = r#"[{"type":"otp","username":"first"},{"type":"udp","username":"first"}]"#;
    realm.admin(&["setstr", "alice", "otp", both]);
    realm.kinit("alice", &first.otp(2)).succeeded(&realm);
    realm.kinit("alice", &first.otp(2)).refused(REFUSED);
    realm.kinit("alice", &first.otp(3)).succeeded(&realm);
    site.has_accepted(5);
    assert!(!realm.log().contains(SILENCE), "{}", realm.log());
}

#[test]
fn slow_back_end_is_a_reject_at_the_deadline_and_no_silence() {
    let site = site();
    let silent = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    site.configure_with(&format!(
        "radius.client.kdc.deadline = '1s'\n\
         [upstream.slow]\nservers = ['{}']\nsecret = 'slow-secret-3c1d'\ntimeout = '30s'\ntries = 1",
        silent.local_addr().unwrap()
    ));
    let types = usual_types(&site);
    site.run(["account", "add", "alice", "--upstream", "slow"]).succeeded();
    let token = site.add_user("bob", "hotp");
    let _daemon = site.serve();
    let realm = OtpRealm::new(&site, &types);
    realm.add("alice", OTP);
    realm.add("bob", OTP);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| realm.kinit("alice", "123456"));
        silent.recv(&mut [0; 4096]).unwrap();
        // Nobody else waits, on the same connection.
        realm.kinit("bob", &token.otp(0)).succeeded(&realm);
        assert!(!slow.is_finished(), "it waits for the upstream meanwhile");
        slow.join().unwrap().refused(REFUSED);
    });
    assert!(realm.log().contains(ANSWERED), "{}", realm.log());
    assert!(!realm.log().contains(SILENCE), "{}", realm.log());
}
