//! A proxy that listens on a UNIX socket and on TCP, its client, and the directory server
//! behind it: the test speaks for both.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign::{
    app::{
        authenticate::{Authenticator, Others, Parts},
        bind::{BindRules, Binder},
        ldap_proxy::{LdapProxy, LdapServer},
    },
    audit::MemoryAudit,
    clock::ManualClock,
    config::{
        ldap_proxy::{LdapProxyRules, LdapProxySettings, LdapServerSettings, Sasl, WithoutToken},
        server_url::ServerUrl,
        socket::SocketSettings,
    },
    listener::{
        inherited::Inherited,
        ldap::{LdapListener, Service, TlsService},
    },
    store::{Store, memory::Memory},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::Account,
        attempt::ListenerKind,
        event::What,
        id::{AccountId, TokenId},
        name::Site,
        password::{PasswordHash, PasswordRule},
        policy::Policy,
        time::UnixTime,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
        verdict::{Outcome, Reason},
    },
    oath::hotp::{Algorithm, Digits, hotp},
    wire::ldap::{
        message::{Head, Message, MessageId, Operation},
        result::{LdapResult, ResultCode, response},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const ALICE: &str = "uid=alice,dc=example,dc=test";
pub(crate) const BOB: &str = "uid=bob,dc=example,dc=test";
const OATH_SECRET: &[u8] = b"12345678901234567890";

/// The HOTP of alice's token.
pub(crate) fn otp(counter: u64) -> String {
    let otp = hotp(Algorithm::Sha1, OATH_SECRET, counter, Digits::SIX);
    String::from_utf8(otp.as_bytes().to_vec()).unwrap()
}

/// What differs from test to test.
pub(crate) struct Setup {
    pub(crate) rules: LdapProxyRules,
    pub(crate) without_token: WithoutToken,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    pub(crate) tls: Option<TlsService>,
}

impl Default for Setup {
    fn default() -> Self {
        let rules = LdapProxyRules {
            sasl: Sasl::Refuse,
            exempt: HashSet::new(),
            require_tls: false,
            idle_limit: LIMIT,
            time_limit: LIMIT,
            max_message: 1024 * 1024,
        };
        Self {
            rules,
            without_token: WithoutToken::Pass,
            max_connections: 10,
            max_connections_per_address: 10,
            tls: None,
        }
    }
}

/// A proxy that runs. alice has a HOTP token, bob has none, all others are not known.
pub(crate) struct Proxy {
    directory: tempfile::TempDir,
    pub(crate) tcp: SocketAddr,
    server: UnixListener,
    pub(crate) audit: Arc<MemoryAudit>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server_path = directory.path().join("server");
        let server = UnixListener::bind(&server_path).unwrap();
        let settings = settings(directory.path(), server_path, &setup);
        let listener = LdapListener::bind(&settings, &mut Inherited::default()).unwrap();
        let tcp = listener.addresses().tcp[0];
        let audit = Arc::new(MemoryAudit::default());
        let rules = BindRules {
            password: PasswordRule::Elsewhere,
            may_decline: setup.without_token == WithoutToken::Pass,
            store_compares_names: false,
            login_attribute: None,
        };
        let authenticator = authenticator(directory.path(), audit.clone()).await;
        let service = Service {
            proxy: LdapProxy {
                binder: Binder::new(Arc::new(authenticator), ListenerKind::Ldap, rules),
                server: LdapServer::new(&settings.upstream).unwrap(),
            },
            clock: Arc::new(ManualClock::new(UnixTime(1_800_000_000))),
            rules: setup.rules,
            tls: setup.tls,
        };
        let stop = CancellationToken::new();
        let served = tokio::spawn(listener.serve(Arc::new(service), stop.clone()));
        Self { directory, tcp, server, audit, stop, served }
    }

    /// A client on the UNIX socket.
    pub(crate) async fn client(&self) -> End<UnixStream> {
        End::new(UnixStream::connect(self.directory.path().join("proxy")).await.unwrap())
    }

    /// A client over TCP.
    pub(crate) async fn tcp_client(&self) -> End<TcpStream> {
        End::new(TcpStream::connect(self.tcp).await.unwrap())
    }

    /// The directory server takes a connection of the proxy.
    pub(crate) async fn server(&self) -> End<UnixStream> {
        End::new(timeout(LIMIT, self.server.accept()).await.unwrap().unwrap().0)
    }

    /// From now on there is no directory server.
    pub(crate) fn without_server(&self) {
        std::fs::remove_file(self.directory.path().join("server")).unwrap();
    }

    /// Why attempts ended, in their order.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let reason = |what| {
            let What::Authenticated { reason, .. } = what else { return None };
            Some(reason)
        };
        self.audit.events().into_iter().filter_map(|event| reason(event.what)).collect()
    }

    /// What the last attempt came to, once there are so many: outcome, reason, and whether
    /// account and token are named.
    pub(crate) async fn recorded(&self, count: usize) -> (Outcome, Reason, bool) {
        let done = async {
            while self.reasons().len() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, done).await.unwrap();
        let events = self.audit.events();
        assert_eq!(events.len(), count);
        let What::Authenticated { outcome, reason, account, token, .. } = &events[count - 1].what
        else {
            panic!("no attempt")
        };
        (*outcome, *reason, account.is_some() && token.is_some())
    }
}

fn settings(directory: &Path, server: PathBuf, setup: &Setup) -> LdapProxySettings {
    let path = directory.join("proxy");
    LdapProxySettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        socket: Some(SocketSettings { path, mode: 0o600, group: None, users: Vec::new() }),
        tls: None,
        upstream: LdapServerSettings {
            addresses: vec![ServerUrl::Socket(server)],
            trust: None,
            start_tls: false,
            time_limit: LIMIT,
        },
        without_token: setup.without_token,
        login_attribute: None,
        max_connections: setup.max_connections,
        max_connections_per_address: setup.max_connections_per_address,
        rules: setup.rules.clone(),
    }
}

async fn authenticator(directory: &Path, audit: Arc<MemoryAudit>) -> Authenticator {
    let vault = Vault::create(&directory.join("key")).unwrap();
    let store = Memory::new();
    let (alice, bob) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    for (id, name, dn) in [(alice, "alice", ALICE), (bob, "bob", BOB)] {
        let account = Account { dn: Some(dn.into()), ..Account::new(id, name.into()) };
        store.insert_account(account, Site::default()).await.unwrap();
    }
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    let token = Token::new(TokenId::from_bytes([3; 16]), "alice's".into(), kind);
    let token = Token { accounts: vec![alice], ..token };
    let sealed = vault.seal(token.id, OATH_SECRET).unwrap();
    store.insert_token(token, Some(sealed), 0).await.unwrap();
    Authenticator::new(Parts {
        store: Arc::new(store),
        vault: Arc::new(vault),
        audit,
        policy: Policy::default(),
        pins: Arc::new(NoPins),
        pin_permits: 1,
        others: Others::default().shared(),
    })
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

/// One end of a connection, in the hands of the test.
pub(crate) struct End<S> {
    pub(crate) stream: S,
    octets: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, octets: Vec::new() }
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) {
        timeout(LIMIT, self.stream.write_all(octets)).await.unwrap().unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; none if the connection ends.
    pub(crate) async fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(head) = Head::read(&self.octets).unwrap()
                && self.octets.len() >= head.length
            {
                return Some(self.octets.drain(..head.length).collect());
            }
            let read = timeout(LIMIT, self.stream.read_buf(&mut self.octets)).await.unwrap();
            if read.unwrap_or(0) == 0 {
                assert!(self.octets.is_empty(), "half a message");
                return None;
            }
        }
    }

    /// The next message is this one.
    pub(crate) async fn expect(&mut self, message: &[u8]) {
        let received = self.receive().await.expect("a message");
        let shown =
            |octets: &[u8]| String::from_utf8_lossy(&octets[..octets.len().min(99)]).into_owned();
        assert!(received == message, "{:?}, not {:?}", shown(&received), shown(message));
    }

    /// So many octets have come.
    pub(crate) async fn wait_for(&mut self, count: usize) {
        while self.octets.len() < count {
            let read = timeout(LIMIT, self.stream.read_buf(&mut self.octets)).await.unwrap();
            assert_ne!(read.unwrap(), 0, "the connection ended");
        }
    }

    /// Sends one message while it receives another.
    pub(crate) async fn exchange(&mut self, message: &[u8], wanted: &[u8]) {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let mut received = vec![0; wanted.len()];
        let both =
            async { tokio::try_join!(writer.write_all(message), reader.read_exact(&mut received)) };
        timeout(LIMIT, both).await.unwrap().unwrap();
        assert!(received == wanted);
    }

    /// Nothing comes any more that would be LDAP.
    pub(crate) async fn ends(&mut self) {
        let mut rest = Vec::new();
        let _ = timeout(LIMIT, self.stream.read_to_end(&mut rest)).await.unwrap();
        assert!(Head::read(&rest).is_ok_and(|head| head.is_none()) || rest[0] != 0x30);
    }

    /// The next message is a result: number, operation and result code.
    pub(crate) async fn result(&mut self) -> (u32, Operation, u32) {
        let octets = self.receive().await.expect("a message");
        let message = Message::read(&octets).unwrap();
        let number = (0..).find(|number| MessageId::new(*number) == Some(message.id)).unwrap();
        (number, message.operation, LdapResult::read(&message).unwrap().code.0)
    }

    /// The next message is the response to a bind; its code.
    pub(crate) async fn bound(&mut self, number: u32) -> u32 {
        let (found, operation, code) = self.result().await;
        assert_eq!((found, operation), (number, Operation::BIND_RESPONSE));
        code
    }

    /// A Notice of Disconnection with this code, and the end.
    pub(crate) async fn is_dismissed(&mut self, code: ResultCode) {
        let expected = (0, Operation::EXTENDED_RESPONSE, code.0);
        assert_eq!(self.result().await, expected);
        assert!(self.receive().await.is_none());
    }
}

/// A message: its number, its operation, the content of that.
pub(crate) fn message(number: u32, operation: Operation, content: &[u8]) -> Vec<u8> {
    let id = u8::try_from(number).unwrap();
    let operation = element(operation.0, content);
    element(0x30, &[&[0x02, 0x01, id][..], &operation].concat())
}

pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let header = match length {
        [0, 0, 0, short @ 0..0x80] => vec![tag, short],
        [a, b, c, d] => vec![tag, 0x84, a, b, c, d],
    };
    [&header, content].concat()
}

pub(crate) fn bind(number: u32, name: &str, password: &str) -> Vec<u8> {
    let name = element(0x04, name.as_bytes());
    let password = element(0x80, password.as_bytes());
    message(number, Operation::BIND_REQUEST, &[&[0x02, 0x01, 0x03][..], &name, &password].concat())
}

pub(crate) fn sasl(number: u32, mechanism: &str) -> Vec<u8> {
    let sasl = element(0xa3, &element(0x04, mechanism.as_bytes()));
    message(number, Operation::BIND_REQUEST, &[&[0x02, 0x01, 0x03, 0x04, 0x00][..], &sasl].concat())
}

/// The response to a bind.
pub(crate) fn bound(number: u32, code: u32) -> Vec<u8> {
    let id = MessageId::new(number).unwrap();
    response(id, Operation::BIND_RESPONSE, ResultCode(code), "")
}

/// What the proxy asks when somebody was let in without a token, and the answer to it.
pub(crate) fn who_am_i() -> Vec<u8> {
    countersign_core::wire::ldap::extended::request(
        MessageId::MAX,
        countersign_core::wire::ldap::extended::WHO_AM_I,
    )
}

pub(crate) fn you_are(name: &str) -> Vec<u8> {
    let content = [&[0x0a, 1, 0, 0x04, 0, 0x04, 0][..], &element(0x8b, name.as_bytes())].concat();
    let operation = element(0x78, &content);
    element(0x30, &[&[0x02, 0x04, 0x7f, 0xff, 0xff, 0xff][..], &operation].concat())
}
