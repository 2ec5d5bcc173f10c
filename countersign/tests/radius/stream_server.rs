//! A server on streams that does as it is told.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use countersign::config::upstream::{HostPort, ServerAddress};
use countersign_core::wire::radius::{packet::Packet, stream::Framer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::support::eventually;

/// A packet that came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The connection that it came on, from 1.
    pub(crate) connection: usize,
    /// How many packets came so far, this one included.
    pub(crate) number: usize,
    pub(crate) packet: Vec<u8>,
}

/// What is done about it.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    Send(Vec<u8>),
    /// Octet by octet.
    SendTorn(Vec<u8>),
    Close,
}

/// A server that records what it is sent and answers as it is told.
pub(crate) struct StreamServer {
    pub(crate) address: ServerAddress,
    record: Arc<Record>,
    serving: JoinHandle<()>,
}

struct Record {
    heard: Mutex<Vec<Heard>>,
    connections: Mutex<usize>,
    open: Mutex<usize>,
    answer: Box<Answer>,
}

type Answer = dyn Fn(&Heard) -> Vec<Does> + Send + Sync;

/// Octets both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

impl StreamServer {
    /// Over TCP on loopback.
    pub(crate) async fn tcp(answer: impl Fn(&Heard) -> Vec<Does> + Send + Sync + 'static) -> Self {
        let (listener, address) = listen().await;
        let address = ServerAddress::Tcp(host_port("127.0.0.1", address));
        Self::start(address, answer, move |record| async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, record.clone()));
            }
        })
    }

    /// On a socket of this machine.
    pub(crate) fn unix(
        path: &Path,
        answer: impl Fn(&Heard) -> Vec<Does> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self::start(ServerAddress::Unix(path.into()), answer, move |record| async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, record.clone()));
            }
        })
    }

    /// Over TLS; clients that do not get through the handshake are not counted.
    pub(crate) async fn tls(
        config: ServerConfig,
        answer: impl Fn(&Heard) -> Vec<Does> + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = listen().await;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = ServerAddress::Tls(host_port("localhost", address));
        Self::start(address, answer, move |record| async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream, record.clone()));
                }
            }
        })
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        address: ServerAddress,
        answer: impl Fn(&Heard) -> Vec<Does> + Send + Sync + 'static,
        serve: impl FnOnce(Arc<Record>) -> F,
    ) -> Self {
        let record = Arc::new(Record {
            heard: Mutex::default(),
            connections: Mutex::default(),
            open: Mutex::default(),
            answer: Box::new(answer),
        });
        let serving = tokio::spawn(serve(record.clone()));
        Self { address, record, serving }
    }

    /// All packets so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.record.heard.lock().unwrap().clone()
    }

    /// The connections that these packets came on.
    pub(crate) fn connections(&self) -> Vec<usize> {
        self.heard().iter().map(|heard| heard.connection).collect()
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        *self.record.open.lock().unwrap()
    }

    /// Waits until so many packets have arrived; there may be more.
    pub(crate) async fn hears(&self, count: usize) {
        eventually(|| self.heard().len() >= count).await;
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn host_port(host: &str, address: SocketAddr) -> HostPort {
    HostPort { host: host.into(), port: address.port() }
}

async fn serve(stream: impl Stream, record: Arc<Record>) {
    *record.open.lock().unwrap() += 1;
    talk(stream, &record).await;
    *record.open.lock().unwrap() -= 1;
}

async fn talk(mut stream: impl Stream, record: &Record) {
    let connection = {
        let mut connections = record.connections.lock().unwrap();
        *connections += 1;
        *connections
    };
    let (mut framer, mut octets) = (Framer::new(), vec![0; Packet::MAX_LENGTH]);
    loop {
        match stream.read(&mut octets).await {
            Ok(0) | Err(_) => return,
            Ok(length) => framer.push(&octets[..length]),
        }
        while let Some(packet) = framer.next_packet().unwrap() {
            for does in record.hear(connection, packet.as_bytes()) {
                match does {
                    Does::Close => return,
                    Does::Send(packet) => stream.write_all(&packet).await.unwrap(),
                    Does::SendTorn(packet) => {
                        for octet in packet {
                            stream.write_all(&[octet]).await.unwrap();
                            stream.flush().await.unwrap();
                        }
                    }
                }
            }
            stream.flush().await.unwrap();
        }
    }
}

impl Record {
    fn hear(&self, connection: usize, packet: &[u8]) -> Vec<Does> {
        let heard = {
            let mut all = self.heard.lock().unwrap();
            let heard = Heard { connection, number: all.len() + 1, packet: packet.to_vec() };
            all.push(heard.clone());
            heard
        };
        (self.answer)(&heard)
    }
}
