//! The MS-OTPCE client: one POST for one one-time password (digest of [MS-OTPCE], §2).
//!
//! Servers are tried in order, but only while nothing was sent. As soon as a
//! request may have reached a server, its one-time password may be spent, and
//! asking another server with it would be refused as a replay at best.

use countersign_core::{
    secret::Secret,
    wire::otpce::{
        CONTENT_TYPE, DocumentError, IssuingCa, SignCertRequest, SignCertResponse, VERSION,
        VERSION_HEADER,
    },
};
use zeroize::Zeroizing;

use super::http::{HttpError, HttpsClient, HttpsUrl, Sent};

/// What is asked: whose certificate request shall be signed, and on what proof.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The logon name, `domain\username`.
    pub username: &'a str,
    /// What the user typed.
    pub one_time_password: &'a Secret<String>,
    /// The DER certificate request.
    pub cert_request: &'a [u8],
}

/// The registration authority signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The server that answered.
    pub server: HttpsUrl,
    /// The signed request, DER CMS.
    pub signed_cert_request: Vec<u8>,
    /// The CAs that will take it, best first.
    pub issuing_ca: Vec<IssuingCa>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum OtpceError {
    /// Operator: there is no server to ask.
    #[error("no MS-OTPCE server is known")]
    NoServer,
    /// Caller: the name or the one-time password cannot be sent.
    #[error("the request cannot be written: {0}")]
    Unwritable(DocumentError),
    /// No connection to any server, or none with a whole answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refused before it looked at the request.
    #[error("{server} answered with the HTTP status {status}")]
    Status {
        /// The server.
        server: HttpsUrl,
        /// The status code.
        status: u16,
    },
    /// The server answered with something else.
    #[error("{server} sent no signCertResponse: {cause}")]
    Document {
        /// The server.
        server: HttpsUrl,
        /// What is wrong with it.
        cause: DocumentError,
    },
    /// The server answered with a failure.
    #[error("{server} answered {refusal}")]
    Refused {
        /// The server.
        server: HttpsUrl,
        /// Its answer.
        refusal: Refusal,
    },
}

/// The status codes that are no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credentials were refused.
    #[error("AuthenticationError")]
    Authentication,
    /// The server of one-time passwords asked for more.
    #[error("ChallengeResponseRequired")]
    Challenge,
    /// Anything else.
    #[error("OtherError")]
    Other,
}

/// Asks the first server that a connection can be made to.
///
/// `passed_over` hears of each server that could not be connected to, before
/// the next one is tried.
///
/// # Errors
///
/// No server could be connected to (the error of the last one), or the one that
/// could did not sign. The one-time password was sent once at most.
pub async fn sign(
    client: &HttpsClient,
    servers: &[HttpsUrl],
    asked: &Asked<'_>,
    mut passed_over: impl FnMut(&HttpsUrl, &HttpError),
) -> Result<Signed, OtpceError> {
    let mut failure = OtpceError::NoServer;
    for server in servers {
        match client.post(server, document(asked)?).await {
            Ok(answer) if answer.status == 200 => return read(server, &answer.body),
            Ok(answer) => {
                return Err(OtpceError::Status { server: server.clone(), status: answer.status });
            }
            Err(error @ HttpError::Connect { .. }) => {
                passed_over(server, &error);
                failure = error.into();
            }
            Err(error @ (HttpError::Send { .. } | HttpError::Receive { .. })) => {
                return Err(error.into());
            }
        }
    }
    Err(failure)
}

fn document(asked: &Asked<'_>) -> Result<Sent, OtpceError> {
    let written =
        SignCertRequest::write(asked.username, asked.one_time_password, asked.cert_request);
    let written = written.map_err(OtpceError::Unwritable)?;
    Ok(Sent {
        content_type: CONTENT_TYPE,
        headers: vec![(VERSION_HEADER, VERSION)],
        body: Zeroizing::new(written.expose_bytes().to_vec()),
    })
}

fn read(server: &HttpsUrl, body: &[u8]) -> Result<Signed, OtpceError> {
    let server = server.clone();
    let refusal = match SignCertResponse::read(body) {
        Ok(SignCertResponse::Success { signed_cert_request, issuing_ca }) => {
            return Ok(Signed { server, signed_cert_request, issuing_ca });
        }
        Ok(SignCertResponse::AuthenticationError) => Refusal::Authentication,
        Ok(SignCertResponse::ChallengeResponseRequired) => Refusal::Challenge,
        Ok(SignCertResponse::OtherError) => Refusal::Other,
        Err(cause) => return Err(OtpceError::Document { server, cause }),
    };
    let needless = SignCertResponse::needless_parts(body);
    if !needless.is_empty() {
        tracing::debug!(%server, %refusal, ?needless, "a failure with parts of a success; ignored");
    }
    Err(OtpceError::Refused { server, refusal })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, body::Body, http::Request, response::Response};
    use http_body_util::BodyExt;

    use super::*;
    use crate::client::tests::{Pki, Service, quick};

    /// Answers every request with this, and counts them.
    fn server(status: u16, answer: String) -> (Router, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            async move {
                assert_eq!(request.headers()["content-type"], "Application/xml;charset=utf-8");
                assert_eq!(request.headers()["x-otpcep-version"], "1.0");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let read = SignCertRequest::read(&body).unwrap();
                assert_eq!(read.one_time_password.expose(), "12<34&\"");
                assert_eq!((read.username.as_str(), read.cert_request), ("D\\u", Ok(vec![1, 2])));
                Response::builder().status(status).body(answer).unwrap()
            }
        });
        (router, count)
    }

    fn success() -> SignCertResponse {
        let issuing_ca = vec![IssuingCa("h\\ca".into())];
        SignCertResponse::Success { signed_cert_request: vec![3], issuing_ca }
    }

    async fn ask(pki: &Pki, servers: &[HttpsUrl]) -> (Result<Signed, OtpceError>, usize) {
        let client = HttpsClient::new(&pki.anchors(), Some(&pki.machine()), quick()).unwrap();
        let otp = Secret::new("12<34&\"".to_owned());
        let asked = Asked { username: "D\\u", one_time_password: &otp, cert_request: &[1, 2] };
        let mut passed_over = 0;
        let result = sign(&client, servers, &asked, |_, _| passed_over += 1).await;
        (result, passed_over)
    }

    fn nobody() -> HttpsUrl {
        "https://127.0.0.1:1/otpce".parse().unwrap()
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_connected_to_is_followed_by_the_next() {
        let pki = Pki::new();
        let (router, count) = server(200, success().write());
        let service = Service::start(&pki, router).await;
        let (signed, passed_over) = ask(&pki, &[nobody(), service.url("/otpce"), nobody()]).await;
        let server = service.url("/otpce");
        let issuing_ca = vec![IssuingCa("h\\ca".into())];
        assert_eq!(signed.unwrap(), Signed { server, signed_cert_request: vec![3], issuing_ca });
        assert_eq!((passed_over, count.load(Ordering::SeqCst)), (1, 1));
    }

    #[tokio::test]
    async fn the_one_time_password_is_not_sent_again_after_any_answer() {
        let pki = Pki::new();
        for (status, answer) in [
            (200, SignCertResponse::AuthenticationError.write()),
            (200, SignCertResponse::ChallengeResponseRequired.write()),
            (200, SignCertResponse::OtherError.write()),
            (200, "nonsense".to_owned()),
            (403, String::new()),
            (503, String::new()),
        ] {
            let (first, _) = server(status, answer);
            let (second, count) = server(200, success().write());
            let first = Service::start(&pki, first).await;
            let second = Service::start(&pki, second).await;
            let (signed, passed_over) = ask(&pki, &[first.url("/"), second.url("/")]).await;
            assert!(signed.is_err(), "{signed:?}");
            assert_eq!((passed_over, count.load(Ordering::SeqCst)), (0, 0));
        }
    }

    #[tokio::test]
    async fn the_one_time_password_is_not_sent_again_after_silence() {
        let pki = Pki::new();
        let (second, count) = server(200, success().write());
        let first = Router::new().fallback(std::future::pending::<()>);
        let first = Service::start(&pki, first).await;
        let second = Service::start(&pki, second).await;
        let patience = crate::client::http::Patience {
            answer: std::time::Duration::from_millis(300),
            ..quick()
        };
        let client = HttpsClient::new(&pki.anchors(), None, patience).unwrap();
        let otp = Secret::new("1".to_owned());
        let asked = Asked { username: "u", one_time_password: &otp, cert_request: &[] };
        let servers = [first.url("/"), second.url("/")];
        let error = sign(&client, &servers, &asked, |_, _| ()).await.unwrap_err();
        assert!(matches!(error, OtpceError::Http(HttpError::Receive { .. })), "{error}");
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn failures_name_the_server_and_its_word() {
        let pki = Pki::new();
        let (router, _) = server(200, SignCertResponse::AuthenticationError.write());
        let service = Service::start(&pki, router).await;
        let (refused, _) = ask(&pki, &[service.url("/otpce")]).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("/otpce answered AuthenticationError"), "{text}");
        assert!(matches!(ask(&pki, &[]).await.0, Err(OtpceError::NoServer)));
        let (last, passed_over) = ask(&pki, &[nobody(), nobody()]).await;
        assert!(matches!(last, Err(OtpceError::Http(HttpError::Connect { .. }))));
        assert_eq!(passed_over, 2);
    }
}
