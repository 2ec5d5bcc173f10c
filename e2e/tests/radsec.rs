//! RADIUS over TLS and TCP: FreeRADIUS in front of us, OpenSSL as a client that speaks the
//! wire itself, RADIUS/1.1 by ALPN, and clients that get nothing.

use std::{collections::BTreeSet, io::Write};

use crate::support::{
    certificate::path,
    countersign::{RADIUS_SECRET, Site},
    freeradius::{FreeRadius, Role, SECRET},
    openssl::{Authority, Identity, openssl},
    ports,
    process::Service,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask},
    radius::{Request, answer, attribute, push, write_length},
    stream::{self, TlsClient, receive},
};

/// A site with `alice`, whose daemon listens for TCP and TLS, and for TLS clients of a name.
struct Stage {
    site: Site,
    branch: Identity,
    tls_port: u16,
    tcp_port: u16,
    otps: Vec<String>,
    _daemon: Service,
}

impl Stage {
    fn new(more: &str) -> Self {
        let site = Site::new();
        let [tls_port, tcp_port] = [(); 2].map(|()| ports::free());
        let [server, branch] =
            [("server", "localhost"), ("machine", NAME)].map(|(kind, name)| site.issue(kind, name));
        site.configure_with(&format!(
            "radius.listen-tcp = ['127.0.0.1:{tcp_port}']\n\
             radius.client.branch.tls-name = '{NAME}'\n\
             [radius.tls]\nlisten = ['127.0.0.1:{tls_port}']\n\
             certificate = {:?}\nkey = {:?}\nclient-trust = 'ca/ca.pem'",
            server.certificate, server.key
        ));
        site.configure_with(more);
        let otps = site.add_user("alice", "hotp").otps(0, 20);
        let _daemon = site.serve();
        Self { site, branch, tls_port, tcp_port, otps, _daemon }
    }

    fn connect(&self, identity: &Identity, more: &[&str]) -> TlsClient {
        let ca = self.site.ca_certificate();
        let Identity { certificate, key } = identity;
        let mut options = vec!["-cert", path(certificate), "-key", path(key)];
        options.extend(["-CAfile", path(&ca), "-verify_return_error", "-servername", "localhost"]);
        options.extend(more);
        TlsClient::connect(self.tls_port, &options)
    }
}

#[test]
fn freeradius_proxies_over_tls_and_over_tcp() {
    let stage = Stage::new("");
    let (site, trust) = (&stage.site, stage.site.ca_certificate());
    let over_tls =
        Role::ProxyOverTls { to: stage.tls_port, identity: &stage.branch, trust: &trust };
    let over_tcp = Role::ProxyOverTcp { to: stage.tcp_port, secret: RADIUS_SECRET };
    let [over_tls, over_tcp] = [("tls", over_tls), ("tcp", over_tcp)]
        .map(|(name, role)| FreeRadius::start(&site.file(name), role));
    let ask = |proxy: &FreeRadius, otp: &str| {
        ask(proxy.port, SECRET, "alice", otp, MESSAGE_AUTHENTICATOR).0
    };
    for (proxy, other, otp) in
        [(&over_tls, &over_tcp, &stage.otps[0]), (&over_tcp, &over_tls, &stage.otps[1])]
    {
        assert_eq!(ask(proxy, "000000"), Answer::Reject);
        assert_eq!(ask(proxy, otp), Answer::Accept);
        assert_eq!(ask(proxy, otp), Answer::Reject);
        assert_eq!(ask(other, otp), Answer::Reject, "spent for every way in");
        assert_eq!(site.logon("alice", otp), Answer::Reject);
    }
    site.has_recorded("\"branch\"");
}

#[test]
fn client_without_a_good_certificate_gets_no_answer() {
    let stage = Stage::new("[radius.client.stolen]\ntls-name = 'stolen.corp.example'");
    let site = &stage.site;
    let foreign = Authority::new(&site.file(""), "foreign").issue("machine", NAME, "");
    let unknown = site.issue("machine", "unknown.corp.example");
    let stolen = site.issue("machine", "stolen.corp.example");
    let request = Request::new("radsec", "alice", &stage.otps[0], 1);
    let reply_to = |mut client: TlsClient| {
        client.send(request.octets());
        client.receive()
    };
    assert_eq!(reply_to(TlsClient::connect(stage.tls_port, &[])), None, "no certificate");
    assert_eq!(reply_to(stage.connect(&foreign, &[])), None, "of a foreign CA");
    assert_eq!(reply_to(stage.connect(&unknown, &[])), None, "of a name that is no client");
    let serial = openssl(["x509", "-in", path(&stolen.certificate), "-noout", "-serial"], b"");
    let serial = serial.succeeded().trim().trim_start_matches("serial=").to_lowercase();
    let rejected = Request::new("radsec", "nobody", "000000", 2);
    let mut client = stage.connect(&stolen, &[]);
    client.send(rejected.octets());
    assert!(rejected.is_answered_by(&client.receive().expect("its certificate is good")));
    site.run(["ca", "revoke", &serial]).succeeded();
    assert_eq!(reply_to(stage.connect(&stolen, &[])), None, "revoked");
    let reply = reply_to(stage.connect(&stage.branch, &[]));
    assert_eq!(answer(reply.as_deref()), Answer::Accept, "and nothing was spent");
}

#[test]
fn secret_over_tls_is_radsec_and_a_wrong_one_ends_the_connection() {
    let stage = Stage::new("");
    let mut client = stage.connect(&stage.branch, &[]);
    client.send(Request::new(RADIUS_SECRET, "alice", &stage.otps[0], 1).octets());
    assert_eq!(client.receive(), None);
    let mut client = stage.connect(&stage.branch, &[]);
    let request = Request::new("radsec", "alice", &stage.otps[0], 2);
    client.send(request.octets());
    assert!(request.is_answered_by(&client.receive().unwrap()));
}

#[test]
fn many_requests_are_in_flight_on_one_connection() {
    let stage = Stage::new("");
    let mut client = stage.connect(&stage.branch, &[]);
    let requests: Vec<_> = (0..200)
        .map(|number| match number {
            50 => Request::new("radsec", "alice", &stage.otps[0], number),
            _ => Request::new("radsec", "nobody", "000000", number),
        })
        .collect();
    let octets: Vec<u8> = requests.iter().flat_map(|request| request.octets().to_vec()).collect();
    client.send(&octets);
    let mut tcp = stream::tcp(stage.tcp_port);
    let over_tcp: Vec<_> =
        (0..200).map(|number| Request::new(RADIUS_SECRET, "nobody", "000000", number)).collect();
    let octets: Vec<u8> = over_tcp.iter().flat_map(|request| request.octets().to_vec()).collect();
    tcp.write_all(&octets).unwrap();
    let over_tls: Vec<_> = requests.iter().map(|_| client.receive().unwrap()).collect();
    let replies_over_tcp: Vec<_> = over_tcp.iter().map(|_| receive(&mut tcp).unwrap()).collect();
    for (requests, replies) in [(&requests, &over_tls), (&over_tcp, &replies_over_tcp)] {
        let identifiers: BTreeSet<u8> = replies.iter().map(|reply| reply[1]).collect();
        assert_eq!(identifiers.len(), 200, "each was answered once");
        for reply in replies {
            assert!(requests[usize::from(reply[1])].is_answered_by(reply));
        }
    }
    let accepted: Vec<u8> =
        over_tls.iter().filter(|reply| reply[0] == 2).map(|reply| reply[1]).collect();
    assert_eq!(accepted, [50]);
}

/// RFC 9765: no MD5, a token in the place of identifier and authenticator, the password as it is.
#[test]
fn radius_1_1_is_spoken_with_clients_that_offer_it() {
    let stage = Stage::new("");
    let mut client = stage.connect(&stage.branch, &["-tls1_3", "-alpn", "radius/1.1"]);
    let log_on = |token: u32, otp: &str| {
        let attributes: [(u8, &[u8]); 3] =
            [(1, b"alice"), (2, otp.as_bytes()), (33, b"a proxy state")];
        packet_1_1(1, token, &attributes)
    };
    let passcodes = ["000000", &stage.otps[0], &stage.otps[0]];
    for ((token, code), otp) in (0xfeed_0001..).zip([3, 2, 3]).zip(passcodes) {
        client.send(&log_on(token, otp));
        let reply = client.receive().expect("an answer");
        let mut expected = packet_1_1(code, token, &[(33, b"a proxy state")]);
        // What else is in it is for the user.
        expected.extend(&reply[expected.len()..]);
        write_length(&mut expected);
        assert_eq!(reply, expected, "{otp}");
    }
    // Status-Server, and more in flight than identifiers there are in the old format.
    client.send(&packet_1_1(12, 7, &[]));
    assert_eq!(client.receive().unwrap()[..8], packet_1_1(2, 7, &[])[..8]);
    let tokens = 1000..1600_u32;
    let octets: Vec<u8> = tokens.clone().flat_map(|token| log_on(token, "000000")).collect();
    client.send(&octets);
    let answered: BTreeSet<u32> = tokens
        .clone()
        .map(|_| client.receive().expect("an answer"))
        .map(|reply| u32::from_be_bytes(reply[4..8].try_into().unwrap()))
        .collect();
    assert_eq!(answered, tokens.collect());
}

/// Silence would hold the connection up (RFC 6614 §2.5): Error-Cause 406, unsupported extension.
#[test]
fn accounting_is_refused_in_words_over_tls_and_answered_where_the_config_says_so() {
    for (accounting, error_cause) in [("refuse", Some(&[0, 0, 1, 0x96][..])), ("answer", None)] {
        let stage = Stage::new(&format!("[radius]\naccounting = '{accounting}'"));
        let mut client = stage.connect(&stage.branch, &["-tls1_3", "-alpn", "radius/1.1"]);
        let start: [(u8, &[u8]); 3] = [(40, &[0, 0, 0, 1]), (44, b"session-1"), (1, b"alice")];
        client.send(&packet_1_1(4, 5, &start));
        let reply = client.receive().expect("an answer");
        assert_eq!((reply[0], &reply[4..8]), (5, &[0, 0, 0, 5][..]), "Accounting-Response");
        assert_eq!(attribute(&reply, 101), error_cause, "{accounting}");
    }
}

#[test]
fn version_is_what_both_sides_can() {
    let offers = |version: &'static str| ["-tls1_3", "-alpn", version];
    let new = |otp: &str| packet_1_1(1, 9, &[(1, b"alice"), (2, otp.as_bytes())]);
    let old = |otp: &str| Request::new("radsec", "alice", otp, 3);

    let stage = Stage::new("");
    let mut both = stage.connect(&stage.branch, &offers("radius/1.0,radius/1.1"));
    both.send(&new(&stage.otps[0]));
    assert_eq!(both.receive().unwrap(), packet_1_1(2, 9, &[]), "the newer one is taken");
    let mut only_old = stage.connect(&stage.branch, &offers("radius/1.0"));
    only_old.send(old(&stage.otps[1]).octets());
    assert!(old(&stage.otps[1]).is_answered_by(&only_old.receive().unwrap()));

    let stage = Stage::new("radius.tls.radius-1-1 = 'require'");
    let mut without = stage.connect(&stage.branch, &[]);
    without.send(old(&stage.otps[0]).octets());
    assert_eq!(without.receive(), None, "old format where the new one is demanded");
    let mut with = stage.connect(&stage.branch, &offers("radius/1.1"));
    with.send(&new(&stage.otps[0]));
    assert_eq!(with.receive().unwrap(), packet_1_1(2, 9, &[]));

    let stage = Stage::new("radius.tls.radius-1-1 = 'forbid'");
    let mut with = stage.connect(&stage.branch, &offers("radius/1.1"));
    with.send(&new(&stage.otps[0]));
    assert_eq!(with.receive(), None);
    let mut without = stage.connect(&stage.branch, &[]);
    without.send(old(&stage.otps[0]).octets());
    assert!(old(&stage.otps[0]).is_answered_by(&without.receive().unwrap()));
}

/// A packet of RADIUS/1.1 (RFC 9765 §4): code, zero, length, token, twelve zeros, attributes.
fn packet_1_1(code: u8, token: u32, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = vec![code, 0, 0, 0];
    packet.extend(token.to_be_bytes());
    packet.extend([0; 12]);
    for (number, value) in attributes {
        push(&mut packet, *number, value);
    }
    write_length(&mut packet);
    packet
}

const NAME: &str = "radius.branch.example";
