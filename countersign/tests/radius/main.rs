//! RADIUS over real sockets: the listener and the upstream client, with our own codec
//! as their peer.
//!
//! Nothing is measured. Silence is seen by what comes next: one loop reads the packets
//! of one socket in order, so an answer to the second says that the first got none.

#![expect(clippy::unwrap_used, reason = "these are tests from end to end")]

mod authority;
mod forward;
mod listener;
mod radsec;
mod stream;
mod stream_server;
mod support;
mod tls_listener;
mod upstream;
