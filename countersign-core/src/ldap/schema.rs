//! Names of the OATH-LDAP schema, arc 1.3.6.1.4.1.5427.1.389.4226.
//!
//! Object classes and attributes share names: `oathHOTPToken` is both the class of a token and
//! the attribute of an account that holds a token's name. The attributes stand in [`attribute`],
//! the classes in [`class`].

use crate::oath::hotp::Algorithm;

/// Attributes, and the operational ones that every directory has (RFC 4512 §3.4, RFC 4530).
pub mod attribute {
    /// The shared secret.
    pub const SECRET: &str = "oathSecret";
    /// The vendor's serial number.
    pub const SERIAL_NUMBER: &str = "oathTokenSerialNumber";
    /// What is typed between password and OTP.
    pub const IDENTIFIER: &str = "oathTokenIdentifier";
    /// Of a token: the name of its parameters.
    pub const HOTP_PARAMETERS: &str = "oathHOTPParams";
    /// Of a token: the name of its parameters.
    pub const TOTP_PARAMETERS: &str = "oathTOTPParams";
    /// Length of a time step in seconds.
    pub const PERIOD: &str = "oathTOTPTimeStepPeriod";
    /// Length of an OTP.
    pub const LENGTH: &str = "oathOTPLength";
    /// The HMAC, an object identifier.
    pub const ALGORITHM: &str = "oathHMACAlgorithm";
    /// Time of the last failure.
    pub const LAST_FAILURE: &str = "oathLastFailure";
    /// Time of the last success.
    pub const LAST_LOGIN: &str = "oathLastLogin";
    /// Time at which the secret was made.
    pub const SECRET_TIME: &str = "oathSecretTime";
    /// How many seconds a secret may be used.
    pub const SECRET_MAX_AGE: &str = "oathSecretMaxAge";
    /// Of an account: the name of its HOTP token.
    pub const HOTP_TOKEN: &str = "oathHOTPToken";
    /// Of an account: the name of its TOTP token.
    pub const TOTP_TOKEN: &str = "oathTOTPToken";
    /// Failures since the last success.
    pub const FAILURE_COUNT: &str = "oathFailureCount";
    /// The counter of an HOTP token.
    pub const HOTP_COUNTER: &str = "oathHOTPCounter";
    /// How many OTPs may be skipped.
    pub const LOOK_AHEAD: &str = "oathHOTPLookAhead";
    /// From how many failures on an attempt has to wait.
    pub const THROTTLE_LIMIT: &str = "oathThrottleLimit";
    /// The time step that was accepted last.
    pub const LAST_TIME_STEP: &str = "oathTOTPLastTimeStep";
    /// How many OTPs a token may make.
    pub const MAX_USAGE_COUNT: &str = "oathMaxUsageCount";
    /// How many time steps an OTP may be early or late.
    pub const WINDOW: &str = "oathTOTPTimeStepWindow";
    /// How many time steps the token's clock is ahead.
    pub const DRIFT: &str = "oathTOTPTimeStepDrift";
    /// The public key that new secrets are encrypted to, a JWK.
    pub const ENCRYPTION_KEY: &str = "oathEncKey";
    /// The result code of a success.
    pub const SUCCESS_CODE: &str = "oathSuccessResultCode";
    /// The result code of a failure.
    pub const FAILURE_CODE: &str = "oathFailureResultCode";
    /// The text of a success.
    pub const SUCCESS_MESSAGE: &str = "oathSuccessMessage";
    /// The text of a failure.
    pub const FAILURE_MESSAGE: &str = "oathFailureMessage";
    /// The identifier of an entry (RFC 4530).
    pub const ENTRY_UUID: &str = "entryUUID";
    /// When an entry was added.
    pub const CREATE_TIMESTAMP: &str = "createTimestamp";
    /// The classes of an entry.
    pub const OBJECT_CLASS: &str = "objectClass";
    /// Hashes of the static password.
    pub const USER_PASSWORD: &str = "userPassword";
}

/// Object classes.
pub mod class {
    /// An account with an HOTP token.
    pub const HOTP_USER: &str = "oathHOTPUser";
    /// An account with a TOTP token.
    pub const TOTP_USER: &str = "oathTOTPUser";
    /// A token.
    pub const HOTP_TOKEN: &str = "oathHOTPToken";
    /// A token.
    pub const TOTP_TOKEN: &str = "oathTOTPToken";
    /// Parameters of HOTP tokens.
    pub const HOTP_PARAMETERS: &str = "oathHOTPParams";
    /// Parameters of TOTP tokens.
    pub const TOTP_PARAMETERS: &str = "oathTOTPParams";
}

/// How the OTPs of a token of the schema come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// By a counter.
    Hotp,
    /// By the time.
    Totp,
}

impl Method {
    /// Both, in the order in which an account's tokens count.
    pub const ALL: [Self; 2] = [Self::Hotp, Self::Totp];

    /// The attribute of an account with the token's name.
    #[must_use]
    pub const fn token_attribute(self) -> &'static str {
        match self {
            Self::Hotp => attribute::HOTP_TOKEN,
            Self::Totp => attribute::TOTP_TOKEN,
        }
    }

    /// The attribute of a token with the name of its parameters.
    #[must_use]
    pub const fn parameters_attribute(self) -> &'static str {
        match self {
            Self::Hotp => attribute::HOTP_PARAMETERS,
            Self::Totp => attribute::TOTP_PARAMETERS,
        }
    }

    /// The class of an account with such a token.
    #[must_use]
    pub const fn user_class(self) -> &'static str {
        match self {
            Self::Hotp => class::HOTP_USER,
            Self::Totp => class::TOTP_USER,
        }
    }

    /// The class of the token.
    #[must_use]
    pub const fn token_class(self) -> &'static str {
        match self {
            Self::Hotp => class::HOTP_TOKEN,
            Self::Totp => class::TOTP_TOKEN,
        }
    }

    /// The attribute of the token that moves.
    #[must_use]
    pub const fn counter_attribute(self) -> &'static str {
        match self {
            Self::Hotp => attribute::HOTP_COUNTER,
            Self::Totp => attribute::LAST_TIME_STEP,
        }
    }
}

/// The HMAC of an object identifier (RFC 8018 appendix B.1.1).
#[must_use]
pub fn algorithm_of(identifier: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(text, _)| *text == identifier).map(|(_, algorithm)| *algorithm)
}

/// The object identifier of an HMAC.
#[must_use]
pub fn identifier_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "1.2.840.113549.2.7",
        Algorithm::Sha224 => "1.2.840.113549.2.8",
        Algorithm::Sha256 => "1.2.840.113549.2.9",
        Algorithm::Sha384 => "1.2.840.113549.2.10",
        Algorithm::Sha512 => "1.2.840.113549.2.11",
    }
}

const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("1.2.840.113549.2.7", Algorithm::Sha1),
    ("1.2.840.113549.2.8", Algorithm::Sha224),
    ("1.2.840.113549.2.9", Algorithm::Sha256),
    ("1.2.840.113549.2.10", Algorithm::Sha384),
    ("1.2.840.113549.2.11", Algorithm::Sha512),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_an_identifier_of_its_own() {
        for (text, algorithm) in ALGORITHMS {
            assert_eq!(identifier_of(algorithm), text);
            assert_eq!(algorithm_of(text), Some(algorithm));
        }
        for unknown in ["", "1.2.840.113549.2", "1.2.840.113549.2.12", "hmac-sha1"] {
            assert_eq!(algorithm_of(unknown), None, "{unknown}");
        }
    }
}
