//! Log in: a one-time password in, a logon certificate out. The client of MS-OTPCE and EST.
//!
//! The steps are those of the Windows client (digest of [MS-OTPCE], §5.1), and
//! so are the event numbers of its failures. The key is made here and leaves
//! memory only when [`Logon`] is told to save it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use countersign_core::{
    domain::time::UnixTime,
    pki::{
        cert::{Certificate, natural_digest},
        cms::SignedData,
        csr::{LogonExtensions, PreparedRequest},
        dn::DistinguishedName,
        extension::Template,
        oid,
    },
    secret::Secret,
};

pub use self::{
    error::LoginError,
    logon::{Logon, Ticket},
};
use crate::{
    certificate,
    client::{
        est::{EstClient, EstError, Issued},
        http::{HttpError, HttpsClient, HttpsUrl, Identity},
        otpce::{self, Asked, Signed},
    },
    clock::Clock,
    signer::{
        Signer,
        file::{AwsVerify, FileSigner, KeySpec},
    },
};

mod error;
mod logon;

/// Who wants to log in where, and with what kind of certificate.
#[derive(Debug, Clone)]
pub struct Login {
    /// The MS-OTPCE servers, in order.
    pub servers: Vec<HttpsUrl>,
    /// EST servers to use instead of the CAs that the MS-OTPCE server names, in order.
    pub est: Vec<HttpsUrl>,
    /// The logon name, `domain\username`.
    pub username: String,
    /// The user principal name, see [`default_upn`]. Without it, a distinguished name is needed.
    pub upn: Option<String>,
    /// The distinguished name to ask for; none is usual.
    pub dn: Option<String>,
    /// The logon template, by OID.
    pub template: Template,
    /// The key to make.
    pub key: KeySpec,
    /// CAs that may have issued the certificate, besides those that come with it.
    pub anchors: Vec<Certificate>,
}

/// Something that was done, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub what: What,
    /// Who was asked; nobody, if it was done here.
    pub peer: Option<String>,
    /// What was sent, or what was made.
    pub sent: String,
    /// What came back; empty, if nobody was asked.
    pub received: String,
    /// How long it took.
    pub took: Duration,
}

/// The steps of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A key pair was made.
    Key,
    /// A certificate request was made and signed.
    Request,
    /// A server could not be connected to; the next one is asked.
    PassedOver,
    /// The one-time password was accepted and the request countersigned.
    Countersigned,
    /// The CA issued the certificate.
    Issued,
}

/// Watches a login.
pub type Watch<'a> = &'a (dyn Fn(&Step) + Send + Sync);

/// The machine certificate to show to MS-OTPCE servers and CAs.
///
/// # Errors
///
/// Event 10016: a file cannot be read, they do not fit each other, or the
/// certificate is not valid now.
pub fn machine_identity(
    certificate: &Path,
    key: &Path,
    now: UnixTime,
) -> Result<Identity, LoginError> {
    let unusable = |cause: String| LoginError::NoMachineCertificate { cause };
    let chain = certificate::load(certificate).map_err(|error| unusable(error.to_string()))?;
    let signer = FileSigner::load(key).map_err(|error| unusable(error.to_string()))?;
    let fits = chain.first().is_some_and(|leaf| leaf.public_key() == signer.public_key());
    if !fits {
        let files =
            format!("{} belongs to another key than {}", certificate.display(), key.display());
        return Err(unusable(files));
    }
    if let Some(leaf) = chain.first().filter(|leaf| !leaf.is_valid_at(now)) {
        return Err(unusable(validity(leaf, now)));
    }
    let key = signer.pkcs8().map_err(|error| unusable(error.to_string()))?;
    Ok(Identity { chain, key })
}

/// The user principal name that a logon name most likely stands for: itself if
/// it has a realm, or else its last part in the DNS domain of this machine.
///
/// A wrong guess costs nothing: the server refuses the certificate request
/// before it looks at the one-time password.
#[must_use]
pub fn default_upn(username: &str, machine: &Identity) -> Option<String> {
    let name = username.rsplit('\\').next().unwrap_or_default();
    if name.contains('@') {
        return Some(name.to_owned());
    }
    let host = machine.chain.first()?.dns_names().into_iter().next()?;
    let (_, domain) = host.split_once('.')?;
    Some(format!("{name}@{domain}"))
}

impl Login {
    /// Logs in. The one-time password is sent once at most.
    ///
    /// # Errors
    ///
    /// The first step that failed, with the event number of the Windows client.
    pub async fn run(
        &self,
        client: &HttpsClient,
        one_time_password: &Secret<String>,
        clock: &dyn Clock,
        watch: Watch<'_>,
    ) -> Result<Logon, LoginError> {
        let (upn, subject) = self.names()?;
        if self.servers.is_empty() {
            return Err(LoginError::NoServer);
        }
        let key = self.make_key(watch).await?;
        let request = self.make_request(&key, upn, &subject, watch)?;
        let signed = self.countersign(client, one_time_password, &request, watch).await?;
        check_submission(&signed.signed_cert_request, &request)?;
        let (issued, ca) = self.enrol(client, &signed, key.public_key(), watch).await?;
        check_certificate(&issued, &self.anchors, clock.now())?;
        let Issued { certificate, chain } = issued;
        Ok(Logon { certificate, chain, key, ca })
    }

    /// The names that the request asks for, at least one.
    fn names(&self) -> Result<(Option<String>, DistinguishedName), LoginError> {
        let subject = self.dn.as_deref().unwrap_or_default().parse::<DistinguishedName>();
        let subject = subject.map_err(|cause| LoginError::NoDn { cause })?;
        if self.upn.is_none() && subject.is_empty() {
            return Err(LoginError::NoUpn { user: self.username.clone() });
        }
        Ok((self.upn.clone(), subject))
    }

    async fn make_key(&self, watch: Watch<'_>) -> Result<FileSigner, LoginError> {
        let (spec, start) = (self.key, Instant::now());
        let made = tokio::task::spawn_blocking(move || FileSigner::generate(spec)).await;
        let cannot = |cause: String| LoginError::NoKey { user: self.username.clone(), cause };
        let key = made.map_err(|error| cannot(error.to_string()))?;
        let key = key.map_err(|error| cannot(error.to_string()))?;
        watch(&Step::here(What::Key, format!("{spec} key pair"), start));
        Ok(key)
    }

    fn make_request(
        &self,
        key: &FileSigner,
        upn: Option<String>,
        subject: &DistinguishedName,
        watch: Watch<'_>,
    ) -> Result<Vec<u8>, LoginError> {
        let start = Instant::now();
        let cannot =
            |cause: &dyn std::fmt::Display| LoginError::NoRequest { cause: cause.to_string() };
        let made = match (&upn, subject.is_empty()) {
            (Some(upn), true) => format!("PKCS#10 for {upn}"),
            (_, _) => format!("PKCS#10 for {subject}"),
        };
        let template = Some(self.template.clone());
        let wanted = LogonExtensions { upn, template, template_name: None };
        let extensions = wanted.to_extensions().map_err(|error| cannot(&error))?;
        let prepared = PreparedRequest::new(subject, key.public_key(), &extensions);
        let prepared = prepared.map_err(|error| cannot(&error))?;
        let digest = natural_digest(key.kind());
        let signature =
            key.sign(digest, prepared.to_be_signed()).map_err(|error| cannot(&error))?;
        let request = prepared.complete(digest, &signature);
        let made = format!("{made}, template {}, {} octets", self.template.oid, request.len());
        watch(&Step::here(What::Request, made, start));
        Ok(request)
    }

    async fn countersign(
        &self,
        client: &HttpsClient,
        one_time_password: &Secret<String>,
        request: &[u8],
        watch: Watch<'_>,
    ) -> Result<Signed, LoginError> {
        let mut start = Instant::now();
        let asked = Asked { username: &self.username, one_time_password, cert_request: request };
        let passed_over = |server: &HttpsUrl, error: &HttpError| {
            watch(&Step {
                what: What::PassedOver,
                peer: Some(server.to_string()),
                sent: "nothing".into(),
                received: error.to_string(),
                took: start.elapsed(),
            });
            start = Instant::now();
        };
        let signed = otpce::sign(client, &self.servers, &asked, passed_over).await;
        let signed = signed.map_err(|error| LoginError::of_otpce(&error, &self.username))?;
        let cas: Vec<&str> = signed.issuing_ca.iter().map(|ca| ca.0.as_str()).collect();
        let octets = signed.signed_cert_request.len();
        watch(&Step {
            what: What::Countersigned,
            peer: Some(signed.server.to_string()),
            sent: format!("signCertRequest: {}, one-time password, PKCS#10", self.username),
            received: format!("Success, CMC of {octets} octets, CAs: {}", cas.join(", ")),
            took: start.elapsed(),
        });
        Ok(signed)
    }

    /// Submits to the first CA that can be reached; one that answers has decided.
    async fn enrol(
        &self,
        client: &HttpsClient,
        signed: &Signed,
        public_key: &[u8],
        watch: Watch<'_>,
    ) -> Result<(Issued, String), LoginError> {
        let mut failure = LoginError::NoIssuingCa;
        for (ca, url) in self.cas(signed) {
            let Some(url) = url else {
                let cause = "its name is not of the form host\\CA name".to_owned();
                failure = LoginError::CaUnreachable { user: self.username.clone(), ca, cause };
                continue;
            };
            let (est, start) = (EstClient::new(client.clone(), &url), Instant::now());
            let step = |what, received: String| Step {
                what,
                peer: Some(format!("{}/fullcmc", est.base())),
                sent: format!(
                    "CMC full PKI request of {} octets",
                    signed.signed_cert_request.len()
                ),
                received,
                took: start.elapsed(),
            };
            match est.fullcmc(&signed.signed_cert_request, public_key).await {
                Ok(issued) => {
                    let above = issued.chain.len();
                    let serial = issued.certificate.serial().to_hex();
                    let received = format!("certificate {serial}, and {above} above it");
                    watch(&step(What::Issued, received));
                    return Ok((issued, ca));
                }
                Err(error @ (EstError::Http(_) | EstError::NotOffered { .. })) => {
                    watch(&step(What::PassedOver, error.to_string()));
                    failure = LoginError::of_est(&error, &self.username, ca);
                }
                Err(
                    error @ (EstError::Pending { .. }
                    | EstError::Refused { .. }
                    | EstError::Unusable { .. }),
                ) => return Err(LoginError::of_est(&error, &self.username, ca)),
            }
        }
        Err(failure)
    }

    /// The CAs to try, each with its EST address if it has one.
    fn cas(&self, signed: &Signed) -> Vec<(String, Option<HttpsUrl>)> {
        if !self.est.is_empty() {
            return self.est.iter().map(|url| (url.to_string(), Some(url.clone()))).collect();
        }
        let url = |host: &str| format!("https://{host}/").parse().ok();
        let cas = signed.issuing_ca.iter();
        cas.map(|ca| (ca.0.clone(), ca.split().and_then(|(host, _)| url(host)))).collect()
    }
}

impl Step {
    fn here(what: What, made: String, start: Instant) -> Self {
        Self { what, peer: None, sent: made, received: String::new(), took: start.elapsed() }
    }
}

/// What goes to the CA must be a CMC request around exactly our PKCS#10.
fn check_submission(signed: &[u8], request: &[u8]) -> Result<(), LoginError> {
    let message = SignedData::read(signed)
        .map_err(|error| LoginError::NoSubmission { cause: error.to_string() })?;
    let content = message.content().unwrap_or_default();
    let is_ours = message.content_type() == oid::PKI_DATA
        && content.windows(request.len()).any(|window| window == request);
    let cause = || "it is no CMC request around the PKCS#10 that was sent".to_owned();
    if is_ours { Ok(()) } else { Err(LoginError::NoSubmission { cause: cause() }) }
}

/// The certificate must be valid now, and signed by a CA that came with it or is trusted.
///
/// So must each certificate of its chain but the last, whose CA need not be known.
fn check_certificate(
    issued: &Issued,
    anchors: &[Certificate],
    now: UnixTime,
) -> Result<(), LoginError> {
    let Issued { certificate, chain } = issued;
    if !certificate.is_valid_at(now) {
        return Err(LoginError::Certificate { cause: validity(certificate, now) });
    }
    let is_issued = |one: &Certificate| {
        chain.iter().chain(anchors).any(|issuer| one.is_issued_by(issuer, &AwsVerify))
    };
    let links = chain.split_last().map_or(chain.as_slice(), |(_, links)| links);
    let Some(orphan) = std::iter::once(certificate).chain(links).find(|one| !is_issued(one)) else {
        return Ok(());
    };
    let (subject, issuer) = (orphan.subject(), orphan.issuer());
    let cause = format!(
        "{subject} says that {issuer} issued it, but no CA certificate that came with it, and no trust anchor, confirms that"
    );
    Err(LoginError::Certificate { cause })
}

fn validity(certificate: &Certificate, now: UnixTime) -> String {
    format!(
        "it is valid from {} to {}, but here it is {}",
        certificate::readable(certificate.not_before()),
        certificate::readable(certificate.not_after()),
        certificate::readable(now)
    )
}

#[cfg(test)]
mod tests;
