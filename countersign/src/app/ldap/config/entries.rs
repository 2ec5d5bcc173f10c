//! Entries that a directory without OATH-LDAP does not have: where tokens are, and parameters.

use std::fmt::Write;

use super::{Name, Part, Place, Wanted};

/// A container for each place of tokens, and parameters for HOTP and TOTP in the first.
pub(super) fn write(wanted: &Wanted) -> Part {
    let mut text = String::new();
    for base in &wanted.tokens {
        text += &container(base);
    }
    if let Some(base) = wanted.tokens.first() {
        for (name, class, own) in PARAMETERS {
            let _ = writeln!(
                text,
                "dn: cn={name},{base}\nchangetype: add\nobjectClass: applicationProcess\n\
                 objectClass: oathParams\nobjectClass: {class}\ncn: {name}\noathOTPLength: 6\n\
                 oathHMACAlgorithm: 1.2.840.113549.2.7\n{own}"
            );
        }
    }
    let notes = vec![
        "into the database, as its administrator; leave out what is there".to_owned(),
        "parameters: six digits, SHA-1; a token names its parameters by oathHOTPParams or \
         oathTOTPParams"
            .to_owned(),
    ];
    Part { name: Name::Entries, place: Place::Data, notes, text }
}

fn container(base: &str) -> String {
    let (name, value) =
        base.split(',').next().and_then(|rdn| rdn.split_once('=')).unwrap_or_default();
    let (name, value) = (name.trim(), value.trim());
    let class = match name.to_ascii_lowercase().as_str() {
        "ou" => "organizationalUnit",
        _ => "applicationProcess",
    };
    format!("dn: {base}\nchangetype: add\nobjectClass: {class}\n{name}: {value}\n\n")
}

const PARAMETERS: [(&str, &str, &str); 2] = [
    ("hotp", "oathHOTPParams", "oathHOTPLookAhead: 5\n"),
    ("totp", "oathTOTPParams", "oathTOTPTimeStepPeriod: 30\noathTOTPTimeStepWindow: 1\n"),
];
