//! Principals and policies in a dump: the text that `kdb5_util dump` writes.
//!
//! ```text
//! kdb5_util load_dump version 7
//! princ TAB 38 TAB length TAB tl-data TAB keys TAB length TAB name TAB attributes TAB …
//! policy TAB name TAB … TAB max-failures TAB …
//! ```
//!
//! A dump holds every key of the realm. Of a principal's line only what stands before its
//! keys is looked at, and nothing of it is kept but what [`Principal`] has.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::principal::{Lockout, Principal};

/// What a dump says about who may log on how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// In the order of the file.
    pub principals: Vec<Principal>,
    /// By the names of the policies.
    pub policies: BTreeMap<String, Lockout>,
}

/// Why a text is no dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// The first line is another.
    #[error(
        "line 1: it is no dump of the versions 5 to 7 of kdb5_util; write one by `kdb5_util dump \
             FILE`"
    )]
    Version,
    /// A line is cut off or malformed.
    #[error("line {0}: it is no record of a dump; was all of the file written?")]
    Record(usize),
}

impl Dump {
    /// Reads a dump.
    ///
    /// # Errors
    ///
    /// It is none, or has a malformed line.
    pub fn parse(text: &str) -> Result<Self, DumpError> {
        let mut lines = text.lines().enumerate();
        let version = lines.next().and_then(|(_, line)| line.strip_prefix(HEADER));
        if !version.is_some_and(|version| ["5", "6", "7"].contains(&version.trim())) {
            return Err(DumpError::Version);
        }
        let mut dump = Self::default();
        for (index, line) in lines {
            dump.record(line).ok_or(DumpError::Record(index + 1))?;
        }
        Ok(dump)
    }

    fn record(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        match fields.next()? {
            "princ" => self.principals.push(principal(fields)?),
            "policy" => {
                let name = fields.next()?.to_owned();
                // Behind it: life and lengths (5), reference count, then the lockout.
                let mut fields = fields.skip(6);
                let max_failures = fields.next().unwrap_or("0").parse().ok()?;
                let duration = format!("{} s", fields.nth(1).unwrap_or("0"));
                self.policies.insert(name, Lockout { max_failures, duration });
            }
            _ => {}
        }
        Some(())
    }
}

fn principal<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Principal> {
    let [_, _, attributes_of_type, keys, _] = take::<5>(&mut fields)?;
    let [name, attributes, _, _, _, _, _, _, failures] = take::<9>(&mut fields)?;
    let attributes: u32 = attributes.parse().ok()?;
    let mut principal = Principal {
        name: name.to_owned(),
        keys: keys.parse().ok()?,
        requires_preauth: attributes & REQUIRES_PRE_AUTH != 0,
        requires_hwauth: attributes & REQUIRES_HW_AUTH != 0,
        disabled: attributes & DISALLOW_ALL_TIX != 0,
        failures: failures.parse().ok()?,
        ..Principal::default()
    };
    for _ in 0..attributes_of_type.parse::<u16>().ok()? {
        let [kind, _, octets] = take::<3>(&mut fields)?;
        match kind {
            STRING_ATTRIBUTES => strings(&hexadecimal(octets)?, &mut principal),
            KADM_DATA => principal.policy = policy_name(&hexadecimal(octets)?),
            _ => {}
        }
    }
    Some(principal)
}

fn take<'a, const N: usize>(fields: &mut impl Iterator<Item = &'a str>) -> Option<[&'a str; N]> {
    let taken: Vec<_> = fields.take(N).collect();
    taken.try_into().ok()
}

/// `-1` stands for nothing.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text == "-1" { Some(Vec::new()) } else { HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok() }
}

/// Names and values in turn, each with a zero behind it.
fn strings(octets: &[u8], principal: &mut Principal) {
    let mut words = octets.split(|&octet| octet == 0);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let value = || Some(String::from_utf8_lossy(value).into_owned());
        match name {
            b"otp" => principal.otp = value(),
            b"require_auth" => principal.require_auth = value(),
            _ => {}
        }
    }
}

/// XDR: a version, then a counted text with a zero at its end, if there is a policy.
fn policy_name(octets: &[u8]) -> Option<String> {
    let (length, rest) = octets.get(4..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let name = rest.get(..length.checked_sub(1)?)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

const HEADER: &str = "kdb5_util load_dump version ";
const KADM_DATA: &str = "3";
const STRING_ATTRIBUTES: &str = "11";
const DISALLOW_ALL_TIX: u32 = 0x40;
const REQUIRES_PRE_AUTH: u32 = 0x80;
const REQUIRES_HW_AUTH: u32 = 0x100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by kdb5_util 1.20.1 of Debian 12; the keys are shortened.
    const DUMP: &str = include_str!("../../../testdata/krb5/dump.txt");

    #[test]
    fn reads_what_kdb5_util_writes() {
        let dump = Dump::parse(DUMP).unwrap();
        let find = |name| dump.principals.iter().find(|principal| principal.name == name).unwrap();
        let alice = Principal {
            name: "alice@OTP.TEST".into(),
            requires_preauth: true,
            otp: Some(r#"[{"type":"watchword"}]"#.into()),
            ..Principal::default()
        };
        assert_eq!(find("alice@OTP.TEST"), &alice);
        let bob = Principal {
            name: "bob@OTP.TEST".into(),
            keys: 2,
            policy: Some("strict".into()),
            otp: Some("[{type:watchword}]".into()),
            ..Principal::default()
        };
        assert_eq!(find("bob@OTP.TEST"), &bob);
        let service = find("host/web.otp.test@OTP.TEST");
        assert_eq!(service.require_auth.as_deref(), Some("otp strong"));
        let strict = Lockout { max_failures: 3, duration: "300 s".into() };
        assert_eq!(dump.policies["strict"], strict);
    }

    #[test]
    fn what_is_no_dump_is_said_with_its_line() {
        assert_eq!(Dump::parse(""), Err(DumpError::Version));
        assert_eq!(Dump::parse("kdb5_util load_dump version 3\n"), Err(DumpError::Version));
        let lines: Vec<_> = DUMP.lines().collect();
        let cut = lines[1].get(..60).unwrap();
        let dump = Dump::parse(&format!("{}\n{}\n{cut}", lines[0], lines[2]));
        assert_eq!(dump, Err(DumpError::Record(3)));
    }

    #[test]
    fn no_cut_of_a_dump_panics() {
        for end in 0..DUMP.len() {
            let _ = DUMP.get(..end).map(Dump::parse);
        }
    }
}
