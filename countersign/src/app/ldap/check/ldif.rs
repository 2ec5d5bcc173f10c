//! LDIF (RFC 2849), as `slapcat` writes it: entries only, no changes.

use countersign_core::ldap::entry::Entry;
use data_encoding::BASE64;

/// Reads entries. What is no entry is left out.
#[must_use]
pub fn entries(text: &str) -> Vec<Entry> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "");
    unfolded.split("\n\n").filter_map(entry).collect()
}

fn entry(record: &str) -> Option<Entry> {
    let mut lines = record.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (name, dn) = pair(lines.next()?)?;
    if !name.eq_ignore_ascii_case("dn") {
        return None;
    }
    let mut entry = Entry::new(String::from_utf8(dn).ok()?);
    for (name, value) in lines.filter_map(pair) {
        entry.add(&name, [value]);
    }
    Some(entry)
}

fn pair(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = line.split_once(':')?;
    let value = match value.strip_prefix(':') {
        Some(encoded) => BASE64.decode(encoded.trim().as_bytes()).ok()?,
        None => value.trim_start().as_bytes().to_vec(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_apart_with_folded_and_encoded_values() {
        let text = "# a comment\ndn: cn=config\nobjectClass: olcGlobal\nolcThreads: 1\n 6\n\n\
                    dn:: Y249w6Q=\ncn:: w6Q=\ncn: other\n\nno entry\n\n";
        let found = entries(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text("olcThreads").unwrap(), Some("16"));
        assert_eq!(found[1].dn(), "cn=ä");
        assert_eq!(found[1].texts("CN").unwrap(), ["ä", "other"]);
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "\n\n\n", "dn", "dn:: %%\n", "cn: x\n", " folded\n first\n"] {
            assert!(entries(text).is_empty(), "{text:?}");
        }
    }
}
