//! What stands before the OTP: the static password of the account or the PIN of the token.

use std::cell::RefCell;

use super::PinCheck;
use crate::domain::{
    attempt::Attempt,
    password::{PasswordHash, PasswordRule},
    policy::Policy,
    subject::{ClearSecret, Holding, Subject},
    verdict::Reason,
};

/// The first factor of an attempt, and who checks it.
pub(super) struct FirstFactor<'a> {
    rule: PasswordRule,
    password: Option<&'a [PasswordHash]>,
    pins: &'a dyn PinCheck,
    /// Lengths of what was checked as a password, for a hash is slow on purpose and several
    /// tokens mostly end at the same octet.
    known: RefCell<Vec<(usize, bool)>>,
}

impl<'a> FirstFactor<'a> {
    pub(super) fn new(
        subject: &'a Subject<ClearSecret>,
        attempt: &Attempt,
        policy: &Policy,
        pins: &'a dyn PinCheck,
    ) -> Self {
        let is_otp_alone = policy.password.otp_alone.contains(&attempt.listener);
        let rule = match attempt.terms.password {
            PasswordRule::Required if is_otp_alone => PasswordRule::NotAsked,
            rule @ (PasswordRule::Required | PasswordRule::NotAsked | PasswordRule::Elsewhere) => {
                rule
            }
        };
        let password = subject.password.as_deref().filter(|_| rule == PasswordRule::Required);
        Self { rule, password, pins, known: RefCell::default() }
    }

    /// Whether something may stand before the OTP of a token.
    pub(super) fn is_asked(&self, holding: &Holding<ClearSecret>) -> bool {
        self.rule == PasswordRule::Elsewhere || self.is_checked(holding)
    }

    /// Whether that is checked here.
    pub(super) fn is_checked(&self, holding: &Holding<ClearSecret>) -> bool {
        self.rule != PasswordRule::Elsewhere
            && (self.password.is_some() || holding.token.pin.is_some())
    }

    /// Whether it is right, as far as it is checked here. Every hash is tried, whatever the
    /// others said.
    pub(super) fn matches(&self, holding: &Holding<ClearSecret>, typed: &[u8]) -> bool {
        if self.rule == PasswordRule::Elsewhere {
            return true;
        }
        match (self.password, &holding.token.pin) {
            (Some(hashes), _) => self.is_password(hashes, typed),
            (None, Some(hash)) => self.pins.matches(hash, typed),
            (None, None) => true,
        }
    }

    /// The reason if it is wrong behind a right OTP.
    pub(super) fn when_wrong(&self) -> Reason {
        if self.password.is_some() { Reason::WrongPassword } else { Reason::WrongPin }
    }

    fn is_password(&self, hashes: &[PasswordHash], typed: &[u8]) -> bool {
        let known = self.known.borrow().iter().find(|(length, _)| *length == typed.len()).copied();
        if let Some((_, is_right)) = known {
            return is_right;
        }
        let is_right = hashes
            .iter()
            .fold(false, |is_right, hash| self.pins.password_matches(hash, typed) | is_right);
        self.known.borrow_mut().push((typed.len(), is_right));
        is_right
    }
}
