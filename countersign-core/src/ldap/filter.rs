//! Search filters in their text form (RFC 4515), made so that a value stays a value.

use std::fmt::Write;

/// A value as it stands in a filter: what could be taken for a part of the filter is escaped.
///
/// More than RFC 4515 §3 asks for: everything but letters, digits and a few marks, so that no
/// reader of filters, however lenient, sees anything but octets.
#[must_use]
pub fn escape(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    for octet in value {
        if octet.is_ascii_alphanumeric() || PLAIN.contains(octet) {
            out.push(char::from(*octet));
        } else {
            write!(out, "\\{octet:02x}").expect("a String takes all that is written");
        }
    }
    out
}

/// `(attribute=value)`.
#[must_use]
pub fn equals(attribute: &str, value: impl AsRef<[u8]>) -> String {
    format!("({attribute}={})", escape(value.as_ref()))
}

/// `(attribute>=value)`.
#[must_use]
pub fn at_least(attribute: &str, value: impl AsRef<[u8]>) -> String {
    format!("({attribute}>={})", escape(value.as_ref()))
}

/// All of these filters; one alone stands as it is.
#[must_use]
pub fn all<T: AsRef<str>>(filters: &[T]) -> String {
    joined('&', filters)
}

/// One of these filters; one alone stands as it is.
#[must_use]
pub fn any<T: AsRef<str>>(filters: &[T]) -> String {
    joined('|', filters)
}

/// A filter that an operator wrote, with every `{name}` replaced by the escaped name.
#[must_use]
pub fn with_name(template: &str, name: &str) -> String {
    template.replace(NAME, &escape(name.as_bytes()))
}

fn joined<T: AsRef<str>>(operator: char, filters: &[T]) -> String {
    let filters: Vec<&str> = filters.iter().map(AsRef::as_ref).collect();
    match filters.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("({operator}{})", several.concat()),
    }
}

/// What stands for the login name in a filter of the operator's.
pub const NAME: &str = "{name}";
const PLAIN: &[u8] = b" -_.,:@=+/#";

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    #[test]
    fn nothing_in_a_value_acts() {
        let table: [(&[u8], &str); 8] = [
            (b"alice", "alice"),
            (b"*", r"\2a"),
            (b"a)(uid=*", r"a\29\28uid=\2a"),
            (br"a\2a", r"a\5c2a"),
            (b"nul\0", r"nul\00"),
            ("Zoë".as_bytes(), r"Zo\c3\ab"),
            (&[0xff, 0xfe], r"\ff\fe"),
            (b"&|!<>~", r"\26\7c\21\3c\3e\7e"),
        ];
        for (value, escaped) in table {
            assert_eq!(escape(value), escaped);
        }
    }

    #[test]
    fn filters_are_put_together() {
        let one = equals("uid", "a*");
        assert_eq!(one, r"(uid=a\2a)");
        assert_eq!(all(&[&one]), one);
        assert_eq!(any(&[one.as_str(), "(cn=*)"]), r"(|(uid=a\2a)(cn=*))");
        assert_eq!(all(&["(a=b)", "(c=d)"]), "(&(a=b)(c=d))");
        assert_eq!(at_least("entryUUID", "00-11"), "(entryUUID>=00-11)");
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_template() {
        let made = with_name("(|(uid={name})(mail={name}))", "x)(uid=*");
        assert_eq!(made, r"(|(uid=x\29\28uid=\2a)(mail=x\29\28uid=\2a))");
    }

    proptest! {
        #[test]
        fn an_escaped_value_has_no_octet_that_acts(value: Vec<u8>) {
            let escaped = escape(&value);
            let acts = |letter: char| matches!(letter, '(' | ')' | '*' | '&' | '|' | '!' | '\0');
            prop_assert!(escaped.is_ascii() && !escaped.contains(acts));
        }
    }
}
