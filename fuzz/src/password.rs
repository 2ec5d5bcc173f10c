//! Values of userPassword: what is looked at before any work is done.

use countersign::app::password::{Checked, check, examine};

/// A stored value, and behind the last line feed a password. What cannot be used is never the
/// password, and is named without a part of the hash that could be long.
pub fn stored(octets: &[u8]) {
    let end = octets.iter().rposition(|octet| *octet == b'\n').unwrap_or(octets.len());
    let (stored, password) = octets.split_at(end);
    let password = password.strip_prefix(b"\n").unwrap_or(password);
    if let Some(unusable) = examine(stored) {
        assert!(unusable.scheme.len() <= 34, "{unusable}");
        assert!(unusable.scheme.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
        assert_eq!(check(stored, password), Checked::Unusable(unusable));
    } else if !is_slow(stored) {
        let matches = check(stored, password) == Checked::Matches;
        assert!(!matches || !stored.is_empty());
    }
}

/// Whether checking takes work on purpose.
fn is_slow(stored: &[u8]) -> bool {
    let scheme = stored.iter().take(8).map(u8::to_ascii_uppercase).collect::<Vec<_>>();
    [&b"{CRYPT}"[..], b"{ARGON2}", b"{PBKDF2"].iter().any(|slow| scheme.starts_with(slow))
}
