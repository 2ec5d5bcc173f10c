//! Texts with places for what a message is about: `Your one-time password is {otp}.`

use countersign_core::secret::Secret;

/// A text with places. Braces that hold no word are text, so that JSON can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// Known from the config, and yet a value that has to be escaped.
    Site(String),
    Place(Place),
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `{otp}`
    Otp,
    /// `{to}`: the address.
    To,
    /// `{account}`: the login.
    Account,
}

/// What stands in the places.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Digits, which need no escape anywhere.
    pub otp: &'a Secret<String>,
    /// The address.
    pub to: &'a str,
    /// The login.
    pub account: &'a str,
}

impl Pattern {
    /// Reads a text; `site` is what stands for `{site}`.
    ///
    /// # Errors
    ///
    /// It has a place that nothing stands in.
    pub fn parse(text: &str, site: &str) -> Result<Self, String> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(start) = rest.find('{') {
            literal.push_str(&rest[..start]);
            let Some(name) = place_name(&rest[start..]) else {
                literal.push('{');
                rest = &rest[start + 1..];
                continue;
            };
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(match name {
                "otp" => Piece::Place(Place::Otp),
                "to" => Piece::Place(Place::To),
                "account" => Piece::Place(Place::Account),
                "site" => Piece::Site(site.to_owned()),
                _ => {
                    return Err(format!(
                        "nothing is known of {{{name}}}; there are {{otp}}, {{to}}, {{account}} and {{site}}"
                    ));
                }
            });
            rest = &rest[start + name.len() + 2..];
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        Ok(Self(pieces))
    }

    /// Whether there is such a place.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.0.contains(&Piece::Place(place))
    }

    /// The text between the places.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_str()),
            Piece::Site(_) | Piece::Place(_) => None,
        })
    }

    /// The text with values in its places, each of them escaped.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>, escape: impl Fn(&str) -> String) -> Secret<String> {
        let mut text = String::with_capacity(self.room(values));
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Site(site) => text.push_str(&escape(site)),
                Piece::Place(Place::Otp) => text.push_str(values.otp.expose()),
                Piece::Place(Place::To) => text.push_str(&escape(values.to)),
                Piece::Place(Place::Account) => text.push_str(&escape(values.account)),
            }
        }
        Secret::new(text)
    }

    /// More than the text will need, so that no part of it is left where it grew from.
    fn room(&self, values: &Values<'_>) -> usize {
        let lengths = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Site(value) => value.len() * MAX_ESCAPE,
            Piece::Place(Place::Otp) => values.otp.expose().len(),
            Piece::Place(Place::To) => values.to.len() * MAX_ESCAPE,
            Piece::Place(Place::Account) => values.account.len() * MAX_ESCAPE,
        });
        lengths.sum()
    }
}

/// `otp` of `{otp} and more`.
fn place_name(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    (!name.is_empty() && name.bytes().all(|octet| octet.is_ascii_lowercase())).then_some(name)
}

/// A value in plain text: on one line, whatever it is.
#[must_use]
pub fn one_line(value: &str) -> String {
    value.replace(char::is_control, " ")
}

/// A value in a URL or a form: all but the unreserved characters of RFC 3986 §2.3 percent-encoded.
#[must_use]
pub fn percent_encode(value: &str) -> String {
    let encode = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(octet).to_string()
        }
        _ => format!("%{octet:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// Octets that an escape makes of one: `&quot;`, or `\u001f`.
const MAX_ESCAPE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, account: &str, escape: impl Fn(&str) -> String) -> String {
        let otp = Secret::new("123456".to_owned());
        let values = Values { otp: &otp, to: "+49 170", account };
        Pattern::parse(text, "Example & Co").unwrap().fill(&values, escape).expose().clone()
    }

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        for (text, expected) in [
            ("Your OTP is {otp}.", "Your OTP is 123456."),
            (r#"{"to":"{to}","x":{}}"#, r#"{"to":"+49 170","x":{}}"#),
            ("{account}{otp}", "alice123456"),
            ("{site}: {{otp}}", "Example & Co: {123456}"),
            ("{ otp } {OTP} {", "{ otp } {OTP} {"),
            ("", ""),
        ] {
            assert_eq!(filled(text, "alice", str::to_owned), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_place_is_named() {
        let error = Pattern::parse("{opt}", "").unwrap_err();
        assert!(error.starts_with("nothing is known of {opt}; there are {otp}"), "{error}");
    }

    #[test]
    fn values_are_escaped_and_cannot_open_places_of_their_own() {
        assert_eq!(filled("a={account}&b", "x&b=1 ü", percent_encode), "a=x%26b%3D1%20%C3%BC&b");
        assert_eq!(filled("{site}", "", percent_encode), "Example%20%26%20Co");
        assert_eq!(filled("{account}", "{otp}", str::to_owned), "{otp}");
        assert_eq!(filled("Hello {account}", "a\r\nBcc: b\u{85}", one_line), "Hello a  Bcc: b ");
    }

    #[test]
    fn a_filled_text_has_not_grown() {
        let otp = Secret::new("123456".to_owned());
        let values = Values { otp: &otp, to: "\"\u{1}ü€", account: "&&&" };
        let pattern = Pattern::parse("{to}{account}{otp}{site}", "'").unwrap();
        assert!(pattern.fill(&values, percent_encode).expose().len() <= pattern.room(&values));
    }

    #[test]
    fn places_and_literals_are_told_apart() {
        let pattern = Pattern::parse("a {otp} b {site}", "c").unwrap();
        assert!(pattern.has(Place::Otp) && !pattern.has(Place::To));
        assert_eq!(pattern.literals().collect::<Vec<_>>(), ["a ", " b "]);
    }
}
