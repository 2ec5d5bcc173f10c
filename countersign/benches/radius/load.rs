//! The load: several RADIUS clients, each with its socket and its share of the tokens.

use std::{
    net::UdpSocket,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use countersign_core::{
    oath::hotp::{Algorithm, HotpKey},
    secret::Secret,
    wire::radius::{
        authenticator::Authenticator,
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Protection},
    },
};

use crate::peers::{Peer, RADIUS_SECRET, fast_seconds, shared_secret, six_digits, unix_seconds};

/// Which OTPs a peer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passcodes {
    /// Those of the real time, again and again (periods of 30 s).
    Repeated,
    /// Each once, by the fast clock (periods of 1 s).
    Fresh,
}

/// Clients of one peer.
pub(crate) struct Load {
    sockets: Vec<Arc<UdpSocket>>,
    wallets: Vec<Mutex<Wallet>>,
}

/// What became of the requests of a round.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) accepted: f64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    pub(crate) seconds: f64,
}

impl Load {
    pub(crate) fn new(peer: &Peer, tokens: u64) -> Self {
        let socket = |client: u64| {
            let socket = UdpSocket::bind((format!("127.0.0.{}", client + 2), 0)).expect("a socket");
            socket.connect(peer.address).expect("connected");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
            Arc::new(socket)
        };
        let wallet = |client| Mutex::new(Wallet::new(client, tokens, peer.passcodes));
        Self {
            sockets: (0..CLIENTS).map(socket).collect(),
            wallets: (0..CLIENTS).map(wallet).collect(),
        }
    }

    /// Keeps `window` requests on the way, for a while.
    pub(crate) fn flood(&self, window: usize, time: Duration) -> Outcome {
        let begun = Instant::now();
        let (accepted, refused, lost) = Default::default();
        let counts: [&AtomicU64; 3] = [&accepted, &refused, &lost];
        thread::scope(|scope| {
            for (socket, wallet) in self.sockets.iter().zip(&self.wallets) {
                let each = window / self.sockets.len();
                scope.spawn(move || {
                    flood_one(socket, &mut wallet.lock().unwrap(), each, begun + time, counts)
                });
            }
        });
        let [accepted, refused, lost] = counts.map(|count| count.load(Ordering::Relaxed));
        Outcome { accepted: accepted as f64, refused, lost, seconds: time.as_secs_f64() }
    }

    /// Sends a request at each tick, whatever is answered; how long each answer took.
    pub(crate) fn paced(&self, per_second: u32, time: Duration) -> Vec<Duration> {
        let (socket, mut wallet) = (&self.sockets[0], self.wallets[0].lock().unwrap());
        let sent = Mutex::new([None; 256]);
        let begun = Instant::now();
        thread::scope(|scope| {
            let answers = scope.spawn(|| {
                let mut times = Vec::new();
                let mut answer = [0; 4096];
                while begun.elapsed() < time + Duration::from_millis(200) {
                    let Ok(length) = socket.recv(&mut answer) else { continue };
                    let at: Option<Instant> = sent.lock().unwrap()[usize::from(answer[1])].take();
                    times.extend(at.filter(|_| length >= 20).map(|at| at.elapsed()));
                }
                times
            });
            for number in 0.. {
                let due = begun + Duration::from_secs(number) / per_second;
                if due > begun + time {
                    break;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let identifier = (number % 256) as u8;
                let request = wallet.request(identifier);
                sent.lock().unwrap()[usize::from(identifier)] = Some(Instant::now());
                let _ = socket.send(&request);
            }
            answers.join().unwrap()
        })
    }
}

fn flood_one(
    socket: &UdpSocket,
    wallet: &mut Wallet,
    window: usize,
    end: Instant,
    [accepted, refused, lost]: [&AtomicU64; 3],
) {
    let mut waiting = vec![Instant::now(); window];
    for slot in 0..window {
        let _ = socket.send(&wallet.request(slot as u8));
    }
    let mut answer = [0; 4096];
    let mut counts = [0; 2];
    while Instant::now() < end {
        if socket.recv(&mut answer).is_ok() {
            let slot = usize::from(answer[1]);
            // The echo gives back requests; for it, that is an accept.
            let accept = answer[0] == Code::ACCESS_ACCEPT.0 || answer[0] == Code::ACCESS_REQUEST.0;
            counts[usize::from(!accept)] += 1;
            waiting[slot] = Instant::now();
            let _ = socket.send(&wallet.request(answer[1]));
            continue;
        }
        for (slot, since) in waiting.iter_mut().enumerate() {
            if since.elapsed() > Duration::from_secs(1) {
                lost.fetch_add(1, Ordering::Relaxed);
                *since = Instant::now();
                let _ = socket.send(&wallet.request(slot as u8));
            }
        }
    }
    accepted.fetch_add(counts[0], Ordering::Relaxed);
    refused.fetch_add(counts[1], Ordering::Relaxed);
    // Late answers must not be taken for those of the next round.
    while socket.recv(&mut answer).is_ok() {}
}

/// Tokens that one client alone uses, in turn.
struct Wallet {
    tokens: Vec<HeldToken>,
    next: usize,
    passcodes: Passcodes,
    secret: Secret<Vec<u8>>,
    random: u128,
}

struct HeldToken {
    name: String,
    key: HotpKey,
    spent: u64,
}

impl Wallet {
    fn new(client: u64, tokens: u64, passcodes: Passcodes) -> Self {
        let mine = (client..tokens).step_by(CLIENTS as usize);
        let held = |number| HeldToken {
            name: crate::peers::user_name(number),
            key: HotpKey::new(Algorithm::Sha1, &shared_secret(number)),
            spent: 0,
        };
        let tokens = mine.map(held).collect();
        let secret = Secret::new(RADIUS_SECRET.to_vec());
        Self {
            tokens,
            next: 0,
            passcodes,
            secret,
            random: u128::from(client) << 64 | u128::from(std::process::id()),
        }
    }

    fn request(&mut self, identifier: u8) -> Vec<u8> {
        let (name, otp) = self.next_otp();
        self.random =
            self.random.wrapping_mul(0xDA94_2042_E4DD_58B5).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let authenticator = Authenticator(self.random.to_be_bytes());
        let (code, identifier) = (Code::ACCESS_REQUEST, Identifier(identifier));
        let mut draft =
            Draft::new(code, identifier, authenticator, Protection::MessageAuthenticator);
        draft.push(AttributeNumber::USER_NAME, name.as_bytes()).expect("it fits");
        draft.push_user_password(&Secret::new(otp), &self.secret).expect("it fits");
        draft.finish_request(&self.secret)
    }

    /// The next token that has an OTP left to give; waits if none has.
    fn next_otp(&mut self) -> (String, Vec<u8>) {
        for tried in 1.. {
            self.next = (self.next + 1) % self.tokens.len();
            let held = &mut self.tokens[self.next];
            let step = match self.passcodes {
                Passcodes::Repeated => unix_seconds() / 30,
                Passcodes::Fresh => {
                    let now = fast_seconds();
                    let step = now.max(held.spent + 1);
                    if step > now + 1 {
                        if tried % 64 == 0 {
                            thread::sleep(Duration::from_millis(1));
                        }
                        continue;
                    }
                    step
                }
            };
            held.spent = step;
            return (held.name.clone(), held.key.otp(step, six_digits()).as_bytes().to_vec());
        }
        unreachable!("the loop above has no end")
    }
}

const CLIENTS: u64 = 8;
