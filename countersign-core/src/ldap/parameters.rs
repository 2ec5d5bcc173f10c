//! Parameter entries: what a group of tokens has in common.

use std::num::NonZeroU32;

use super::{
    entry::{Cause, Entry, EntryError},
    schema::{self, Method, attribute},
};
use crate::{
    domain::{
        parameters::{Parameters, Wording},
        token::TokenKind,
    },
    oath::hotp::{Algorithm, Digits},
};

/// What an entry says of the tokens that refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParametersEntry {
    /// How their OTPs come about.
    pub kind: TokenKind,
    /// How many seconds a secret may be used.
    pub max_age: Option<u64>,
    /// What differs from the settings of the site.
    pub parameters: Parameters,
    /// The public key that new secrets are encrypted to, a JWK.
    pub encryption_key: Option<String>,
}

impl ParametersEntry {
    /// What counts for a token that refers to none: what OATH-LDAP's own validator takes.
    #[must_use]
    pub fn absent(method: Method) -> Self {
        let look_ahead = match method {
            Method::Hotp => Some(DEFAULT_LOOK_AHEAD),
            Method::Totp => None,
        };
        Self {
            kind: kind(method, Algorithm::Sha1, Digits::SIX, DEFAULT_PERIOD),
            max_age: None,
            parameters: Parameters { look_ahead, ..Parameters::default() },
            encryption_key: None,
        }
    }
}

/// The attributes that are read of parameters.
pub const ATTRIBUTES: [&str; 13] = [
    attribute::LENGTH,
    attribute::ALGORITHM,
    attribute::PERIOD,
    attribute::LOOK_AHEAD,
    attribute::WINDOW,
    attribute::SECRET_MAX_AGE,
    attribute::MAX_USAGE_COUNT,
    attribute::THROTTLE_LIMIT,
    attribute::ENCRYPTION_KEY,
    attribute::SUCCESS_CODE,
    attribute::SUCCESS_MESSAGE,
    attribute::FAILURE_CODE,
    attribute::FAILURE_MESSAGE,
];

/// Reads the parameters of tokens of one kind.
///
/// # Errors
///
/// What the schema demands is missing, or a value cannot be.
pub fn read(entry: &Entry, method: Method) -> Result<ParametersEntry, EntryError> {
    let period = entry.number::<u32>(attribute::PERIOD, "a number of seconds from 1 on")?;
    let period = period.map(|seconds| {
        NonZeroU32::new(seconds).ok_or_else(|| {
            let cause = Cause::Range { value: 0, wanted: "a number of seconds from 1 on" };
            entry.error(attribute::PERIOD, cause)
        })
    });
    let period = period.transpose()?.unwrap_or(DEFAULT_PERIOD);
    Ok(ParametersEntry {
        kind: kind(method, algorithm(entry)?, digits(entry)?, period),
        max_age: limit(entry, attribute::SECRET_MAX_AGE)?.filter(|seconds| *seconds != 0),
        parameters: Parameters {
            look_ahead: entry.number(attribute::LOOK_AHEAD, COUNT)?,
            window: entry.number(attribute::WINDOW, COUNT)?,
            throttle_after: entry.number(attribute::THROTTLE_LIMIT, COUNT)?,
            max_uses: limit(entry, attribute::MAX_USAGE_COUNT)?,
            success: wording(entry, attribute::SUCCESS_CODE, attribute::SUCCESS_MESSAGE)?,
            failure: failure(entry)?,
        },
        encryption_key: entry.text(attribute::ENCRYPTION_KEY)?.map(str::to_owned),
    })
}

fn kind(method: Method, algorithm: Algorithm, digits: Digits, period: NonZeroU32) -> TokenKind {
    match method {
        Method::Hotp => TokenKind::Hotp { algorithm, digits },
        Method::Totp => TokenKind::Totp { algorithm, digits, period },
    }
}

fn digits(entry: &Entry) -> Result<Digits, EntryError> {
    let length = entry.number::<u8>(attribute::LENGTH, "6 to 10")?;
    let length = length.ok_or_else(|| entry.error(attribute::LENGTH, Cause::Missing))?;
    Digits::try_from(length).map_err(|error| entry.error(attribute::LENGTH, error.into()))
}

fn algorithm(entry: &Entry) -> Result<Algorithm, EntryError> {
    let text = entry.text(attribute::ALGORITHM)?;
    let text = text.ok_or_else(|| entry.error(attribute::ALGORITHM, Cause::Missing))?;
    schema::algorithm_of(text)
        .ok_or_else(|| entry.error(attribute::ALGORITHM, Cause::UnknownAlgorithm(text.to_owned())))
}

/// A negative limit is none.
fn limit(entry: &Entry, attribute: &str) -> Result<Option<u64>, EntryError> {
    let limit = entry.number::<i64>(attribute, "a number of 63 bits")?;
    Ok(limit.and_then(|limit| u64::try_from(limit).ok()))
}

/// Of several codes or messages the first counts.
fn wording(entry: &Entry, code: &str, message: &str) -> Result<Wording, EntryError> {
    let message = entry.texts(message)?.first().map(|text| (*text).to_owned());
    let first = entry.values(code).first();
    let first = first.map(|value| Entry::new(entry.dn()).with(code, value));
    let code = first.map_or(Ok(None), |first| first.number(code, "a result code"))?;
    Ok(Wording { code, message })
}

/// A refusal must not look like a success.
fn failure(entry: &Entry) -> Result<Wording, EntryError> {
    let wording = wording(entry, attribute::FAILURE_CODE, attribute::FAILURE_MESSAGE)?;
    if wording.code == Some(0) {
        let cause = Cause::Range { value: 0, wanted: "a result code other than success" };
        return Err(entry.error(attribute::FAILURE_CODE, cause));
    }
    Ok(wording)
}

const COUNT: &str = "0 to 4294967295";
const DEFAULT_LOOK_AHEAD: u32 = 5;
const DEFAULT_PERIOD: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new("cn=params,cn=otp")
            .with("oathOTPLength", "8")
            .with("oathHMACAlgorithm", "1.2.840.113549.2.9")
    }

    #[test]
    fn a_counter_and_a_clock_have_parameters_of_their_own() {
        let (algorithm, digits) = (Algorithm::Sha256, Digits::try_from(8).unwrap());
        let hotp = read(&entry().with("oathHOTPLookAhead", "15"), Method::Hotp).unwrap();
        assert_eq!(hotp.kind, TokenKind::Hotp { algorithm, digits });
        assert_eq!(hotp.parameters.look_ahead, Some(15));

        let totp = entry().with("oathTOTPTimeStepPeriod", "60").with("oathTOTPTimeStepWindow", "2");
        let totp = read(&totp, Method::Totp).unwrap();
        let period = NonZeroU32::new(60).unwrap();
        assert_eq!(totp.kind, TokenKind::Totp { algorithm, digits, period });
        assert_eq!(totp.parameters.window, Some(2));
    }

    #[test]
    fn what_is_not_said_follows_the_site() {
        let found = read(&entry(), Method::Totp).unwrap();
        assert_eq!(found.parameters, Parameters::default());
        assert_eq!((found.max_age, found.encryption_key), (None, None));
        assert!(matches!(found.kind, TokenKind::Totp { period, .. } if period.get() == 30));
    }

    #[test]
    fn limits_may_be_switched_off() {
        let of = |age: &str, uses: &str| {
            let entry = entry().with("oathSecretMaxAge", age).with("oathMaxUsageCount", uses);
            let found = read(&entry, Method::Hotp).unwrap();
            (found.max_age, found.parameters.max_uses)
        };
        assert_eq!(of("86400", "1000"), (Some(86_400), Some(1_000)));
        assert_eq!(of("0", "0"), (None, Some(0)));
        assert_eq!(of("-1", "-1"), (None, None));
    }

    #[test]
    fn says_what_is_answered_and_whom_secrets_are_encrypted_to() {
        let entry = entry()
            .with("oathSuccessMessage", "welcome")
            .with("oathFailureResultCode", "53")
            .with("oathFailureResultCode", "49")
            .with("oathFailureMessage", "call 4711")
            .with("oathThrottleLimit", "3")
            .with("oathEncKey", "{}");
        let found = read(&entry, Method::Hotp).unwrap();
        let success = Wording { code: None, message: Some("welcome".into()) };
        let failure = Wording { code: Some(53), message: Some("call 4711".into()) };
        assert_eq!((found.parameters.success, found.parameters.failure), (success, failure));
        assert_eq!(found.parameters.throttle_after, Some(3));
        assert_eq!(found.encryption_key.as_deref(), Some("{}"));
    }

    #[test]
    fn a_token_without_parameters_has_those_of_oath_ldap() {
        let hotp = ParametersEntry::absent(Method::Hotp);
        let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
        assert_eq!((hotp.kind, hotp.parameters.look_ahead), (kind, Some(5)));
        assert_eq!(ParametersEntry::absent(Method::Totp).parameters, Parameters::default());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        let bare = || Entry::new("cn=params,cn=otp");
        let sha1 = || bare().with("oathHMACAlgorithm", "1.2.840.113549.2.7");
        let six = || bare().with("oathOTPLength", "6");
        let table = [
            (sha1(), "oathOTPLength is missing"),
            (six(), "oathHMACAlgorithm is missing"),
            (sha1().with("oathOTPLength", "5"), "oathOTPLength is not possible: an OTP has 6 to"),
            (sha1().with("oathOTPLength", "-6"), "oathOTPLength is -6; it must be 6 to 10"),
            (six().with("oathHMACAlgorithm", "md5"), "oathHMACAlgorithm is \"md5\"; the schema"),
            (entry().with("oathTOTPTimeStepPeriod", "0"), "oathTOTPTimeStepPeriod is 0; it must"),
            (entry().with("oathHOTPLookAhead", "-1"), "oathHOTPLookAhead is -1; it must be 0 to"),
            (entry().with("oathThrottleLimit", "many"), "oathThrottleLimit is no decimal number"),
            (entry().with("oathFailureResultCode", "0"), "oathFailureResultCode is 0; it must be"),
            (entry().with("oathSuccessResultCode", "x"), "oathSuccessResultCode is no decimal"),
        ];
        for (entry, expected) in table {
            let error = read(&entry, Method::Totp).unwrap_err().to_string();
            let expected = format!("entry cn=params,cn=otp: attribute {expected}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
