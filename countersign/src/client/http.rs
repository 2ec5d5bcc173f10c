//! HTTP requests, over TLS with a client certificate unless the URL says `http`.
//!
//! One request, one answer, one connection; no redirects, and no trust anchors
//! but those given. Errors say how far the request got, because a request that
//! may have arrived carries a one-time password that may be spent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::{ALL_VERSIONS, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use countersign_core::pki::cert::Certificate;

pub use self::url::{HttpUrl, HttpsUrl, UrlError};
pub use super::tls::{ClientError, Identity};
use super::tls::{client_config, explain, roots_of};

mod url;

/// Asks HTTP servers.
#[derive(Clone)]
pub struct HttpsClient {
    connector: TlsConnector,
    patience: Patience,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the connection: name, TCP and TLS.
    pub connect: Duration,
    /// For the answer, from the first octet sent to the last one received.
    pub answer: Duration,
}

/// A request body that is wiped when it was sent.
pub struct Sent {
    /// The media type.
    pub content_type: &'static str,
    /// Further header fields.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The octets.
    pub body: Zeroizing<Vec<u8>>,
}

/// A request whose header fields are known at run time only.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The header fields, with that of the body's type.
    pub headers: HeaderMap,
    /// The octets; none if empty.
    pub body: Zeroizing<Vec<u8>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The media type with its parameters; empty if there is none.
    pub content_type: String,
    /// The octets.
    pub body: Vec<u8>,
}

/// How far a request got, and why no further.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing was sent: name, TCP or TLS.
    #[error("cannot connect to {url}: {cause}")]
    Connect {
        /// Where to.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// Perhaps not all was sent.
    #[error("cannot send to {url}: {cause}")]
    Send {
        /// Where to.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// All was sent; no whole answer came.
    #[error("no answer from {url}: {cause}")]
    Receive {
        /// Where from.
        url: String,
        /// What is wrong.
        cause: String,
    },
}

impl HttpsClient {
    /// A client that trusts servers whose certificates chain to `anchors`.
    ///
    /// # Errors
    ///
    /// An anchor cannot be used, or certificate and key do not fit each other.
    pub fn new(
        anchors: &[Certificate],
        identity: Option<&Identity>,
        patience: Patience,
    ) -> Result<Self, ClientError> {
        Self::with_roots(roots_of(anchors)?, identity, patience)
    }

    /// A client that trusts servers whose certificates chain to `roots`.
    ///
    /// # Errors
    ///
    /// Certificate and key do not fit each other.
    pub fn with_roots(
        roots: RootCertStore,
        identity: Option<&Identity>,
        patience: Patience,
    ) -> Result<Self, ClientError> {
        let mut config = client_config(roots, identity, ALL_VERSIONS)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), patience })
    }

    /// Posts a body and waits for the answer, of whatever status.
    ///
    /// # Errors
    ///
    /// How far it got.
    pub async fn post(&self, url: &HttpsUrl, sent: Sent) -> Result<Answer, HttpError> {
        let mut request = Request::post(url.path())
            .header(header::CONTENT_TYPE, sent.content_type)
            .header(header::CONTENT_LENGTH, sent.body.len());
        for (name, value) in sent.headers {
            request = request.header(name, value);
        }
        self.ask(url.as_http(), request, Bytes::from_owner(sent.body)).await
    }

    /// Sends a request, in clear if the URL says so, and waits for the answer, of whatever status.
    ///
    /// # Errors
    ///
    /// How far it got.
    pub async fn send(&self, url: &HttpUrl, outgoing: Outgoing) -> Result<Answer, HttpError> {
        let Outgoing { method, headers, body } = outgoing;
        let mut request = Request::builder().method(method).uri(url.path());
        if !body.is_empty() {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        self.ask(url, request, Bytes::from_owner(body)).await
    }

    /// Gets what is there.
    ///
    /// # Errors
    ///
    /// How far it got.
    pub async fn get(&self, url: &HttpsUrl) -> Result<Answer, HttpError> {
        self.ask(url.as_http(), Request::get(url.path()), Bytes::new()).await
    }

    async fn ask(
        &self,
        url: &HttpUrl,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let cannot_connect = |cause: String| HttpError::Connect { url: url.to_string(), cause };
        let mut connection = timeout(self.patience.connect, self.connect(url))
            .await
            .map_err(|_| cannot_connect(in_vain(self.patience.connect)))?
            .map_err(cannot_connect)?;

        let is_sent = Arc::new(AtomicBool::new(body.is_empty()));
        let mark = is_sent.clone();
        let body: RequestBody = Full::new(body)
            .map_frame(move |frame| {
                mark.store(true, Ordering::SeqCst);
                frame
            })
            .boxed_unsync();
        let request = request
            .header(header::HOST, url.authority())
            .header(header::CONNECTION, "close")
            .body(body)
            .map_err(|error| cannot_connect(error.to_string()))?;

        let answer = timeout(self.patience.answer, exchange(&mut connection, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(in_vain(self.patience.answer)));
        answer.map_err(|cause| match is_sent.load(Ordering::SeqCst) {
            true => HttpError::Receive { url: url.to_string(), cause },
            false => HttpError::Send { url: url.to_string(), cause },
        })
    }

    async fn connect(&self, url: &HttpUrl) -> Result<SendRequest<RequestBody>, String> {
        let stream = TcpStream::connect((url.host(), url.port())).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        if url.is_plain() {
            return speak(stream).await;
        }
        let name =
            ServerName::try_from(url.host().to_owned()).map_err(|error| error.to_string())?;
        let stream = self.connector.connect(name, stream).await.map_err(|error| explain(&error))?;
        speak(stream).await
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<RequestBody>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Default for Patience {
    /// 10 seconds for the connection; 60 for the answer, behind which a RADIUS server may be slow.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(60) }
    }
}

type RequestBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

async fn exchange(
    connection: &mut SendRequest<RequestBody>,
    request: Request<RequestBody>,
) -> Result<Answer, String> {
    let response = connection.send_request(request).await.map_err(|error| explain(&error))?;
    let (head, body) = response.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    Ok(Answer {
        status: head.status.as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: collect(body).await?,
    })
}

async fn collect(body: Incoming) -> Result<Vec<u8>, String> {
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("it is longer than {MAX_ANSWER} octets"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn in_vain(time: Duration) -> String {
    format!("waited {} seconds in vain", time.as_secs_f32())
}

/// Octets of the longest answer that is read.
const MAX_ANSWER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request as Asked, response::Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::client::tests::{Pki, Service, quick};

    fn text(body: &str) -> Sent {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        Sent { content_type: "text/plain", headers: vec![("X-Test", "yes")], body }
    }

    /// Answers with the method, path, a header and the body it was asked with.
    fn echo() -> Router {
        Router::new().fallback(|request: Asked<Body>| async {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let header = head.headers.get("X-Test").map(|value| value.to_str().unwrap().to_owned());
            let text = format!(
                "{} {} {} {}",
                head.method,
                head.uri,
                header.unwrap_or_default(),
                String::from_utf8_lossy(&body)
            );
            Response::builder().status(201).header("Content-Type", "a/b").body(text).unwrap()
        })
    }

    #[tokio::test]
    async fn posts_and_gets_over_mutual_tls() {
        let pki = Pki::new();
        let service = Service::start(&pki, echo()).await;
        let client = HttpsClient::new(&pki.anchors(), Some(&pki.machine()), quick()).unwrap();
        let answer = client.post(&service.url("/a?b=c"), text("hello")).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_str()), (201, "a/b"));
        assert_eq!(String::from_utf8(answer.body).unwrap(), "POST /a?b=c yes hello");
        let answer = client.get(&service.url("/x")).await.unwrap();
        assert_eq!(String::from_utf8(answer.body).unwrap(), "GET /x  ");
    }

    #[tokio::test]
    async fn sends_in_clear_only_where_the_url_says_so() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(socket, echo()).await });
        let client = HttpsClient::new(&Pki::new().anchors(), None, quick()).unwrap();
        let headers = HeaderMap::from_iter([("x-test".parse().unwrap(), "yes".parse().unwrap())]);
        let outgoing = |body: &str| Outgoing {
            method: Method::PUT,
            headers: headers.clone(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        let url = format!("http://{address}/a?b=c").parse().unwrap();
        let answer = client.send(&url, outgoing("hello")).await.unwrap();
        assert_eq!(String::from_utf8(answer.body).unwrap(), "PUT /a?b=c yes hello");
        let url = format!("https://{address}/").parse().unwrap();
        let error = client.send(&url, outgoing("hello")).await.unwrap_err();
        assert!(matches!(error, HttpError::Connect { .. }), "{error}");
    }

    #[tokio::test]
    async fn refuses_a_server_that_it_does_not_trust_before_anything_is_sent() {
        let (pki, other) = (Pki::new(), Pki::new());
        let service = Service::start(&pki, echo()).await;
        let client = HttpsClient::new(&other.anchors(), None, quick()).unwrap();
        let error = client.post(&service.url("/"), text("secret")).await.unwrap_err();
        assert!(
            matches!(&error, HttpError::Connect { cause, .. } if cause.contains("ertificate")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_are_failures_to_connect() {
        let pki = Pki::new();
        let client = HttpsClient::new(&pki.anchors(), None, quick()).unwrap();
        for url in ["https://127.0.0.1:1/", "https://no.such.host.invalid/"] {
            let error = client.get(&url.parse().unwrap()).await.unwrap_err();
            assert!(matches!(error, HttpError::Connect { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_a_failure_to_receive() {
        let pki = Pki::new();
        let router = Router::new().fallback(std::future::pending::<()>);
        let service = Service::start(&pki, router).await;
        let patience = Patience { answer: Duration::from_millis(300), ..quick() };
        let client = HttpsClient::new(&pki.anchors(), None, patience).unwrap();
        let error = client.post(&service.url("/"), text("x")).await.unwrap_err();
        assert!(matches!(error, HttpError::Receive { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_cut_connection_is_a_failure_to_receive() {
        let pki = Pki::new();
        let acceptor = pki.acceptor();
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        });
        let client = HttpsClient::new(&pki.anchors(), None, quick()).unwrap();
        let url: HttpsUrl = format!("https://127.0.0.1:{port}/").parse().unwrap();
        let error = client.post(&url, text("x")).await.unwrap_err();
        assert!(matches!(error, HttpError::Receive { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let pki = Pki::new();
        let router = Router::new().fallback(|| async { vec![b'x'; MAX_ANSWER + 1] });
        let service = Service::start(&pki, router).await;
        let client = HttpsClient::new(&pki.anchors(), None, quick()).unwrap();
        let error = client.get(&service.url("/")).await.unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
