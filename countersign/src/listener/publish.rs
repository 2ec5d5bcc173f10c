//! Plain HTTP: revocation list, CA certificate, health.
//!
//! Plain because whoever checks a certificate cannot check ours first (RFC 5280 §8).

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    app::{
        health::{self, Health},
        publish::{CERTIFICATE_PATH, CRL_PATH, Publisher},
    },
    clock::Clock,
};

/// What the listener shows.
pub struct Published {
    /// The embedded CA's publications, if there is a CA.
    pub publisher: Option<Arc<Publisher>>,
    /// What health is made of.
    pub health: Health,
    /// For health.
    pub clock: Arc<dyn Clock>,
}

/// The routes of the listener.
pub fn router(published: Published) -> Router {
    Router::new()
        .route(CRL_PATH, get(revocation_list))
        .route(CERTIFICATE_PATH, get(certificate))
        .route("/healthz", get(health))
        .with_state(Arc::new(published))
}

/// The media type of RFC 2585 §4.2.
async fn revocation_list(State(published): State<Arc<Published>>) -> Response {
    let list = published.publisher.as_ref().and_then(|publisher| publisher.current());
    let Some(list) = list else { return StatusCode::NOT_FOUND.into_response() };
    ([(header::CONTENT_TYPE, "application/pkix-crl")], list.der().to_vec()).into_response()
}

/// The media type of RFC 2585 §4.1.
async fn certificate(State(published): State<Arc<Published>>) -> Response {
    let Some(publisher) = &published.publisher else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let der = publisher.certificate().der().to_vec();
    ([(header::CONTENT_TYPE, "application/pkix-cert")], der).into_response()
}

/// 200 as long as logons get through, else 503; the body says which part is how.
async fn health(State(published): State<Arc<Published>>) -> Response {
    let checks = published.health.checks(published.clock.now());
    let worst = checks.iter().map(|check| check.state).max().unwrap_or(health::State::Good);
    let code = match worst {
        health::State::Good | health::State::Warning => StatusCode::OK,
        health::State::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({ "state": worst, "checks": checks }).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (code, headers, body).into_response()
}
