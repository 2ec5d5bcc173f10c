//! The string attribute `otp` of a principal: which tokens the KDC asks about.
//!
//! A JSON array of objects with the members `type`, `username` and `indicators`, all
//! optional. Members of other names are ignored, and so are `type` and `username` if they
//! are no strings. An empty array is one token of the type `DEFAULT`. Everything else
//! makes every logon of the principal fail.
//!
//! The KDC's JSON is not quite the standard's: whole numbers only, and of escapes by
//! number only `\u0000` to `\u00FF`, in upper case, which stand for octets.

use serde_json::{Map, Value, json};

use super::token_type::TokenType;

/// One element of the array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserToken {
    /// Its type; `DEFAULT` if it names none.
    pub token_type: Option<String>,
    /// What is sent as User-Name instead of the principal.
    pub user_name: Option<String>,
    /// What the ticket says instead of the type's indicators, even if nothing.
    pub indicators: Option<Vec<String>>,
}

/// A user string that the KDC takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserString {
    /// At least one, in the order in which they are asked.
    pub tokens: Vec<UserToken>,
    /// What the KDC ignores in it.
    pub ignored: Vec<String>,
}

/// Why the KDC takes a string for none; every logon of the principal fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserStringError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// JSON without its quotes, as kadmin's command language leaves it.
    #[error(
        "its double quotes are gone, as kadmin's own command language takes them away; \
         {repaired} was meant"
    )]
    QuotesEaten {
        /// With quotes.
        repaired: String,
    },
    /// No JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// JSON of a kind that the KDC does not read.
    #[error("it is JSON that the KDC does not read: {0}")]
    NotForKdc(&'static str),
    /// Another value.
    #[error("it is JSON, but no array")]
    NotArray,
    /// Something in the array is no object.
    #[error("element {0} of the array is no object")]
    NotObject(usize),
    /// Indicators that are no array of strings.
    #[error("`indicators` of element {0} is no array of strings")]
    Indicators(usize),
}

impl UserString {
    /// Reads a string as the KDC does.
    ///
    /// # Errors
    ///
    /// The KDC does not take it.
    pub fn parse(text: &str) -> Result<Self, UserStringError> {
        if text.trim_matches(is_space).is_empty() {
            return Err(UserStringError::Empty);
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            quotes_eaten(text).unwrap_or_else(|| UserStringError::NotJson(error.to_string()))
        })?;
        check_escapes(text)?;
        check_numbers(&value)?;
        let Value::Array(elements) = value else { return Err(UserStringError::NotArray) };
        let mut ignored = Vec::new();
        let tokens = elements.iter().enumerate();
        let mut tokens = tokens
            .map(|(index, element)| token(index + 1, element, &mut ignored))
            .collect::<Result<Vec<_>, _>>()?;
        if tokens.is_empty() {
            tokens.push(UserToken::default());
        }
        Ok(Self { tokens, ignored })
    }

    /// The string for tokens.
    ///
    /// # Errors
    ///
    /// A text has a control character, which the KDC cannot read from JSON.
    pub fn write(tokens: &[UserToken]) -> Result<String, ControlCharacter> {
        let texts = tokens.iter().flat_map(|token| {
            token.token_type.iter().chain(&token.user_name).chain(token.indicators.iter().flatten())
        });
        for text in texts {
            if text.contains(char::is_control) {
                return Err(ControlCharacter(text.clone()));
            }
        }
        Ok(Value::Array(tokens.iter().map(element).collect()).to_string())
    }
}

/// A text that no user string can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has a control character, which the KDC cannot read in a user string")]
pub struct ControlCharacter(String);

impl UserStringError {
    /// What helps.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::QuotesEaten { repaired } => format!(
                "set it with arguments, not within kadmin or by -q: kadmin.local setstr PRINCIPAL otp '{repaired}'"
            ),
            Self::Empty => {
                "set [] for the type DEFAULT, or remove it: kadmin.local delstr PRINCIPAL otp".into()
            }
            Self::NotJson(_)
            | Self::NotForKdc(_)
            | Self::NotArray
            | Self::NotObject(_)
            | Self::Indicators(_) => {
                r#"it must be like [{"type":"NAME","username":"NAME","indicators":["WORD"]}]; `countersign krb5 config` writes it"#.into()
            }
        }
    }
}

impl UserToken {
    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.token_type.as_deref().unwrap_or(TokenType::DEFAULT)
    }
}

fn token(
    number: usize,
    element: &Value,
    ignored: &mut Vec<String>,
) -> Result<UserToken, UserStringError> {
    let Value::Object(members) = element else { return Err(UserStringError::NotObject(number)) };
    for key in members.keys().filter(|key| !MEMBERS.contains(&key.as_str())) {
        ignored.push(format!("member {key:?} of element {number} means nothing to the KDC"));
    }
    let token_type = string(members, "type", number, ignored);
    let user_name = string(members, "username", number, ignored);
    let indicators =
        members.get("indicators").map(|value| indicators(number, value)).transpose()?;
    Ok(UserToken { token_type, user_name, indicators })
}

/// A string; of another type it counts as absent.
fn string(
    members: &Map<String, Value>,
    key: &str,
    number: usize,
    ignored: &mut Vec<String>,
) -> Option<String> {
    let value = members.get(key)?;
    let text = value.as_str().map(str::to_owned);
    if text.is_none() {
        ignored.push(format!("{key} of element {number} is no string, so the KDC ignores it"));
    }
    text
}

fn indicators(number: usize, value: &Value) -> Result<Vec<String>, UserStringError> {
    let texts = value.as_array().and_then(|values| {
        values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<_>>()
    });
    texts.ok_or(UserStringError::Indicators(number))
}

fn element(token: &UserToken) -> Value {
    let mut members = Map::new();
    if let Some(name) = &token.token_type {
        members.insert("type".into(), json!(name));
    }
    if let Some(name) = &token.user_name {
        members.insert("username".into(), json!(name));
    }
    if let Some(indicators) = &token.indicators {
        members.insert("indicators".into(), json!(indicators));
    }
    Value::Object(members)
}

/// Whether a text is JSON as soon as its words are in quotes.
fn quotes_eaten(text: &str) -> Option<UserStringError> {
    if text.contains('"') {
        return None;
    }
    let mut repaired = String::new();
    let structure = |letter: char| "[]{}:,".contains(letter);
    for piece in text.split_inclusive(structure) {
        let word = piece.trim_end_matches(structure);
        let bare = word.trim_matches(is_space);
        if !bare.is_empty() {
            repaired.push_str(&Value::from(bare).to_string());
        }
        repaired.push_str(&piece[word.len()..]);
    }
    let is_array = matches!(serde_json::from_str(&repaired), Ok(Value::Array(_)));
    (is_array && repaired != text).then_some(UserStringError::QuotesEaten { repaired })
}

/// Backslashes stand in strings only, so they can be looked at one after the other.
fn check_escapes(text: &str) -> Result<(), UserStringError> {
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'\\' || octets.next() != Some(b'u') {
            continue;
        }
        let digits: Vec<u8> = octets.by_ref().take(4).collect();
        if digits.iter().any(u8::is_ascii_lowercase) || !digits.starts_with(b"00") {
            return Err(UserStringError::NotForKdc(WIDE_ESCAPE));
        }
        if digits[2..] == *b"00" || digits[2] > b'7' {
            return Err(UserStringError::NotForKdc(OCTET_ESCAPE));
        }
    }
    Ok(())
}

fn check_numbers(value: &Value) -> Result<(), UserStringError> {
    match value {
        Value::Number(number) if number.is_i64() => Ok(()),
        Value::Number(_) => Err(UserStringError::NotForKdc("a number that is not whole")),
        Value::Array(values) => values.iter().try_for_each(check_numbers),
        Value::Object(members) => members.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// What JSON calls space.
fn is_space(letter: char) -> bool {
    " \t\r\n".contains(letter)
}

const MEMBERS: [&str; 3] = ["type", "username", "indicators"];
const WIDE_ESCAPE: &str =
    r"an escape \uXXXX must be between \u0000 and \u00FF, in upper case; write the letter itself";
const OCTET_ESCAPE: &str =
    r"an escape \uXXXX stands for an octet there, not for a letter; write the letter itself";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str) -> UserToken {
        UserToken { token_type: Some(name.into()), ..UserToken::default() }
    }

    #[track_caller]
    fn tokens(text: &str) -> Vec<UserToken> {
        UserString::parse(text).unwrap().tokens
    }

    #[test]
    fn reads_what_the_kdc_reads() {
        assert_eq!(tokens("[]"), [UserToken::default()]);
        assert_eq!(tokens(" [ { } ] "), [UserToken::default()]);
        assert_eq!(tokens(r#"[{"type":"a"},{"type":"b"}]"#), [named("a"), named("b")]);
        let full = r#"[{"type":"a","username":"u","indicators":["x","y"]}]"#;
        let expected = UserToken {
            user_name: Some("u".into()),
            indicators: Some(vec!["x".into(), "y".into()]),
            ..named("a")
        };
        assert_eq!(tokens(full), [expected]);
        assert_eq!(tokens(r#"[{"indicators":[]}]"#)[0].indicators, Some(vec![]));
        assert_eq!(tokens(r#"[{"type":"a","type":"b"}]"#), [named("b")]);
    }

    #[test]
    fn wrong_types_of_type_and_username_are_ignored_and_said() {
        let read = UserString::parse(r#"[{"type":5,"username":null,"pin":true}]"#).unwrap();
        assert_eq!(read.tokens, [UserToken::default()]);
        assert_eq!(read.ignored.len(), 3, "{read:?}");
        assert_eq!(read.tokens[0].type_name(), "DEFAULT");
    }

    #[test]
    fn everything_else_fails() {
        use UserStringError as Wrong;
        for (text, wrong) in [
            ("", Wrong::Empty),
            (" ", Wrong::Empty),
            ("{}", Wrong::NotArray),
            ("null", Wrong::NotArray),
            ("\"x\"", Wrong::NotArray),
            ("[[]]", Wrong::NotObject(1)),
            (r#"[{},"a"]"#, Wrong::NotObject(2)),
            (r#"[{"indicators":"x"}]"#, Wrong::Indicators(1)),
            (r#"[{"indicators":["x",5]}]"#, Wrong::Indicators(1)),
            (r#"[{"indicators":null}]"#, Wrong::Indicators(1)),
        ] {
            assert_eq!(UserString::parse(text), Err(wrong), "{text}");
        }
        for text in ["[{\"type\":\"a\"]", "nonsense", "[{}] x", "[{'type':'a\"}]"] {
            let read = UserString::parse(text);
            assert!(matches!(read, Err(Wrong::NotJson(_))), "{text}: {read:?}");
        }
    }

    #[test]
    fn eaten_quotes_are_recognised_and_put_back() {
        for (text, meant) in [
            ("[{type:watchword}]", r#"[{"type":"watchword"}]"#),
            ("[{type: a},{type:b}]", r#"[{"type":"a"},{"type":"b"}]"#),
            (
                "[{username:al\\@x,indicators:[x,y]}]",
                r#"[{"username":"al\\@x","indicators":["x","y"]}]"#,
            ),
        ] {
            let error = UserString::parse(text).unwrap_err();
            let UserStringError::QuotesEaten { repaired } = &error else { panic!("{error}") };
            assert_eq!(repaired, meant);
            assert!(error.cure().contains(meant) && UserString::parse(repaired).is_ok());
        }
    }

    #[test]
    fn json_that_only_others_read_is_refused() {
        for text in [
            r#"[{"type":"\u0105"}]"#,
            r#"[{"type":"\u00e4"}]"#,
            r#"[{"type":"\u00E4"}]"#,
            r#"[{"type":"\u0000"}]"#,
            r#"[{"x":1.5}]"#,
            r#"[{"x":99999999999999999999}]"#,
        ] {
            let read = UserString::parse(text);
            assert!(matches!(read, Err(UserStringError::NotForKdc(_))), "{text}: {read:?}");
        }
        assert_eq!(tokens(r#"[{"type":"\u0041\\u0105ä","x":-5}]"#)[0], named("A\\u0105ä"));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert!(UserString::write(&[named("a\nb")]).is_err());
        assert_eq!(UserString::write(&[]).unwrap(), "[]");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(written in prop::collection::vec(any_token(), 1..4)) {
            let text = UserString::write(&written).unwrap();
            let read = UserString::parse(&text).unwrap();
            prop_assert_eq!(read.tokens, written);
            prop_assert!(read.ignored.is_empty());
        }

        #[test]
        fn nothing_panics(text in "[\\[\\]{}:,\"\\\\ua0F5 type]{0,30}") {
            if let Err(error) = UserString::parse(&text) {
                prop_assert!(!error.cure().is_empty());
            }
        }
    }

    fn any_token() -> impl Strategy<Value = UserToken> {
        let text = "[ -~äł]{0,9}";
        let indicators = prop::option::of(prop::collection::vec(text, 0..3));
        (prop::option::of(text), prop::option::of(text), indicators).prop_map(
            |(token_type, user_name, indicators)| UserToken { token_type, user_name, indicators },
        )
    }
}
