//! Connections to a mail server, up to the first command of SMTP proper (RFC 5321).
//!
//! TLS is made here and not by the mail library, so that there is one TLS stack,
//! and so that nothing which arrived before TLS is taken for an answer within it.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use lettre::transport::smtp::{
    client::{AsyncSmtpConnection, AsyncTokioStream},
    extension::ClientId,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{client::tls::explain, config::delivery::MailTls};

/// A mail server, and how it is connected to.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: MailTls,
    pub(super) connector: TlsConnector,
}

impl Server {
    /// Connects, protects the connection, and greets.
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let mut stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        let _ = stream.set_nodelay(true);
        let address = |found: io::Result<SocketAddr>| found.map_err(|error| error.to_string());
        let (local, peer) = (address(stream.local_addr())?, address(stream.peer_addr())?);
        let name = name_of(local.ip());
        let wire = match self.tls {
            MailTls::None => Wire::new(stream, peer, b""),
            MailTls::Tls => Wire::new(self.protect(stream).await?, peer, b""),
            MailTls::Starttls => {
                ask_for_tls(&mut stream, &name).await?;
                Wire::new(self.protect(stream).await?, peer, GREETING)
            }
        };
        let connection = AsyncSmtpConnection::connect_with_transport(Box::new(wire), &name).await;
        connection.map_err(|error| error.to_string())
    }

    async fn protect(&self, stream: TcpStream) -> Result<impl Stream + use<>, String> {
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| format!("TLS: {error}"))?;
        let stream = self.connector.connect(name, stream).await;
        stream.map_err(|error| format!("TLS: {}", explain(&error)))
    }
}

/// Our address, which is what a client without a name of its own gives (RFC 5321 §4.1.4).
fn name_of(address: IpAddr) -> ClientId {
    match address.to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// RFC 3207 §4, up to where TLS begins.
async fn ask_for_tls<S>(stream: &mut S, name: &ClientId) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    expect("220", &reply(stream).await?)?;
    let offer = ask(stream, &format!("EHLO {name}\r\n")).await?;
    expect("250", &offer)?;
    let keywords = offer.lines().filter_map(|line| line.get(4..)).map(str::trim_end);
    if !keywords.into_iter().any(|keyword| keyword.eq_ignore_ascii_case("STARTTLS")) {
        return Err("it offers no STARTTLS, without which nothing is sent".to_owned());
    }
    expect("220", &ask(stream, "STARTTLS\r\n").await?)
}

async fn ask<S>(stream: &mut S, command: &str) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let sent = stream.write_all(command.as_bytes()).await;
    sent.map_err(|error| format!("cannot send: {error}"))?;
    reply(stream).await
}

/// One reply and not an octet more: what came early would be taken for an answer within
/// TLS, although anybody in between could have sent it (CVE-2011-0411).
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> Result<String, String> {
    let (mut read, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        let length = stream.read(&mut chunk).await.map_err(|error| error.to_string())?;
        read.extend_from_slice(&chunk[..length]);
        match end_of_reply(&read) {
            Some(end) if end == read.len() => {
                return String::from_utf8(read).map_err(|_| "its reply is no text".to_owned());
            }
            Some(_) => return Err("it sends more than was asked for".to_owned()),
            None if length == 0 => return Err("it ended the connection".to_owned()),
            None if read.len() > MAX_REPLY => return Err("its reply is too long".to_owned()),
            None => {}
        }
    }
}

/// Where the last line of a reply ends, which has no hyphen behind the code (RFC 5321 §4.2.1).
fn end_of_reply(read: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(length) = read[start..].iter().position(|octet| *octet == b'\n') {
        let end = start + length + 1;
        if read[start..end].get(3) != Some(&b'-') {
            return Some(end);
        }
        start = end;
    }
    None
}

fn expect(code: &str, reply: &str) -> Result<(), String> {
    if reply.starts_with(code) { Ok(()) } else { Err(format!("it says {:?}", reply.trim_end())) }
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection for the mail library, which is not made to read for ever.
struct Wire {
    stream: Box<dyn Stream>,
    peer: SocketAddr,
    /// A greeting to begin with, if the server's own came before TLS.
    greeting: &'static [u8],
    /// Octets that may still be read.
    budget: usize,
}

impl Wire {
    fn new(stream: impl Stream + 'static, peer: SocketAddr, greeting: &'static [u8]) -> Self {
        Self { stream: Box::new(stream), peer, greeting, budget: MAX_SESSION }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({})", self.peer)
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let length = self.greeting.len().min(buffer.remaining());
            let (now, later) = self.greeting.split_at(length);
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        if self.budget == 0 {
            return Poll::Ready(Err(io::Error::other("it says more than a mail server has to")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.budget = self.budget.saturating_sub(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

const GREETING: &[u8] = b"220 TLS\r\n";
/// Octets of the longest reply before TLS.
const MAX_REPLY: usize = 8 * 1024;
/// Octets that a server may say from its greeting to its goodbye.
const MAX_SESSION: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// What comes of a server that says these things, each when it is its turn.
    async fn talk(says: &[&str]) -> Result<(), String> {
        let mut script = server_that(says);
        ask_for_tls(&mut script, &ClientId::Ipv4(Ipv4Addr::LOCALHOST)).await
    }

    /// A stream on which every read gets the next of these, and all writes are taken.
    fn server_that(says: &[&str]) -> Says {
        Says(says.iter().rev().map(|text| (*text).to_owned()).collect(), Vec::new())
    }

    struct Says(Vec<String>, Vec<u8>);

    impl AsyncRead for Says {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(self.0.pop().unwrap_or_default().as_bytes());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Says {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.extend_from_slice(octets);
            Poll::Ready(Ok(octets.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn asks_for_tls_as_rfc_3207_says() {
        let mut server = server_that(&[
            "220-mail\r\n22",
            "0 ready\r\n",
            "250-mail\r\n250 starttls\r\n",
            "220 go\r\n",
        ]);
        ask_for_tls(&mut server, &ClientId::Ipv4(Ipv4Addr::LOCALHOST)).await.unwrap();
        assert_eq!(server.1, b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n");
    }

    #[tokio::test]
    async fn goes_no_further_with_a_server_that_does_otherwise() {
        let offer = "250-mail\r\n250-STARTTLSX\r\n250 AUTH PLAIN\r\n";
        let starttls = "250-mail\r\n250 STARTTLS\r\n";
        for (says, expected) in [
            (&["220 a\r\n", offer][..], "it offers no STARTTLS"),
            (&["220 a\r\n", starttls, "454 no\r\n"], "it says \"454 no\""),
            (&["220 a\r\n", starttls, "220 go\r\n250 AUTH PLAIN\r\n"], "more than was asked"),
            (&["220 a\r\n250 b\r\n"], "more than was asked"),
            (&["554 busy\r\n"], "it says \"554 busy\""),
            (&["220 a\r\n", starttls], "it ended the connection"),
            (&["220 a\r\n", "502 what?\r\n"], "it says \"502 what?\""),
            (&["220-a\r\n"; 5000], "its reply is too long"),
        ] {
            let error = talk(says).await.unwrap_err();
            assert!(error.contains(expected), "{says:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_session_has_an_end() {
        let peer = "192.0.2.1:25".parse().unwrap();
        let mut wire =
            Wire::new(tokio::io::join(tokio::io::repeat(b'x'), tokio::io::sink()), peer, GREETING);
        let mut all = Vec::new();
        let error = wire.read_to_end(&mut all).await.unwrap_err();
        assert!(all.starts_with(b"220 TLS\r\nxxx"));
        assert!(all.len() <= MAX_SESSION + 64 * 1024, "{}", all.len());
        assert!(error.to_string().contains("more than a mail server has to"), "{error}");
    }
}
