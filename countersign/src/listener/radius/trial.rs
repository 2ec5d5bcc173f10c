//! The handler with the work and without a socket: octets in, octets out.
//!
//! It is for the fuzzer, which must reach the code that serves and nothing else.

use std::{net::SocketAddr, path::Path, sync::Arc};

use countersign_core::domain::time::UnixTime;

use super::{
    Services,
    handler::{Common, Handler, Step},
    peer::{Peer, Version},
    rules::{Rules, Twins},
};
use crate::{config::radius::RadiusRules, vault::Vault};

/// One UDP socket of the listener, and a new connection for every other packet; one packet at
/// a time.
#[doc(hidden)]
pub struct Trial {
    common: Arc<Common>,
    socket: Handler,
    services: Services,
}

/// By what a packet comes.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub enum TrialPeer {
    /// A datagram.
    Udp(SocketAddr),
    /// A connection.
    Tcp(SocketAddr),
    /// A connection with a certificate of this name.
    Tls {
        /// The name.
        name: String,
        /// Whether RADIUS/1.1 is spoken.
        radius_1_1: bool,
    },
    /// A connection to a UNIX socket.
    Unix(Arc<Path>),
}

impl Trial {
    /// By these rules.
    ///
    /// # Errors
    ///
    /// Two clients cannot be told apart.
    pub fn new(rules: RadiusRules, services: Services, vault: &Vault) -> Result<Self, Twins> {
        let common = Arc::new(Common::new(Rules::new(rules)?, vault, 120));
        Ok(Self { socket: Handler::new(common.clone()), common, services })
    }

    /// What is sent back when these octets have come from a peer.
    pub async fn answer(
        &mut self,
        octets: &[u8],
        peer: &TrialPeer,
        now: UnixTime,
    ) -> Option<Vec<u8>> {
        let mut connection = Handler::new(self.common.clone());
        let handler = match peer {
            TrialPeer::Udp(_) => &mut self.socket,
            TrialPeer::Tcp(_) | TrialPeer::Tls { .. } | TrialPeer::Unix(_) => &mut connection,
        };
        match handler.handle(octets, &peer_of(peer), now) {
            Step::Nothing | Step::Close => None,
            Step::Answer(answer) => Some(answer),
            Step::Work(asked, job) => {
                let (asked, done) = job.run(self.services.clone(), asked).await;
                handler.finish(&asked, done, now)
            }
        }
    }
}

fn peer_of(peer: &TrialPeer) -> Peer {
    match peer {
        TrialPeer::Udp(address) => Peer::Udp(*address),
        TrialPeer::Tcp(address) => Peer::Tcp(*address),
        TrialPeer::Tls { name, radius_1_1 } => Peer::Tls {
            address: ([127, 0, 0, 1], 2083).into(),
            names: [name.clone()].into(),
            version: if *radius_1_1 { Version::V1_1 } else { Version::Historic },
        },
        TrialPeer::Unix(path) => Peer::Unix { path: path.clone(), user: 0, process: None },
    }
}
