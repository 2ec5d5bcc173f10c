//! Command: what the local command line may ask of an installation.
//!
//! The same commands are carried out by the running daemon and, where none is
//! running, by the command line itself on the same store.

use std::sync::Arc;

use countersign_core::{
    domain::event::{Event, What},
    pki::{
        cert::{Certificate, Serial, Subject},
        profile::Kind,
    },
};
use serde::{Deserialize, Serialize};
use x509_cert::name::Name;

use super::{
    Asked,
    admin::{Admin, AdminReply, AdminRequest},
    issue::Ca,
};
use crate::{
    clock::Clock,
    store::{CertificateRecord, Store},
    vault,
};

/// A command of the local command line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// About accounts and tokens.
    Admin(AdminRequest),
    /// Issue a certificate for the infrastructure.
    Issue(IssueOrder),
    /// Revoke a certificate and publish the list that says so.
    Revoke {
        /// Its serial number, hexadecimal.
        serial: String,
    },
    /// Read the config again: RADIUS clients, realms and replies, upstreams, channels.
    Reload,
    /// Serve this connection as one on the socket of a RADIUS client.
    Connect {
        /// The client.
        client: String,
        /// The user at the other end.
        user: u32,
        /// The process at the other end.
        process: Option<i32>,
    },
    /// Up to `limit` issued certificates after the one of this serial number.
    Certificates {
        /// The last serial number of the page before.
        after: Option<String>,
        /// How many.
        limit: usize,
    },
}

/// A certificate for the infrastructure: who it is for, and the key.
#[derive(Debug, Serialize, Deserialize)]
pub struct IssueOrder {
    /// The profile: server, machine, KDC or signing.
    pub kind: Kind,
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ip: Vec<std::net::IpAddr>,
    /// The Kerberos realm, for a KDC.
    pub realm: Option<String>,
    /// The public key, DER SubjectPublicKeyInfo in base64.
    pub public_key: String,
}

/// What a command leads to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// About accounts and tokens.
    Admin(Box<AdminReply>),
    /// The certificate and that of its CA, PEM.
    Issued {
        /// Serial number, hexadecimal.
        serial: String,
        /// The certificate.
        certificate: String,
        /// The CA's certificate.
        authority: String,
    },
    /// Revoked and published.
    Revoked,
    /// The config was read again; what was replaced, in words.
    Reloaded(String),
    /// A page of certificates.
    Certificates(Vec<CertificateRecord>),
}

/// Carries out commands.
pub struct Commands {
    /// Accounts and tokens.
    pub admin: Admin,
    /// The embedded CA, if there is one.
    pub ca: Option<Arc<Ca>>,
    /// Issued certificates.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Commands {
    /// Carries out a command of the local user `by`.
    ///
    /// # Errors
    ///
    /// What is wrong, in words for that user.
    pub async fn execute(&self, by: &str, command: Command) -> Result<Reply, String> {
        match command {
            Command::Admin(request) => {
                let reply = self.admin.execute(by, request).await;
                reply.map(|reply| Reply::Admin(reply.into())).map_err(|error| error.to_string())
            }
            Command::Issue(order) => self.issue(by, &order).await,
            Command::Revoke { serial } => self.revoke(by, &serial).await,
            Command::Reload | Command::Connect { .. } => {
                Err("the daemon is not running; `countersign serve` starts it".into())
            }
            Command::Certificates { after, limit } => {
                let page = self.store.certificates(after, limit.min(MAX_PAGE)).await;
                page.map(Reply::Certificates).map_err(|error| error.to_string())
            }
        }
    }

    async fn issue(&self, by: &str, order: &IssueOrder) -> Result<Reply, String> {
        let ca = self.ca()?;
        let public_key = data_encoding::BASE64.decode(order.public_key.as_bytes());
        let public_key = public_key.map_err(|error| format!("the public key: {error}"))?;
        let asked = Asked {
            peer: by.to_owned(),
            correlation: vault::random_octets().into(),
            at: self.clock.now(),
        };
        let subject = subject(order)?;
        let issued = ca.issue_infrastructure(order.kind, subject, &public_key, &public_key, &asked);
        let certificate = issued.await.map_err(|error| error.to_string())?;
        ca.audit.record(Event {
            at: asked.at,
            correlation: asked.correlation,
            what: What::Administered {
                by: by.to_owned(),
                action: format!("ca issue {}", order.kind),
                object: format!("certificate {}", certificate.serial().to_hex()),
            },
        });
        Ok(Reply::Issued {
            serial: certificate.serial().to_hex(),
            certificate: certificate.to_pem(),
            authority: Certificate::to_pem(ca.authority.certificate()),
        })
    }

    async fn revoke(&self, by: &str, serial: &str) -> Result<Reply, String> {
        let ca = self.ca()?;
        let serial = Serial::from_hex(serial).map_err(|_| {
            format!("{serial:?} is no serial number; `countersign ca list` shows them")
        })?;
        let at = self.clock.now();
        ca.publisher.revoke(&serial, at).await.map_err(|error| error.to_string())?;
        ca.audit.record(Event {
            at,
            correlation: vault::random_octets().into(),
            what: What::Administered {
                by: by.to_owned(),
                action: "ca revoke".into(),
                object: format!("certificate {}", serial.to_hex()),
            },
        });
        Ok(Reply::Revoked)
    }

    fn ca(&self) -> Result<&Ca, String> {
        let missing = || "the config has no [ca]; there is no embedded CA here".to_owned();
        self.ca.as_deref().ok_or_else(missing)
    }
}

fn subject(order: &IssueOrder) -> Result<Subject, String> {
    let dns = order.dns.clone();
    match (order.kind, &order.realm) {
        (Kind::Kdc, Some(realm)) => Ok(Subject::Kdc { dns, realm: realm.to_uppercase() }),
        (Kind::Kdc, None) => Err("a KDC's certificate names its realm".into()),
        (Kind::Server | Kind::Machine | Kind::Signing, _) => {
            Ok(Subject::Host { name: Name::default(), dns, ip: order.ip.clone() })
        }
        (Kind::Logon, _) => Err("logon certificates are issued for an OTP only".into()),
        (Kind::Ca, _) => Err("the CA certificate is made by `countersign init`".into()),
    }
}

/// Rows of one page.
const MAX_PAGE: usize = 1000;
