//! Certificates by OpenSSL and TLS services on loopback, for the tests of the clients.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use countersign_core::{pki::cert::Certificate, secret::Secret};

use super::http::{HttpsUrl, Identity, Patience};
use crate::{
    certificate,
    clock::SystemClock,
    listener::{
        http::HttpListener,
        tls::{Examiner, server_config},
    },
    signer::file::FileSigner,
};

/// A CA, a server and a machine, made by OpenSSL.
pub(crate) struct Pki(tempfile::TempDir);

/// A TLS service that lives as long as this.
pub(crate) struct Service {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let pki = Self(tempfile::tempdir().unwrap());
        pki.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /CN=testca -days 1 -out ca.pem");
        pki.issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
        pki.issue("machine", "subjectAltName=DNS:client.example\nextendedKeyUsage=clientAuth");
        pki
    }

    /// Makes a key and a certificate with these extensions.
    pub(crate) fn issue(&self, name: &str, extensions: &str) {
        fs::write(self.path("ext"), extensions).unwrap();
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -subj /CN={name} -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 1 -extfile ext -out {name}.pem"
        ));
    }

    /// Runs OpenSSL in the directory.
    pub(crate) fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let output =
            command.args(arguments.split(' ')).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn anchors(&self) -> Vec<Certificate> {
        certificate::load(&self.path("ca.pem")).unwrap()
    }

    pub(crate) fn machine(&self) -> Identity {
        self.identity("machine")
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let Identity { chain, key } = self.identity("server");
        let chain = certificate::for_tls(&chain);
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.expose().clone()).into();
        TlsAcceptor::from(server_config(chain, key, &self.examiner(), &[b"http/1.1"]).unwrap())
    }

    fn identity(&self, name: &str) -> Identity {
        let chain = certificate::load(&self.path(&format!("{name}.pem"))).unwrap();
        let key = FileSigner::load(&self.path(&format!("{name}.key"))).unwrap();
        let key: Secret<Vec<u8>> = key.pkcs8().unwrap();
        Identity { chain, key }
    }

    fn examiner(&self) -> Examiner {
        Examiner::new(&certificate::for_tls(&self.anchors()), Vec::new()).unwrap()
    }
}

impl Service {
    pub(crate) async fn start(pki: &Pki, router: Router) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let tls = Some((pki.acceptor(), pki.examiner()));
        let listener = HttpListener { socket, router, tls, clock: Arc::new(SystemClock) };
        tokio::spawn(listener.serve(stop.clone()));
        Self { address, stop }
    }

    pub(crate) fn url(&self, path: &str) -> HttpsUrl {
        format!("https://{}{path}", self.address).parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Patience for loopback.
pub(crate) fn quick() -> Patience {
    Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(5) }
}
