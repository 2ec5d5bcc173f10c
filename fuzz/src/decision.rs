//! The decision: any subject, any attempts, one after the other.
//!
//! A byte at a time the octets say what tokens there are, and what is typed when.
//! Besides garbage, right OTPs are typed, so that acceptances happen.

use std::num::NonZeroU32;

use countersign_core::{
    domain::{
        account::{Account, Authentication, Validity},
        attempt::{Attempt, ListenerKind, Terms},
        counter::{Change, FailureCounter, TokenCounter},
        id::{AccountId, CorrelationId, TokenId},
        name::LoginName,
        parameters::Parameters,
        password::PasswordHash,
        policy::Policy,
        subject::{ClearSecret, Holding, Subject},
        token::{PinHash, Token, TokenKind},
        validate::{PinCheck, decide},
        verdict::{Decision, Outcome},
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
    time::UnixTime,
};

/// Carries out every decision and holds it to the invariants.
pub fn decision(octets: &[u8]) {
    let mut script = Script(octets);
    let policy = script.policy();
    let mut subject = script.subject();
    let mut accepted: Vec<Accepted> = Vec::new();
    let mut now = script.number();
    while !script.0.is_empty() && accepted.len() < MAX_ACCEPTED {
        now = match script.octet() {
            0 => script.number(),
            step => now.saturating_add_signed(i64::from(step) - 64),
        };
        let passcode = script.passcode(&subject, now, &accepted);
        let Some(token) = attempt(&mut subject, &passcode, now, &policy) else { continue };
        let repeated = attempt(&mut subject, &passcode, now, &policy);
        assert_eq!(repeated, None, "accepted twice in the same second");
        is_new(&accepted, &subject, &token, &passcode);
        accepted.push(Accepted { token, passcode });
    }
}

/// What was accepted, and the token with its spent counter.
struct Accepted {
    token: (TokenId, u64),
    passcode: Vec<u8>,
}

/// Decides and carries out; the token that accepted, and the factor that it spent.
fn attempt(
    subject: &mut Subject<ClearSecret>,
    passcode: &[u8],
    now: u64,
    policy: &Policy,
) -> Option<(TokenId, u64)> {
    let attempt = Attempt {
        correlation: CorrelationId::from_bytes([0; 16]),
        login: LoginName::parse("alice").expect("it is a name"),
        passcode: Secret::new(passcode.to_vec()),
        listener: ListenerKind::Radius,
        peer: "vpn".into(),
        at: UnixTime(now),
        terms: Terms::default(),
    };
    let Decision::Settled { verdict, change, .. } = decide(subject, &attempt, policy, &PlainPins)
    else {
        return None;
    };
    carry_out(subject, &change);
    if verdict.outcome != Outcome::Accepted {
        return None;
    }
    assert_eq!(subject.failures.failures, 0, "a success forgives");
    let spent = change.tokens.iter().find(|moved| Some(moved.id) == verdict.token);
    assert!(spent.is_some_and(|spent| spent.to.next > spent.from.next), "an acceptance spends");
    spent.map(|spent| (spent.id, spent.to.next - 1))
}

/// As a store does: only from the values that the decision was made on.
fn carry_out(subject: &mut Subject<ClearSecret>, change: &Change) {
    if let Some(moved) = &change.failures {
        assert_eq!(moved.from, subject.failures);
        subject.failures = moved.to;
    }
    for moved in &change.tokens {
        let holding = subject.tokens.iter_mut().find(|holding| holding.token.id == moved.id);
        let holding = holding.expect("only tokens of the subject move");
        assert_eq!(moved.from, holding.counter);
        assert!(moved.to.next >= moved.from.next, "a counter went back");
        holding.counter = moved.to;
    }
}

/// Digits may come again by chance; then it is another factor that shows them.
fn is_new(
    accepted: &[Accepted],
    subject: &Subject<ClearSecret>,
    token: &(TokenId, u64),
    passcode: &[u8],
) {
    for before in accepted.iter().filter(|before| before.token.0 == token.0) {
        assert!(before.token.1 < token.1, "a factor was spent twice");
    }
    let holding = subject.tokens.iter().find(|holding| holding.token.id == token.0);
    let holding = holding.expect("it is a token of the subject");
    assert!(passcode.ends_with(&otp_of(holding, token.1)), "accepted for a factor of other digits");
}

fn otp_of(holding: &Holding<ClearSecret>, factor: u64) -> Vec<u8> {
    let secret = holding.secret.as_ref().map(|secret| secret.expose_bytes()).unwrap_or_default();
    match &holding.token.kind {
        TokenKind::Hotp { algorithm, digits } | TokenKind::Totp { algorithm, digits, .. } => {
            hotp(*algorithm, secret, factor, *digits).as_bytes().to_vec()
        }
        TokenKind::Remote { .. } | TokenKind::Delivered { .. } => Vec::new(),
    }
}

/// What is left of the octets; after the end it is zeros.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn octet(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    /// Small, near the present, or anything.
    fn number(&mut self) -> u64 {
        match self.octet() % 4 {
            0 => u64::from(self.octet()),
            1 => 1_800_000_000 + u64::from(self.octet()),
            2 => u64::MAX - u64::from(self.octet()),
            _ => u64::from_be_bytes(std::array::from_fn(|_| self.octet())),
        }
    }

    fn small(&mut self) -> u32 {
        match self.octet() {
            255 => u32::MAX,
            octet => u32::from(octet),
        }
    }

    fn policy(&mut self) -> Policy {
        let mut policy = Policy::default();
        if self.octet().is_multiple_of(2) {
            return policy;
        }
        policy.hotp.look_ahead = self.small();
        policy.hotp.resync_window = self.small();
        policy.totp.window = self.small();
        policy.totp.resync_window = self.small();
        policy.lockout.throttle_after = self.small();
        policy.lockout.throttle_delay = self.small();
        policy.lockout.throttle_max = self.small();
        policy.lockout.lock_after = self.small();
        policy.lockout.lock_time = self.small();
        policy.challenge.pin_first = self.octet().is_multiple_of(2);
        policy.challenge.next_otp = self.octet().is_multiple_of(2);
        policy.challenge.valid = self.small();
        policy.delivery.valid = self.small();
        policy.delivery.resend_after = self.small();
        policy
    }

    fn subject(&mut self) -> Subject<ClearSecret> {
        let count = self.octet() % 4;
        let tokens = (0..count).map(|number| self.holding(number)).collect();
        let failures = FailureCounter {
            failures: self.small(),
            last: UnixTime(self.number()),
            ..FailureCounter::default()
        };
        let password = None;
        Subject { account: self.account(), failures, tokens, password }
    }

    fn account(&mut self) -> Account {
        let state = self.octet();
        Account {
            disabled: state == 255,
            validity: self.validity(state % 16 == 15),
            authentication: match state {
                254 => Authentication::Upstream("radius".into()),
                _ => Authentication::Tokens,
            },
            ..Account::new(AccountId::from_bytes([9; 16]), "alice".into())
        }
    }

    fn holding(&mut self, number: u8) -> Holding<ClearSecret> {
        let (kind, state) = (self.kind(), self.octet());
        let token = Token {
            accounts: vec![AccountId::from_bytes([9; 16])],
            pin: (state % 4 == 3).then(|| PinHash(PIN.into())),
            disabled: state == 255,
            validity: self.validity(state % 16 == 15),
            ..Token::new(TokenId::from_bytes([number; 16]), String::new(), kind)
        };
        let drift = i32::from_be_bytes(self.small().to_be_bytes());
        let counter = TokenCounter {
            next: self.number(),
            drift,
            resync: self.small(),
            ..TokenCounter::default()
        };
        // Two tokens may share a secret.
        let secret = vec![b'1' + self.octet() % 2; 20];
        let is_remote = matches!(token.kind, TokenKind::Remote { .. });
        let secret = (!is_remote).then(|| Secret::new(secret));
        Holding { token, counter, secret, parameters: Parameters::default() }
    }

    fn kind(&mut self) -> TokenKind {
        let octet = self.octet();
        let algorithm =
            [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][usize::from(octet >> 2) % 3];
        let digits = Digits::try_from(6 + (octet >> 4) % 5).expect("6 to 10");
        match octet % 4 {
            0 | 1 => TokenKind::Hotp { algorithm, digits },
            2 => {
                let period = NonZeroU32::new(self.small()).unwrap_or(NonZeroU32::MIN);
                TokenKind::Totp { algorithm, digits, period }
            }
            _ if octet > 250 => TokenKind::Remote { upstream: "radius".into(), user_name: None },
            _ => {
                let period = NonZeroU32::new(30).unwrap_or(NonZeroU32::MIN);
                TokenKind::Totp { algorithm, digits, period }
            }
        }
    }

    fn validity(&mut self, is_bounded: bool) -> Validity {
        if !is_bounded {
            return Validity::default();
        }
        let (not_before, not_after) = (UnixTime(self.number()), UnixTime(self.number()));
        Validity { not_before: Some(not_before), not_after: Some(not_after) }
    }

    /// Garbage, what was accepted before, or a right OTP from around the expected one.
    fn passcode(
        &mut self,
        subject: &Subject<ClearSecret>,
        now: u64,
        accepted: &[Accepted],
    ) -> Vec<u8> {
        let choice = self.octet();
        if choice.is_multiple_of(8) {
            let length = usize::from(self.octet()).min(self.0.len());
            return self.0.split_off(..length).unwrap_or_default().to_vec();
        }
        if choice % 8 == 1
            && let Some(before) = accepted.get(usize::from(self.octet()) % accepted.len().max(1))
        {
            return before.passcode.clone();
        }
        let index = usize::from(choice / 8) % subject.tokens.len().max(1);
        let Some(holding) = subject.tokens.get(index) else { return Vec::new() };
        let centre = match &holding.token.kind {
            TokenKind::Totp { period, .. } if choice % 8 < 5 => now / u64::from(period.get()),
            TokenKind::Totp { .. }
            | TokenKind::Hotp { .. }
            | TokenKind::Remote { .. }
            | TokenKind::Delivered { .. } => holding.counter.next,
        };
        let factor = centre.saturating_add_signed(i64::from(self.octet()) - 100);
        let pin = if choice % 8 == 7 || holding.token.pin.is_none() { "" } else { PIN };
        [pin.as_bytes(), &otp_of(holding, factor)].concat()
    }
}

/// A PIN's hash is the PIN.
struct PlainPins;

impl PinCheck for PlainPins {
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool {
        hash.0.as_bytes() == pin
    }

    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        hash.0.expose_bytes() == password
    }
}

const PIN: &str = "4711";
const MAX_ACCEPTED: usize = 64;
