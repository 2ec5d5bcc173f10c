//! In step or not: what a typed OTP is to the moving factors around a token's counter.
//!
//! Two ranges of factors matter. The *near* one is what is accepted: the
//! look-ahead window of RFC 4226 §7.4, the window of RFC 6238 §5.2 around the
//! device's drift. The *far* one is what can begin a resynchronisation
//! (RFC 4226 §7.4, RFC 6238 §6), and in which a spent OTP is still recognised.
//! No factor below `next` is ever accepted, wherever it lies.

use std::ops::RangeInclusive;

use super::{
    counter::TokenCounter,
    policy::{DeliveryPolicy, Policy, RESYNC_LIMIT},
    receipt::Stamp,
    subject::{ClearSecret, Holding},
    time::UnixTime,
    token::TokenKind,
};
use crate::{
    oath::{
        hotp::{Algorithm, Digits, HotpKey},
        totp::time_step,
    },
    secret::Secret,
};

/// What an OTP is to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Expected; the counter that spends it.
    Right {
        /// The counter without it and all before it.
        to: TokenCounter,
        /// It was the second OTP of a resynchronisation.
        resynchronised: bool,
    },
    /// It was right once.
    Spent,
    /// It lies ahead; the counter that waits for the one after it.
    Ahead {
        /// The counter with the resynchronisation begun.
        to: TokenCounter,
    },
    /// Nothing that the token shows around here.
    Unknown,
}

/// The counter that two consecutive OTPs lead to, which an administrator vouches for.
///
/// An HOTP token is looked for as far ahead as [`RESYNC_LIMIT`]; a TOTP token
/// no farther off the clock than the policy's resynchronisation window, because
/// beyond it the drift would not be honoured. `None`: not there, or not local.
#[must_use]
pub fn resynchronise(
    holding: &Holding<ClearSecret>,
    policy: &Policy,
    now: UnixTime,
    [first, second]: [&[u8]; 2],
) -> Option<TokenCounter> {
    let mut policy = policy.clone();
    policy.hotp.resync_window = RESYNC_LIMIT;
    Expectation::new(holding, &policy, now)?.spending_both(first, second)
}

/// The counter of a delivered token with a new OTP outstanding, and that OTP.
///
/// `None`: one was sent less than [`DeliveryPolicy::resend_after`] ago and is still to come in;
/// or the token is of another kind.
pub(super) fn next_delivery(
    holding: &Holding<ClearSecret>,
    policy: &DeliveryPolicy,
    now: UnixTime,
) -> Option<(TokenCounter, Secret<String>)> {
    let TokenKind::Delivered { digits, .. } = &holding.token.kind else { return None };
    let secret = holding.secret.as_ref()?.expose_bytes();
    let counter = holding.counter;
    if is_outstanding(counter, policy.resend_after.min(policy.valid), now) {
        return None;
    }
    let skipped = u64::from(counter.resync != 0);
    let next = counter.next.checked_add(skipped).filter(|next| *next <= LAST_FACTOR)?;
    // 2^32 seconds end in 2106.
    let sent = u32::try_from(now.0).unwrap_or(u32::MAX).max(1);
    let to = TokenCounter { next, drift: 0, resync: sent, receipt: Stamp::default() };
    let otp = HotpKey::new(DELIVERED, secret).otp(next, *digits);
    let text = otp.as_bytes().iter().map(|digit| char::from(*digit)).collect();
    Some((to, Secret::new(text)))
}

/// Whether an OTP was sent within so many seconds, and not used yet.
fn is_outstanding(counter: TokenCounter, seconds: u32, now: UnixTime) -> bool {
    let sent = u64::from(counter.resync);
    // Another node's clock may be ahead by a little.
    sent != 0 && now.0 <= sent.saturating_add(seconds.into()) && sent <= now.0.saturating_add(60)
}

/// A token at a moment: its key, its counter, and the ranges that follow from both.
pub(super) struct Expectation {
    key: HotpKey,
    digits: Digits,
    counter: TokenCounter,
    near: RangeInclusive<u64>,
    far: RangeInclusive<u64>,
    clock: Option<TokenClock>,
}

/// The time step now, and how far a device may be off it.
#[derive(Clone, Copy)]
struct TokenClock {
    step: u64,
    drift_limit: u32,
}

/// What a range has of an OTP.
#[derive(Default)]
struct Scan {
    spent: bool,
    open: Option<u64>,
}

impl Expectation {
    /// What is expected of a token with a shared secret; nothing of a remote one.
    pub(super) fn new(
        holding: &Holding<ClearSecret>,
        policy: &Policy,
        now: UnixTime,
    ) -> Option<Self> {
        let counter = holding.counter;
        let secret = holding.secret.as_ref()?.expose_bytes();
        match &holding.token.kind {
            TokenKind::Hotp { algorithm, digits } => {
                let ahead = holding.parameters.look_ahead;
                let ahead = policy.hotp.bounded_look_ahead(ahead);
                let far_ahead = ahead + policy.hotp.bounded_resync_window();
                Some(Self {
                    key: HotpKey::new(*algorithm, secret),
                    digits: *digits,
                    counter,
                    near: around(counter.next, 1, ahead),
                    far: around(counter.next, HOTP_SPENT, far_ahead),
                    clock: None,
                })
            }
            TokenKind::Totp { algorithm, digits, period } => {
                let window = policy.totp.bounded_window(holding.parameters.window);
                let drift_limit = policy.totp.bounded_resync_window();
                let clock = TokenClock { step: time_step(now.0, *period), drift_limit };
                let far = window + u64::from(drift_limit);
                Some(Self {
                    key: HotpKey::new(*algorithm, secret),
                    digits: *digits,
                    counter,
                    near: around(clock.expected(counter.drift), window, window),
                    far: around(clock.step, far, far),
                    clock: Some(clock),
                })
            }
            TokenKind::Delivered { digits, .. } => {
                let outstanding = is_outstanding(counter, policy.delivery.valid, now);
                Some(Self {
                    key: HotpKey::new(DELIVERED, secret),
                    digits: *digits,
                    counter,
                    near: if outstanding { counter.next..=counter.next } else { NOTHING },
                    far: match counter.next.checked_sub(1) {
                        Some(last) => last.saturating_sub(HOTP_SPENT)..=last,
                        None => NOTHING,
                    },
                    clock: None,
                })
            }
            TokenKind::Remote { .. } => None,
        }
    }

    pub(super) fn digits(&self) -> Digits {
        self.digits
    }

    /// What `otp` is to the token.
    ///
    /// Every range that is looked at is looked at whole, so the time taken does
    /// not tell where the OTP stands. `thorough` looks at the far range even if
    /// the near one has the OTP; then the time does not tell that either.
    pub(super) fn sight(&self, otp: &[u8], thorough: bool) -> Sighting {
        let near = self.scan(&self.near, otp);
        let awaited = self.awaited().filter(|factor| self.is(*factor, otp));
        let settled = near.spent || near.open.is_some() || awaited.is_some();
        let far = if thorough || !settled { self.scan(&self.far, otp) } else { Scan::default() };
        if near.spent {
            // First, for the same digits can stand at a spent and at an open factor,
            // and what was accepted a moment ago must not be accepted again.
            return Sighting::Spent;
        }
        if let Some(factor) = near.open {
            return Sighting::Right { to: self.spent_up_to(factor), resynchronised: false };
        }
        if let Some(factor) = awaited {
            return Sighting::Right { to: self.spent_up_to(factor), resynchronised: true };
        }
        if far.spent {
            return Sighting::Spent;
        }
        far.open
            .and_then(|factor| self.awaiting(factor))
            .map_or(Sighting::Unknown, |to| Sighting::Ahead { to })
    }

    /// Whether `otp` is the one that was spent last.
    pub(super) fn was_last(&self, otp: &[u8]) -> bool {
        self.counter.next.checked_sub(1).is_some_and(|last| self.is(last, otp))
    }

    /// The counter that spends two consecutive OTPs of the far range.
    fn spending_both(&self, first: &[u8], second: &[u8]) -> Option<TokenCounter> {
        let (begin, end) = (*self.far.start().max(&self.counter.next), *self.far.end());
        let is_pair = |factor: &u64| self.is(factor - 1, first) && self.is(*factor, second);
        (begin.saturating_add(1)..=end).rfind(is_pair).map(|factor| self.spent_up_to(factor))
    }

    /// Where `otp` stands in a range. Of several open factors with the same OTP
    /// the last is named: to spend only the first would leave the digits right.
    fn scan(&self, range: &RangeInclusive<u64>, otp: &[u8]) -> Scan {
        let mut scan = Scan::default();
        for factor in range.clone() {
            let found = self.is(factor, otp);
            let open = factor >= self.counter.next;
            scan.spent |= found & !open;
            scan.open = if found & open { Some(factor) } else { scan.open };
        }
        scan
    }

    fn is(&self, factor: u64, otp: &[u8]) -> bool {
        self.key.otp(factor, self.digits).matches(otp)
    }

    /// The factor that would complete a resynchronisation, as long as it is in reach. What a
    /// delivered token has in that field is a time, far out of it.
    fn awaited(&self) -> Option<u64> {
        let TokenCounter { next, resync, .. } = self.counter;
        let factor = next.checked_add(resync.into())?;
        (resync != 0 && self.far.contains(&factor)).then_some(factor)
    }

    /// The counter that waits for the OTP after that of `factor`.
    fn awaiting(&self, factor: u64) -> Option<TokenCounter> {
        let resync = u32::try_from(factor - self.counter.next + 1).ok()?;
        Some(TokenCounter { resync, ..self.counter })
    }

    /// The counter that spends `factor` and all before it.
    fn spent_up_to(&self, factor: u64) -> TokenCounter {
        let drift = self.clock.map_or(self.counter.drift, |clock| clock.drift_of(factor));
        TokenCounter { next: factor + 1, drift, resync: 0, receipt: Stamp::default() }
    }
}

impl TokenClock {
    /// The time step that a device with this drift is in.
    fn expected(self, drift: i32) -> u64 {
        self.step.saturating_add_signed(self.bounded(drift.into()).into())
    }

    /// The drift of a device that is in the time step `factor`.
    fn drift_of(self, factor: u64) -> i32 {
        self.bounded(factor.checked_signed_diff(self.step).unwrap_or_default())
    }

    fn bounded(self, drift: i64) -> i32 {
        let limit = i64::from(self.drift_limit);
        i32::try_from(drift.clamp(-limit, limit)).expect("RESYNC_LIMIT fits 32 bits")
    }
}

fn around(centre: u64, before: u64, after: u64) -> RangeInclusive<u64> {
    centre.saturating_sub(before)..=centre.saturating_add(after).min(LAST_FACTOR)
}

/// An OTP that is delivered is read from a screen, whatever the hash.
const DELIVERED: Algorithm = Algorithm::Sha1;
/// No factor at all.
const NOTHING: RangeInclusive<u64> = RangeInclusive::new(1, 0);
/// The last factor that can be spent; `next` must have room behind it.
const LAST_FACTOR: u64 = u64::MAX - 1;

/// How far back a spent OTP of an HOTP token is recognised as such.
const HOTP_SPENT: u64 = 20;
