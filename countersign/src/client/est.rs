//! The EST client: fullcmc for logons, simpleenroll for the RA (RFC 7030, RFC 8951).

use std::fmt;

use countersign_core::pki::{
    cert::Certificate,
    cmc::{self, CmcError, FailInfo, Response},
};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::http::{Answer, HttpError, HttpsClient, HttpsUrl, Sent};

/// An EST server, asked with a client certificate.
#[derive(Clone)]
pub struct EstClient {
    http: HttpsClient,
    base: HttpsUrl,
}

/// What a CA issued: the certificate of our key, and the others that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate with our public key.
    pub certificate: Certificate,
    /// The CA certificates above it, issuer first, as far as they came.
    pub chain: Vec<Certificate>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EstError {
    /// No connection, or no whole answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server does not offer what was asked for (404, 501).
    #[error("{url} is not offered (HTTP status {status})")]
    NotOffered {
        /// What was asked.
        url: HttpsUrl,
        /// The status code.
        status: u16,
    },
    /// The request waits for somebody's approval.
    #[error("{url} put the request aside for approval, which is useless for a logon")]
    Pending {
        /// What was asked.
        url: HttpsUrl,
    },
    /// The CA refused.
    #[error("{url} refused: {cause}")]
    Refused {
        /// What was asked.
        url: HttpsUrl,
        /// Its words, or the HTTP status.
        cause: Cause,
    },
    /// The server said success, but sent something else.
    #[error("{url} sent nothing usable: {cause}")]
    Unusable {
        /// What was asked.
        url: HttpsUrl,
        /// What is wrong with it.
        cause: Unusable,
    },
}

/// Why a CA refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A full PKI response: `cMCStatus`, reason and text (RFC 5272 §6.1).
    Cmc {
        /// `cMCStatus`.
        status: u32,
        /// Why, as a number.
        fail_info: Option<FailInfo>,
        /// Why, in words.
        text: Option<String>,
    },
    /// No more than an HTTP status.
    Status(u16),
}

/// What is wrong with an answer that should hold certificates.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Not base64.
    #[error("it is not base64")]
    NotBase64,
    /// Not CMS, or with other content.
    #[error(transparent)]
    Cms(#[from] CmcError),
    /// Certificates, but none with our key.
    #[error("it holds no certificate with the public key that was asked for")]
    OtherKey,
    /// No certificate at all.
    #[error("it holds no certificate")]
    Empty,
}

impl EstClient {
    /// A client of the EST server at `base`; a base without a path gets `/.well-known/est`.
    #[must_use]
    pub fn new(http: HttpsClient, base: &HttpsUrl) -> Self {
        let base = match base.path().trim_end_matches('/') {
            "" => base.with_path(WELL_KNOWN),
            path => base.with_path(path),
        };
        Self { http, base }
    }

    /// The server's address.
    #[must_use]
    pub fn base(&self) -> &HttpsUrl {
        &self.base
    }

    /// The CA certificates (RFC 7030 §4.1).
    ///
    /// # Errors
    ///
    /// No answer, or one without certificates.
    pub async fn cacerts(&self) -> Result<Vec<Certificate>, EstError> {
        let url = self.url("cacerts");
        let answer = self.http.get(&url).await?;
        let certificates = read(&url, &answer)?;
        match certificates.is_empty() {
            false => Ok(certificates),
            true => Err(EstError::Unusable { url, cause: Unusable::Empty }),
        }
    }

    /// Enrols with a full CMC request (RFC 7030 §4.3); `public_key` is the one in it.
    ///
    /// # Errors
    ///
    /// No answer, a refusal, or no certificate with this key.
    pub async fn fullcmc(&self, request: &[u8], public_key: &[u8]) -> Result<Issued, EstError> {
        self.enrol("fullcmc", FULL_CMC, request, public_key).await
    }

    /// Enrols with a PKCS#10 (RFC 7030 §4.2); `public_key` is the one in it.
    ///
    /// # Errors
    ///
    /// No answer, a refusal, or no certificate with this key.
    pub async fn simpleenroll(
        &self,
        request: &[u8],
        public_key: &[u8],
    ) -> Result<Issued, EstError> {
        self.enrol("simpleenroll", SIMPLE, request, public_key).await
    }

    async fn enrol(
        &self,
        operation: &str,
        content_type: &'static str,
        request: &[u8],
        public_key: &[u8],
    ) -> Result<Issued, EstError> {
        let url = self.url(operation);
        let body = Zeroizing::new(BASE64.encode(request).into_bytes());
        // RFC 8951 has done away with this header; servers of RFC 7030 may want it.
        let headers = vec![("Content-Transfer-Encoding", "base64")];
        let answer = self.http.post(&url, Sent { content_type, headers, body }).await?;
        let certificates = read(&url, &answer)?;
        pick(certificates, public_key).ok_or(EstError::Unusable { url, cause: Unusable::OtherKey })
    }

    fn url(&self, operation: &str) -> HttpsUrl {
        self.base.with_path(&format!("{}/{operation}", self.base.path()))
    }
}

impl Issued {
    /// The certificate and its chain.
    #[must_use]
    pub fn all(&self) -> Vec<Certificate> {
        std::iter::once(&self.certificate).chain(&self.chain).cloned().collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cmc { status, fail_info, text } => {
                write!(f, "CMC status {status}")?;
                if let Some(fail_info) = fail_info {
                    write!(f, ", {fail_info}")?;
                }
                text.as_ref().map_or(Ok(()), |text| write!(f, ", {}", printable(text)))
            }
            Self::Status(status) => write!(f, "HTTP status {status}"),
        }
    }
}

fn read(url: &HttpsUrl, answer: &Answer) -> Result<Vec<Certificate>, EstError> {
    let url = url.clone();
    let response = decode(&answer.body);
    match (answer.status, response) {
        (202, _) => Err(EstError::Pending { url }),
        (_, Ok(Response::Refused { status: CMC_PENDING, .. })) => Err(EstError::Pending { url }),
        (_, Ok(Response::Refused { status, fail_info, text })) => {
            Err(EstError::Refused { url, cause: Cause::Cmc { status, fail_info, text } })
        }
        (200, Ok(Response::Certificates(certificates))) => Ok(certificates),
        (200, Err(cause)) => Err(EstError::Unusable { url, cause }),
        (status @ (404 | 501), _) => Err(EstError::NotOffered { url, status }),
        (status, _) => Err(EstError::Refused { url, cause: Cause::Status(status) }),
    }
}

/// Base64 of CMS, with line breaks or without.
fn decode(body: &[u8]) -> Result<Response, Unusable> {
    let digits: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let octets = BASE64.decode(&digits).map_err(|_| Unusable::NotBase64)?;
    Ok(cmc::read_response(&octets)?)
}

/// The certificate of our key, wherever it stands, and above it the issuers in order.
fn pick(mut certificates: Vec<Certificate>, public_key: &[u8]) -> Option<Issued> {
    let place = certificates.iter().position(|one| one.public_key() == public_key)?;
    let certificate = certificates.remove(place);
    let mut chain: Vec<Certificate> = Vec::new();
    let mut issuer = certificate.issuer().clone();
    while let Some(place) = certificates.iter().position(|one| *one.subject() == issuer) {
        let above = certificates.remove(place);
        issuer = above.issuer().clone();
        chain.push(above);
    }
    Some(Issued { certificate, chain })
}

/// What a peer wrote, fit for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

const WELL_KNOWN: &str = "/.well-known/est";
const FULL_CMC: &str = "application/pkcs7-mime; smime-type=CMC-request";
const SIMPLE: &str = "application/pkcs10";
const CMC_PENDING: u32 = 3;

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use axum::{Router, body::Body, http::Request, response::Response as Reply};
    use countersign_core::pki::{
        algorithm::Digest,
        cms::{self, SignedData},
    };
    use data_encoding::Specification;
    use http_body_util::BodyExt;

    use super::*;
    use crate::{
        certificate,
        client::tests::{Pki, Service, quick},
        signer::{Signer, file::FileSigner},
    };

    /// A server that answers every request with this, after a look at it.
    async fn serve(pki: &Pki, status: u16, body: String) -> (Service, EstClient) {
        let router = Router::new().fallback(move |request: Request<Body>| {
            let body = body.clone();
            async move {
                let path = request.uri().path().to_owned();
                let kind = request
                    .headers()
                    .get("content-type")
                    .map(|kind| kind.to_str().unwrap().to_owned());
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                match path.as_str() {
                    "/.well-known/est/cacerts" => assert!(kind.is_none() && asked.is_empty()),
                    "/.well-known/est/fullcmc" => assert_eq!(
                        (kind.as_deref(), &asked[..]),
                        (Some("application/pkcs7-mime; smime-type=CMC-request"), &b"AQID"[..])
                    ),
                    "/.well-known/est/simpleenroll" => {
                        assert_eq!(kind.as_deref(), Some("application/pkcs10"))
                    }
                    other => panic!("{other}"),
                }
                Reply::builder().status(status).body(body).unwrap()
            }
        });
        let service = Service::start(pki, router).await;
        let http = HttpsClient::new(&pki.anchors(), Some(&pki.machine()), quick()).unwrap();
        let client = EstClient::new(http, &service.url("/"));
        (service, client)
    }

    fn load(pki: &Pki, name: &str) -> Certificate {
        certificate::load_first(&pki.path(name)).unwrap()
    }

    fn certs_only(certificates: &[Certificate]) -> String {
        BASE64.encode(&cms::certs_only(certificates))
    }

    fn refusal(pki: &Pki, change: impl Fn(&mut Vec<u8>)) -> String {
        let signer = FileSigner::load(&pki.path("ca.key")).unwrap();
        let ca = load(pki, "ca.pem");
        let prepared =
            cmc::prepare_refusal(FailInfo::BAD_IDENTITY, "who\u{1b} is that", &ca, Digest::Sha256)
                .unwrap();
        let signature = signer.sign(Digest::Sha256, prepared.to_be_signed()).unwrap();
        let mut der = prepared.complete(&signature);
        change(&mut der);
        BASE64.encode(&der)
    }

    #[tokio::test]
    async fn the_certificate_is_found_by_its_key_wherever_it_stands() {
        let pki = Pki::new();
        let (ca, own, other) =
            (load(&pki, "ca.pem"), load(&pki, "machine.pem"), load(&pki, "server.pem"));
        for order in [[&own, &ca, &other], [&ca, &other, &own], [&other, &own, &ca]] {
            let body = certs_only(&order.map(Clone::clone));
            let (_service, client) = serve(&pki, 200, body).await;
            let issued = client.fullcmc(&[1, 2, 3], own.public_key()).await.unwrap();
            assert_eq!(issued.all(), [own.clone(), ca.clone()]);
        }
        let (_service, client) = serve(&pki, 200, certs_only(&[ca, other])).await;
        let error = client.simpleenroll(&[1], own.public_key()).await.unwrap_err();
        assert!(matches!(error, EstError::Unusable { cause: Unusable::OtherKey, .. }), "{error}");
    }

    #[tokio::test]
    async fn reads_what_openssl_writes_with_line_breaks_and_indefinite_lengths() {
        let pki = Pki::new();
        pki.openssl(
            "crl2pkcs7 -nocrl -certfile machine.pem -certfile ca.pem -outform DER -out a.p7",
        );
        pki.openssl("cms -sign -in ext -signer machine.pem -inkey machine.key -certfile ca.pem -stream -nodetach -outform DER -out b.p7");
        let mut lines = Specification::new();
        lines.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
        lines.padding = Some('=');
        lines.wrap.width = 64;
        lines.wrap.separator.push_str("\r\n");
        let lines = lines.encoding().unwrap();
        for name in ["a.p7", "b.p7"] {
            let octets = fs::read(pki.path(name)).unwrap();
            assert_eq!(octets[1] == 0x80, name == "b.p7", "{name} has an indefinite length");
            let (_service, client) = serve(&pki, 200, lines.encode(&octets)).await;
            let own = load(&pki, "machine.pem");
            let issued = client.fullcmc(&[1, 2, 3], own.public_key()).await.unwrap();
            assert_eq!(issued.all(), [own, load(&pki, "ca.pem")], "{name}");
            assert_eq!(client.cacerts().await.unwrap().len(), 2);
        }
    }

    #[tokio::test]
    async fn a_refusal_comes_with_the_words_of_the_ca_fit_for_a_terminal() {
        let pki = Pki::new();
        let (_service, client) = serve(&pki, 403, refusal(&pki, |_| ())).await;
        let error = client.fullcmc(&[1, 2, 3], &[]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("refused: CMC status 2, badIdentity (7), who is that"), "{text}");
    }

    #[tokio::test]
    async fn a_failure_inside_http_200_is_still_a_failure() {
        let pki = Pki::new();
        let (_service, client) = serve(&pki, 200, refusal(&pki, |_| ())).await;
        let error = client.fullcmc(&[1, 2, 3], &[]).await.unwrap_err();
        assert!(matches!(error, EstError::Refused { .. }), "{error}");
    }

    #[tokio::test]
    async fn pending_is_a_failure_whichever_way_it_is_said() {
        let pki = Pki::new();
        let pending = |der: &mut Vec<u8>| {
            let content = SignedData::read(der).unwrap().content().unwrap().to_vec();
            let at = der.windows(content.len()).position(|window| window == content).unwrap();
            let failed = content.windows(5).position(|window| window == b"\x02\x01\x02\x30\x03");
            der[at + failed.unwrap() + 2] = 3;
        };
        for (status, body) in [(202, String::new()), (200, refusal(&pki, pending))] {
            let (_service, client) = serve(&pki, status, body).await;
            let error = client.fullcmc(&[1, 2, 3], &[]).await.unwrap_err();
            assert!(matches!(error, EstError::Pending { .. }), "{status}: {error}");
        }
    }

    #[tokio::test]
    async fn http_statuses_are_told_apart() {
        let pki = Pki::new();
        for (status, expected) in [
            (404, "not offered"),
            (501, "not offered"),
            (401, "HTTP status 401"),
            (500, "HTTP status 500"),
        ] {
            let (_service, client) = serve(&pki, status, "sorry".into()).await;
            let error = client.fullcmc(&[1, 2, 3], &[]).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{status}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_unusable() {
        let pki = Pki::new();
        for body in ["", "*", "MAA=", &certs_only(&[])] {
            let (_service, client) = serve(&pki, 200, body.into()).await;
            let error = client.cacerts().await.unwrap_err();
            assert!(matches!(error, EstError::Unusable { .. }), "{body}: {error}");
        }
    }

    #[test]
    fn a_base_without_a_path_gets_the_well_known_one() {
        let pki = Arc::new(Pki::new());
        let http = HttpsClient::new(&pki.anchors(), None, quick()).unwrap();
        for (base, url) in [
            ("https://a", "https://a/.well-known/est/fullcmc"),
            ("https://a/", "https://a/.well-known/est/fullcmc"),
            ("https://a:1/.well-known/est/label/", "https://a:1/.well-known/est/label/fullcmc"),
        ] {
            let client = EstClient::new(http.clone(), &base.parse().unwrap());
            assert_eq!(client.url("fullcmc").to_string(), url);
        }
    }
}
