//! What moves at every attempt, as a token's entry has it, and how a directory is asked to move it.
//!
//! A directory moves a value only from exactly the octets that were read: the old value is
//! deleted and the new one added in one request, so of any number of requests that read the same
//! value one is carried out (RFC 4511 §4.6: all modifications or none).
//!
//! The directory is not believed alone. Replication can put a counter back, and an OTP that was
//! spent would be good again. So the counter that counts is the larger of the directory's and
//! the mark that this validator keeps of what it has seen spent.

use super::{
    entry::{Cause, Entry, EntryError},
    mapping::HotpCounter,
    schema::{Method, attribute},
    time,
};
use crate::{
    domain::{
        counter::{FailureCounter, TokenCounter},
        receipt::Stamp,
    },
    time::UnixTime,
};

/// One change of an attribute, in the words of RFC 4511 §4.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modification {
    /// Adds values.
    Add(String, Vec<Vec<u8>>),
    /// Deletes values, or all if none are named.
    Delete(String, Vec<Vec<u8>>),
    /// Puts values in the place of all.
    Replace(String, Vec<Vec<u8>>),
}

/// The moving values of a token's entry, and the octets that they were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    method: Method,
    meaning: HotpCounter,
    counter: Option<Vec<u8>>,
    next: u64,
    drift: Option<i32>,
    failure_count: Option<Vec<u8>>,
    failures: u32,
    last_failure: UnixTime,
}

/// What one decision wants changed in one token's entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The token's counter.
    pub counter: Option<TokenCounter>,
    /// The account's failures, if they are counted here.
    pub failures: Option<FailureCounter>,
    /// When somebody was let in.
    pub last_login: Option<UnixTime>,
}

impl Position {
    /// Reads the moving values of an entry.
    ///
    /// # Errors
    ///
    /// One of them is not what the schema says.
    pub fn read(entry: &Entry, method: Method, meaning: HotpCounter) -> Result<Self, EntryError> {
        let name = method.counter_attribute();
        let failures = entry.number(attribute::FAILURE_COUNT, "0 to 4294967295")?.unwrap_or(0);
        Ok(Self {
            method,
            meaning,
            counter: entry.octets(name)?.map(<[u8]>::to_vec),
            next: next(entry, method, meaning)?,
            drift: entry.number(attribute::DRIFT, "a number of 32 bits")?,
            failure_count: entry.octets(attribute::FAILURE_COUNT)?.map(<[u8]>::to_vec),
            failures,
            last_failure: entry.time(attribute::LAST_FAILURE)?.unwrap_or(UnixTime(0)),
        })
    }

    /// Whether the entry has a counter at all. An HOTP token of OATH-LDAP without one waits to be
    /// initialised.
    #[must_use]
    pub fn has_counter(&self) -> bool {
        self.counter.is_some()
    }

    /// The counter that counts, given the mark of what was seen spent.
    #[must_use]
    pub fn counter(&self, mark: Option<TokenCounter>) -> TokenCounter {
        let drift = match self.method {
            Method::Hotp => None,
            Method::Totp => self.drift,
        };
        match mark {
            Some(mark) if mark.next > self.next => mark,
            Some(mark) if mark.next == self.next => {
                TokenCounter { drift: drift.unwrap_or(mark.drift), ..mark }
            }
            Some(_) | None => TokenCounter {
                next: self.next,
                drift: drift.unwrap_or_default(),
                ..TokenCounter::default()
            },
        }
    }

    /// The failures counted here, with the receipt of the last one if it is still the same.
    #[must_use]
    pub fn failures(&self, kept: Option<FailureCounter>) -> FailureCounter {
        if self.failures == 0 {
            return FailureCounter::default();
        }
        let here = FailureCounter {
            failures: self.failures,
            last: self.last_failure,
            receipt: Stamp::default(),
        };
        let is_same =
            |kept: &FailureCounter| FailureCounter { receipt: here.receipt, ..*kept } == here;
        kept.filter(is_same).unwrap_or(here)
    }

    /// Whether the entry is another once the counter has moved. What only a mark has a place for
    /// changes nothing in it.
    #[must_use]
    pub fn moves(&self, to: &TokenCounter) -> bool {
        to.next != self.next || self.drift_of(to).is_some_and(|drift| Some(drift) != self.drift)
    }

    /// The same counter with the failures that were read another time.
    #[must_use]
    pub fn with_failures_of(&self, other: &Self) -> Self {
        Self {
            failure_count: other.failure_count.clone(),
            failures: other.failures,
            last_failure: other.last_failure,
            ..self.clone()
        }
    }

    /// The modifications that bring about what is wanted, if the entry is as it was read. None
    /// if the entry has no place for the difference.
    #[must_use]
    pub fn modifications(&self, wanted: &Wanted) -> Vec<Modification> {
        let mut out = Vec::new();
        if let Some(to) = &wanted.counter {
            self.move_counter(to, &mut out);
        }
        if let Some(to) = wanted.failures {
            self.move_failures(to, &mut out);
        }
        if let Some(at) = wanted.last_login {
            let value = time::write(at).into_bytes();
            out.push(Modification::Replace(attribute::LAST_LOGIN.into(), vec![value]));
        }
        out
    }

    /// The values as they stand once that is done.
    #[must_use]
    pub fn moved(&self, wanted: &Wanted) -> Self {
        let mut moved = self.clone();
        if let Some(to) = wanted.counter.filter(|to| self.moves(to)) {
            moved.counter = self.value_of(to.next);
            moved.next = to.next;
            moved.drift = self.drift_of(&to).or(self.drift);
        }
        if let Some(to) = wanted.failures.filter(|to| self.failures(None) != without_receipt(*to)) {
            moved.failure_count = Some(decimal(to.failures));
            moved.failures = to.failures;
            moved.last_failure = if to.failures == 0 { self.last_failure } else { to.last };
        }
        moved
    }

    fn move_counter(&self, to: &TokenCounter, out: &mut Vec<Modification>) {
        if !self.moves(to) {
            return;
        }
        if let Some(value) = self.value_of(to.next) {
            exchange(self.method.counter_attribute(), self.counter.as_ref(), value, out);
        }
        if let Some(drift) = self.drift_of(to).filter(|drift| Some(*drift) != self.drift) {
            out.push(Modification::Replace(attribute::DRIFT.into(), vec![decimal(drift)]));
        }
    }

    fn move_failures(&self, to: FailureCounter, out: &mut Vec<Modification>) {
        if self.failures(None) == without_receipt(to) {
            return;
        }
        let value = decimal(to.failures);
        exchange(attribute::FAILURE_COUNT, self.failure_count.as_ref(), value, out);
        if to.failures != 0 && to.last != self.last_failure {
            let value = time::write(to.last).into_bytes();
            out.push(Modification::Replace(attribute::LAST_FAILURE.into(), vec![value]));
        }
    }

    /// The value of the counter's attribute; nothing before the first one that can be used.
    fn value_of(&self, next: u64) -> Option<Vec<u8>> {
        counter_value(self.method, self.meaning, next)
    }

    /// What the entry is to have as its drift; a token without a clock has none.
    fn drift_of(&self, to: &TokenCounter) -> Option<i32> {
        match self.method {
            Method::Hotp => None,
            Method::Totp => (to.drift != 0 || self.drift.is_some()).then_some(to.drift),
        }
    }
}

/// The value of the counter's attribute for a token whose next counter this is.
#[must_use]
pub fn counter_value(method: Method, meaning: HotpCounter, next: u64) -> Option<Vec<u8>> {
    match (method, meaning) {
        (Method::Hotp, HotpCounter::Next) => Some(decimal(next)),
        (Method::Hotp, HotpCounter::Last) | (Method::Totp, _) => next.checked_sub(1).map(decimal),
    }
}

/// The lowest moving factor that is not spent.
fn next(entry: &Entry, method: Method, meaning: HotpCounter) -> Result<u64, EntryError> {
    let name = method.counter_attribute();
    let Some(value) = entry.number::<i128>(name, BOUNDS)? else { return Ok(0) };
    let next = match (method, meaning) {
        (Method::Hotp, HotpCounter::Next) => value,
        // A counter of -1 means that none was used.
        (Method::Hotp, HotpCounter::Last) | (Method::Totp, _) => value.saturating_add(1),
    };
    u64::try_from(next).map_err(|_| entry.error(name, Cause::Range { value, wanted: BOUNDS }))
}

/// Takes one value out and puts another in, or nothing happens.
fn exchange(attribute: &str, old: Option<&Vec<u8>>, new: Vec<u8>, out: &mut Vec<Modification>) {
    if let Some(old) = old {
        out.push(Modification::Delete(attribute.into(), vec![old.clone()]));
    }
    out.push(Modification::Add(attribute.into(), vec![new]));
}

fn without_receipt(counter: FailureCounter) -> FailureCounter {
    match counter.failures {
        0 => FailureCounter::default(),
        _ => FailureCounter { receipt: Stamp::default(), ..counter },
    }
}

fn decimal(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

const BOUNDS: &str = "a counter of 64 bits";

#[cfg(test)]
mod tests;
