//! The RADIUS listener and its clients, as written and as checked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use countersign_core::{secret::Secret, wire::radius::dictionary::definition::Dictionary};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::{
    Wrong,
    dictionary::load_dictionary,
    file::yes,
    reply::{ReplyFile, ReplyRule, check_replies},
    secret::{octets, secret, shared_secret},
    upstream::{ProbeFile, ProbeUser},
    wrong,
};

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
    /// What its Access-Accepts carry, in this order.
    pub reply_attributes: Vec<ReplyRule>,
}

/// `[radius]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadiusFile {
    /// UDP addresses.
    pub listen: Vec<SocketAddr>,
    /// Files that name more attributes, in the format of FreeRADIUS.
    #[serde(default)]
    pub dictionary: Vec<PathBuf>,
    /// What every Access-Accept to any client carries.
    #[serde(default)]
    pub reply: Vec<ReplyFile>,
    /// `[radius.client.NAME]`
    #[serde(default)]
    pub client: BTreeMap<String, ClientFile>,
}

/// `[radius.client.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientFile {
    /// An address or a prefix.
    #[serde(deserialize_with = "network")]
    pub address: IpNet,
    /// The shared secret.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret<String>>,
    /// Or a file whose first line is the shared secret.
    pub secret_file: Option<PathBuf>,
    /// Drop requests without Message-Authenticator.
    #[serde(default = "yes")]
    pub require_message_authenticator: bool,
    /// Say Reject where it would be Challenge.
    #[serde(default)]
    pub never_challenge: bool,
    /// The user that it probes with.
    pub probe: Option<ProbeFile>,
    /// What its Access-Accepts carry.
    #[serde(default)]
    pub reply: Vec<ReplyFile>,
}

pub(super) fn check_radius(file: RadiusFile, base: &Path) -> Result<RadiusSettings, Wrong> {
    if file.listen.is_empty() {
        return wrong("radius.listen", "it names no address, for instance \"0.0.0.0:1812\"");
    }
    let dictionary = load_dictionary(&file.dictionary, base)?;
    let reply = check_replies("radius", file.reply, &dictionary)?;
    let clients = file.client.into_iter().map(|(name, client)| {
        let mut checked = check_client(name, client, base, &dictionary)?;
        checked.reply_attributes.splice(0..0, reply.iter().cloned());
        Ok(checked)
    });
    Ok(RadiusSettings { listen: file.listen, clients: clients.collect::<Result<_, _>>()? })
}

fn check_client(
    name: String,
    file: ClientFile,
    base: &Path,
    dictionary: &Dictionary,
) -> Result<ClientSettings, Wrong> {
    let key = format!("radius.client.{name}");
    Ok(ClientSettings {
        network: file.address,
        secret: shared_secret(&key, file.secret, file.secret_file, base)?,
        require_message_authenticator: file.require_message_authenticator,
        never_challenge: file.never_challenge,
        probe: file
            .probe
            .map(|probe| ProbeUser { name: probe.user, password: octets(&probe.password) }),
        reply_attributes: check_replies(&key, file.reply, dictionary)?,
        name,
    })
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(deserializer)?;
    let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
    single.or_else(|_| text.parse()).map_err(|_| {
        serde::de::Error::custom(format_args!(
            "{text:?} is neither an IP address nor a prefix such as 10.1.0.0/16"
        ))
    })
}
