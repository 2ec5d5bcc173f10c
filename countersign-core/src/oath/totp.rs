//! TOTP: HOTP with the number of a time step as moving factor (RFC 6238 §4).

use std::num::NonZeroU32;

/// The number of the time step that a moment lies in.
///
/// `seconds` counts from the Unix epoch (T0 = 0), `period` is the length of a
/// time step in seconds (X).
#[must_use]
pub fn time_step(seconds: u64, period: NonZeroU32) -> u64 {
    seconds / u64::from(period.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_begins_at_multiples_of_the_period() {
        let period = NonZeroU32::new(30).unwrap();
        for (seconds, step) in
            [(0, 0), (29, 0), (30, 1), (59, 1), (60, 2), (u64::MAX, u64::MAX / 30)]
        {
            assert_eq!(time_step(seconds, period), step, "{seconds}");
        }
    }

    #[test]
    fn periods_may_be_one_second_or_a_century() {
        assert_eq!(time_step(u64::MAX, NonZeroU32::MIN), u64::MAX);
        assert_eq!(time_step(1_800_000_000, NonZeroU32::MAX), 0);
    }
}
