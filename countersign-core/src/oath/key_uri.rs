//! `otpauth://` URIs, by which authenticator apps take over a token.
//!
//! The format is that of Google Authenticator's wiki page "Key Uri Format":
//! `otpauth://TYPE/ISSUER:ACCOUNT?secret=…&issuer=…&algorithm=…&digits=…` with
//! `period` for TOTP and `counter` for HOTP. No standard says more. Apps differ in
//! what they do with what they do not know, so reading is strict: a parameter
//! that is unknown, doubled or of the other type is an error and not a guess.

use std::num::NonZeroU32;

use data_encoding::BASE32_NOPAD;

use super::hotp::{Algorithm, Digits};
use crate::secret::Secret;

/// All that an authenticator app needs to know of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUri {
    /// What moves.
    pub kind: Kind,
    /// Who gave the token out.
    pub issuer: Option<String>,
    /// Whose token it is, for the app to show.
    pub account: String,
    /// The shared secret.
    pub secret: Secret<Vec<u8>>,
    /// The HMAC's hash.
    pub algorithm: Algorithm,
    /// Length of an OTP.
    pub digits: Digits,
}

/// What moves between two OTPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A counter (RFC 4226), which begins here.
    Hotp {
        /// The first factor.
        counter: u64,
    },
    /// Time (RFC 6238).
    Totp {
        /// Length of a time step in seconds.
        period: NonZeroU32,
    },
}

/// What is wrong with an `otpauth` URI. No message shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUriError {
    /// It begins otherwise.
    #[error("the URI does not begin with otpauth://totp/ or otpauth://hotp/")]
    NotOtpauth,
    /// No account in the label.
    #[error("the URI names no account between the type and `?`")]
    NoAccount,
    /// `%` without two hexadecimal digits, or octets that are not UTF-8.
    #[error("{0}: the percent-encoding is broken")]
    Encoding(&'static str),
    /// A parameter is missing.
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    /// A parameter stands twice.
    #[error("the parameter `{0}` stands twice")]
    Twice(&'static str),
    /// A parameter that would have to be understood. It is not named, for a
    /// secret that lost its `=` looks like a name, too.
    #[error(
        "parameter {0} behind `?` is not known; known are secret, issuer, algorithm, digits, period and counter"
    )]
    Unknown(usize),
    /// A parameter of the other type of token.
    #[error("the parameter `{0}` is not for this type of token")]
    OtherType(&'static str),
    /// A parameter's value is out of range.
    #[error("the parameter `{name}` must be {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Label and parameter name different issuers.
    #[error("the issuer in the label differs from the parameter `issuer`")]
    TwoIssuers,
}

impl KeyUri {
    /// Writes the URI. It contains the shared secret.
    #[must_use]
    pub fn to_uri(&self) -> Secret<String> {
        let (kind, moving) = match self.kind {
            Kind::Hotp { counter } => ("hotp", format!("counter={counter}")),
            Kind::Totp { period } => ("totp", format!("period={period}")),
        };
        let account = encoded(&self.account);
        let (label, issuer) = match self.issuer.as_deref().map(encoded) {
            Some(issuer) => (format!("{issuer}:{account}"), format!("&issuer={issuer}")),
            None => (account, String::new()),
        };
        let secret = Secret::new(BASE32_NOPAD.encode(self.secret.expose_bytes()));
        let algorithm = name_of(self.algorithm);
        let digits = u8::from(self.digits);
        Secret::new(format!(
            "otpauth://{kind}/{label}?secret={}{issuer}&algorithm={algorithm}&digits={digits}&{moving}",
            secret.expose()
        ))
    }

    /// Reads a URI.
    ///
    /// Letters of the secret may be small and may be padded, for many
    /// programs write them so.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(uri: &str) -> Result<Self, KeyUriError> {
        let (is_hotp, rest) = type_of(uri)?;
        let (label, query) = rest.split_once('?').ok_or(KeyUriError::Missing("secret"))?;
        let query = Query::read(query)?;
        let (label_issuer, account) = read_label(label)?;
        let kind = if is_hotp { query.counter()? } else { query.period()? };
        let issuer = match (label_issuer, query.text("issuer")?) {
            (Some(label), Some(issuer)) if label != issuer => return Err(KeyUriError::TwoIssuers),
            (label, issuer) => issuer.or(label),
        };
        Ok(Self {
            kind,
            issuer,
            account,
            secret: query.secret()?,
            algorithm: query.algorithm()?,
            digits: query.digits()?,
        })
    }
}

fn type_of(uri: &str) -> Result<(bool, &str), KeyUriError> {
    for (prefix, is_hotp) in [("otpauth://totp/", false), ("otpauth://hotp/", true)] {
        let head = uri.get(..prefix.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(prefix)) {
            return Ok((is_hotp, &uri[prefix.len()..]));
        }
    }
    Err(KeyUriError::NotOtpauth)
}

/// Issuer and account of a label. What parts them is a colon that stands there
/// as such, or else the first one that stands there encoded.
fn read_label(label: &str) -> Result<(Option<String>, String), KeyUriError> {
    let decode = |part| decoded(part).ok_or(KeyUriError::Encoding("label"));
    let (issuer, account) = match label.split_once(':') {
        Some((issuer, account)) => (Some(decode(issuer)?), decode(account)?),
        None => match decode(label)?.split_once(':') {
            Some((issuer, account)) => (Some(issuer.to_owned()), account.to_owned()),
            None => (None, decode(label)?),
        },
    };
    let account = account.trim_start_matches(' ');
    if account.is_empty() { Err(KeyUriError::NoAccount) } else { Ok((issuer, account.to_owned())) }
}

/// The parameters: known names only, each at most once, values still encoded.
struct Query<'a>([Option<&'a str>; PARAMETERS.len()]);

impl<'a> Query<'a> {
    fn read(query: &'a str) -> Result<Self, KeyUriError> {
        let mut values = [None; PARAMETERS.len()];
        for (place, pair) in (1..).zip(query.split('&')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(index) = PARAMETERS.iter().position(|known| *known == name) else {
                return Err(KeyUriError::Unknown(place));
            };
            if values[index].replace(value).is_some() {
                return Err(KeyUriError::Twice(PARAMETERS[index]));
            }
        }
        Ok(Self(values))
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, KeyUriError> {
        let index = PARAMETERS.iter().position(|known| *known == name);
        let value = index.and_then(|index| self.0[index]);
        value.map(|value| decoded(value).ok_or(KeyUriError::Encoding(name))).transpose()
    }

    fn number<T: std::str::FromStr>(
        &self,
        name: &'static str,
        wanted: &'static str,
    ) -> Result<Option<T>, KeyUriError> {
        let error = KeyUriError::Value { name, wanted };
        let Some(text) = self.text(name)? else { return Ok(None) };
        if !text.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(error);
        }
        text.parse().map(Some).map_err(|_| error)
    }

    fn counter(&self) -> Result<Kind, KeyUriError> {
        self.refuse("period")?;
        let counter = self.number("counter", "a number of 64 bits")?;
        Ok(Kind::Hotp { counter: counter.ok_or(KeyUriError::Missing("counter"))? })
    }

    fn period(&self) -> Result<Kind, KeyUriError> {
        self.refuse("counter")?;
        let period = self.number("period", "a number of seconds, 1 at least")?;
        Ok(Kind::Totp { period: period.unwrap_or(DEFAULT_PERIOD) })
    }

    fn refuse(&self, name: &'static str) -> Result<(), KeyUriError> {
        match self.text(name)? {
            Some(_) => Err(KeyUriError::OtherType(name)),
            None => Ok(()),
        }
    }

    fn secret(&self) -> Result<Secret<Vec<u8>>, KeyUriError> {
        let text = self.text("secret")?.map(Secret::new).ok_or(KeyUriError::Missing("secret"))?;
        let upper = Secret::new(text.expose().to_ascii_uppercase());
        let octets = BASE32_NOPAD.decode(upper.expose().trim_end_matches('=').as_bytes());
        match octets {
            Ok(octets) if !octets.is_empty() => Ok(Secret::new(octets)),
            Ok(_) | Err(_) => {
                Err(KeyUriError::Value { name: "secret", wanted: "base32 (letters and 2 to 7)" })
            }
        }
    }

    fn algorithm(&self) -> Result<Algorithm, KeyUriError> {
        let Some(text) = self.text("algorithm")? else { return Ok(Algorithm::Sha1) };
        let named = |algorithm: &Algorithm| text.eq_ignore_ascii_case(name_of(*algorithm));
        let known = Algorithm::ALL.into_iter().find(named);
        known.ok_or(KeyUriError::Value {
            name: "algorithm",
            wanted: "SHA1, SHA224, SHA256, SHA384 or SHA512",
        })
    }

    fn digits(&self) -> Result<Digits, KeyUriError> {
        const WANTED: &str = "6 to 10";
        let digits = self.number::<u8>("digits", WANTED)?.unwrap_or(6);
        Digits::try_from(digits).map_err(|_| KeyUriError::Value { name: "digits", wanted: WANTED })
    }
}

fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha224 => "SHA224",
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha384 => "SHA384",
        Algorithm::Sha512 => "SHA512",
    }
}

/// Percent-encoding of everything but the unreserved characters (RFC 3986 §2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// The text behind a percent-encoding. `+` is a plus (RFC 3986), not a space.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        out.push(if octet == b'%' {
            hex(octets.next()?)? << 4 | hex(octets.next()?)?
        } else {
            octet
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

const PARAMETERS: [&str; 6] = ["secret", "issuer", "algorithm", "digits", "period", "counter"];
const DEFAULT_PERIOD: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first example of the format's page.
    #[test]
    fn reads_the_example_of_the_format() {
        let uri = "otpauth://totp/ACME%20Co:john.doe@email.com?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ\
                   &issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30";
        let key = KeyUri::parse(uri).unwrap();
        assert_eq!(key.issuer.as_deref(), Some("ACME Co"));
        assert_eq!(key.account, "john.doe@email.com");
        assert_eq!(key.secret.expose().len(), 20);
        assert_eq!(key.kind, Kind::Totp { period: DEFAULT_PERIOD });
        assert_eq!(key.to_uri().expose(), &uri.replace('@', "%40"));
    }

    #[test]
    fn defaults_are_those_of_the_format() {
        let key = KeyUri::parse("otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP")
            .unwrap();
        assert_eq!(key.secret.expose_bytes(), b"Hello!\xde\xad\xbe\xef");
        assert_eq!((key.algorithm, key.digits), (Algorithm::Sha1, Digits::SIX));
        assert_eq!(key.kind, Kind::Totp { period: DEFAULT_PERIOD });
        assert_eq!(key.issuer.as_deref(), Some("Example"));
    }

    #[test]
    fn label_may_encode_its_colon_and_have_spaces_behind_it() {
        for label in
            ["Big%20Corp:alice", "Big%20Corp%3Aalice", "Big%20Corp:%20alice", "Big Corp: alice"]
        {
            let key =
                KeyUri::parse(&format!("OTPAUTH://TOTP/{label}?secret=jbswy3dpehpk3pxp")).unwrap();
            assert_eq!((key.issuer.as_deref(), key.account.as_str()), (Some("Big Corp"), "alice"));
        }
    }

    #[test]
    fn padding_of_the_secret_is_forgiven() {
        for secret in ["GEZDGNBVGY3Q", "GEZDGNBVGY3Q====", "GEZDGNBVGY3Q%3D%3D%3D%3D"] {
            let key = KeyUri::parse(&format!("otpauth://totp/a?secret={secret}")).unwrap();
            assert_eq!(key.secret.expose_bytes(), b"1234567");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let value = |name, wanted| KeyUriError::Value { name, wanted };
        let base32 = || value("secret", "base32 (letters and 2 to 7)");
        let cases = [
            ("", KeyUriError::NotOtpauth),
            ("otpauth://", KeyUriError::NotOtpauth),
            ("otpauth://motp/a?secret=GE", KeyUriError::NotOtpauth),
            ("https://totp/a?secret=GE", KeyUriError::NotOtpauth),
            ("otpauth://totp/?secret=GE", KeyUriError::NoAccount),
            ("otpauth://totp/ACME:?secret=GE", KeyUriError::NoAccount),
            ("otpauth://totp/a", KeyUriError::Missing("secret")),
            ("otpauth://totp/a?issuer=b", KeyUriError::Missing("secret")),
            ("otpauth://totp/a?secret=", base32()),
            ("otpauth://totp/a?secret=GE1", base32()),
            ("otpauth://totp/a?secret=G", base32()),
            ("otpauth://totp/a?secret=GE&secret=GE", KeyUriError::Twice("secret")),
            ("otpauth://totp/a?secret=GE&encoder=steam", KeyUriError::Unknown(2)),
            ("otpauth://totp/a?secret=GE&", KeyUriError::Unknown(2)),
            ("otpauth://totp/a?secret=GE&counter=1", KeyUriError::OtherType("counter")),
            ("otpauth://hotp/a?secret=GE&counter=1&period=30", KeyUriError::OtherType("period")),
            ("otpauth://hotp/a?secret=GE", KeyUriError::Missing("counter")),
            ("otpauth://hotp/a?secret=GE&counter=-1", value("counter", "a number of 64 bits")),
            ("otpauth://hotp/a?secret=GE&counter=", value("counter", "a number of 64 bits")),
            (
                "otpauth://totp/a?secret=GE&period=0",
                value("period", "a number of seconds, 1 at least"),
            ),
            (
                "otpauth://totp/a?secret=GE&period=+30",
                value("period", "a number of seconds, 1 at least"),
            ),
            ("otpauth://totp/a?secret=GE&digits=5", value("digits", "6 to 10")),
            ("otpauth://totp/a?secret=GE&digits=262", value("digits", "6 to 10")),
            (
                "otpauth://totp/a?secret=GE&algorithm=MD5",
                value("algorithm", "SHA1, SHA224, SHA256, SHA384 or SHA512"),
            ),
            ("otpauth://totp/a%2?secret=GE", KeyUriError::Encoding("label")),
            ("otpauth://totp/a%ff?secret=GE", KeyUriError::Encoding("label")),
            ("otpauth://totp/a?secret=GE&issuer=%zz", KeyUriError::Encoding("issuer")),
            ("otpauth://totp/b:a?secret=GE&issuer=c", KeyUriError::TwoIssuers),
        ];
        for (uri, error) in cases {
            assert_eq!(KeyUri::parse(uri), Err(error), "{uri}");
        }
    }

    #[test]
    fn no_message_shows_the_secret() {
        for query in [
            "secret=NOTBASE32_1",
            "secretNOTBASE32",
            "secretNOTBASE32====",
            "NOTBASE32=secret",
            "secret=GE&NOTBASE32",
            "secret:NOTBASE32=&digits=6",
        ] {
            let error = KeyUri::parse(&format!("otpauth://totp/a?{query}")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("NOTBASE32"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(
            issuer in proptest::option::of(".{1,20}"),
            account in "[^ ].{0,19}",
            secret in proptest::collection::vec(any::<u8>(), 1..80),
            algorithm in proptest::sample::select(&Algorithm::ALL[..]),
            digits in 6..=10_u8,
            counter in any::<u64>(),
            period in proptest::option::of(1..u32::MAX),
        ) {
            let kind = match period.and_then(NonZeroU32::new) {
                Some(period) => Kind::Totp { period },
                None => Kind::Hotp { counter },
            };
            let digits = Digits::try_from(digits).unwrap();
            let secret = Secret::new(secret);
            // Without an issuer, a colon in the account would part one off.
            let account = if issuer.is_none() { account.replace(':', "_") } else { account };
            let key = KeyUri { kind, issuer, account, secret, algorithm, digits };
            prop_assert_eq!(KeyUri::parse(key.to_uri().expose()), Ok(key));
        }

        #[test]
        fn reading_never_panics(text in "(otpauth://[th]otp/)?.*") {
            let _ = KeyUri::parse(&text);
        }
    }
}
