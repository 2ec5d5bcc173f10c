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
