//! Issue: what a valid signing certificate vouches for becomes a logon certificate.
//!
//! Names come from the account that the store knows, never from the request.
//! Every certificate is recorded before it is signed.

use std::sync::Arc;

use countersign_core::{
    domain::{
        account::{Account, Standing},
        event::{Event, What},
        id::AccountId,
        name::LoginName,
    },
    pki::{
        algorithm::{Digest, Verify},
        cert::{self, Certificate, CertificateError, Issuer, Serial, Subject, common_name},
        cmc::{self, CmcError, FailInfo, Trust, VouchedRequest},
        cms,
        csr::{CertificateRequest, CsrError},
        dn::{DistinguishedName, DnError},
        extension::{ExtensionError, Principal, read_upn},
        oid,
        profile::{Addresses, Kind, Profile, ProfileConfig, ProfileError},
        request::{self, Refusal, RequestPolicy},
    },
    time::UnixTime,
};
use data_encoding::HEXLOWER;
use der::{Decode, asn1::ObjectIdentifier};
use x509_cert::{
    ext::pkix::name::{GeneralName, GeneralNames},
    name::Name,
};

use super::{Asked, publish::Publisher};
use crate::{
    audit::Audit,
    certificate::readable,
    signer::{Signer, SignerError},
    store::{CERTIFICATE_REQUEST, CertificateRecord, Store, StoreError},
    vault,
};

/// The CA's certificate with its key.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer,
    key: Arc<dyn Signer>,
}

/// The profiles of everything that the CA issues.
#[derive(Debug, Clone)]
pub struct Profiles {
    /// Logon certificates.
    pub logon: Profile,
    /// Signing certificates.
    pub signing: Profile,
    /// TLS servers.
    pub server: Profile,
    /// Machines, which are TLS clients.
    pub machine: Profile,
    /// KDCs.
    pub kdc: Profile,
}

/// The embedded CA.
pub struct Ca {
    /// Certificate and key.
    pub authority: Arc<Authority>,
    /// What it issues.
    pub profiles: Profiles,
    /// What requests for logon certificates must be like.
    pub policy: RequestPolicy,
    /// Accounts, and the records of certificates.
    pub store: Arc<dyn Store>,
    /// Knows what is revoked.
    pub publisher: Arc<Publisher>,
    /// Verifies signatures.
    pub verify: Arc<dyn Verify + Send + Sync>,
    /// Takes the events.
    pub audit: Arc<dyn Audit>,
}

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Peer: nobody who may vouches for the request.
    #[error(transparent)]
    NotVouched(#[from] CmcError),
    /// Peer: no certificate request.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// Peer: the request is not signed by its own key.
    #[error("the certificate request is not signed by its own key")]
    NoPossession,
    /// Peer: the request asks for more or for somebody else.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Peer: the request names no user.
    #[error("the certificate request names no user principal name")]
    NoUpn,
    /// Peer: nobody has that name.
    #[error("no account has the user principal name {0:?}")]
    NoAccount(String),
    /// Peer: the account may not be used now.
    #[error("the account {name} is {state}")]
    AccountClosed {
        /// Its name.
        name: String,
        /// disabled, expired, not yet valid.
        state: &'static str,
    },
    /// Peer: a certificate was issued, or about to be, for this very request.
    ///
    /// A client whose answer got lost hears it too: one one-time password is
    /// good for one certificate, and nobody can tell the two cases apart.
    #[error(
        "this certificate request was submitted before, and a request is good for one certificate; \
         log on again with a new request and the next one-time password"
    )]
    Submitted,
    /// Operator: the account lacks what a certificate needs.
    #[error("the account {name}: {cause}")]
    Account {
        /// Its name.
        name: String,
        /// What is missing or wrong.
        cause: String,
    },
    /// Operator: the CA certificate has expired or its key does not belong to it.
    #[error("the CA certificate: {0}")]
    Authority(String),
    /// Operator or us: the certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Operator: the store does not take the record.
    #[error("the certificate was not recorded, and so not signed: {0}")]
    Store(#[from] StoreError),
    /// Operator: the key does not sign.
    #[error(transparent)]
    Key(#[from] SignerError),
}

impl Authority {
    /// Certificate and key of a CA.
    ///
    /// # Errors
    ///
    /// They are not a pair, or of a kind that cannot be used.
    pub fn new(certificate: Certificate, key: Arc<dyn Signer>) -> Result<Self, IssueError> {
        if certificate.public_key() != key.public_key() {
            return Err(IssueError::Authority("it has another public key than its key".into()));
        }
        let issuer = Issuer::new(&certificate)?;
        Ok(Self { certificate, issuer, key })
    }

    /// Makes the self-signed certificate of a new CA.
    ///
    /// # Errors
    ///
    /// The key cannot be used or does not sign.
    pub fn found(
        name: Name,
        config: &ProfileConfig,
        key: Arc<dyn Signer>,
        now: UnixTime,
    ) -> Result<Self, IssueError> {
        let profile = Profile::new(Kind::Ca, config, &Addresses::default())
            .map_err(|error| IssueError::Authority(error.to_string()))?;
        let issuer = Issuer::itself(name.clone(), key.public_key())?;
        let serial = Serial::from_random(vault::random_octets())?;
        let subject = Subject::Authority { name };
        let prepared = cert::prepare(&profile, &subject, key.public_key(), &issuer, &serial, now)?;
        let signature = key.sign(prepared.digest(), prepared.to_be_signed())?;
        Self::new(prepared.complete(&signature)?, key)
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA as certificates and lists name it.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &dyn Signer {
        &*self.key
    }
}

impl Profiles {
    /// Checks all profiles as the config has them; `of` gives the one of a kind.
    ///
    /// # Errors
    ///
    /// The first that makes no sense.
    pub fn new<'a>(
        of: impl Fn(Kind) -> &'a ProfileConfig,
        addresses: &Addresses,
    ) -> Result<Self, ProfileError> {
        let profile = |kind| Profile::new(kind, of(kind), addresses);
        Ok(Self {
            logon: profile(Kind::Logon)?,
            signing: profile(Kind::Signing)?,
            server: profile(Kind::Server)?,
            machine: profile(Kind::Machine)?,
            kdc: profile(Kind::Kdc)?,
        })
    }

    /// The profile of a kind; the CA's own certificate has none here.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Option<&Profile> {
        match kind {
            Kind::Logon => Some(&self.logon),
            Kind::Signing => Some(&self.signing),
            Kind::Server => Some(&self.server),
            Kind::Machine => Some(&self.machine),
            Kind::Kdc => Some(&self.kdc),
            Kind::Ca => None,
        }
    }
}

impl Ca {
    /// Issues the logon certificate that a full PKI request asks for.
    ///
    /// # Errors
    ///
    /// Nobody vouches for it, the account may not be used, or the CA cannot issue.
    pub async fn issue_logon(
        &self,
        message: &[u8],
        asked: &Asked,
    ) -> Result<Certificate, IssueError> {
        let issued = self.logon_steps(message, asked).await;
        self.record_refusal(&issued, asked);
        issued
    }

    async fn logon_steps(&self, message: &[u8], asked: &Asked) -> Result<Certificate, IssueError> {
        let vouched = self.vouch(message, asked.at)?;
        let request = CertificateRequest::read(vouched.pkcs10())?;
        let account = self.account_of(&request, asked.at).await?;
        // What the RA checked is checked again: it may be an older one, or a careless one.
        let checked = request::check(&request, &account, &self.policy, &*self.verify)?;
        let order = Order {
            profile: &self.profiles.logon,
            subject: subject_of(&account)?,
            public_key: checked.request().public_key(),
            request: checked.der(),
            account: Some(account.id),
            signer_serial: Some(vouched.signer().serial().to_hex()),
        };
        self.issue(order, asked).await
    }

    /// Issues a certificate for the infrastructure: signing, server, machine or KDC.
    ///
    /// Whoever calls has decided that the holder of `public_key` may have it.
    /// `request` is what is recorded by its hash: the PKCS#10, or the key itself.
    ///
    /// # Errors
    ///
    /// The kind is not for the infrastructure, or the CA cannot issue.
    pub async fn issue_infrastructure(
        &self,
        kind: Kind,
        subject: Subject,
        public_key: &[u8],
        request: &[u8],
        asked: &Asked,
    ) -> Result<Certificate, IssueError> {
        let profile = self.profiles.of(kind).filter(|_| kind != Kind::Logon);
        let profile = profile.ok_or(CertificateError::WrongSubject(kind))?;
        let order =
            Order { profile, subject, public_key, request, account: None, signer_serial: None };
        let issued = self.issue(order, asked).await;
        self.record_refusal(&issued, asked);
        issued
    }

    /// Issues what a host asks for with a PKCS#10 that names exactly the host that it is.
    ///
    /// # Errors
    ///
    /// The request names somebody else or is not signed by its key, or the CA cannot issue.
    pub async fn issue_to_host(
        &self,
        kind: Kind,
        host: &str,
        pkcs10: &[u8],
        asked: &Asked,
    ) -> Result<Certificate, IssueError> {
        let request = self.host_request(host, pkcs10);
        self.record_refusal(&request, asked);
        let request = request?;
        let subject =
            Subject::Host { name: Name::default(), dns: vec![host.to_owned()], ip: Vec::new() };
        self.issue_infrastructure(kind, subject, request.public_key(), pkcs10, asked).await
    }

    /// A signed response that says why nothing was issued; RFC 7030 §4.3.2 asks for one.
    ///
    /// # Errors
    ///
    /// The key does not sign.
    pub fn refusal(&self, error: &IssueError) -> Result<Vec<u8>, IssueError> {
        let text = error.text_for_peer();
        let certificate = self.authority.certificate();
        let digest = cert::natural_digest(self.authority.key().kind());
        let prepared = cmc::prepare_refusal(error.fail_info(), &text, certificate, digest)?;
        let signature = self.authority.key().sign(prepared.digest(), prepared.to_be_signed())?;
        Ok(prepared.complete(&signature))
    }

    fn vouch(&self, message: &[u8], now: UnixTime) -> Result<VouchedRequest, CmcError> {
        let trust = Trust {
            ca: self.authority.certificate(),
            verify: &*self.verify,
            is_revoked: &|serial| self.publisher.is_revoked(serial),
            allow_sha1: self.policy.allow_sha1,
            now,
        };
        cmc::vouch(message, &trust)
    }

    /// The enabled and valid account that has the UPN in the request.
    async fn account_of(
        &self,
        request: &CertificateRequest,
        now: UnixTime,
    ) -> Result<Account, IssueError> {
        let upn = alternative_names(request).iter().find_map(upn_in).ok_or(IssueError::NoUpn)?;
        let login = LoginName::parse(&upn).map_err(|_| IssueError::NoAccount(upn.clone()))?;
        let subject = self.store.find(login.key()).await?;
        let account = subject.ok_or(IssueError::NoAccount(upn))?.account;
        let state = match account.validity.at(now) {
            _ if account.disabled => "disabled",
            Standing::Valid => return Ok(account),
            Standing::NotYetValid => "not yet valid",
            Standing::Expired => "expired",
        };
        Err(IssueError::AccountClosed { name: account.name, state })
    }

    /// A request of a host: signed by its key, and naming nobody but the host.
    fn host_request(&self, host: &str, pkcs10: &[u8]) -> Result<CertificateRequest, IssueError> {
        let request = CertificateRequest::read(pkcs10)?;
        if !request.is_signed_by_its_key(&*self.verify) {
            return Err(IssueError::NoPossession);
        }
        let names = alternative_names(&request);
        let is_host = |name: &GeneralName| matches!(name, GeneralName::DnsName(name) if name.as_str().eq_ignore_ascii_case(host));
        let common = DistinguishedName::from_name(&common_name(host));
        let subject = DistinguishedName::from_name(request.subject());
        let subject_fits = subject.is_empty() || subject.names_same_entry(&common);
        let named = !names.is_empty() || !subject.is_empty();
        if !named || !subject_fits || !names.iter().all(is_host) {
            let cause = format!("it must name {host} as dNSName or common name, and nobody else");
            return Err(Refusal { step: request::Step::Names, cause }.into());
        }
        Ok(request)
    }

    /// Prepare and lint, record, sign, complete.
    async fn issue(&self, order: Order<'_>, asked: &Asked) -> Result<Certificate, IssueError> {
        let Order { profile, subject, public_key, request, account, signer_serial } = order;
        let authority = &*self.authority;
        if !authority.certificate.is_valid_at(asked.at) {
            let end = readable(authority.certificate.not_after());
            return Err(IssueError::Authority(format!("it is not valid now; it ends on {end}")));
        }
        let serial = Serial::from_random(vault::random_octets())?;
        let prepared =
            cert::prepare(profile, &subject, public_key, &authority.issuer, &serial, asked.at)?;
        let (not_before, not_after) = prepared.validity();
        let record = CertificateRecord {
            serial: serial.to_hex(),
            profile: profile.kind().name().into(),
            subject: description(&subject),
            account,
            request_sha256: HEXLOWER.encode(&cms::hash(Digest::Sha256, request)),
            signer_serial,
            not_before,
            not_after,
            revoked: None,
        };
        self.store.insert_certificate(record.clone()).await.map_err(IssueError::of_record)?;
        let CertificateRecord { serial, profile, subject, request_sha256, .. } = record;
        let intended =
            What::IssueIntended { serial: serial.clone(), profile, subject, request_sha256 };
        self.record(asked, intended);
        let signature = authority.key.sign(prepared.digest(), prepared.to_be_signed())?;
        let certificate = prepared.complete(&signature)?;
        self.record(asked, What::Issued { serial });
        Ok(certificate)
    }

    fn record_refusal<T>(&self, result: &Result<T, IssueError>, asked: &Asked) {
        if let Err(error) = result {
            let cause = error.to_string();
            tracing::debug!(correlation = %asked.correlation, peer = asked.peer, cause, "not issued");
            // What nobody vouches for anybody may send: it would fill the audit log.
            if !matches!(error, IssueError::NotVouched(_)) {
                self.record(asked, What::IssueRefused { peer: asked.peer.clone(), cause });
            }
        }
    }

    fn record(&self, asked: &Asked, what: What) {
        self.audit.record(Event { at: asked.at, correlation: asked.correlation, what });
    }
}

impl IssueError {
    fn of_record(error: StoreError) -> Self {
        match error {
            StoreError::Exists { what: CERTIFICATE_REQUEST, .. } => Self::Submitted,
            error @ (StoreError::Exists { .. }
            | StoreError::NameTaken { .. }
            | StoreError::NotFound { .. }
            | StoreError::Changed { .. }
            | StoreError::NoPlace { .. }
            | StoreError::Unusable { .. }
            | StoreError::Damaged { .. }) => Self::Store(error),
        }
    }

    /// Whether the peer could not have done better: the CA or its operator failed.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::NotVouched(_)
            | Self::Request(_)
            | Self::NoPossession
            | Self::Refused(_)
            | Self::NoUpn
            | Self::NoAccount(_)
            | Self::AccountClosed { .. }
            | Self::Submitted => false,
            Self::Certificate(error) => !matches!(error, CertificateError::Key),
            Self::Account { .. } | Self::Authority(_) | Self::Store(_) | Self::Key(_) => true,
        }
    }

    /// The reason as a number (RFC 5272 §6.1.4).
    #[must_use]
    pub fn fail_info(&self) -> FailInfo {
        match self {
            Self::NotVouched(error) => error.fail_info(),
            Self::NoPossession => FailInfo::POP_FAILED,
            Self::Request(_) | Self::NoUpn | Self::Submitted => FailInfo::BAD_REQUEST,
            Self::Refused(_) | Self::NoAccount(_) | Self::AccountClosed { .. } => {
                FailInfo::BAD_IDENTITY
            }
            Self::Certificate(CertificateError::Key) => FailInfo::BAD_ALGORITHM,
            Self::Certificate(_)
            | Self::Account { .. }
            | Self::Authority(_)
            | Self::Store(_)
            | Self::Key(_) => FailInfo::INTERNAL,
        }
    }

    /// What a peer may know: about its own message everything, about accounts and us nothing.
    #[must_use]
    pub fn text_for_peer(&self) -> String {
        match self {
            Self::NotVouched(_)
            | Self::Request(_)
            | Self::NoPossession
            | Self::NoUpn
            | Self::Submitted => self.to_string(),
            Self::Refused(_) | Self::NoAccount(_) | Self::AccountClosed { .. } => {
                "the certificate request was refused".into()
            }
            Self::Certificate(_)
            | Self::Account { .. }
            | Self::Authority(_)
            | Self::Store(_)
            | Self::Key(_) => "the CA cannot issue; its log says why".into(),
        }
    }
}

/// A certificate that was decided upon.
struct Order<'a> {
    profile: &'a Profile,
    subject: Subject,
    public_key: &'a [u8],
    request: &'a [u8],
    account: Option<AccountId>,
    signer_serial: Option<String>,
}

/// What a logon certificate says of an account. The request has no part in it.
fn subject_of(account: &Account) -> Result<Subject, IssueError> {
    let wrong = |cause: String| IssueError::Account { name: account.name.clone(), cause };
    let upn =
        account.effective_upn().ok_or_else(|| wrong("it has neither UPN nor realm".into()))?;
    let name = match &account.dn {
        Some(dn) => dn.parse().and_then(|dn: DistinguishedName| dn.to_name()),
        None => Ok(common_name(&account.name)),
    };
    let name = name.map_err(|error: DnError| wrong(error.to_string()))?;
    let sid = account.sid.as_deref().map(str::parse).transpose();
    Ok(Subject::Account {
        name: if name.is_empty() { common_name(&account.name) } else { name },
        upn,
        principal: account.principal().map(|(name, realm)| Principal::user(&name, &realm)),
        sid: sid.map_err(|error: ExtensionError| wrong(error.to_string()))?,
    })
}

/// The subject of a record: the distinguished name, or else the first other name.
fn description(subject: &Subject) -> String {
    match subject {
        Subject::Host { name, dns, ip } if name.is_empty() => {
            let names = dns.iter().cloned().chain(ip.iter().map(ToString::to_string));
            names.collect::<Vec<_>>().join(", ")
        }
        Subject::Account { name, .. }
        | Subject::Host { name, .. }
        | Subject::Authority { name } => DistinguishedName::from_name(name).to_string(),
        Subject::Kdc { dns, realm } => format!("krbtgt/{realm} on {}", dns.join(", ")),
    }
}

fn alternative_names(request: &CertificateRequest) -> GeneralNames {
    const NAMES: ObjectIdentifier = oid::SUBJECT_ALT_NAME;
    let names = request.extension(NAMES).and_then(|octets| GeneralNames::from_der(octets).ok());
    names.unwrap_or_default()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, one kind is otherName")]
fn upn_in(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::OtherName(other) => read_upn(other),
        _ => None,
    }
}
