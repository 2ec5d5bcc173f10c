//! What stands in a directory: people, accounts, tokens and their parameters, as LDIF.

use data_encoding::{BASE32_NOPAD, BASE64};
use serde_json::Value;

use super::oath::OathToken;

/// An entry: its DN, and attributes in the order in which they were given.
#[derive(Debug, Clone)]
pub struct Entry {
    pub dn: String,
    attributes: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of these object classes.
    pub fn new(dn: impl Into<String>, classes: &[&str]) -> Self {
        let entry = Self { dn: dn.into(), attributes: Vec::new() };
        classes.iter().fold(entry, |entry, class| entry.with("objectClass", class))
    }

    /// The same with a further value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.attributes.push((name.into(), value.as_ref().into()));
        self
    }

    /// The same with a value, if there is one.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// As `slapadd` and `ldapadd` read it.
    pub fn ldif(&self) -> String {
        let mut text = ldif_line("dn", self.dn.as_bytes());
        // slapadd wants the values of an attribute beside each other.
        let (classes, others): (Vec<_>, Vec<_>) =
            self.attributes.iter().partition(|(name, _)| name == "objectClass");
        for (name, value) in classes.into_iter().chain(others) {
            text += &ldif_line(name, value);
        }
        text.push('\n');
        text
    }
}

/// Entries as one LDIF text.
pub fn ldif(entries: &[Entry]) -> String {
    entries.iter().map(Entry::ldif).collect()
}

fn ldif_line(name: &str, value: &[u8]) -> String {
    let plain = value.iter().all(|octet| matches!(octet, b' '..=b'~'))
        && !value.starts_with(b" ")
        && !value.starts_with(b":")
        && !value.starts_with(b"<")
        && !value.ends_with(b" ");
    if plain {
        return format!("{name}: {}\n", String::from_utf8_lossy(value));
    }
    format!("{name}:: {}\n", BASE64.encode(value))
}

/// The suffix with its containers, the service identities, and [`parameters`].
pub fn base() -> Vec<Entry> {
    let suffix = Entry::new(SUFFIX, &["organization", "dcObject"]);
    let container = |name: &str| {
        Entry::new(format!("ou={name},{SUFFIX}"), &["organizationalUnit"]).with("ou", name)
    };
    let otp = Entry::new(TOKENS, &["applicationProcess"]).with("cn", "otp");
    let mut entries = vec![suffix.with("o", "Example").with("dc", "example")];
    entries.extend(["people", "accounts", "services", "groups"].map(container));
    entries.push(otp);
    entries.extend(["validator", "enrolment", "provider", "consumer"].map(service));
    entries.extend(parameters());
    entries
}

/// An identity of a program, whose password is [`SERVICE_PASSWORD`].
fn service(name: &str) -> Entry {
    Entry::new(service_dn(name), &["account", "simpleSecurityObject"])
        .with("uid", name)
        .with("userPassword", SERVICE_PASSWORD)
}

/// The DN of a program: `validator`, `enrolment`, `provider`, `consumer`.
pub fn service_dn(name: &str) -> String {
    format!("uid={name},ou=services,{SUFFIX}")
}

/// Parameters for HOTP and TOTP, six digits and SHA-1.
fn parameters() -> Vec<Entry> {
    vec![
        parameters_entry("hotp", "oathHOTPParams", 6).with("oathHOTPLookAhead", "5"),
        parameters_entry("totp", "oathTOTPParams", 6)
            .with("oathTOTPTimeStepPeriod", "30")
            .with("oathTOTPTimeStepWindow", "1"),
    ]
}

/// The beginning of an entry with parameters, of the class `oathHOTPParams` or `oathTOTPParams`.
pub fn parameters_entry(name: &str, class: &str, digits: u32) -> Entry {
    Entry::new(parameters_dn(name), &["applicationProcess", "oathParams", class])
        .with("cn", name)
        .with("oathOTPLength", digits.to_string())
        .with("oathHMACAlgorithm", SHA1)
}

/// The DN of an entry with parameters; `hotp` and `totp` are there.
pub fn parameters_dn(name: &str) -> String {
    format!("cn={name},{TOKENS}")
}

/// A person with an account, and a token if there is a kind.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    /// What the user types first.
    pub password: String,
    /// What `userPassword` holds.
    pub stored: String,
    pub kind: Option<Kind>,
    /// The shared secret with its settings.
    pub token: OathToken,
    pub seed: Seed,
    /// Typed between password and OTP.
    pub identifier: Option<String>,
    /// The number that the token's names are made of.
    pub serial: u64,
    /// The name of the entry with the parameters.
    pub parameters: String,
    /// Further attributes of the token entry.
    pub more: Vec<(&'static str, String)>,
}

/// What kind of token, and where its counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `oathHOTPCounter`; none for a token that waits for its enrolment.
    Hotp(Option<u64>),
    /// `oathTOTPLastTimeStep`.
    Totp(Option<u64>),
}

/// How the seed stands in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// As the octets that they are (slapo-otp).
    Raw,
    /// As base32 text (OATH-LDAP without a key).
    Base32,
    /// Encrypted to the key of the test data, by jwcrypto. It is always [`RFC_SEED`].
    Sealed,
    /// Not there.
    Missing,
}

impl User {
    /// A user with a password alone.
    pub fn without_token(name: &str) -> Self {
        let serial = name.bytes().fold(7_u64, |serial, octet| serial * 31 + u64::from(octet));
        Self {
            name: name.into(),
            password: format!("{name}-pw"),
            stored: format!("{name}-pw"),
            kind: None,
            token: OathToken::usual(format!("{name:*<20}").as_bytes()),
            seed: Seed::Base32,
            identifier: None,
            serial: serial % 100_000_000,
            parameters: String::new(),
            more: Vec::new(),
        }
    }

    /// A user with a HOTP token that counts from 0; its seed is base32 text made from the name.
    pub fn hotp(name: &str) -> Self {
        let parameters = "hotp".to_owned();
        Self { kind: Some(Kind::Hotp(Some(0))), parameters, ..Self::without_token(name) }
    }

    /// A user with a TOTP token that was never used.
    pub fn totp(name: &str) -> Self {
        let parameters = "totp".to_owned();
        Self { kind: Some(Kind::Totp(None)), parameters, ..Self::without_token(name) }
    }

    /// The same with the seed of RFC 4226, encrypted to the key of the test data.
    #[must_use]
    pub fn sealed(self) -> Self {
        Self { token: OathToken::usual(RFC_SEED), seed: Seed::Sealed, ..self }
    }

    /// The same with the identifier that a YubiKey of this serial number types.
    #[must_use]
    pub fn with_identifier(self) -> Self {
        Self { identifier: Some(format!("ubhe{:08}", self.serial)), ..self }
    }

    /// The same with a further attribute of the token entry.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.more.push((name, value.to_string()));
        self
    }

    /// What is typed: password, identifier and the OTP of a counter or time step.
    pub fn credentials(&self, factor: u64) -> String {
        self.credentials_with(&self.token.otp(factor))
    }

    /// The same with an OTP that is known.
    pub fn credentials_with(&self, otp: &str) -> String {
        format!("{}{}{otp}", self.password, self.identifier.as_deref().unwrap_or_default())
    }

    /// The DN of the account.
    pub fn dn(&self) -> String {
        format!("uid={},{ACCOUNTS}", self.name)
    }

    /// The DN of the person.
    pub fn person_dn(&self) -> String {
        format!("cn={},ou=people,{SUFFIX}", self.name)
    }

    /// The DN of the token.
    pub fn token_dn(&self) -> String {
        format!("serialNumber=yubikey-{},{TOKENS}", self.serial)
    }

    /// Person, token and account.
    pub fn entries(&self) -> Vec<Entry> {
        let person = Entry::new(self.person_dn(), &["inetOrgPerson"])
            .with("cn", &self.name)
            .with("sn", "User")
            .with("mail", format!("{}@example.test", self.name));
        let token = self.kind.map(|kind| self.token_entry(kind));
        [Some(person), token, Some(self.account_entry())].into_iter().flatten().collect()
    }

    fn account_entry(&self) -> Entry {
        let account = Entry::new(self.dn(), &["account", "simpleSecurityObject"])
            .with("uid", &self.name)
            .with("seeAlso", self.person_dn())
            .with("userPassword", &self.stored);
        let token = self.token_dn();
        match self.kind {
            None => account,
            Some(Kind::Hotp(_)) => {
                account.with("objectClass", "oathHOTPUser").with("oathHOTPToken", token)
            }
            Some(Kind::Totp(_)) => {
                account.with("objectClass", "oathTOTPUser").with("oathTOTPToken", token)
            }
        }
    }

    fn token_entry(&self, kind: Kind) -> Entry {
        let name = format!("yubikey-{}", self.serial);
        let token = Entry::new(self.token_dn(), &["device", "oathToken"])
            .with("cn", &name)
            .with("serialNumber", &name)
            .with("owner", self.person_dn())
            .with("oathTokenSerialNumber", self.serial.to_string())
            .with_some("oathTokenIdentifier", self.identifier.as_deref())
            .with_some("oathSecret", self.secret());
        let parameters = parameters_dn(&self.parameters);
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let token = match kind {
            Kind::Hotp(counter) => token
                .with("objectClass", "oathHOTPToken")
                .with("oathHOTPParams", parameters)
                .with_some("oathHOTPCounter", number(counter)),
            Kind::Totp(step) => token
                .with("objectClass", "oathTOTPToken")
                .with("oathTOTPParams", parameters)
                .with_some("oathTOTPLastTimeStep", number(step)),
        };
        self.more.iter().fold(token, |token, (name, value)| token.with(name, value))
    }

    fn secret(&self) -> Option<Vec<u8>> {
        match self.seed {
            Seed::Raw => Some(self.token.secret.clone()),
            Seed::Base32 => Some(BASE32_NOPAD.encode(&self.token.secret).into_bytes()),
            Seed::Sealed => Some(sample("seed_jwe").into_bytes()),
            Seed::Missing => None,
        }
    }
}

/// One of the JWE samples, by its name in the file.
pub fn sample(name: &str) -> String {
    let samples = include_str!("../../../testdata/oath-ldap/jwe-samples.json");
    let samples: Value = serde_json::from_str(samples).expect("the samples are JSON");
    samples[name].as_str().unwrap_or_else(|| panic!("no sample {name}")).to_owned()
}

/// The private key that opens [`Seed::Sealed`], as a JWK.
pub const PRIVATE_KEY: &str =
    include_str!("../../../testdata/oath-ldap/oathldap_primary_key_202601010000.priv");
/// The name of its file.
pub const PRIVATE_KEY_FILE: &str = "oathldap_primary_key_202601010000.priv";
/// The seed of RFC 4226 appendix D.
pub const RFC_SEED: &[u8] = b"12345678901234567890";
/// The suffix of the directory.
pub const SUFFIX: &str = "dc=example,dc=test";
/// Below this are the accounts.
pub const ACCOUNTS: &str = "ou=accounts,dc=example,dc=test";
/// Below this are tokens and parameters.
pub const TOKENS: &str = "cn=otp,dc=example,dc=test";
/// The password of every service identity.
pub const SERVICE_PASSWORD: &str = "service-pw";
/// HMAC with SHA-1.
pub const SHA1: &str = "1.2.840.113549.2.7";
