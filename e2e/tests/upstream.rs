//! Accounts that an upstream decides for: FreeRADIUS is the OTP server.

use std::net::{Ipv4Addr, UdpSocket};

use crate::support::{
    countersign::Site,
    freeradius::{FreeRadius, Role, SECRET},
    openssl::{Authority, Identity},
    process::SILENCE,
    radclient::Answer,
};

/// A RADIUS server that is there and never says anything.
struct SilentServer(UdpSocket);

impl SilentServer {
    fn start() -> Self {
        Self(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The requests that came since the last look.
    fn requests(&self) -> Vec<Vec<u8>> {
        self.0.set_read_timeout(Some(SILENCE)).unwrap();
        let mut buffer = [0; 4096];
        let received = || self.0.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec());
        std::iter::from_fn(received).collect()
    }
}

/// A site whose accounts `alice` and `challenged` are known to these servers alone.
fn site(servers: &[String], more: &str) -> Site {
    site_with(&format!("servers = {servers:?}\nsecret = '{SECRET}'\n{more}"))
}

/// The same with all settings of the upstream.
fn site_with(upstream: &str) -> Site {
    let site = Site::new();
    site.configure_with(&format!("[upstream.otp]\n{upstream}"));
    for name in ["alice", "challenged", "bob"] {
        site.run(["account", "add", name, "--upstream", "otp"]).succeeded();
    }
    site
}

#[test]
fn upstream_decides() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServer { signs: true });
    let site = site(&[server.address()], "");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    assert_eq!(site.logon("alice", "123457"), Answer::Reject);
    assert_eq!(site.logon("bob", "123456"), Answer::Reject, "an account that it does not know");
    assert_eq!(site.logon("challenged", "1"), Answer::Challenge);
    assert_eq!(site.logon("nobody", "123456"), Answer::Reject, "an account that we do not know");
    assert!(!server.log().contains("nobody"), "it is not asked about those");
}

#[test]
fn upstream_is_asked_with_the_name_in_the_form_that_it_wants() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServer { signs: true });
    let site = site(&[server.address()], "user-name = 'domain-user'");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice@corp.example", "123456"), Answer::Accept);
    assert!(server.log().contains("CORP\\"), "{}", server.log());
}

#[test]
fn challenge_becomes_a_reject_for_clients_that_cannot_answer_it() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServer { signs: true });
    let site = site(&[server.address()], "");
    site.configure_with("radius.client.e2e.never-challenge = true");
    let _daemon = site.serve();
    assert_eq!(site.logon("challenged", "1"), Answer::Reject);
}

#[test]
fn unsigned_reply_counts_only_where_the_config_allows_it() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServer { signs: false });
    let strict = site(&[server.address()], "timeout = '1s'\ntries = 1");
    let _daemon = strict.serve();
    assert_ne!(strict.logon("alice", "123456"), Answer::Accept);
    let lenient = site(&[server.address()], "require-message-authenticator = false");
    let _daemon = lenient.serve();
    assert_eq!(lenient.logon("alice", "123456"), Answer::Accept);
}

#[test]
fn silence_leads_to_the_next_server() {
    let home = tempfile::tempdir().unwrap();
    let (silent, second) = (SilentServer::start(), Role::OtpServer { signs: true });
    let second = FreeRadius::start(home.path(), second);
    let servers = [silent.address(), second.address()];
    let site = site(&servers, "timeout = '1s'\ntries = 2\ndead-time = '10m'");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    let asked = silent.requests();
    assert_eq!(asked.len(), 2, "it was asked twice before");
    assert_eq!(asked[0], asked[1], "with the same octets");
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    assert_eq!(silent.requests().len(), 0, "and is passed over afterwards");
}

#[test]
fn answer_of_the_first_server_is_final() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (Role::OtpServer { signs: true }, SilentServer::start());
    let first = FreeRadius::start(home.path(), first);
    let site = site(&[first.address(), second.address()], "");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    assert_eq!(site.logon("alice", "123457"), Answer::Reject);
    assert_eq!(site.logon("challenged", "1"), Answer::Challenge);
    assert_eq!(second.requests().len(), 0, "the second server was asked");
}

#[test]
fn silence_of_all_servers_is_no_acceptance() {
    let silent = SilentServer::start();
    let site = site(&[silent.address()], "timeout = '1s'\ntries = 1");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Silence, "nobody knows the answer");
    assert!(site.audit_log().contains("upstream-silent"), "{}", site.audit_log());
}

#[test]
fn request_to_an_upstream_is_signed_first_of_all() {
    let silent = SilentServer::start();
    let site = site(&[silent.address()], "timeout = '1s'\ntries = 1");
    let _daemon = site.serve();
    site.logon("alice", "123456");
    let requests = silent.requests();
    assert_eq!(requests[0][20..22], [80, 18], "Message-Authenticator comes first");
}

#[test]
fn upstream_over_tcp_decides_on_one_connection() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServerOverTcp);
    let site = site(&[server.address()], "");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    assert_eq!(site.logon("alice", "123457"), Answer::Reject);
    assert_eq!(site.logon("challenged", "1"), Answer::Challenge);
    let connections = server.log().matches("adding new socket auth").count();
    assert_eq!(connections, 1, "{}", server.log());
}

#[test]
fn wrong_secret_over_tcp_is_no_acceptance() {
    let home = tempfile::tempdir().unwrap();
    let server = FreeRadius::start(home.path(), Role::OtpServerOverTcp);
    let servers = [server.address()];
    let impatient = "timeout = '1s'\ntries = 1";
    let site = site_with(&format!("servers = {servers:?}\nsecret = 'another'\n{impatient}"));
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Silence);
    let log = std::fs::read_to_string(site.log_file()).unwrap();
    assert!(log.contains("does not answer") && log.contains(&server.address()), "{log}");
}

/// An OTP server over TLS, and the settings of an upstream that it trusts.
fn over_tls(home: &std::path::Path) -> (FreeRadius, String) {
    let authority = Authority::new(home, "radsec");
    let server = authority.issue("server", "radius.example.com", "");
    let Identity { certificate, key } = authority.issue("machine", "countersign.example.com", "");
    let trust = authority.certificate();
    let role = Role::OtpServerOverTls { identity: &server, client_trust: &trust };
    let server = FreeRadius::start(&home.join("freeradius"), role);
    let servers = [server.address()];
    (
        server,
        format!(
            "servers = {servers:?}\ntls = {{ trust = {trust:?}, certificate = {certificate:?}, key = {key:?} }}"
        ),
    )
}

#[test]
fn upstream_over_tls_decides() {
    let home = tempfile::tempdir().unwrap();
    let (server, upstream) = over_tls(home.path());
    let site = site_with(&upstream);
    let checked = site.run(["check"]).stdout;
    assert!(checked.contains(&server.address()), "{checked}");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    assert_eq!(site.logon("alice", "123457"), Answer::Reject);
    assert_eq!(site.logon("challenged", "1"), Answer::Challenge);
}

#[test]
fn upstream_over_tls_that_knows_no_radius_1_1_is_not_asked_where_it_is_required() {
    let home = tempfile::tempdir().unwrap();
    let (_server, upstream) = over_tls(home.path());
    let site = site_with(&upstream);
    site.configure_with("upstream.otp.tls.radius-1-1 = 'require'");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Silence);
    let log = std::fs::read_to_string(site.log_file()).unwrap();
    assert!(log.contains("does not speak RADIUS/1.1"), "{log}");
}

#[test]
fn upstream_over_tls_from_a_strange_ca_is_not_asked() {
    let home = tempfile::tempdir().unwrap();
    let (_server, upstream) = over_tls(home.path());
    let stranger = Authority::new(home.path(), "stranger").certificate();
    let site = site_with(&upstream);
    site.configure_with(&format!("upstream.otp.tls.trust = {stranger:?}"));
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Silence);
    let log = std::fs::read_to_string(site.log_file()).unwrap();
    assert!(log.contains("not reachable") && log.contains("ertificate"), "{log}");
}

#[test]
fn restarted_upstream_over_tls_is_asked_again() {
    let home = tempfile::tempdir().unwrap();
    let (server, upstream) = over_tls(home.path());
    let site = site_with(&upstream);
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    let server = server.restart();
    assert_eq!(site.logon("alice", "123456"), Answer::Accept);
    drop(server);
}
