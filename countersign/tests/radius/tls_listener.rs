//! The listener over TLS: RadSec (RFC 6614) and RADIUS/1.1 (RFC 9765).

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use countersign::{
    clock::{Clock, ManualClock, SystemClock},
    config::{
        file::TlsFile,
        radius::{ClientSettings, RadSecSettings, RadiusRules, RadiusSettings, Source},
        upstream::Radius11,
    },
    listener::{
        inherited::Inherited,
        radius::{Counts, RadiusListener, Services, TlsServices},
        tls::{Examiner, server_config},
    },
    vault::Vault,
};
use countersign_core::{
    secret::Secret,
    wire::radius::{
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Packet},
        transport::{ALPN_RADIUS_1_0, ALPN_RADIUS_1_1, RequestToken},
    },
};
use rustls::{
    ClientConfig,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    authority::Authority,
    support::{LIMIT, eventually, otp, services},
};

/// A listener that runs, for the client of an authority.
struct Listener {
    address: SocketAddr,
    clock: Arc<ManualClock>,
    counts: Arc<Counts>,
}

impl Listener {
    async fn start(authority: &Authority) -> Self {
        let examiner = Examiner::new(&[authority.certificate("ca")], Vec::new()).unwrap();
        let (chain, key) = (vec![authority.certificate("server")], authority.key("server"));
        let protocols = [ALPN_RADIUS_1_1, ALPN_RADIUS_1_0];
        let config = server_config(chain, key, &examiner, &protocols).unwrap();
        let tls = TlsServices { config, examiner, radius_1_1: Radius11::Allow };
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::create(&directory.path().join("key")).unwrap();
        let inherited = &mut Inherited::default();
        let listener = RadiusListener::bind(settings(), Some(tls), &vault, 120, inherited).unwrap();
        let (address, counts) = (listener.addresses().tls[0], listener.counts());
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let services = Services { clock: clock.clone(), ..services(None).await };
        tokio::spawn(listener.serve(services, CancellationToken::new()));
        Self { address, clock, counts }
    }

    async fn connect(&self, config: ClientConfig) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }
}

fn settings() -> RadiusSettings {
    let source = Source::Certificate("client".into());
    let clients =
        vec![ClientSettings::new("branch".into(), source, Secret::new(b"radsec".to_vec()))];
    let tls = TlsFile {
        certificate: PathBuf::new(),
        key: PathBuf::new(),
        client_trust: PathBuf::new(),
        client_revocation: Vec::new(),
    };
    let listen = vec![([127, 0, 0, 1], 0).into()];
    RadiusSettings {
        tls: Some(RadSecSettings { listen, tls, radius_1_1: Radius11::Allow }),
        rules: RadiusRules { clients, ..RadiusRules::default() },
        ..RadiusSettings::default()
    }
}

/// A logon in RADIUS/1.1.
fn logon(otp: &str) -> Vec<u8> {
    let mut draft = Draft::new_over_tls(Code::ACCESS_REQUEST, RequestToken(7));
    draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
    draft.push_clear_password(&Secret::new(otp.as_bytes().to_vec())).unwrap();
    draft.finish_over_tls()
}

/// The code of what is said to a request; nothing if the connection is closed.
async fn said(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> Option<Code> {
    let mut octets = [0; 256];
    stream.write_all(request).await.ok()?;
    let length = timeout(LIMIT, stream.read(&mut octets)).await.unwrap().unwrap_or_default();
    (length > 0).then(|| Packet::read(&octets[..length]).unwrap().code())
}

#[tokio::test]
async fn radius_1_1_is_served_over_tls_1_3_and_not_over_what_was_before() {
    let authority = Authority::new();
    let listener = Listener::start(&authority).await;
    let mut older = listener.connect(authority.client(&[ALPN_RADIUS_1_1], &[&TLS12])).await;
    assert_eq!(said(&mut older, &logon(&otp(0))).await, None);
    eventually(|| listener.counts.turned_away.value() == 1).await;
    let mut newer = listener.connect(authority.client(&[ALPN_RADIUS_1_1], &[&TLS13])).await;
    assert_eq!(said(&mut newer, &logon(&otp(0))).await, Some(Code::ACCESS_ACCEPT));
    assert_eq!(said(&mut newer, &logon(&otp(0))).await, Some(Code::ACCESS_REJECT), "once");
}

#[tokio::test]
async fn a_certificate_that_expires_ends_its_connection() {
    let authority = Authority::new();
    let listener = Listener::start(&authority).await;
    let mut stream = listener.connect(authority.client(&[ALPN_RADIUS_1_1], &[&TLS13])).await;
    assert_eq!(said(&mut stream, &logon(&otp(0))).await, Some(Code::ACCESS_ACCEPT));
    listener.clock.set(listener.clock.now().plus(2 * 86_400));
    assert_eq!(said(&mut stream, &logon(&otp(1))).await, None);
    assert_eq!(listener.counts.accepted.value(), 1);
}
