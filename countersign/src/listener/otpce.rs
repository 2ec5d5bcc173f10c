//! The MS-OTPCE listener: HTTP around the use case (digest of [MS-OTPCE], §2).

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header},
};
use countersign_core::{
    domain::id::CorrelationId,
    wire::otpce::{CONTENT_TYPE, MAX_DOCUMENT, SignCertRequest, VERSION, VERSION_HEADER},
};
use http_body_util::{BodyExt, Limited};

use super::{limit::Limiter, tls::ClientCertificate};
use crate::{
    app::{Asked, countersign::Countersigner},
    clock::Clock,
    vault,
};

/// What the MS-OTPCE listener works with.
pub struct Otpce {
    /// The use case.
    pub countersigner: Countersigner,
    /// The path of the service and its aliases.
    pub paths: Vec<String>,
    /// Whether a request without [`VERSION_HEADER`] is refused.
    pub require_version: bool,
    /// How often a machine may ask, by the name in its certificate: any of them can
    /// try one-time passwords for anybody.
    pub limit: Limiter<String>,
    /// Reads the time once per request.
    pub clock: Arc<dyn Clock>,
}

/// A request that is not answered with a document: the HTTP code, the cause for our log.
#[derive(Debug)]
struct Refused(StatusCode, String);

/// The routes of the listener.
pub fn router(otpce: Otpce) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(otpce))
}

async fn answer(State(otpce): State<Arc<Otpce>>, request: Request<Body>) -> Response<Body> {
    let correlation = CorrelationId::from_bytes(vault::random_octets());
    let mut response = match otpce.document(request, correlation).await {
        Ok(document) => Response::new(Body::from(document)),
        Err(Refused(code, cause)) => {
            tracing::debug!(%correlation, code = code.as_u16(), cause, "request refused");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = code;
            if code == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(VERSION_HEADER_NAME, HeaderValue::from_static(VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Otpce {
    /// The checks of HTTP, in the order in which they tell the client least; then the use case.
    async fn document(
        &self,
        request: Request<Body>,
        correlation: CorrelationId,
    ) -> Result<String, Refused> {
        self.check_path(request.uri())?;
        let peer = check_client(request.extensions().get())?;
        self.check_rate(&peer)?;
        check_method(request.method())?;
        self.check_version(request.headers())?;
        check_media_type(request.headers())?;
        let body = read_body(request.into_body()).await?;
        // Not before the body is here: a client that holds it back would choose the time step.
        let at = self.clock.now();
        let request = SignCertRequest::read(&body)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
        let asked = Asked { peer, correlation, at };
        Ok(self.countersigner.countersign(request, &asked).await.write())
    }

    fn check_path(&self, uri: &Uri) -> Result<(), Refused> {
        let known = self.paths.iter().any(|path| path.eq_ignore_ascii_case(uri.path()));
        let cause = || Refused(StatusCode::NOT_FOUND, format!("no service at {}", uri.path()));
        if known { Ok(()) } else { Err(cause()) }
    }

    fn check_rate(&self, machine: &String) -> Result<(), Refused> {
        if self.limit.admits(machine) {
            return Ok(());
        }
        let refused = self.limit.refused();
        let cause = format!("{machine} asks too often; {refused} such requests so far");
        Err(Refused(StatusCode::TOO_MANY_REQUESTS, cause))
    }

    fn check_version(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match headers.get(VERSION_HEADER) {
            Some(version) if version == VERSION => Ok(()),
            Some(version) => Err(bad_request(format!("{VERSION_HEADER} is {version:?}"))),
            None if self.require_version => {
                Err(bad_request(format!("{VERSION_HEADER} is missing")))
            }
            None => Ok(()),
        }
    }
}

/// The name of the machine, or 403 with the sub-code that administrators know.
fn check_client(certificate: Option<&ClientCertificate>) -> Result<String, Refused> {
    let certificate = certificate.unwrap_or(&ClientCertificate::Absent);
    match certificate.http_sub_code() {
        None => Ok(certificate.name().to_owned()),
        Some(code) => Err(Refused(StatusCode::FORBIDDEN, code.to_owned())),
    }
}

fn check_method(method: &Method) -> Result<(), Refused> {
    let cause = || Refused(StatusCode::METHOD_NOT_ALLOWED, format!("the method is {method}"));
    if method == Method::POST { Ok(()) } else { Err(cause()) }
}

/// `application/xml` in UTF-8, whatever the case, the spaces and the quotes.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let is_xml = parts.next() == Some("application/xml");
    let is_utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim() == "charset")
        .all(|(_, charset)| charset.trim().trim_matches('"') == "utf-8");
    let cause = || Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Content-Type is {value}"));
    if is_xml && is_utf8 { Ok(()) } else { Err(cause()) }
}

async fn read_body(body: Body) -> Result<Bytes, Refused> {
    let too_big =
        || Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_DOCUMENT} octets"));
    if body.size_hint().lower() > MAX_DOCUMENT as u64 {
        return Err(too_big());
    }
    match Limited::new(body, MAX_DOCUMENT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_big()),
        Err(error) => Err(bad_request(format!("the body did not arrive: {error}"))),
    }
}

fn bad_request(cause: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, cause)
}

/// [`VERSION_HEADER`] as the HTTP library wants names.
const VERSION_HEADER_NAME: header::HeaderName = header::HeaderName::from_static("x-otpcep-version");
