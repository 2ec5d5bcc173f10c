//! Settings of the RADIUS listener and of upstreams, checked.

use std::{net::SocketAddr, time::Duration};

use countersign_core::secret::Secret;
use ipnet::IpNet;

/// The RADIUS listener.
#[derive(Debug, Clone)]
pub struct RadiusSettings {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Who may ask. Of several networks that hold an address the longest prefix wins.
    pub clients: Vec<ClientSettings>,
}

/// A RADIUS client, or a network of them.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The name it has in log and audit.
    pub name: String,
    /// Where it asks from.
    pub network: IpNet,
    /// The secret shared with it.
    pub secret: Secret<Vec<u8>>,
    /// Whether a request without Message-Authenticator is dropped (RFC 3579 §3.2, CVE-2024-3596).
    pub require_message_authenticator: bool,
    /// Whether it is told Reject where it would be told Challenge.
    pub never_challenge: bool,
    /// The user by which it probes whether we are alive.
    pub probe: Option<ProbeUser>,
    /// What every Access-Accept carries.
    pub reply_attributes: Vec<ReplyAttribute>,
}

/// A static name and password that show liveness and grant nothing else.
#[derive(Debug, Clone)]
pub struct ProbeUser {
    /// The User-Name.
    pub name: String,
    /// The password.
    pub password: Secret<Vec<u8>>,
}

/// One attribute of every Access-Accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyAttribute {
    /// The attribute number (RFC 2865 §5).
    pub number: u8,
    /// The value as it travels; 1 to 253 octets.
    pub value: Vec<u8>,
}

/// An upstream: an ordered list of RADIUS servers that know the same users.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Its name in the config.
    pub name: String,
    /// The servers, best first.
    pub servers: Vec<ServerSettings>,
    /// How long to wait for an answer before sending again.
    pub timeout: Duration,
    /// How often a request is sent to one server; at least 1.
    pub tries: u32,
    /// How long a server that stayed silent is passed over.
    pub dead_time: Duration,
    /// The form of the User-Name.
    pub user_name: UserNameFormat,
    /// The NAS-Identifier that we go by.
    pub nas_identifier: String,
    /// Whether a reply without Message-Authenticator is ignored.
    pub require_message_authenticator: bool,
    /// The user by which we probe whether it is alive.
    pub probe: Option<ProbeSettings>,
}

/// One server of an upstream.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its address.
    pub address: SocketAddr,
    /// The secret shared with it.
    pub secret: Secret<Vec<u8>>,
}

/// How an upstream is probed.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// Whom to log on; any authentic answer shows liveness.
    pub user: ProbeUser,
    /// How often.
    pub interval: Duration,
}

/// The form of the User-Name that an upstream is asked with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNameFormat {
    /// As the user gave it.
    #[default]
    AsGiven,
    /// `user`.
    User,
    /// `DOMAIN\user`; `user` where the account has no domain.
    DomainUser,
    /// The user principal name; `user` where the account has none.
    Upn,
}
