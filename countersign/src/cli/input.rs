//! What people type: times, settings, and secrets that must not stand on a command line.
//!
//! Arguments and environment variables of a process can be read by others and
//! end up in shell histories. So a secret is asked for at the terminal, or read
//! from a file or from standard input.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use countersign_core::{secret::Secret, time::UnixTime};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::app::admin::{ClearText, Setting};

/// Asks for a secret at the terminal, without showing it.
///
/// # Errors
///
/// There is no terminal.
pub fn prompt(what: &str) -> anyhow::Result<ClearText> {
    let typed = rpassword::prompt_password(format!("{what}: ")).map(Secret::new);
    let typed = typed.with_context(|| {
        format!("{what}: there is no terminal to ask at; give it by a file or standard input")
    })?;
    Ok(ClearText(typed))
}

/// Asks for a new secret twice.
///
/// # Errors
///
/// There is no terminal, or the two differ.
pub fn prompt_new(what: &str) -> anyhow::Result<ClearText> {
    let (first, second) = (prompt(what)?, prompt(&format!("{what}, once more"))?);
    ensure!(first == second, "{what}: you typed two different ones; nothing was changed");
    Ok(first)
}

/// Reads a secret from a file, or from standard input if it is called `-`: its
/// first and only line.
///
/// # Errors
///
/// The file cannot be read, is too long, or has more than one line.
pub fn read(what: &str, file: &Path) -> anyhow::Result<ClearText> {
    let source =
        if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let text = read_start(file).with_context(|| format!("{what}: {source}"))?;
    let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
    let line = line.strip_suffix('\r').unwrap_or(line);
    ensure!(
        text.expose().len() <= MAX_LENGTH,
        "{what}: {source} is longer than {MAX_LENGTH} octets"
    );
    ensure!(!line.is_empty(), "{what}: {source} is empty");
    ensure!(!line.contains('\n'), "{what}: {source} has more than one line");
    Ok(ClearText(Secret::new(line.to_owned())))
}

/// Two OTPs, from the terminal or from a file (see [`read`]), where blanks stand between them.
///
/// # Errors
///
/// There is no terminal, the file cannot be read, or it does not hold two words.
pub fn otps(file: Option<&Path>) -> anyhow::Result<[ClearText; 2]> {
    let Some(file) = file else { return Ok([prompt("First OTP")?, prompt("The OTP after it")?]) };
    let line = read("OTPs", file)?;
    let mut words = line.0.expose().split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(first), Some(second), None) => Ok([first, second].map(|otp| otp.to_owned().into())),
        _ => bail!("OTPs: two are wanted on one line, the older first"),
    }
}

fn read_start(file: &Path) -> io::Result<Secret<String>> {
    let limit = u64::try_from(MAX_LENGTH).unwrap_or(u64::MAX) + 1;
    // As long as the limit from the start, so that no half of it is left where it grew from.
    let mut text = String::with_capacity(MAX_LENGTH + 1);
    if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(Secret::new(text))
}

/// A value, or none if the argument is empty.
///
/// # Errors
///
/// None; the signature is that of an argument's parser.
pub fn setting(text: &str) -> Result<Setting<String>, String> {
    Ok(if text.is_empty() { Setting::Clear } else { Setting::To(text.to_owned()) })
}

/// Names that replace all names there were; nothing if none are given.
#[must_use]
pub fn replacing(names: Vec<String>) -> Option<Setting<Vec<String>>> {
    (!names.is_empty()).then_some(Setting::To(names))
}

/// Names that replace all names there were, or none at all.
#[must_use]
pub fn names_setting(
    none: bool,
    names: Option<Setting<Vec<String>>>,
) -> Option<Setting<Vec<String>>> {
    if none { Some(Setting::Clear) } else { names }
}

/// The first second of a validity, or none if the argument is empty.
///
/// # Errors
///
/// The argument is no time.
pub fn start_setting(text: &str) -> Result<Setting<UnixTime>, String> {
    if text.is_empty() { Ok(Setting::Clear) } else { start(text).map(Setting::To) }
}

/// The last second of a validity, or none if the argument is empty.
///
/// # Errors
///
/// The argument is no time.
pub fn end_setting(text: &str) -> Result<Setting<UnixTime>, String> {
    if text.is_empty() { Ok(Setting::Clear) } else { end(text).map(Setting::To) }
}

/// A moment, or the first second of a day in UTC.
///
/// # Errors
///
/// The argument is no time.
pub fn start(text: &str) -> Result<UnixTime, String> {
    match text.parse::<Date>() {
        Ok(day) if !text.contains(['T', ':']) => moment(midnight(day)),
        Ok(_) | Err(_) => moment(text.parse::<Timestamp>().ok()),
    }
}

/// A moment, or the last second of a day in UTC.
///
/// # Errors
///
/// The argument is no time.
pub fn end(text: &str) -> Result<UnixTime, String> {
    match text.parse::<Date>() {
        Ok(day) if !text.contains(['T', ':']) => {
            moment(midnight(day)).map(|midnight| midnight.plus(86_399))
        }
        Ok(_) | Err(_) => moment(text.parse::<Timestamp>().ok()),
    }
}

fn midnight(day: Date) -> Option<Timestamp> {
    day.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}

fn moment(timestamp: Option<Timestamp>) -> Result<UnixTime, String> {
    let seconds = timestamp.and_then(|timestamp| u64::try_from(timestamp.as_second()).ok());
    let wanted = "a day like 2027-12-31 or a moment like 2027-12-31T18:00:00Z is wanted";
    seconds.map(UnixTime).ok_or_else(|| wanted.to_owned())
}

/// A moment as people read it, in UTC.
#[must_use]
pub fn shown(time: UnixTime) -> String {
    let timestamp = i64::try_from(time.0).ok().and_then(|at| Timestamp::from_second(at).ok());
    timestamp.map_or_else(|| "the end of time".to_owned(), |timestamp| timestamp.to_string())
}

/// Octets of the longest secret that is read.
const MAX_LENGTH: usize = 1024;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn read_from(content: &str) -> Result<String, String> {
        let (_dir, path) = file(content);
        let secret = read("PIN", &path).map_err(|error| format!("{error:#}"))?;
        Ok(secret.0.expose().clone())
    }

    #[test]
    fn a_file_holds_one_line_that_may_end_anyhow() {
        for content in ["4711", "4711\n", "4711\r\n"] {
            assert_eq!(read_from(content).as_deref(), Ok("4711"));
        }
        assert_eq!(read_from(" a b \n").as_deref(), Ok(" a b "));
    }

    #[test]
    fn other_files_are_refused_without_their_content() {
        for (content, expected) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("47\n11\n", "more than one line"),
            (&"4711".repeat(300), "longer than 1024"),
        ] {
            let error = read_from(content).unwrap_err();
            assert!(error.contains(expected) && !error.contains("47"), "{error}");
        }
        let error = read("PIN", Path::new("/nonexistent")).unwrap_err();
        assert!(format!("{error:#}").starts_with("PIN: /nonexistent: "), "{error:#}");
    }

    #[test]
    fn two_otps_stand_on_one_line() {
        let (_dir, path) = file("755224  287082\n");
        let found = otps(Some(&path)).unwrap();
        assert_eq!(found.map(|otp| otp.0.expose().clone()), ["755224", "287082"]);
        for content in ["755224", "755224 287082 359152"] {
            let (_dir, path) = file(content);
            assert!(otps(Some(&path)).is_err());
        }
    }

    #[test]
    fn days_are_whole_and_moments_exact() {
        assert_eq!(start("2027-01-15"), Ok(UnixTime(1_799_971_200)));
        assert_eq!(end("2027-01-15"), Ok(UnixTime(1_799_971_200 + 86_399)));
        for parse in [start, end] {
            assert_eq!(parse("2027-01-15T08:00:00Z"), Ok(UnixTime(1_800_000_000)));
            assert_eq!(parse("2027-01-15T09:00:00+01:00"), Ok(UnixTime(1_800_000_000)));
            for text in
                ["", "tomorrow", "2027-13-01", "15.01.2027", "1969-12-31", "2027-01-15T08:00"]
            {
                assert!(parse(text).unwrap_err().contains("2027-12-31"), "{text}");
            }
        }
        assert_eq!(shown(UnixTime(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(shown(UnixTime(u64::MAX)), "the end of time");
    }

    #[test]
    fn an_empty_argument_clears() {
        assert_eq!(setting(""), Ok(Setting::Clear));
        assert_eq!(setting("x"), Ok(Setting::To("x".into())));
        assert_eq!(end_setting(""), Ok(Setting::Clear));
        assert!(start_setting("x").is_err());
    }
}
