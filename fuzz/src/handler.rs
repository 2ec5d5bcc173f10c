//! The whole RADIUS handler over a store in memory: whatever comes, every answer is well
//! formed, authentic and for who asked, and no OTP is accepted twice.
//!
//! This file needs the crate `countersign`, so it stands outside of `lib.rs`, which the
//! tests of `countersign-core` include. `fuzz/targets/radius_handler.rs` and
//! `countersign/tests/corpus.rs` include it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
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
        radius::{ClientSettings, RadiusRules, Source},
        reply::{self, ReplyRule, ReplyValue},
        upstream::ProbeUser,
    },
    listener::radius::{Services, Trial, TrialPeer},
    store::{SealedSecret, Store, memory::Memory},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::{Account, Authentication, Validity},
        id::{AccountId, TokenId},
        name::Site,
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

/// A conversation: for each packet an octet of [`Turn`], two octets of length, the packet.
pub fn radius(octets: &[u8]) {
    acceptances(octets);
}

/// The same; how many logons were accepted in it.
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

/// How a packet is sent, in the bits of an octet.
#[derive(Clone, Copy)]
struct Turn(u8);

impl Turn {
    /// One of [`PEERS`].
    fn peer(self) -> usize {
        usize::from(self.0 & 0b11)
    }

    /// As it is, and not made anew with the shared secret.
    fn is_raw(self) -> bool {
        self.0 & 0b100 != 0
    }

    /// With the OTP that is next.
    fn has_next_otp(self) -> bool {
        self.0 & 0b1000 != 0
    }

    /// And once more, as clients do that hear nothing.
    fn is_repeated(self) -> bool {
        self.0 & 0b1_0000 != 0
    }

    /// So much later than the one before.
    fn seconds(self) -> u64 {
        u64::from(self.0 >> 5) * 7
    }
}

fn next(octets: &[u8]) -> Option<(Turn, &[u8], &[u8])> {
    let ([turn, high, low], rest) = octets.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (packet, more) = rest.split_at(length.min(rest.len()));
    Some((Turn(*turn), packet, more))
}

/// What is said to one handler.
struct Talk {
    trial: Trial,
    now: UnixTime,
    /// The counter after the last one that was accepted.
    next: u64,
    acceptances: usize,
    /// Tells the requests that we make apart.
    made: u8,
}

impl Talk {
    async fn new(world: &World) -> Self {
        let services = services(world).await;
        let rules = RadiusRules { clients: clients(), ..RadiusRules::default() };
        let trial = Trial::new(rules, services, &world.vault).expect("the networks differ");
        Self { trial, now: UnixTime(1_800_000_000), next: 0, acceptances: 0, made: 0 }
    }

    async fn hear(&mut self, turn: Turn, packet: &[u8]) {
        self.now = self.now.plus(turn.seconds());
        let packet = match turn.is_raw() {
            true => Some(packet.to_vec()),
            false => self.made_authentic(turn, packet),
        };
        let Some(packet) = packet else { return };
        let peer = TrialPeer::Udp(PEERS[turn.peer()]);
        let answer = self.answer(turn, &packet).await;
        if let Some(answer) = &answer {
            assert_ne!(turn.peer(), STRANGER, "a stranger meets silence");
            self.check(turn, &packet, answer);
        }
        if turn.is_repeated() {
            let again = self.trial.answer(&packet, &peer, self.now).await;
            assert_eq!(again, answer, "a retransmission gets the same answer");
        }
    }

    async fn answer(&mut self, turn: Turn, packet: &[u8]) -> Option<Vec<u8>> {
        self.trial.answer(packet, &TrialPeer::Udp(PEERS[turn.peer()]), self.now).await
    }

    /// A request with these attributes, as one who knows the shared secret makes it.
    fn made_authentic(&mut self, turn: Turn, packet: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::read(packet).ok()?;
        self.made = self.made.wrapping_add(1);
        let mut authenticator = packet.authenticator();
        authenticator.0[0] = self.made;
        let protection = match turn.peer() {
            EXEMPT if packet.identifier().0 & 1 == 0 => Protection::None,
            _ => Protection::MessageAuthenticator,
        };
        let identifier = Identifier(self.made);
        let mut draft = Draft::new(packet.code(), identifier, authenticator, protection);
        let secret = secret();
        for attribute in packet.attributes() {
            match attribute.number {
                AttributeNumber::MESSAGE_AUTHENTICATOR => {}
                AttributeNumber::USER_PASSWORD => {
                    let password = match turn.has_next_otp() {
                        true => otp(self.next),
                        false => attribute.value.to_vec(),
                    };
                    let _ = draft.push_user_password(&Secret::new(password), &secret);
                }
                number => draft.push(number, attribute.value).ok()?,
            }
        }
        Some(draft.finish_request(&secret))
    }

    /// What must hold of every answer.
    fn check(&mut self, turn: Turn, request: &[u8], answer: &[u8]) {
        let request = Packet::read(request).expect("only what was read is answered");
        let (identifier, authenticator) = (request.identifier(), request.authenticator());
        let states = proxy_states(&request);
        let demand = if turn.peer() == EXEMPT { Demand::WherePresent } else { Demand::Required };
        let secret = secret();
        let request = request.verify_request(&secret, demand);
        let request = request.expect("only what is authentic is answered");
        let reply = Packet::read(answer).expect("an answer is a packet");
        assert_eq!(reply.as_bytes(), answer, "nothing trails");
        assert_eq!(proxy_states(&reply), states, "Proxy-State comes back as it was");
        let code = reply.code();
        let demand = match request.carried() {
            Protection::MessageAuthenticator => Demand::Required,
            Protection::None => Demand::WherePresent,
        };
        let reply = reply.verify_reply(identifier, authenticator, &secret, demand);
        reply.expect("an answer is authentic");
        match (request.packet().code(), code) {
            (Code::STATUS_SERVER, Code::ACCESS_ACCEPT) | (_, Code::ACCESS_REJECT) => {}
            (Code::ACCESS_REQUEST, Code::ACCESS_CHALLENGE) => {
                assert_ne!(turn.peer(), UNCHALLENGED, "it is never challenged");
            }
            (Code::ACCESS_REQUEST, Code::ACCESS_ACCEPT) => self.accepted(&request),
            other => panic!("{other:?}"),
        }
    }

    /// The probe's password is no OTP; every other acceptance spends one.
    fn accepted(&mut self, request: &VerifiedRequest<'_>) {
        self.acceptances += 1;
        let attributes = request.packet().attributes();
        let name = attributes.first(AttributeNumber::USER_NAME).expect("an account has a name");
        let password = request.user_password().expect("it was readable");
        let password = password.expect("there is no acceptance without a password");
        if name == PROBE.as_bytes() {
            assert_eq!(password.expose().as_slice(), PROBE_PASSWORD);
            return;
        }
        assert!(name.to_ascii_lowercase().windows(5).any(|part| part == b"alice"));
        let mut window = self.next..self.next + WINDOW;
        let spent = window.find(|counter| otp(*counter) == *password.expose());
        self.next = spent.expect("an OTP that is not spent yet") + 1;
    }
}

fn proxy_states(packet: &Packet<'_>) -> Vec<Vec<u8>> {
    packet.attributes().all(AttributeNumber::PROXY_STATE).map(<[u8]>::to_vec).collect()
}

/// What all conversations share, because it is slow to make.
struct World {
    runtime: Runtime,
    vault: Arc<Vault>,
    sealed: SealedSecret,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let vault = Vault::create(&directory.path().join("key")).expect("a new master key");
        let sealed = vault.seal(TOKEN, OATH_SECRET).expect("a secret can be sealed");
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        World { runtime, vault: Arc::new(vault), sealed }
    })
}

/// alice with a HOTP token.
async fn services(world: &World) -> Services {
    let store = Memory::new();
    store.insert_account(alice(), Site::default()).await.expect("the store is empty");
    let sealed = Some(world.sealed.clone());
    store.insert_token(token(), sealed, 0).await.expect("the account is there");
    let (audit, others) = (Arc::new(MemoryAudit::default()), Others::default().shared());
    let authenticator = Authenticator::new(Parts {
        store: Arc::new(store),
        vault: world.vault.clone(),
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
}

fn alice() -> Account {
    Account {
        id: ACCOUNT,
        person: None,
        name: "alice".into(),
        domain: None,
        realm: None,
        upn: None,
        dn: None,
        sid: None,
        groups: vec!["users".into()],
        disabled: false,
        validity: Validity::default(),
        authentication: Authentication::Tokens,
    }
}

fn token() -> Token {
    Token {
        id: TOKEN,
        label: "alice's".into(),
        owner: None,
        accounts: vec![ACCOUNT],
        kind: TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX },
        pin: None,
        indicators: vec!["otp".into()],
        disabled: false,
        validity: Validity::default(),
    }
}

/// One as by default, one exempted from Message-Authenticator, one that is never challenged.
fn clients() -> Vec<ClientSettings> {
    let client = |network: &str| {
        let source = Source::Network(network.parse().expect("a network"));
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
            ..ClientSettings::new(network.into(), source, secret())
        }
    };
    let exempt = ClientSettings { require_message_authenticator: false, ..client("10.0.0.1/32") };
    let unchallenged = ClientSettings { never_challenge: true, ..client("10.0.0.2/32") };
    vec![client("10.0.0.0/8"), exempt, unchallenged]
}

fn otp(counter: u64) -> Vec<u8> {
    hotp(Algorithm::Sha1, OATH_SECRET, counter, Digits::SIX).as_bytes().to_vec()
}

fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"xyzzy5461".to_vec())
}

const fn peer(octets: [u8; 4]) -> SocketAddr {
    let [a, b, c, d] = octets;
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), 40_000)
}

const PEERS: [SocketAddr; 4] =
    [peer([10, 0, 0, 9]), peer([10, 0, 0, 1]), peer([10, 0, 0, 2]), peer([192, 0, 2, 1])];
const EXEMPT: usize = 1;
const UNCHALLENGED: usize = 2;
const STRANGER: usize = 3;
const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
const TOKEN: TokenId = TokenId::from_bytes([3; 16]);
const OATH_SECRET: &[u8] = b"12345678901234567890";
const PROBE: &str = "probe";
const PROBE_PASSWORD: &[u8] = b"probe password";
/// More than the look-ahead and the window of a resynchronisation.
const WINDOW: u64 = 300;
