//! What happens when a principal logs on: whom the KDC asks, as whom, and what comes of it.

use super::{
    finding::Finding,
    principal::{Lockout, Principal},
    token_type::{BREAKS, Server, TokenType, TokenTypes},
    user_string::{UserString, UserToken},
};

/// What the KDC will do for a principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Whom it asks, one after the other. Empty if OTP is not offered or fails before.
    pub steps: Vec<Step>,
    /// What is to be said about it.
    pub findings: Vec<Finding>,
}

/// One request of the KDC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The token type.
    pub token_type: String,
    /// Who is asked.
    pub server: Server,
    /// The User-Name that is sent.
    pub user_name: String,
    /// What the ticket says if this one accepts.
    pub indicators: Vec<String>,
    /// How many seconds the KDC waits.
    pub timeout: i32,
}

impl Forecast {
    /// What follows from a principal, its policy and the token types.
    #[must_use]
    pub fn of(principal: &Principal, lockout: Option<&Lockout>, types: &TokenTypes) -> Self {
        let mut forecast = Self::default();
        let Some(otp) = &principal.otp else {
            forecast.without_otp(principal, types);
            return forecast;
        };
        forecast.user_string(principal, otp, types);
        forecast.principal(principal);
        forecast.lockout(principal, lockout);
        forecast.name(principal);
        forecast
    }

    fn without_otp(&mut self, principal: &Principal, types: &TokenTypes) {
        if let Some(required) = &principal.require_auth {
            self.required(principal, required, types);
            return;
        }
        let (cause, cure) = ("it has no string `otp`, so OTP is not offered", SET_STRING);
        if principal.keys == 0 {
            let cause = format!("{cause}, and no key: only a certificate (PKINIT) can log it on");
            self.findings.push(Finding::warning(object(principal), cause, cure));
        } else {
            let cause = format!("{cause}: its key (password or keytab) logs it on");
            self.findings.push(Finding::warning(object(principal), cause, cure));
        }
    }

    /// Of a service: by which types its users get in.
    fn required(&mut self, principal: &Principal, required: &str, types: &TokenTypes) {
        let words: Vec<_> = required.split_ascii_whitespace().collect();
        let promises = |token_type: &&TokenType| {
            token_type.indicators.iter().any(|indicator| words.contains(&indicator.as_str()))
        };
        let names: Vec<_> = types.types.iter().filter(promises).map(|t| t.name.as_str()).collect();
        let object = object(principal);
        let cause = format!("tickets for it need one of the indicators {}", words.join(", "));
        self.findings.push(if names.is_empty() {
            let cause = format!("{cause}, and no token type promises one of them");
            let cure = "add indicator = WORD to a token type, or \"indicators\" to user strings; \
                 certificates have pkinit_indicator";
            Finding::warning(object, cause, cure)
        } else {
            Finding::good(
                object,
                format!("{cause}; these token types promise one: {}", names.join(", ")),
            )
        });
    }

    fn user_string(&mut self, principal: &Principal, otp: &str, types: &TokenTypes) {
        let object = object(principal);
        let read = match UserString::parse(otp) {
            Ok(read) => read,
            Err(error) => {
                let cause = format!("its string `otp` is {otp:?}: {error}. {FAILS}");
                self.findings.push(Finding::error(object, cause, &error.cure()));
                return;
            }
        };
        for ignored in read.ignored {
            let cause = format!("in its string `otp` {ignored}");
            self.findings.push(Finding::warning(
                &object,
                cause,
                "correct the string, or remove it from there",
            ));
        }
        let steps = read.tokens.iter().map(|token| step(principal, token, types)).collect();
        match steps {
            Ok(steps) => self.tokens(&object, steps, types),
            Err(unknown) => {
                let cause = format!(
                    "its string `otp` names the type {unknown:?}, which [otp] does not have. \
                         {FAILS}"
                );
                let known: Vec<_> = types.types.iter().map(|known| known.name.as_str()).collect();
                let cure = format!(
                    "name one of {}, or add the type and restart the KDC",
                    known.join(", ")
                );
                self.findings.push(Finding::error(object, cause, &cure));
            }
        }
    }

    fn tokens(&mut self, object: &str, steps: Vec<Step>, types: &TokenTypes) {
        if types.broken {
            self.findings.push(Finding::error(
                object,
                BREAKS,
                "mend the type that is named above, and restart the KDC",
            ));
        }
        for (index, step) in steps.iter().enumerate() {
            self.findings.push(Finding::good(object, step.describe(index)));
            let length = step.user_name.len();
            if length == 0 || length > MAX_USER_NAME {
                let cause = format!("the KDC cannot send a User-Name of {length} octets. {FAILS}");
                self.findings.push(Finding::error(
                    object,
                    cause,
                    "give \"username\" 1 to 253 octets, or remove it",
                ));
            }
        }
        if steps.len() > 1 {
            self.findings.push(Finding::warning(
                object,
                SEVERAL,
                "do not use several tokens for fail-over; let one server decide about all of them",
            ));
        }
        self.steps = steps;
    }

    fn principal(&mut self, principal: &Principal) {
        let object = object(principal);
        if principal.disabled {
            self.findings.push(Finding::error(
                &object,
                "it may not log on (DISALLOW_ALL_TIX)",
                "kadmin.local modprinc +allow_tix PRINCIPAL",
            ));
        }
        if principal.requires_hwauth {
            let cause = "it wants hardware authentication (REQUIRES_HW_AUTH), which a logon with \
                 an OTP never is for the KDC";
            self.findings.push(Finding::error(
                &object,
                cause,
                "kadmin.local modprinc -requires_hwauth PRINCIPAL",
            ));
        }
        if principal.keys > 0 {
            let cause = format!(
                "it has {} keys besides: without FAST its password alone gets a ticket, and the OTP is \
                 bypassed",
                principal.keys
            );
            self.findings.push(Finding::warning(
                &object,
                cause,
                "kadmin.local purgekeys -all \
                 PRINCIPAL; or set require_auth on the services, so that they want an indicator",
            ));
        }
        if !principal.requires_preauth {
            let cause = if principal.keys > 0 {
                "it does not require preauthentication, so anybody gets a ticket to guess its \
                     password with"
            } else {
                "it does not require preauthentication"
            };
            self.findings.push(Finding::warning(
                &object,
                cause,
                "kadmin.local modprinc +requires_preauth PRINCIPAL",
            ));
        }
    }

    /// Cures that are commands can be copied.
    fn name(&mut self, principal: &Principal) {
        let policy = principal.policy.as_deref().unwrap_or_default();
        for finding in &mut self.findings {
            let cure = finding.cure.replace("PRINCIPAL", &shell_word(&principal.name));
            finding.cure = cure.replace("POLICY", &shell_word(policy));
        }
    }

    fn lockout(&mut self, principal: &Principal, lockout: Option<&Lockout>) {
        let (Some(policy), Some(lockout)) = (&principal.policy, lockout) else { return };
        if lockout.max_failures == 0 {
            return;
        }
        let object = object(principal);
        let cause = format!(
            "the KDC itself locks it after {} failures (policy {policy}), and counts an OTP server \
             that does not answer as one",
            lockout.max_failures
        );
        let cure = "leave lockout to Countersign: kadmin.local modpol -maxfailure 0 POLICY, or \
             another policy for OTP principals";
        self.findings.push(Finding::warning(&object, cause, cure));
        if principal.failures >= lockout.max_failures {
            let cause = format!(
                "it is locked by the KDC after {} failures, for {}",
                principal.failures, lockout.duration
            );
            self.findings.push(Finding::error(
                object,
                cause,
                "kadmin.local modprinc -unlock PRINCIPAL",
            ));
        }
    }
}

/// Within quotes where a shell would take it for something else.
fn shell_word(word: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&octet);
    if word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Step {
    fn describe(&self, index: usize) -> String {
        let order = match index {
            0 => "the KDC asks",
            _ => "if that one answers and does not accept, the same OTP goes to",
        };
        let indicators = match &self.indicators[..] {
            [] => "the ticket gets no indicator".to_owned(),
            words => format!("the ticket gets the indicators {}", words.join(", ")),
        };
        let Self { token_type, server, user_name, timeout, .. } = self;
        format!(
            "{order} {server} (type {token_type}) for the user {user_name:?} and waits {timeout} \
                 s; {indicators}"
        )
    }
}

/// The last type of a name counts; names are unique here. The error is the unknown name.
fn step(principal: &Principal, token: &UserToken, types: &TokenTypes) -> Result<Step, String> {
    let name = token.type_name();
    let token_type = types.find(name).ok_or_else(|| name.to_owned())?;
    let user_name = token.user_name.clone();
    Ok(Step {
        token_type: name.to_owned(),
        server: token_type.server.clone(),
        user_name: user_name.unwrap_or_else(|| principal.user_name(token_type.strip_realm)),
        indicators: token.indicators.clone().unwrap_or_else(|| token_type.indicators.clone()),
        timeout: token_type.timeout,
    })
}

/// How findings name a principal.
#[must_use]
pub fn object(principal: &Principal) -> String {
    format!("principal {}", principal.name)
}

/// RFC 2865 §5: an attribute holds 253 octets.
const MAX_USER_NAME: usize = 253;
const FAILS: &str = "Every logon of it fails";
const SET_STRING: &str =
    "set one if it is to use OTP; `countersign krb5 config ACCOUNT` writes the command";
const SEVERAL: &str = "each token after the first is asked only after an answer that is no Accept: a server \
                       that is silent, away or refuses the connection ends the logon. A wrong OTP is counted \
                       by every server that is asked";

#[cfg(test)]
mod tests;
