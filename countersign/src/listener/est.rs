//! The EST listener (RFC 7030): cacerts, fullcmc for logons, simpleenroll for the RA.
//!
//! Bodies are base64 in both directions, with line breaks tolerated (RFC 8951).
//! A path label is accepted and means nothing: there is one CA.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use countersign_core::{
    domain::id::CorrelationId,
    pki::{cert::Certificate, cms, profile::Kind},
};
use data_encoding::BASE64;

use super::{
    http::Peer,
    limit::{Limiter, network_of},
    tls::{ClientCertificate, Machine},
};
use crate::{
    app::{
        Asked,
        issue::{Ca, IssueError},
    },
    clock::Clock,
    vault,
};

/// What the EST listener works with.
pub struct Est {
    /// Who issues.
    pub ca: Arc<Ca>,
    /// Hosts that may enrol for signing certificates, by a dNSName of their client certificate.
    pub registration_authorities: Vec<String>,
    /// How often a full PKI request may come from one address: nobody must have a
    /// certificate to send one, and each costs signatures.
    pub limit: Limiter<IpAddr>,
    /// Reads the time once per request.
    pub clock: Arc<dyn Clock>,
}

/// The routes of the listener, with and without a path label (RFC 7030 §3.2.2).
pub fn router(est: Est) -> Router {
    let operations = Router::new()
        .route("/cacerts", get(ca_certificates))
        .route("/fullcmc", post(full_cmc))
        .route("/simpleenroll", post(simple_enroll))
        .route("/simplereenroll", post(simple_enroll));
    Router::new()
        .nest("/.well-known/est", operations.clone())
        .nest("/.well-known/est/{label}", operations)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(est))
}

/// RFC 7030 §4.1: for everybody.
async fn ca_certificates(State(est): State<Arc<Est>>) -> Response {
    certificates(&[est.ca.authority.certificate().clone()])
}

/// RFC 7030 §4.3: the message itself proves who vouches for it, whoever brings it.
async fn full_cmc(
    State(est): State<Arc<Est>>,
    peer: Option<Extension<Peer>>,
    client: Option<Extension<ClientCertificate>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !est.admits(peer.as_deref()) {
        return plain(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address");
    }
    if !has_media_type(&headers, "application/pkcs7-mime", Some("cmc-request")) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/pkcs7-mime is wanted");
    }
    let Some(message) = from_base64(&body) else {
        return plain(StatusCode::BAD_REQUEST, "the body is not base64");
    };
    let asked = est.asked(peer.as_deref(), client.as_deref());
    match est.ca.issue_logon(&message, &asked).await {
        Ok(issued) => certificates(&[issued, est.ca.authority.certificate().clone()]),
        // Anybody can send these, so none costs a signature.
        Err(error @ IssueError::NotVouched(_)) => plain(status(&error), &error.text_for_peer()),
        Err(error) => est.refusal(&error),
    }
}

/// RFC 7030 §4.2: a registration authority enrols for itself, and for nobody else.
async fn simple_enroll(
    State(est): State<Arc<Est>>,
    peer: Option<Extension<Peer>>,
    client: Option<Extension<ClientCertificate>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(host) = est.registration_authority(client.as_deref()) else {
        tracing::debug!(client = client.as_deref().map(ClientCertificate::name), "no RA");
        return plain(
            StatusCode::FORBIDDEN,
            "the TLS client certificate is not one of a registration authority",
        );
    };
    if !has_media_type(&headers, "application/pkcs10", None) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/pkcs10 is wanted");
    }
    let Some(pkcs10) = from_base64(&body) else {
        return plain(StatusCode::BAD_REQUEST, "the body is not base64");
    };
    let asked = est.asked(peer.as_deref(), client.as_deref());
    match est.ca.issue_to_host(Kind::Signing, &host, &pkcs10, &asked).await {
        Ok(issued) => certificates(&[issued]),
        Err(error) => plain(status(&error), &error.text_for_peer()),
    }
}

impl Est {
    fn admits(&self, peer: Option<&Peer>) -> bool {
        let network = peer.map(|Peer(address): &Peer| network_of(address.ip()));
        let admitted = network.is_none_or(|network| self.limit.admits(&network));
        if !admitted {
            let refused = self.limit.refused();
            tracing::debug!(?network, refused, "full PKI requests come too often");
        }
        admitted
    }

    fn asked(&self, peer: Option<&Peer>, client: Option<&ClientCertificate>) -> Asked {
        let address = peer.map(|Peer(address): &Peer| SocketAddr::to_string(address));
        let name = client.map(ClientCertificate::name).filter(|name| !name.is_empty());
        Asked {
            peer: name.map(str::to_owned).or(address).unwrap_or_default(),
            correlation: CorrelationId::from_bytes(vault::random_octets()),
            at: self.clock.now(),
        }
    }

    /// The first name of the client that is one of a registration authority.
    fn registration_authority(&self, client: Option<&ClientCertificate>) -> Option<String> {
        let Some(ClientCertificate::Trusted(machine)) = client else { return None };
        let Machine { dns_names, .. } = &**machine;
        let known = |name: &&String| {
            self.registration_authorities.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        dns_names.iter().find(known).cloned()
    }

    /// RFC 7030 §4.3.2: a rejection carries a full PKI response; it goes to
    /// those only whom a registration authority vouches for.
    fn refusal(&self, error: &IssueError) -> Response {
        match self.ca.refusal(error) {
            Ok(response) => base64(status(error), CMC_RESPONSE, &response),
            Err(error) => {
                tracing::error!(%error, "the CA cannot sign a refusal");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the CA cannot sign")
            }
        }
    }
}

fn status(error: &IssueError) -> StatusCode {
    if error.is_ours() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST }
}

fn certificates(certificates: &[Certificate]) -> Response {
    base64(StatusCode::OK, CERTS_ONLY, &cms::certs_only(certificates))
}

/// Old clients want to see the transfer encoding; RFC 8951 §3.1 makes new ones ignore it.
fn base64(code: StatusCode, media_type: &'static str, octets: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (CONTENT_TRANSFER_ENCODING, "base64"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (code, headers, BASE64.encode(octets)).into_response()
}

fn plain(code: StatusCode, text: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (code, headers, format!("{text}\n")).into_response()
}

/// Whether the body is declared to be this; an `smime-type` must fit if it is there.
fn has_media_type(headers: &HeaderMap, wanted: &str, smime_type: Option<&str>) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let right_type = parts.next() == Some(wanted);
    let mut declared = parts.filter_map(|part| part.strip_prefix("smime-type="));
    right_type && declared.all(|declared| Some(declared.trim_matches('"')) == smime_type)
}

fn from_base64(body: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    BASE64.decode(&digits).ok()
}

const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";
const CMC_RESPONSE: &str = "application/pkcs7-mime; smime-type=CMC-response";
const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
/// Octets of the longest body that is read.
const MAX_BODY: usize = 64 * 1024;
