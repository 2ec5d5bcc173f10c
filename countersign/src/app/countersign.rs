//! Countersign: a name, a passcode and a certificate request in, the request with our signature out.
//!
//! The order of the steps is that of [MS-OTPCE] §3.2.5.1. It decides which
//! status wins when several things are wrong, and it keeps a passcode unspent
//! when the certificate request is no good.

use std::sync::Arc;

use countersign_core::{
    domain::{
        account::Account,
        attempt::{Attempt, ListenerKind, Terms},
        event::{Event, What},
        name::LoginName,
        verdict::Outcome,
    },
    pki::{
        algorithm::Verify,
        csr::CertificateRequest,
        request::{self, CheckedRequest, RequestPolicy, Step},
    },
    secret::Secret,
    wire::otpce::{IssuingCa, SignCertRequest, SignCertResponse},
};

use super::{Asked, authenticate::Authenticator, sign::Ra};
use crate::audit::Audit;

/// The use case of the MS-OTPCE server.
pub struct Countersigner {
    /// Checks passcodes.
    pub authenticator: Arc<Authenticator>,
    /// Signs what was checked.
    pub ra: Arc<Ra>,
    /// What certificate requests must be like.
    pub policy: RequestPolicy,
    /// The CAs that clients are sent to, best first.
    pub issuing_ca: Vec<IssuingCa>,
    /// Verifies the signature of a certificate request.
    pub verify: Arc<dyn Verify + Send + Sync>,
    /// Takes the events.
    pub audit: Arc<dyn Audit>,
}

/// A failure: the step that decided, the status for the client, the cause for us.
struct Failed {
    step: &'static str,
    response: SignCertResponse,
    cause: String,
}

impl Countersigner {
    /// Answers a request.
    pub async fn countersign(&self, request: SignCertRequest, asked: &Asked) -> SignCertResponse {
        let login: String = request.username.chars().take(LoginName::MAX_LENGTH).collect();
        match self.steps(request, asked).await {
            Ok(response) => {
                tracing::debug!(correlation = %asked.correlation, login, peer = asked.peer, step = "6", "Success");
                response
            }
            Err(Failed { step, response, cause }) => {
                let status = response.status_code();
                tracing::debug!(correlation = %asked.correlation, login, peer = asked.peer, step, cause, "{status}");
                let refused = || What::RequestRefused {
                    login,
                    peer: asked.peer.clone(),
                    step: step.into(),
                    cause,
                };
                // What the validator decided at steps 2 and 3 is in the audit log already.
                if !matches!(step, "2" | "3") {
                    let (at, correlation) = (asked.at, asked.correlation);
                    self.audit.record(Event { at, correlation, what: refused() });
                }
                response
            }
        }
    }

    async fn steps(
        &self,
        request: SignCertRequest,
        asked: &Asked,
    ) -> Result<SignCertResponse, Failed> {
        let certificate_request = read(&request)?;
        let login = LoginName::parse(&request.username);
        let account = self.account(login.as_ref().ok()).await?;
        let checked = self.check(&certificate_request, &request.username, account.as_ref())?;
        let (Ok(login), Some(checked)) = (login, checked) else {
            return Err(self.unknown(request, asked).await);
        };
        self.authenticate(login, request.one_time_password, &checked, asked).await?;
        let signed_cert_request = self
            .ra
            .sign(&checked, asked.correlation, asked.at)
            .map_err(|error| other("4", &error))?;
        if self.issuing_ca.is_empty() {
            return Err(other("5", &"otpce.issuing-ca names no CA"));
        }
        Ok(SignCertResponse::Success { signed_cert_request, issuing_ca: self.issuing_ca.clone() })
    }

    async fn account(&self, login: Option<&LoginName>) -> Result<Option<Account>, Failed> {
        let Some(login) = login else { return Ok(None) };
        self.authenticator.account(login).await.map_err(|error| other("2", &error))
    }

    /// Step 1: the names in the request are the account's, the template is ours, the signature holds.
    fn check(
        &self,
        certificate_request: &CertificateRequest,
        login: &str,
        account: Option<&Account>,
    ) -> Result<Option<CheckedRequest>, Failed> {
        let (policy, verify) = (&self.policy, &*self.verify);
        let checked = match account {
            Some(account) => request::check(certificate_request, account, policy, verify).map(Some),
            None => request::check_without_account(certificate_request, login, policy, verify)
                .map(|()| None),
        };
        checked.map_err(|refusal| other(step_name(refusal.step), &refusal.cause))
    }

    /// Step 2: nobody has the name. The validator says so too, so that the audit shows it.
    async fn unknown(&self, request: SignCertRequest, asked: &Asked) -> Failed {
        if let Ok(login) = LoginName::parse(&request.username) {
            let attempt = attempt(login, request.one_time_password, asked);
            let _ = self.authenticator.authenticate(attempt).await;
        }
        let cause = "no account has this name".into();
        Failed { step: "2", response: SignCertResponse::AuthenticationError, cause }
    }

    /// Step 3: the passcode. The verdict must be about the account that was checked.
    async fn authenticate(
        &self,
        login: LoginName,
        passcode: Secret<String>,
        checked: &CheckedRequest,
        asked: &Asked,
    ) -> Result<(), Failed> {
        let verdict =
            self.authenticator.authenticate(attempt(login, passcode, asked)).await.verdict;
        let response = match verdict.outcome {
            Outcome::Accepted if verdict.account == Some(checked.account()) => return Ok(()),
            Outcome::Accepted => return Err(other("3", &"the name moved to another account")),
            Outcome::Rejected | Outcome::Declined => SignCertResponse::AuthenticationError,
            Outcome::Challenged => SignCertResponse::ChallengeResponseRequired,
            Outcome::Unavailable => SignCertResponse::OtherError,
        };
        Err(Failed { step: "3", response, cause: format!("{:?}", verdict.reason) })
    }
}

fn read(request: &SignCertRequest) -> Result<CertificateRequest, Failed> {
    let octets = request.cert_request.as_ref().map_err(|error| other("1", error))?;
    CertificateRequest::read(octets).map_err(|error| other("1", &error))
}

fn attempt(login: LoginName, passcode: Secret<String>, asked: &Asked) -> Attempt {
    Attempt {
        correlation: asked.correlation,
        login,
        passcode: Secret::new(passcode.expose().as_bytes().to_vec()),
        listener: ListenerKind::Otpce,
        peer: asked.peer.clone(),
        at: asked.at,
        terms: Terms::default(),
    }
}

fn other(step: &'static str, cause: &dyn std::fmt::Display) -> Failed {
    Failed { step, response: SignCertResponse::OtherError, cause: cause.to_string() }
}

/// The steps of the check as the digest of [MS-OTPCE] (§5.2) numbers them.
fn step_name(step: Step) -> &'static str {
    match step {
        Step::Names => "1a",
        Step::Template => "1b",
        Step::Signature => "1c",
    }
}
