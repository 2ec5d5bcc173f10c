//! Certificate profiles: [`ProfileConfig`] as written, [`Profile`] checked.
//!
//! A profile says what a kind of certificate looks like; who it is for is said
//! by [`super::cert::Subject`]. Whoever holds a `Profile` knows that its validity,
//! template and addresses make sense together.

use std::{fmt, str::FromStr};

use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Serialize, de};
use x509_cert::ext::{
    Extension,
    pkix::{KeyUsage, KeyUsages},
};

use super::{
    extension::{self, ExtensionError, Template},
    oid,
};

/// The kinds of certificate that the embedded CA makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A short-lived smart card logon certificate of an account.
    Logon,
    /// The signing certificate of a registration authority.
    Signing,
    /// A TLS server.
    Server,
    /// A machine, which is a TLS client.
    Machine,
    /// A Kerberos KDC (RFC 4556 §3.2.4), which is a TLS server as well.
    Kdc,
    /// The certificate authority itself, self-signed.
    Ca,
}

/// A profile as written in the config. Every key has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfileConfig {
    /// How long a certificate is valid from the moment it is issued.
    pub validity: Option<Span>,
    /// How far before that moment it begins, for clocks that are behind.
    pub backdate: Option<Span>,
    /// The certificate template it names.
    pub template: Option<TemplateConfig>,
    /// Allows logon certificates that are valid for more than four hours.
    pub allow_long_validity: bool,
}

/// A certificate template as written in the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TemplateConfig {
    /// `msPKI-Cert-Template-OID`, dotted.
    pub oid: String,
    /// The major version.
    #[serde(default = "default_major_version")]
    pub major: u32,
    /// The minor version.
    #[serde(default)]
    pub minor: u32,
}

/// Where a CA publishes, as certificates say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Addresses {
    /// URLs of the revocation list.
    pub crl_urls: Vec<String>,
    /// URLs of the CA's certificate.
    pub issuer_urls: Vec<String>,
}

/// A span of time, written as a number with a unit: `90s`, `10m`, `1h`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// A profile that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    kind: Kind,
    validity: Span,
    backdate: Span,
    template: Option<Template>,
    crl: Option<Extension>,
    issuer_access: Option<Extension>,
}

/// What is wrong with a profile. All of it is the operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not a number with a unit.
    #[error("{0:?} is no span of time; write a number and s, m, h or d, for instance 1h")]
    Span(String),
    /// Shorter than a minute.
    #[error("profile {0}: a validity below one minute is of no use to anybody")]
    TooShort(Kind),
    /// A logon certificate that lives longer than Windows' own.
    #[error(
        "profile logon: a validity above {MAX_LOGON} needs `allow-long-validity = true`; \
         the short life is what stands in for revocation"
    )]
    TooLong,
    /// Backdated by more than a day.
    #[error("profile {0}: `backdate` is for clocks that are behind, one day at most")]
    Backdate(Kind),
    /// Not an OID.
    #[error("profile {kind}: template {oid:?} is no object identifier")]
    Template {
        /// The profile.
        kind: Kind,
        /// As written.
        oid: String,
    },
    /// Logon without a revocation list.
    #[error(
        "profile logon: it names no revocation list; a KDC refuses logon certificates without one (`ca.publish-url`)"
    )]
    NoCrl,
    /// A URL that certificates cannot carry.
    #[error("profile {kind}: {cause}")]
    Address {
        /// The profile.
        kind: Kind,
        /// What is wrong with it.
        cause: ExtensionError,
    },
}

impl Profile {
    /// Checks a profile as written.
    ///
    /// # Errors
    ///
    /// See [`ProfileError`].
    pub fn new(
        kind: Kind,
        config: &ProfileConfig,
        addresses: &Addresses,
    ) -> Result<Self, ProfileError> {
        let validity = config.validity.unwrap_or(default_validity(kind));
        let backdate = config.backdate.unwrap_or(DEFAULT_BACKDATE);
        if validity < Span::minutes(1) {
            return Err(ProfileError::TooShort(kind));
        }
        if backdate > Span::days(1) {
            return Err(ProfileError::Backdate(kind));
        }
        if kind == Kind::Logon && validity > MAX_LOGON && !config.allow_long_validity {
            return Err(ProfileError::TooLong);
        }
        if kind == Kind::Logon && addresses.crl_urls.is_empty() {
            return Err(ProfileError::NoCrl);
        }
        let template = config.template.as_ref().map(|template| template.check(kind)).transpose()?;
        let (crl, issuer_access) =
            pointers(kind, addresses).map_err(|cause| ProfileError::Address { kind, cause })?;
        Ok(Self { kind, validity, backdate, template, crl, issuer_access })
    }

    /// The kind of certificate.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How long a certificate is valid after it was issued.
    #[must_use]
    pub fn validity(&self) -> Span {
        self.validity
    }

    /// How far before its issue it begins.
    #[must_use]
    pub fn backdate(&self) -> Span {
        self.backdate
    }

    /// The extended key usages, in the order in which they are written.
    #[must_use]
    pub fn extended_key_usage(&self) -> &'static [ObjectIdentifier] {
        match self.kind {
            Kind::Logon => &[oid::SMART_CARD_LOGON, oid::CLIENT_AUTH, oid::PKINIT_CLIENT],
            Kind::Signing => &[oid::OTP_REGISTRATION_AUTHORITY, oid::CMC_RA],
            Kind::Server => &[oid::SERVER_AUTH],
            Kind::Machine => &[oid::CLIENT_AUTH],
            Kind::Kdc => &[oid::PKINIT_KDC, oid::SERVER_AUTH],
            Kind::Ca => &[],
        }
    }

    /// The key usage: signatures for everybody, certificates and lists for the CA.
    #[must_use]
    pub fn key_usage(&self) -> KeyUsage {
        match self.kind {
            Kind::Logon | Kind::Signing | Kind::Server | Kind::Machine | Kind::Kdc => {
                KeyUsage(KeyUsages::DigitalSignature.into())
            }
            Kind::Ca => KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign),
        }
    }

    /// What the profile adds besides names, usages and key identifiers.
    pub(crate) fn further_extensions(&self) -> impl Iterator<Item = Extension> {
        let policies = match self.kind {
            Kind::Logon | Kind::Signing => {
                Some(extension::application_policies(self.extended_key_usage()))
            }
            Kind::Server | Kind::Machine | Kind::Kdc | Kind::Ca => None,
        };
        let template = self.template.as_ref().map(Template::to_extension);
        let pointers = [self.crl.clone(), self.issuer_access.clone()];
        policies.into_iter().chain(template).chain(pointers.into_iter().flatten())
    }
}

impl TemplateConfig {
    fn check(&self, kind: Kind) -> Result<Template, ProfileError> {
        let oid = ObjectIdentifier::new(&self.oid)
            .map_err(|_| ProfileError::Template { kind, oid: self.oid.clone() })?;
        Ok(Template { oid, major: self.major, minor: self.minor })
    }
}

impl Kind {
    /// The name, as config, audit and certificate records have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logon => "logon",
            Self::Signing => "signing",
            Self::Server => "server",
            Self::Machine => "machine",
            Self::Kdc => "kdc",
            Self::Ca => "ca",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(hours * 3600)
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(days * 86400)
    }

    /// In seconds.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let wrong = || ProfileError::Span(text.to_owned());
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return Err(wrong()),
        };
        let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        Ok(Self(u64::from(count) * seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds > 0 && seconds.is_multiple_of(86400) => {
                write!(f, "{}d", seconds / 86400)
            }
            seconds if seconds > 0 && seconds.is_multiple_of(3600) => {
                write!(f, "{}h", seconds / 3600)
            }
            seconds if seconds > 0 && seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The CRL and issuer pointers; a self-signed certificate has neither (RFC 5280 §4.2.1.13).
fn pointers(
    kind: Kind,
    addresses: &Addresses,
) -> Result<(Option<Extension>, Option<Extension>), ExtensionError> {
    let Addresses { crl_urls, issuer_urls } = addresses;
    let leaf = kind != Kind::Ca;
    let crl = (leaf && !crl_urls.is_empty())
        .then(|| extension::crl_distribution_points(crl_urls))
        .transpose()?;
    let issuer = (leaf && !issuer_urls.is_empty())
        .then(|| extension::authority_info_access(issuer_urls))
        .transpose()?;
    Ok((crl, issuer))
}

const fn default_validity(kind: Kind) -> Span {
    match kind {
        Kind::Logon => Span::hours(1),
        Kind::Signing => Span::days(2),
        Kind::Server | Kind::Machine | Kind::Kdc => Span::days(365),
        Kind::Ca => Span::days(3650),
    }
}

const fn default_major_version() -> u32 {
    100
}

/// AD CS backdates by as much.
const DEFAULT_BACKDATE: Span = Span::minutes(10);

/// What Windows' own set-up allows for the logon template.
const MAX_LOGON: Span = Span::hours(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            crl_urls: vec!["http://ca.example/ca.crl".into()],
            issuer_urls: vec!["http://ca.example/ca.cer".into()],
        }
    }

    fn logon(config: ProfileConfig) -> Result<Profile, ProfileError> {
        Profile::new(Kind::Logon, &config, &addresses())
    }

    #[test]
    fn defaults_are_those_of_the_deployment_guide() {
        let profile = logon(ProfileConfig::default()).unwrap();
        assert_eq!(profile.validity(), Span::hours(1));
        assert_eq!(profile.backdate(), Span::minutes(10));
        let signing = Profile::new(Kind::Signing, &ProfileConfig::default(), &addresses()).unwrap();
        assert_eq!(signing.validity(), Span::days(2));
    }

    #[test]
    fn logon_for_more_than_four_hours_needs_a_word() {
        let validity = Some(Span::hours(5));
        let config = ProfileConfig { validity, ..ProfileConfig::default() };
        assert_eq!(logon(config.clone()), Err(ProfileError::TooLong));
        assert!(logon(ProfileConfig { allow_long_validity: true, ..config }).is_ok());
    }

    #[test]
    fn logon_without_a_crl_is_refused() {
        let result = Profile::new(Kind::Logon, &ProfileConfig::default(), &Addresses::default());
        assert_eq!(result, Err(ProfileError::NoCrl));
    }

    #[test]
    fn logon_for_minutes_is_allowed_and_for_seconds_is_not() {
        let validity = |span| ProfileConfig { validity: Some(span), ..ProfileConfig::default() };
        assert!(logon(validity(Span::minutes(1))).is_ok());
        assert_eq!(logon(validity(Span::seconds(59))), Err(ProfileError::TooShort(Kind::Logon)));
    }

    #[test]
    fn backdating_by_days_is_refused() {
        let config = ProfileConfig { backdate: Some(Span::days(2)), ..ProfileConfig::default() };
        assert_eq!(logon(config), Err(ProfileError::Backdate(Kind::Logon)));
    }

    #[test]
    fn template_that_is_no_oid_is_refused() {
        let template = Some(TemplateConfig { oid: "DAOTPLogon".into(), major: 1, minor: 0 });
        let result = logon(ProfileConfig { template, ..ProfileConfig::default() });
        assert!(matches!(result, Err(ProfileError::Template { .. })), "{result:?}");
    }

    #[test]
    fn url_with_a_blank_is_refused() {
        let mut addresses = addresses();
        addresses.issuer_urls = vec!["http://ca.example/my ca.cer".into()];
        let result = Profile::new(Kind::Server, &ProfileConfig::default(), &addresses);
        assert!(matches!(result, Err(ProfileError::Address { .. })), "{result:?}");
    }

    #[test]
    fn ca_points_nowhere() {
        let profile = Profile::new(Kind::Ca, &ProfileConfig::default(), &addresses()).unwrap();
        assert_eq!(profile.further_extensions().count(), 0);
    }

    #[test]
    fn spans_are_read_and_written() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172_800)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_seconds(), seconds);
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "1", "h", "1.5h", "-1h", "1w", "99999999999d", "1é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
