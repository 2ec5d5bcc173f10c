//! A site with two users, a client that asks, and an upstream that does as it is told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::{
    app::{
        accounting::Recorder,
        authenticate::{Authenticator, Others, Parts},
        proxy::Proxy,
    },
    audit::MemoryAudit,
    client::radius::Upstream,
    clock::ManualClock,
    config::{
        radius::{ClientSettings, RadiusRules, RadiusSettings, Source},
        upstream::{ServerSettings, UpstreamSettings, UserNameFormat},
    },
    listener::{
        inherited::Inherited,
        radius::{BindError, RadiusListener, Services},
    },
    store::{Store, memory::Memory},
    vault::{Vault, random_octets},
};
use countersign_core::{
    domain::{
        account::{Account, Authentication},
        id::{AccountId, TokenId},
        name::Site,
        password::PasswordHash,
        policy::Policy,
        time::UnixTime,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
    wire::radius::{
        authenticator::{Authenticator as RequestAuthenticator, Demand},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Packet, Protection},
    },
};
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// The secret shared with every client and every server.
pub(crate) fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"a shared secret".to_vec())
}

/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const OATH_SECRET: &[u8] = b"12345678901234567890";

/// The HOTP of alice's token.
pub(crate) fn otp(counter: u64) -> String {
    let otp = hotp(Algorithm::Sha1, OATH_SECRET, counter, Digits::SIX);
    String::from_utf8(otp.as_bytes().to_vec()).unwrap()
}

/// alice with a HOTP token, and rosa about whom the upstream `otp` decides.
pub(crate) async fn services(upstream: Option<Upstream>) -> Services {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::create(&directory.path().join("key")).unwrap();
    let store = Memory::new();
    let remote = Authentication::Upstream("otp".into());
    let (alice, rosa) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    for account in [account(alice, "alice", Authentication::Tokens), account(rosa, "rosa", remote)]
    {
        store.insert_account(account, Site::default()).await.unwrap();
    }
    let token = token(alice);
    let sealed = vault.seal(token.id, OATH_SECRET).unwrap();
    store.insert_token(token, Some(sealed), 0).await.unwrap();
    let upstreams = upstream.map(|upstream| ("otp".into(), Arc::new(upstream)));
    let others =
        Others { upstreams: upstreams.into_iter().collect::<HashMap<_, _>>(), ..Others::default() };
    let (audit, others) = (Arc::new(MemoryAudit::default()), others.shared());
    let authenticator = Authenticator::new(Parts {
        store: Arc::new(store),
        vault: Arc::new(vault),
        audit: audit.clone(),
        policy: Policy::default(),
        pins: Arc::new(NoPins),
        pin_permits: 1,
        others: others.clone(),
    });
    Services {
        authenticator: Arc::new(authenticator),
        proxy: Arc::new(Proxy::new(others)),
        recorder: Arc::new(Recorder::new(audit)),
        clock: Arc::new(ManualClock::new(UnixTime(1_800_000_000))),
    }
}

struct NoPins;

impl PinCheck for NoPins {
    fn matches(&self, _: &PinHash, _: &[u8]) -> bool {
        false
    }

    fn password_matches(&self, _: &PasswordHash, _: &[u8]) -> bool {
        false
    }
}

pub(crate) fn account(id: AccountId, name: &str, authentication: Authentication) -> Account {
    Account { authentication, ..Account::new(id, name.into()) }
}

fn token(owner: AccountId) -> Token {
    Token {
        accounts: vec![owner],
        ..Token::new(
            TokenId::from_bytes([3; 16]),
            "alice's".into(),
            TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX },
        )
    }
}

/// A listener that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) counts: Arc<countersign::listener::radius::Counts>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

/// Listens on loopback for 127.0.0.1, and 127.0.0.2 that need not send a Message-Authenticator.
pub(crate) async fn listen(upstream: Option<Upstream>) -> Running {
    let clients = vec![
        client("default", "127.0.0.1/32"),
        ClientSettings { require_message_authenticator: false, ..client("exempt", "127.0.0.2/32") },
    ];
    let settings = RadiusSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        listen_tcp: vec![([127, 0, 0, 1], 0).into()],
        rules: RadiusRules { clients, ..RadiusRules::default() },
        ..RadiusSettings::default()
    };
    let listener = bind(settings).unwrap();
    let (addresses, counts) = (listener.addresses(), listener.counts());
    let (address, tcp) = (addresses.udp[0], addresses.tcp[0]);
    let services = services(upstream).await;
    let stop = CancellationToken::new();
    let served = tokio::spawn(listener.serve(services, stop.clone()));
    Running { address, tcp, counts, stop, served }
}

pub(crate) fn bind(settings: RadiusSettings) -> Result<RadiusListener, BindError> {
    bind_with(settings, &vault())
}

/// With the master key of a node.
pub(crate) fn bind_with(
    settings: RadiusSettings,
    vault: &Vault,
) -> Result<RadiusListener, BindError> {
    RadiusListener::bind(settings, None, vault, 120, &mut Inherited::default())
}

/// With a new master key.
pub(crate) fn vault() -> Vault {
    let directory = tempfile::tempdir().unwrap();
    Vault::create(&directory.path().join("key")).unwrap()
}

pub(crate) fn client(name: &str, network: &str) -> ClientSettings {
    let source = Source::Network(network.parse().unwrap());
    ClientSettings::new(name.into(), source, secret())
}

/// A request that is being put together.
pub(crate) struct Asking {
    draft: Draft,
    identifier: Identifier,
    authenticator: RequestAuthenticator,
}

/// A request as it is sent.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    identifier: Identifier,
    authenticator: RequestAuthenticator,
}

impl Asking {
    pub(crate) fn new(code: Code, protection: Protection) -> Self {
        let [identifier, authenticator @ ..] = random_octets::<17>();
        let (identifier, authenticator) =
            (Identifier(identifier), RequestAuthenticator(authenticator));
        let draft = Draft::new(code, identifier, authenticator, protection);
        Self { draft, identifier, authenticator }
    }

    pub(crate) fn logon(name: &str, password: &str) -> Self {
        Self::new(Code::ACCESS_REQUEST, Protection::MessageAuthenticator)
            .credentials(name, password)
    }

    pub(crate) fn credentials(mut self, name: &str, password: &str) -> Self {
        self.draft.push(AttributeNumber::USER_NAME, name.as_bytes()).unwrap();
        let password = Secret::new(password.as_bytes().to_vec());
        self.draft.push_user_password(&password, &secret()).unwrap();
        self
    }

    pub(crate) fn with(mut self, number: AttributeNumber, value: &[u8]) -> Self {
        self.draft.push(number, value).unwrap();
        self
    }

    pub(crate) fn sign(self) -> Request {
        self.sign_with(&secret())
    }

    pub(crate) fn sign_with(self, secret: &Secret<Vec<u8>>) -> Request {
        let Self { draft, identifier, authenticator } = self;
        Request { bytes: draft.finish_request(secret), identifier, authenticator }
    }
}

/// A RADIUS client on a socket of its own.
pub(crate) struct Peer(UdpSocket);

impl Peer {
    /// On 127.0.0.`last`.
    pub(crate) async fn new(last: u8, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))).await.unwrap();
        socket.connect(server).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&self, request: &Request) {
        self.0.send(&request.bytes).await.unwrap();
    }

    /// The next datagram.
    pub(crate) async fn receive(&self) -> Vec<u8> {
        let mut datagram = vec![0; Packet::MAX_LENGTH];
        let length = timeout(LIMIT, self.0.recv(&mut datagram)).await.unwrap().unwrap();
        datagram.truncate(length);
        datagram
    }

    /// The code of the next datagram, which must answer this request.
    pub(crate) async fn answer_to(&self, request: &Request) -> Code {
        let reply = self.receive().await;
        let packet = Packet::read(&reply).unwrap();
        let (identifier, authenticator) = (request.identifier, request.authenticator);
        let verified =
            packet.verify_reply(identifier, authenticator, &secret(), Demand::WherePresent);
        verified.unwrap().packet().code()
    }

    pub(crate) async fn ask(&self, request: &Request) -> Code {
        self.send(request).await;
        self.answer_to(request).await
    }
}

/// From where, and what.
pub(crate) type Datagram = (SocketAddr, Vec<u8>);

/// A server that records what it is sent and answers as it is told.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Datagram>>>,
    serving: JoinHandle<()>,
}

impl Server {
    /// `answer` gets the number of the datagram, beginning with 1, and the datagram; every
    /// element of what it returns is sent back.
    pub(crate) async fn start(
        answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = socket.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = received.clone();
        let serving = tokio::spawn(async move {
            let mut datagram = vec![0; Packet::MAX_LENGTH];
            loop {
                let (length, peer) = socket.recv_from(&mut datagram).await.unwrap();
                let request = datagram[..length].to_vec();
                let number = {
                    let mut record = record.lock().unwrap();
                    record.push((peer, request.clone()));
                    record.len()
                };
                for reply in answer(number, &request) {
                    socket.send_to(&reply, peer).await.unwrap();
                }
            }
        });
        Self { address, received, serving }
    }

    /// Always answers with this code.
    pub(crate) async fn saying(code: Code) -> Self {
        Self::start(move |_, request| vec![reply(request, code)]).await
    }

    /// Never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(|_, _| Vec::new()).await
    }

    pub(crate) fn received(&self) -> Vec<Datagram> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many datagrams have arrived; there may be more.
    pub(crate) async fn receives(&self, count: usize) {
        eventually(|| self.received().len() >= count).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap();
}

/// The authentic reply to a request.
pub(crate) fn reply(request: &[u8], code: Code) -> Vec<u8> {
    reply_with(request, code, Protection::MessageAuthenticator, &secret())
}

pub(crate) fn reply_with(
    request: &[u8],
    code: Code,
    protection: Protection,
    secret: &Secret<Vec<u8>>,
) -> Vec<u8> {
    let packet = Packet::read(request).unwrap();
    Draft::new(code, packet.identifier(), packet.authenticator(), protection).finish_reply(secret)
}

/// An upstream of these servers that waits a second for each, sending all the while.
pub(crate) fn upstream(servers: &[SocketAddr]) -> UpstreamSettings {
    let server =
        |address: &SocketAddr| ServerSettings { address: (*address).into(), secret: secret() };
    UpstreamSettings {
        name: "otp".into(),
        servers: servers.iter().map(server).collect(),
        timeout: Duration::from_millis(50),
        tries: 20,
        dead_time: LIMIT,
        user_name: UserNameFormat::AsGiven,
        nas_identifier: "countersign".into(),
        require_message_authenticator: true,
        accounting_port: None,
        tls: None,
        probe: None,
    }
}
