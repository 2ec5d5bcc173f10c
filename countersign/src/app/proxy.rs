//! Proxy: requests about users whom others know go to them, and their answers back.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::authenticate::Others;
use crate::client::radius::Unanswered;
pub use crate::client::radius::{Forward, Forwarded};

/// Sends requests on to upstreams.
pub struct Proxy(Arc<ArcSwap<Others>>);

/// Why a request led to no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unforwarded {
    /// The config lacks the upstream.
    #[error("the config has no [upstream.{0}]")]
    Unknown(String),
    /// The client waits no longer.
    #[error("the deadline of the client passed")]
    TooLate,
    /// The upstream.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Proxy {
    /// To these upstreams.
    #[must_use]
    pub fn new(others: Arc<ArcSwap<Others>>) -> Self {
        Self(others)
    }

    /// Sends a request on and returns the answer.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub async fn forward(&self, name: &str, request: Forward) -> Result<Forwarded, Unforwarded> {
        let upstream = self.0.load().upstreams.get(name).cloned();
        let upstream = upstream.ok_or_else(|| Unforwarded::Unknown(name.into()))?;
        Ok(upstream.forward(request).await?)
    }
}
