//! Failure counting, throttling and lockout: functions of state and time (RFC 4226 §7.3).
//!
//! The rules:
//!
//! * A success sets the count to 0. Each failure adds 1.
//! * From `throttle_after` failures on, the next attempt waits: `throttle_delay`
//!   seconds, twice that after each further failure, `throttle_max` at most.
//! * From `lock_after` failures on, the account is locked for `lock_time` seconds
//!   after the last failure, or until an administrator unlocks it.
//! * A lock that ran out leaves the count as it is: one more failure locks again.
//!   Only when the last failure is longer ago than twice `lock_time` is the count
//!   forgotten. So a guesser who never stops gets one guess per `lock_time`, and a
//!   user who comes back later starts afresh.
//! * Attempts while throttled or locked are not looked at and not counted, so a
//!   guesser cannot keep an account locked by knocking on it.
//! * Attempts are decided in another order than they came, so a last failure may
//!   lie a little ahead of `now`. It stays where it is: time does not go back for an
//!   attempt that was held up.
//! * One that lies more than [`OUT_OF_ORDER`] ahead means that the clock went back.
//!   It is taken to have happened now, and [`anchored`] is to be stored: the wait
//!   starts over once, it neither ends at once nor lasts until the clock catches up.

use serde::{Deserialize, Serialize};

use super::{counter::FailureCounter, policy::LockoutPolicy, receipt::Stamp, time::UnixTime};

/// Whether an attempt is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[must_use = "a closed gate that nobody tries is open"]
pub enum Gate {
    /// It is.
    Open,
    /// Not before this second.
    Throttled {
        /// The first second in which an attempt is looked at.
        until: UnixTime,
    },
    /// Locked.
    LockedOut {
        /// The first second in which an attempt is looked at; `None`: when an administrator unlocks.
        until: Option<UnixTime>,
    },
}

/// Whether an attempt at `now` is looked at.
pub fn gate(counter: FailureCounter, policy: &LockoutPolicy, now: UnixTime) -> Gate {
    let FailureCounter { failures, last, .. } = anchored(counter, now);
    if failures == 0 || is_forgotten(last, policy, now) {
        return Gate::Open;
    }
    if policy.lock_after != 0 && failures >= policy.lock_after {
        if policy.lock_time == 0 {
            return Gate::LockedOut { until: None };
        }
        let until = last.plus(policy.lock_time.into());
        if now < until {
            return Gate::LockedOut { until: Some(until) };
        }
    }
    let until = last.plus(wait(failures, policy));
    if now < until { Gate::Throttled { until } } else { Gate::Open }
}

/// The count after one more failure, without a receipt.
#[must_use]
pub fn after_failure(
    counter: FailureCounter,
    policy: &LockoutPolicy,
    now: UnixTime,
) -> FailureCounter {
    let FailureCounter { failures, last, .. } = anchored(counter, now);
    let before = if is_forgotten(last, policy, now) { 0 } else { failures };
    FailureCounter {
        failures: before.saturating_add(1),
        last: last.max(now),
        receipt: Stamp::default(),
    }
}

/// The count after a success.
#[must_use]
pub fn after_success(counter: FailureCounter) -> FailureCounter {
    if counter.failures == 0 { counter } else { FailureCounter::default() }
}

/// The count with a last failure that does not lie far ahead of `now`.
#[must_use]
pub fn anchored(counter: FailureCounter, now: UnixTime) -> FailureCounter {
    let clock_went_back = counter.last > now.plus(OUT_OF_ORDER);
    FailureCounter { last: if clock_went_back { now } else { counter.last }, ..counter }
}

fn is_forgotten(last: UnixTime, policy: &LockoutPolicy, now: UnixTime) -> bool {
    let lock_time = u64::from(policy.lock_time);
    lock_time != 0 && now.since(last) >= 2 * lock_time
}

/// Seconds to wait after this many failures.
fn wait(failures: u32, policy: &LockoutPolicy) -> u64 {
    let Some(doublings) = failures.checked_sub(policy.throttle_after) else { return 0 };
    let wait = u64::from(policy.throttle_delay) << doublings.min(32);
    wait.min(policy.throttle_max.into())
}

/// Seconds that an attempt may be held up between its arrival and its decision: while PINs are
/// hashed, while others are faster.
pub const OUT_OF_ORDER: u64 = 300;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixTime = UnixTime(1_000_000);

    fn after(failures: u32) -> FailureCounter {
        FailureCounter { failures, last: START, receipt: Stamp::default() }
    }

    fn at(seconds: u64) -> UnixTime {
        START.plus(seconds)
    }

    fn throttled(seconds: u64) -> Gate {
        Gate::Throttled { until: at(seconds) }
    }

    fn locked(seconds: u64) -> Gate {
        Gate::LockedOut { until: Some(at(seconds)) }
    }

    /// The default policy: throttle from 3 on, 1 s doubling to 30 s; lock at 10 for 900 s.
    #[test]
    fn default_policy_throttles_then_locks() {
        let table = [
            (0, 0, Gate::Open),
            (2, 0, Gate::Open),
            (3, 0, throttled(1)),
            (3, 1, Gate::Open),
            (4, 1, throttled(2)),
            (4, 2, Gate::Open),
            (7, 15, throttled(16)),
            (8, 29, throttled(30)),
            (9, 29, throttled(30)),
            (9, 30, Gate::Open),
            (10, 0, locked(900)),
            (10, 899, locked(900)),
            (10, 900, Gate::Open),
            (u32::MAX, 899, locked(900)),
        ];
        for (failures, seconds, expected) in table {
            let gate = gate(after(failures), &LockoutPolicy::default(), at(seconds));
            assert_eq!(gate, expected, "{failures} failures, {seconds} s");
        }
    }

    #[test]
    fn lock_without_end_waits_for_the_administrator() {
        let policy = LockoutPolicy { lock_time: 0, ..LockoutPolicy::default() };
        assert_eq!(gate(after(10), &policy, UnixTime(u64::MAX)), Gate::LockedOut { until: None });
        assert_eq!(after_failure(after(10), &policy, UnixTime(u64::MAX)).failures, 11);
    }

    #[test]
    fn policy_can_switch_lock_and_throttle_off() {
        let never_lock = LockoutPolicy { lock_after: 0, ..LockoutPolicy::default() };
        assert_eq!(gate(after(u32::MAX), &never_lock, at(29)), throttled(30));
        assert_eq!(gate(after(u32::MAX), &never_lock, at(30)), Gate::Open);
        let never_wait = LockoutPolicy { throttle_delay: 0, ..never_lock };
        assert_eq!(gate(after(u32::MAX), &never_wait, START), Gate::Open);
    }

    #[test]
    fn one_failure_after_the_lock_ran_out_locks_again() {
        let policy = LockoutPolicy::default();
        let again = after_failure(after(10), &policy, at(900));
        assert_eq!(again, FailureCounter { last: at(900), ..after(11) });
        assert_eq!(gate(again, &policy, at(1799)), locked(1800));
    }

    #[test]
    fn failures_long_ago_are_forgotten() {
        let policy = LockoutPolicy::default();
        assert_eq!(after_failure(after(10), &policy, at(1799)).failures, 11);
        assert_eq!(after_failure(after(10), &policy, at(1800)).failures, 1);
        assert_eq!(after_failure(after(9), &policy, at(1800)).failures, 1);
    }

    #[test]
    fn success_clears_the_count_and_leaves_a_clear_one_alone() {
        assert_eq!(after_success(after(5)), FailureCounter::default());
        assert_eq!(after_success(after(0)), after(0));
    }

    #[test]
    fn an_attempt_that_was_held_up_turns_no_lock_back() {
        let policy = LockoutPolicy::default();
        for held_up in [1, 60, OUT_OF_ORDER] {
            let late = START.minus(held_up);
            assert_eq!(anchored(after(10), late), after(10), "{held_up}");
            assert_eq!(after_failure(after(9), &policy, late), after(10), "{held_up}");
            assert_eq!(gate(after(10), &policy, late), locked(900), "{held_up}");
        }
    }

    #[test]
    fn clock_that_went_back_starts_the_lock_over_once() {
        let policy = LockoutPolicy::default();
        let (counter, back) = (after(10), START.minus(500_000));
        assert_eq!(gate(counter, &policy, back), Gate::LockedOut { until: Some(back.plus(900)) });
        let stored = anchored(counter, back);
        assert_eq!(gate(stored, &policy, back.plus(900)), Gate::Open);
    }

    #[test]
    fn nothing_overflows_at_the_end_of_time() {
        let counter = FailureCounter { last: UnixTime(u64::MAX), ..after(u32::MAX) };
        let wide = LockoutPolicy {
            throttle_after: 0,
            throttle_delay: u32::MAX,
            throttle_max: u32::MAX,
            lock_after: 1,
            lock_time: u32::MAX,
        };
        let _ = gate(counter, &wide, UnixTime(u64::MAX));
        assert_eq!(after_failure(counter, &wide, UnixTime(u64::MAX)).failures, u32::MAX);
    }

    prop_compose! {
        fn any_policy()(
            throttle_after in 0..20_u32,
            throttle_delay in 0..100_u32,
            throttle_max in 0..1000_u32,
            lock_after in 0..20_u32,
            lock_time in 0..2000_u32,
        ) -> LockoutPolicy {
            LockoutPolicy { throttle_after, throttle_delay, throttle_max, lock_after, lock_time }
        }
    }

    proptest! {
        #[test]
        fn a_closed_gate_opens_at_the_second_it_names(
            policy in any_policy(),
            failures in 0..40_u32,
            seconds in 0..5000_u64,
        ) {
            match gate(after(failures), &policy, at(seconds)) {
                Gate::Open => {}
                Gate::Throttled { until } => {
                    prop_assert!(until > at(seconds));
                    prop_assert_eq!(gate(after(failures), &policy, until), Gate::Open);
                }
                Gate::LockedOut { until: Some(until) } => {
                    prop_assert!(until > at(seconds));
                    let then = gate(after(failures), &policy, until);
                    let still_locked = matches!(then, Gate::LockedOut { .. });
                    prop_assert!(!still_locked);
                }
                Gate::LockedOut { until: None } => prop_assert_eq!(policy.lock_time, 0),
            }
        }

        #[test]
        fn a_clock_that_goes_back_never_opens_a_closed_gate(
            policy in any_policy(),
            failures in 0..40_u32,
            forward in 0..5000_u64,
            back in 0..1_000_000_u64,
        ) {
            let closed = gate(after(failures), &policy, at(forward)) != Gate::Open;
            if closed {
                let earlier = at(forward).minus(back);
                prop_assert!(gate(after(failures), &policy, earlier) != Gate::Open);
            }
        }
    }
}
