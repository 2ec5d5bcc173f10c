//! HTTP: connections, limits, routing.
//!
//! An accept loop of our own over tokio-rustls, so that every request carries
//! who asks: the peer's address and its [`ClientCertificate`].

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use countersign_core::domain::time::UnixTime;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::tls::{ClientCertificate, Examiner};
use crate::clock::Clock;

/// Who sent a request. Every request carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// One HTTP listener: a socket, what it serves, and TLS if it has any.
pub struct HttpListener {
    /// The bound socket.
    pub socket: TcpListener,
    /// What is served.
    pub router: Router,
    /// TLS; plain HTTP without.
    pub tls: Option<(TlsAcceptor, Examiner)>,
    /// Judges client certificates by this clock.
    pub clock: Arc<dyn Clock>,
}

impl HttpListener {
    /// Serves until `stop`; then takes no more connections and finishes the requests in flight.
    pub async fn serve(self, stop: CancellationToken) {
        let shared = Arc::new(self);
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let permit = permits.clone().acquire_owned().await;
            let accepted = tokio::select! {
                accepted = shared.socket.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (shared, stop) = (shared.clone(), stop.clone());
                    connections.spawn(async move {
                        shared.connection(stream, peer, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.close();
        let _ = timeout(DRAIN_TIME, connections.wait()).await;
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let Some((acceptor, examiner)) = &self.tls else {
            return self.requests(stream, peer, &ClientCertificateSource::None, stop).await;
        };
        match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
                let (examiner, last) = (examiner.clone(), Mutex::default());
                let source = ClientCertificateSource::Chain { examiner, chain, last };
                self.requests(stream, peer, &source, stop).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        source: &ClientCertificateSource,
        stop: CancellationToken,
    ) {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(source.examine(self.clock.now()));
            self.answer(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "HTTP connection ended");
        }
    }
}

impl HttpListener {
    /// A request, body and all, has a minute: who holds its body back gets 408.
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        match timeout(REQUEST_TIME, self.router.clone().oneshot(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                Ok(response)
            }
        }
    }
}

/// A chain is examined anew every half minute, because certificates expire while connections live.
enum ClientCertificateSource {
    None,
    Chain { examiner: Examiner, chain: Option<Vec<CertificateDer<'static>>>, last: Mutex<Examined> },
}

type Examined = Option<(UnixTime, ClientCertificate)>;

impl ClientCertificateSource {
    fn examine(&self, now: UnixTime) -> ClientCertificate {
        let Self::Chain { examiner, chain, last } = self else { return ClientCertificate::Absent };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, certificate)) if now >= *at && now.since(*at) < EXAMINED_FOR => {
                certificate.clone()
            }
            _ => {
                let certificate = examiner.examine(chain.as_deref(), now);
                *last = Some((now, certificate.clone()));
                certificate
            }
        }
    }
}

/// For how many seconds the judgement about a client certificate holds on one connection.
const EXAMINED_FOR: u64 = 30;
/// Connections open at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 4096;
/// Header lines of a request.
const MAX_HEADERS: usize = 64;
/// Octets that one connection buffers; the head of a request fits in it.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long the head of a request may take; an idle connection is closed after it.
const HEADER_TIME: Duration = Duration::from_secs(60);
/// How long a request may take from its head to its answer.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// How long requests in flight may take when the daemon stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// The pause after a failed accept, which is out of file descriptors more often than not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
