//! Generalized time, `YYYYMMDDHHMMSSZ` (RFC 4517 §3.3.13), as directories write points in time.

use crate::time::UnixTime;

/// Reads a generalized time; a fraction is cut off, what lies before 1970 is 1970.
///
/// `None` if it is none.
#[must_use]
pub fn read(text: &str) -> Option<UnixTime> {
    let octets = text.as_bytes();
    let (date, rest) = octets.split_at_checked(10)?;
    let year = number(&date[..4])?;
    let month = number(&date[4..6])?;
    let day = number(&date[6..8])?;
    let hour = number(&date[8..])?;
    let (minute, rest) = optional_pair(rest)?;
    let (second, rest) = if minute.is_some() { optional_pair(rest)? } else { (None, rest) };
    let is_time = (1..=12).contains(&month)
        && (1..=days_of(month, year)).contains(&day)
        && hour <= 23
        && minute.is_none_or(|minute| minute <= 59)
        && second.is_none_or(|second| second <= 60);
    if !is_time {
        return None;
    }
    let unit = if second.is_some() { 1 } else { minute.map_or(3_600, |_| 60) };
    let (fraction, rest) = fraction(rest, unit)?;
    let clock = hour * 3_600 + minute.unwrap_or(0) * 60 + second.unwrap_or(0) + fraction;
    let seconds = days_since_1970(year, month, day) * 86_400 + clock - offset(rest)?;
    Some(UnixTime(u64::try_from(seconds).unwrap_or(0)))
}

/// Writes a time to the second, in UTC. What lies beyond the year 9999 is its end.
#[must_use]
pub fn write(time: UnixTime) -> String {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX).min(END_OF_9999);
    let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
}

/// Decimal digits and nothing else.
fn number(octets: &[u8]) -> Option<i64> {
    octets.iter().try_fold(0, |number, octet| {
        octet.is_ascii_digit().then(|| number * 10 + i64::from(octet - b'0'))
    })
}

/// Two digits, if there are digits at all.
fn optional_pair(octets: &[u8]) -> Option<(Option<i64>, &[u8])> {
    match octets.first() {
        Some(first) if first.is_ascii_digit() => {
            let (pair, rest) = octets.split_at_checked(2)?;
            Some((Some(number(pair)?), rest))
        }
        Some(_) | None => Some((None, octets)),
    }
}

/// A fraction of `unit` seconds in whole seconds, if one is there.
fn fraction(octets: &[u8], unit: i64) -> Option<(i64, &[u8])> {
    let Some(([b'.' | b','], rest)) = octets.split_at_checked(1) else {
        return Some((0, octets));
    };
    let length = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = rest.split_at(length);
    // Six digits are finer than a second of an hour.
    let digits = &digits[..length.min(6)];
    let whole = number(digits)? * unit / 10_i64.pow(u32::try_from(digits.len()).ok()?);
    Some((whole, rest))
}

/// Seconds that local time is ahead of UTC; what follows must be the end.
fn offset(octets: &[u8]) -> Option<i64> {
    let (sign, rest) = match octets.split_first()? {
        (b'Z', []) => return Some(0),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hour, minute) = match rest.len() {
        2 => (number(rest)?, 0),
        4 => (number(&rest[..2])?, number(&rest[2..])?),
        _ => return None,
    };
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3_600 + minute * 60))
}

fn days_of(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// In the Gregorian calendar, whose 400 years have 146,097 days. A year begins in March here, so
/// that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - FROM_MARCH_0000
}

/// Year, month and day of a day, as [`days_since_1970`] counts them.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + FROM_MARCH_0000;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Days from the first of March of the year 0 to 1970-01-01.
const FROM_MARCH_0000: i64 = 719_468;
/// 9999-12-31T23:59:59Z; a year has four digits.
const END_OF_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_form_of_the_syntax() {
        let table = [
            ("19700101000000Z", 0),
            ("20000229000000Z", 951_782_400),
            ("20261124115633Z", 1_795_521_393),
            ("202611241156Z", 1_795_521_360),
            ("2026112411Z", 1_795_518_000),
            ("20261124115633.999Z", 1_795_521_393),
            ("202611241156,5Z", 1_795_521_390),
            ("2026112411.5Z", 1_795_519_800),
            ("20261124125633+0100", 1_795_521_393),
            ("20261124115633+00", 1_795_521_393),
            ("20261124062633-0530", 1_795_521_393),
            ("20161231235960Z", 1_483_228_800),
            ("99991231235959Z", 253_402_300_799),
            ("16010101000000.0Z", 0),
        ];
        for (text, seconds) in table {
            assert_eq!(read(text), Some(UnixTime(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "Z",
            "2026",
            "20261124",
            "20261124115633",
            "20261124115633z",
            "20261124115633ZZ",
            "20261324115633Z",
            "20260024115633Z",
            "20260230000000Z",
            "20250229000000Z",
            "19000229000000Z",
            "20261124245633Z",
            "20261124116033Z",
            "20261124115661Z",
            "2026112411563Z",
            "20261124115633.Z",
            "20261124115633+1",
            "20261124115633+2500",
            "20261124115633+0060",
            "2026-11-24T11:56Z",
            "+0261124115633Z",
            "20261124115633.5",
            "２０２６112411Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn writes_to_the_second() {
        assert_eq!(write(UnixTime(0)), "19700101000000Z");
        assert_eq!(write(UnixTime(1_795_521_393)), "20261124115633Z");
        assert_eq!(write(UnixTime(951_782_400)), "20000229000000Z");
        assert_eq!(write(UnixTime(u64::MAX)), "99991231235959Z");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(seconds in 0..=253_402_300_799_u64) {
            prop_assert_eq!(read(&write(UnixTime(seconds))), Some(UnixTime(seconds)));
        }

        #[test]
        fn never_panics(text in "[0-9]{0,16}[.,Z+0-9é-]{0,12}") {
            let _ = read(&text);
        }
    }
}
