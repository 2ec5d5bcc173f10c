//! What a passcode is to one token, and where that moves its counter.

use super::{first_factor::FirstFactor, is_acceptance, is_retry_of, stamp};
use crate::domain::{
    attempt::Attempt,
    challenge::Prior,
    counter::TokenCounter,
    id::TokenId,
    password::PasswordRule,
    policy::Policy,
    step::{self, Expectation, Sighting},
    subject::{ClearSecret, Holding},
    token::{Token, TokenKind},
    verdict::{Delivery, Reason},
};

/// What a passcode is to one token.
pub(super) struct Finding {
    pub(super) token: TokenId,
    pub(super) reason: Reason,
    pub(super) from: TokenCounter,
    pub(super) to: TokenCounter,
    /// The OTP that must be sent if this decides.
    pub(super) delivery: Option<Delivery>,
}

/// Nothing of a token without a shared secret, nor of one that an earlier round left behind.
pub(super) fn examine(
    holding: &Holding<ClearSecret>,
    attempt: &Attempt,
    policy: &Policy,
    first: &FirstFactor<'_>,
) -> Option<Finding> {
    let expectation = Expectation::new(holding, policy, attempt.at)?;
    let factors = Factors::of(holding, attempt, first, &expectation)?;
    let from = holding.counter;
    let finding =
        |reason, to| Finding { token: holding.token.id, reason, from, to, delivery: None };
    let nothing = finding(Reason::WrongPasscode, at_rest(holding));
    let thorough = first.is_asked(holding);
    let seen = factors.otp.map(|otp| (otp, expectation.sight(otp, thorough)));
    let found = match seen {
        Some((_, Sighting::Right { to, .. })) if !factors.first_right => {
            finding(first.when_wrong(), to)
        }
        Some((_, Sighting::Right { to, resynchronised })) => {
            let to = TokenCounter { receipt: stamp(attempt), ..to };
            let reason =
                if resynchronised { Reason::Resynchronised } else { Reason::PasscodeCorrect };
            finding(reason, to)
        }
        Some((otp, Sighting::Spent))
            if factors.first_right
                && expectation.was_last(otp)
                && is_retry_of(from.receipt, attempt) =>
        {
            finding(Reason::Repeated, from)
        }
        Some((_, Sighting::Spent)) => finding(Reason::Replayed, at_rest(holding)),
        Some((_, Sighting::Ahead { to })) if factors.first_right => finding(Reason::OutOfStep, to),
        Some((_, Sighting::Ahead { .. } | Sighting::Unknown)) | None => nothing,
    };
    if is_acceptance(found.reason) {
        return Some(found);
    }
    Some(asked_for(holding, attempt, policy, first).unwrap_or(found))
}

/// What stands before the OTP and the OTP, as they were typed, in this round or in the one
/// before.
struct Factors<'a> {
    first_right: bool,
    /// Nothing if the passcode does not even look like one of this token.
    otp: Option<&'a [u8]>,
}

impl<'a> Factors<'a> {
    fn of(
        holding: &Holding<ClearSecret>,
        attempt: &'a Attempt,
        first: &FirstFactor<'_>,
        expectation: &Expectation,
    ) -> Option<Self> {
        let passcode = attempt.passcode.expose_bytes();
        let tail = Tail { digits: expectation.digits().length(), token: &holding.token };
        let is_asked = match &attempt.terms.prior {
            // Who types the PIN once more, does so rightly or not.
            Some(Prior::PinRight(tokens)) if tokens.contains(&holding.token.id) => {
                first.is_asked(holding) && passcode.len() > tail.length()
            }
            Some(_) => return None,
            None => first.is_asked(holding),
        };
        let Some((typed, otp)) = tail.split(passcode, is_asked) else {
            return Some(Self { first_right: false, otp: None });
        };
        // The first factor is checked whatever the OTP is, and the OTP whatever the first
        // factor is, for the time of the answer must not tell which of them was wrong.
        let first_right = !is_asked || first.matches(holding, typed);
        Some(Self { first_right, otp: Some(otp) })
    }
}

/// What ends a passcode: the token's identifier, if it has one, and the OTP.
struct Tail<'a> {
    digits: usize,
    token: &'a Token,
}

impl Tail<'_> {
    fn length(&self) -> usize {
        self.token.identifier.as_ref().map_or(0, String::len) + self.digits
    }

    /// What stands before, and the OTP. Where nothing is asked for, nothing may stand there.
    fn split<'a>(&self, passcode: &'a [u8], is_asked: bool) -> Option<(&'a [u8], &'a [u8])> {
        let (first, tail) =
            passcode.split_at_checked(passcode.len().checked_sub(self.length())?)?;
        let (identifier, otp) = tail.split_at_checked(tail.len().checked_sub(self.digits)?)?;
        let expected = self.token.identifier.as_deref().unwrap_or_default();
        let well_formed = otp.iter().all(u8::is_ascii_digit)
            && identifier.eq_ignore_ascii_case(expected.as_bytes())
            && (is_asked || first.is_empty());
        well_formed.then_some((first, otp))
    }
}

/// The counter of a token that was not shown the OTP it waits for: a resynchronisation ends.
/// An OTP that was sent stays good.
fn at_rest(holding: &Holding<ClearSecret>) -> TokenCounter {
    match holding.token.kind {
        TokenKind::Delivered { .. } => holding.counter,
        TokenKind::Hotp { .. } | TokenKind::Totp { .. } | TokenKind::Remote { .. } => {
            TokenCounter { resync: 0, ..holding.counter }
        }
    }
}

/// A passcode that asks for a second round: the PIN alone; for a token without one that
/// has its OTPs delivered, nothing, or a word that is set aside for it. Where the password is
/// checked elsewhere or not asked for, nobody has shown a first factor, and nothing is sent.
fn asked_for(
    holding: &Holding<ClearSecret>,
    attempt: &Attempt,
    policy: &Policy,
    first: &FirstFactor<'_>,
) -> Option<Finding> {
    if attempt.terms.prior.is_some() {
        return None;
    }
    let passcode = attempt.passcode.expose_bytes();
    let is_delivered = matches!(holding.token.kind, TokenKind::Delivered { .. });
    let pin_first = policy.challenge.pin_first && attempt.terms.may_challenge;
    let asked = match first.is_checked(holding) {
        true if is_delivered || pin_first => first.matches(holding, passcode),
        true => false,
        false => {
            attempt.terms.password == PasswordRule::Required
                && is_delivered
                && (passcode.is_empty() || is_word(passcode, policy))
        }
    };
    asked.then(|| match is_delivered {
        true => deliver(holding, attempt, policy),
        false => Finding {
            token: holding.token.id,
            reason: Reason::PinRight,
            from: holding.counter,
            to: at_rest(holding),
            delivery: None,
        },
    })
}

fn is_word(passcode: &[u8], policy: &Policy) -> bool {
    policy.delivery.words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(passcode))
}

/// A new OTP is sent, unless one was a moment ago: that one stays.
fn deliver(holding: &Holding<ClearSecret>, attempt: &Attempt, policy: &Policy) -> Finding {
    let from = holding.counter;
    let (to, otp) = match step::next_delivery(holding, &policy.delivery, attempt.at) {
        Some((to, otp)) => (to, Some(otp)),
        None => (from, None),
    };
    let token = holding.token.id;
    let delivery = otp.and_then(|otp| match &holding.token.kind {
        TokenKind::Delivered { channel, to, .. } => {
            Some(Delivery { token, channel: channel.clone(), to: to.clone(), otp })
        }
        TokenKind::Hotp { .. } | TokenKind::Totp { .. } | TokenKind::Remote { .. } => None,
    });
    Finding { token, reason: Reason::OtpSent, from, to, delivery }
}
