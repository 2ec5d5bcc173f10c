//! The handler with the decision and without a socket: octets in, octets out.
//!
//! It is for the fuzzer, which must reach the code that serves and nothing else.

use std::{net::SocketAddr, sync::Arc};

use countersign_core::domain::time::UnixTime;

use super::{
    clients::{Clients, SameNetwork},
    counts::Counts,
    handler::{Handler, Step},
};
use crate::{app::authenticate::Authenticator, config::radius::ClientSettings};

/// One loop of the listener, one packet at a time.
#[doc(hidden)]
pub struct Trial {
    handler: Handler,
    authenticator: Arc<Authenticator>,
}

impl Trial {
    /// For these clients.
    ///
    /// # Errors
    ///
    /// Two of them have the same network.
    pub fn new(
        clients: Vec<ClientSettings>,
        authenticator: Arc<Authenticator>,
    ) -> Result<Self, SameNetwork> {
        let clients = Arc::new(Clients::new(clients)?);
        let handler = Handler::new(clients, Arc::new(Counts::default()));
        Ok(Self { handler, authenticator })
    }

    /// What is sent back when these octets have come from a peer.
    pub async fn answer(
        &mut self,
        octets: &[u8],
        peer: SocketAddr,
        now: UnixTime,
    ) -> Option<Vec<u8>> {
        match self.handler.handle(octets, peer, now) {
            Step::Nothing => None,
            Step::Answer(answer) => Some(answer),
            Step::Ask(asked, attempt) => {
                let verdict = self.authenticator.authenticate(*attempt).await;
                self.handler.finish(&asked, verdict, now)
            }
        }
    }
}
