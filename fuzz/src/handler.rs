//! The whole RADIUS handler over a store in memory, by every way in: whatever comes, every
//! answer is well formed, authentic and for who asked, and no OTP is accepted twice.
//!
//! This file needs the crate `countersign`, so it stands outside of `lib.rs`, which the
//! tests of `countersign-core` include. `fuzz/targets/radius_handler.rs` and
//! `countersign/tests/corpus.rs` include it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use countersign::{
    app::{
        accounting::Recorder,
        authenticate::{Authenticator, Others, Parts},
        proxy::Proxy,
    },
    audit::MemoryAudit,
    clock::ManualClock,
    config::{
        radius::{ClientSettings, RadiusRules, RealmSettings, Source},
        reply::{self, ReplyRule, ReplyValue},
        socket::SocketSettings,
        upstream::ProbeUser,
    },
    listener::radius::{Services, Trial, TrialPeer},
    store::{SealedSecret, Store, memory::Memory},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::{Account, Validity},
        id::{AccountId, TokenId},
        name::{LoginKey, LoginName, Site},
        password::PasswordHash,
        policy::Policy,
        time::UnixTime,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
    wire::radius::{
        authenticator::{Demand, VerifiedRequest},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Packet, Protection},
    },
};
use tokio::runtime::{Builder, Runtime};

/// A conversation: for each packet the two octets of a [`Turn`], two octets of length, the
/// packet.
pub fn radius(octets: &[u8]) {
    acceptances(octets);
}

/// The same; how many logons were accepted in it, retries not counted.
pub fn acceptances(octets: &[u8]) -> usize {
    let world = world();
    world.runtime.block_on(async {
        let mut talk = Talk::new(world).await;
        let mut rest = octets;
        while let Some((turn, packet, more)) = next(rest) {
            talk.hear(turn, packet).await;
            rest = more;
        }
        talk.acceptances
    })
}

/// By which way a packet is sent, and how.
#[derive(Clone, Copy)]
struct Turn {
    way: Way,
    how: u8,
}

/// The ways in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// UDP, as by default.
    Udp,
    /// UDP of a client that need not send a Message-Authenticator.
    Exempt,
    /// UDP of a client that is never challenged.
    Unchallenged,
    /// UDP of nobody that is known.
    Stranger,
    /// TCP, of the same client as [`Way::Udp`].
    Tcp,
    /// RADIUS/TLS.
    Tls,
    /// RADIUS/1.1 of the same client.
    V1_1,
    /// TLS with a certificate of nobody that is known.
    StrangerTls,
    /// The UNIX socket of a KDC.
    Kdc,
    /// UDP of a client whose retries may be other packets.
    Patient,
}

impl Turn {
    /// As it is, and not made anew with the shared secret.
    fn is_raw(self) -> bool {
        self.how & 1 != 0
    }

    fn passcode(self) -> Passcode {
        match self.how >> 1 & 0b11 {
            0 => Passcode::Given,
            1 => Passcode::Alice,
            2 => Passcode::BobWithPin,
            _ => Passcode::Bob,
        }
    }

    /// And once more, as clients do that hear nothing.
    fn is_repeated(self) -> bool {
        self.how & 0b1000 != 0
    }

    /// With the State of the last challenge, whoever was challenged.
    fn has_state(self) -> bool {
        self.how & 0b1_0000 != 0
    }

    /// So much later than the one before.
    fn seconds(self) -> u64 {
        u64::from(self.how >> 5) * 7
    }
}

/// The User-Password of a request that is made.
enum Passcode {
    Given,
    Alice,
    BobWithPin,
    Bob,
}

impl Way {
    const ALL: [Self; 10] = [
        Self::Udp,
        Self::Exempt,
        Self::Unchallenged,
        Self::Stranger,
        Self::Tcp,
        Self::Tls,
        Self::V1_1,
        Self::StrangerTls,
        Self::Kdc,
        Self::Patient,
    ];

    fn peer(self) -> TrialPeer {
        let address = |last| SocketAddr::from(([10, 0, 0, last], 40_000));
        let tls = |name: &str, radius_1_1| TrialPeer::Tls { name: name.into(), radius_1_1 };
        match self {
            Self::Udp => TrialPeer::Udp(address(9)),
            Self::Exempt => TrialPeer::Udp(address(1)),
            Self::Unchallenged => TrialPeer::Udp(address(2)),
            Self::Stranger => TrialPeer::Udp(([192, 0, 2, 1], 40_000).into()),
            Self::Tcp => TrialPeer::Tcp(address(9)),
            Self::Tls => tls(BRANCH, false),
            Self::V1_1 => tls(BRANCH, true),
            Self::StrangerTls => tls("elsewhere.example", true),
            Self::Kdc => TrialPeer::Unix(Path::new(SOCKET).into()),
            Self::Patient => TrialPeer::Udp(address(3)),
        }
    }

    /// The name of the client in the config.
    fn client(self) -> &'static str {
        match self {
            Self::Udp | Self::Tcp => "10.0.0.0/8",
            Self::Exempt => "10.0.0.1/32",
            Self::Unchallenged => "10.0.0.2/32",
            Self::Patient => "10.0.0.3/32",
            Self::Tls | Self::V1_1 => "branch",
            Self::Kdc => "kdc",
            Self::Stranger | Self::StrangerTls => "",
        }
    }

    fn secret(self) -> Secret<Vec<u8>> {
        Secret::new(match self {
            Self::Tls | Self::V1_1 | Self::StrangerTls => b"radsec".to_vec(),
            Self::Kdc => Vec::new(),
            Self::Udp
            | Self::Exempt
            | Self::Unchallenged
            | Self::Stranger
            | Self::Tcp
            | Self::Patient => b"xyzzy5461".to_vec(),
        })
    }

    fn demand(self) -> Demand {
        if self.is_lenient() { Demand::WherePresent } else { Demand::Required }
    }

    /// Whether a Message-Authenticator may be left out.
    fn is_lenient(self) -> bool {
        matches!(self, Self::Exempt | Self::Kdc)
    }

    fn is_stranger(self) -> bool {
        matches!(self, Self::Stranger | Self::StrangerTls)
    }

    /// What a request says to who may believe it.
    fn believe<'a>(self, packet: Packet<'a>, secret: &'a Secret<Vec<u8>>) -> VerifiedRequest<'a> {
        if self == Self::V1_1 {
            return packet.trust_transport();
        }
        let believed = match packet.code() {
            Code::ACCOUNTING_REQUEST => packet.verify_accounting_request(secret),
            _ => packet.verify_request(secret, self.demand()),
        };
        believed.expect("only what is authentic is answered")
    }
}

fn next(octets: &[u8]) -> Option<(Turn, &[u8], &[u8])> {
    let ([way, how, high, low], rest) = octets.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (packet, more) = rest.split_at(length.min(rest.len()));
    let way = Way::ALL[usize::from(*way) % Way::ALL.len()];
    Some((Turn { way, how: *how }, packet, more))
}

/// What is said to one daemon.
struct Talk {
    trial: Trial,
    now: UnixTime,
    /// What the tokens of alice and bob have accepted.
    spent: [Spent; 2],
    challenges: Vec<Challenge>,
    acceptances: usize,
    /// Tells the requests that we make apart.
    made: u8,
}

/// A token's counter after what was accepted, and what was accepted last.
#[derive(Default)]
struct Spent {
    next: u64,
    last: Option<Accepted>,
}

/// A logon that was accepted.
struct Accepted {
    packet: Vec<u8>,
    client: &'static str,
    login: LoginKey,
    passcode: Secret<Vec<u8>>,
    state: Option<Vec<u8>>,
    at: UnixTime,
}

/// A State that was given, to whom and for whom.
struct Challenge {
    client: &'static str,
    login: LoginKey,
    state: Vec<u8>,
    at: UnixTime,
}

impl Accepted {
    /// Whether another logon may be accepted for this one's sake.
    fn is_retried_by(&self, other: &Self, way: Way) -> bool {
        let age = other.at.since(self.at);
        let is_same_packet = self.packet == other.packet && way != Way::V1_1;
        let is_same_logon = self.login == other.login
            && self.passcode == other.passcode
            && self.state == other.state;
        let is_graceful = way == Way::Patient && is_same_logon && age <= GRACE.into();
        self.client == other.client && (is_graceful || is_same_packet && age <= 15)
    }
}

impl Talk {
    async fn new(world: &World) -> Self {
        let services = services(world).await;
        let rules = RadiusRules {
            clients: clients(),
            realms: realms(),
            accounting: true,
            ..RadiusRules::default()
        };
        let trial = Trial::new(rules, services, &world.vault).expect("the networks differ");
        Self {
            trial,
            now: UnixTime(1_800_000_000),
            spent: Default::default(),
            challenges: Vec::new(),
            acceptances: 0,
            made: 0,
        }
    }

    async fn hear(&mut self, turn: Turn, packet: &[u8]) {
        self.now = self.now.plus(turn.seconds());
        let packet = match turn.is_raw() {
            true => Some(packet.to_vec()),
            false => self.made_authentic(turn, packet),
        };
        let Some(packet) = packet else { return };
        let answer = self.answer(turn.way, &packet).await;
        if turn.is_repeated() {
            let again = self.answer(turn.way, &packet).await;
            if let TrialPeer::Udp(_) = turn.way.peer() {
                assert_eq!(again, answer, "a retransmission gets the same answer");
            }
        }
    }

    async fn answer(&mut self, way: Way, packet: &[u8]) -> Option<Vec<u8>> {
        let answer = self.trial.answer(packet, &way.peer(), self.now).await;
        if let Some(answer) = &answer {
            assert!(!way.is_stranger(), "a stranger meets silence");
            self.check(way, packet, answer);
        }
        answer
    }

    /// A request with these attributes, as one who knows the shared secret makes it.
    fn made_authentic(&mut self, turn: Turn, packet: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::read(packet).ok()?;
        self.made = self.made.wrapping_add(1);
        let mut authenticator = packet.authenticator();
        authenticator.0[0] = self.made;
        let (way, identifier) = (turn.way, Identifier(self.made));
        let is_bare = way == Way::V1_1 || way.is_lenient() && packet.identifier().0 & 1 == 0;
        let protection = match is_bare {
            true => Protection::None,
            false => Protection::MessageAuthenticator,
        };
        let is_accounting = packet.code() == Code::ACCOUNTING_REQUEST && way != Way::V1_1;
        let mut draft = match is_accounting {
            true => Draft::new_accounting_request(identifier),
            false => Draft::new(packet.code(), identifier, authenticator, protection),
        };
        let secret = way.secret();
        for attribute in packet.attributes() {
            match attribute.number {
                AttributeNumber::MESSAGE_AUTHENTICATOR => {}
                AttributeNumber::USER_PASSWORD => {
                    let password = Secret::new(self.passcode(turn, attribute.value));
                    let _ = match way == Way::V1_1 {
                        true => draft.push_clear_password(&password),
                        false => draft.push_user_password(&password, &secret),
                    };
                }
                number => draft.push(number, attribute.value).ok()?,
            }
        }
        if let (true, Some(challenge)) = (turn.has_state(), self.challenges.last()) {
            draft.push(AttributeNumber::STATE, &challenge.state).ok()?;
        }
        Some(match (way == Way::V1_1, is_accounting) {
            (true, _) => draft.finish_over_tls(),
            (false, true) => draft.finish_accounting_request(&secret).0,
            (false, false) => draft.finish_request(&secret),
        })
    }

    fn passcode(&self, turn: Turn, given: &[u8]) -> Vec<u8> {
        match turn.passcode() {
            Passcode::Given => given.to_vec(),
            Passcode::Alice => otp(ALICE, self.spent[ALICE].next),
            Passcode::BobWithPin => [PIN, &otp(BOB, self.spent[BOB].next)].concat(),
            Passcode::Bob => otp(BOB, self.spent[BOB].next),
        }
    }

    /// What must hold of every answer.
    fn check(&mut self, way: Way, octets: &[u8], answer: &[u8]) {
        let request = Packet::read(octets).expect("only what was read is answered");
        let (states, secret) = (proxy_states(&request), way.secret());
        let request = way.believe(request, &secret);
        let reply = Packet::read(answer).expect("an answer is a packet");
        assert_eq!(reply.as_bytes(), answer, "nothing trails");
        assert_eq!(proxy_states(&reply), states, "Proxy-State comes back as it was");
        check_authenticity(way, &request, reply, &secret);
        if way == Way::Kdc {
            let states: usize = states.iter().map(|state| state.len() + 2).sum();
            let authenticated = request.carried() == Protection::MessageAuthenticator;
            assert_eq!(answer.len(), 20 + states + if authenticated { 18 } else { 0 });
        }
        match (request.packet().code(), reply.code()) {
            (Code::STATUS_SERVER, Code::ACCESS_ACCEPT)
            | (Code::ACCESS_REQUEST, Code::ACCESS_REJECT)
            | (Code::ACCOUNTING_REQUEST, Code::ACCOUNTING_RESPONSE) => {}
            (Code::ACCESS_REQUEST, Code::ACCESS_CHALLENGE) => self.challenged(way, &request, reply),
            (Code::ACCESS_REQUEST, Code::ACCESS_ACCEPT) => self.accepted(way, octets, &request),
            other => panic!("{other:?}"),
        }
    }

    fn challenged(&mut self, way: Way, request: &VerifiedRequest<'_>, reply: Packet<'_>) {
        assert!(![Way::Unchallenged, Way::Kdc].contains(&way), "it is never challenged");
        let state = reply.attributes().first(AttributeNumber::STATE);
        self.challenges.push(Challenge {
            client: way.client(),
            login: login_of(request),
            state: state.expect("a challenge has a State").to_vec(),
            at: self.now,
        });
    }

    /// The probe's password is no OTP; every other acceptance spends one, or is a retry.
    fn accepted(&mut self, way: Way, octets: &[u8], request: &VerifiedRequest<'_>) {
        let password = request.user_password().expect("it was readable");
        let password = password.expect("there is no acceptance without a password");
        let name = request.packet().attributes().first(AttributeNumber::USER_NAME);
        if name == Some(PROBE.as_bytes()) {
            assert_eq!(password.expose().as_slice(), PROBE_PASSWORD);
            self.acceptances += 1;
            return;
        }
        let login = login_of(request);
        let who = if login.as_str().starts_with("alice") { ALICE } else { BOB };
        assert!(who == ALICE || login.as_str().starts_with("bob"));
        let logon = Accepted {
            packet: Packet::read(octets).expect("it was read").as_bytes().to_vec(),
            client: way.client(),
            login,
            passcode: password.clone(),
            state: state_of(request).map(<[u8]>::to_vec),
            at: self.now,
        };
        if self.spent[who].last.as_ref().is_some_and(|last| last.is_retried_by(&logon, way)) {
            return;
        }
        let typed = password.expose().as_slice();
        let typed = match (who, typed.strip_prefix(PIN)) {
            (ALICE, _) => typed,
            (_, Some(otp)) if otp.len() == 6 => otp,
            _ => {
                self.check_state(request, &logon);
                typed
            }
        };
        let mut window = self.spent[who].next..self.spent[who].next + WINDOW;
        let spent = window.find(|counter| otp(who, *counter) == typed);
        let next = spent.expect("an OTP that is not spent yet") + 1;
        self.spent[who] = Spent { next, last: Some(logon) };
        self.acceptances += 1;
    }

    /// An OTP without its PIN is good for one who brings back a State that says so.
    fn check_state(&self, request: &VerifiedRequest<'_>, logon: &Accepted) {
        let state = state_of(request).expect("there is no acceptance without the PIN");
        assert!(self.challenges.iter().any(|given| {
            given.state == state
                && given.client == logon.client
                && given.login == logon.login
                && logon.at.since(given.at) <= Policy::default().challenge.valid.into()
        }));
    }
}

/// An answer is from who was asked, and for this request.
fn check_authenticity(
    way: Way,
    request: &VerifiedRequest<'_>,
    reply: Packet<'_>,
    secret: &Secret<Vec<u8>>,
) {
    let asked = request.packet();
    let (identifier, authenticator) = (asked.identifier(), asked.authenticator());
    let demand = match request.carried() {
        Protection::MessageAuthenticator => Demand::Required,
        Protection::None => Demand::WherePresent,
    };
    if way == Way::V1_1 {
        assert_eq!(reply.request_token(), asked.request_token());
        assert_eq!((reply.as_bytes()[1], &reply.as_bytes()[8..20]), (0, &[0; 12][..]));
        assert!(!reply.attributes().contains(AttributeNumber::MESSAGE_AUTHENTICATOR));
    } else if reply.code() == Code::ACCOUNTING_RESPONSE {
        let believed = reply.verify_accounting_response(identifier, authenticator, secret);
        believed.expect("an answer is authentic");
    } else {
        let believed = reply.verify_reply(identifier, authenticator, secret, demand);
        believed.expect("an answer is authentic");
    }
}

fn login_of(request: &VerifiedRequest<'_>) -> LoginKey {
    let name = request.packet().attributes().first(AttributeNumber::USER_NAME);
    let name = std::str::from_utf8(name.expect("an account has a name")).expect("it was text");
    // The realm that is known here is taken off; a KDC escapes what it likes.
    let name = name.to_lowercase().replace('\\', "");
    let name = name.strip_suffix(HOME).unwrap_or(&name);
    LoginName::parse(name).expect("it was a name").key().clone()
}

fn state_of<'a>(request: &VerifiedRequest<'a>) -> Option<&'a [u8]> {
    request.packet().attributes().first(AttributeNumber::STATE)
}

fn proxy_states(packet: &Packet<'_>) -> Vec<Vec<u8>> {
    packet.attributes().all(AttributeNumber::PROXY_STATE).map(<[u8]>::to_vec).collect()
}

/// What all conversations share, because it is slow to make.
struct World {
    runtime: Runtime,
    vault: Arc<Vault>,
    sealed: [SealedSecret; 3],
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let vault = Vault::create(&directory.path().join("key")).expect("a new master key");
        let sealed = [tokens()[0].id, tokens()[1].id, tokens()[2].id].map(|id| {
            let secret = OATH_SECRETS[usize::from(id == tokens()[1].id)];
            vault.seal(id, secret).expect("a secret can be sealed")
        });
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        World { runtime, vault: Arc::new(vault), sealed }
    })
}

/// alice with a HOTP token; bob with one that has a PIN, and one by a channel that is not there.
async fn services(world: &World) -> Services {
    let store = Memory::new();
    for who in [ALICE, BOB] {
        store.insert_account(account(who), Site::default()).await.expect("the store is empty");
    }
    for (token, sealed) in tokens().into_iter().zip(world.sealed.clone()) {
        store.insert_token(token, Some(sealed), 0).await.expect("the account is there");
    }
    let (audit, others) = (Arc::new(MemoryAudit::default()), Others::default().shared());
    let authenticator = Authenticator::new(Parts {
        store: Arc::new(store),
        vault: world.vault.clone(),
        audit: audit.clone(),
        policy: policy(),
        pins: Arc::new(PlainPins),
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

/// A PIN that is not hashed, for the fuzzer is in a hurry.
struct PlainPins;

impl PinCheck for PlainPins {
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool {
        hash.0.as_bytes() == pin
    }

    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        hash.0.expose_bytes() == password
    }
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.challenge.pin_first = true;
    policy
}

fn account(who: usize) -> Account {
    Account { groups: vec!["users".into()], ..Account::new(ACCOUNTS[who], NAMES[who].into()) }
}

fn tokens() -> [Token; 3] {
    let hotp = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    let token = |number, who: usize, kind, pin: Option<&[u8]>| Token {
        id: TokenId::from_bytes([number; 16]),
        label: NAMES[who].into(),
        owner: None,
        accounts: vec![ACCOUNTS[who]],
        kind,
        identifier: None,
        pin: pin.map(|pin| PinHash(String::from_utf8_lossy(pin).into())),
        indicators: vec!["otp".into()],
        disabled: false,
        validity: Validity::default(),
    };
    let sent = TokenKind::Delivered { channel: "nowhere".into(), to: None, digits: Digits::SIX };
    [token(3, ALICE, hotp.clone(), None), token(4, BOB, hotp, Some(PIN)), token(5, BOB, sent, None)]
}

/// One as by default, one exempted from Message-Authenticator, one that is never challenged,
/// one whose retries may be other packets; a branch over TLS, a KDC.
fn clients() -> Vec<ClientSettings> {
    let client = |name: &str, source, way: Way| {
        let probe = ProbeUser { name: PROBE.into(), password: Secret::new(PROBE_PASSWORD.into()) };
        ClientSettings {
            probe: Some(probe),
            reply: vec![
                ReplyRule::fixed(25, b"class".to_vec()),
                ReplyRule {
                    value: ReplyValue::From(reply::Source::TokenId),
                    ..ReplyRule::fixed(11, Vec::new())
                },
            ],
            ..ClientSettings::new(name.into(), source, way.secret())
        }
    };
    let near = |network: &str| {
        let source = Source::Network(network.parse().expect("a network"));
        client(network, source, Way::Udp)
    };
    let socket = Source::Socket(SocketSettings {
        path: SOCKET.into(),
        mode: 0o600,
        group: None,
        users: Vec::new(),
    });
    let kdc = ClientSettings {
        is_kdc: true,
        require_message_authenticator: false,
        deadline: Some(Duration::from_secs(60)),
        ..client("kdc", socket, Way::Kdc)
    };
    vec![
        near("10.0.0.0/8"),
        ClientSettings { require_message_authenticator: false, ..near("10.0.0.1/32") },
        ClientSettings { never_challenge: true, ..near("10.0.0.2/32") },
        ClientSettings { retry_grace: GRACE, ..near("10.0.0.3/32") },
        client("branch", Source::Certificate(BRANCH.into()), Way::Tls),
        kdc,
    ]
}

/// One that is answered here, one that an upstream knows which is not there.
fn realms() -> Vec<RealmSettings> {
    let far = RealmSettings {
        name: "far.example".into(),
        upstream: Some("nowhere".into()),
        strip: false,
    };
    vec![RealmSettings { name: HOME[1..].into(), upstream: None, strip: true }, far]
}

fn otp(who: usize, counter: u64) -> Vec<u8> {
    hotp(Algorithm::Sha1, OATH_SECRETS[who], counter, Digits::SIX).as_bytes().to_vec()
}

const ALICE: usize = 0;
const BOB: usize = 1;
const NAMES: [&str; 2] = ["alice", "bob"];
const ACCOUNTS: [AccountId; 2] = [AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16])];
const OATH_SECRETS: [&[u8]; 2] = [b"12345678901234567890", b"09876543210987654321"];
const PIN: &[u8] = b"4711";
const PROBE: &str = "probe";
const PROBE_PASSWORD: &[u8] = b"probe password";
const BRANCH: &str = "radius.branch.example";
const SOCKET: &str = "/run/krb5kdc/DEFAULT.socket";
const HOME: &str = "@home.example";
/// Seconds.
const GRACE: u32 = 10;
/// More than the look-ahead and the window of a resynchronisation.
const WINDOW: u64 = 300;
