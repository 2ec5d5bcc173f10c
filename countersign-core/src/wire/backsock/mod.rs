//! What slapd asks through its back end or overlay `sock` (slapd-sock(5)).
//!
//! slapd opens one UNIX stream for each operation, writes header lines and a blank line, and
//! waits for the answer without any time limit. The protocol has no escapes, and some of its
//! readers and writers are open to tricks, so this side is strict: what slapd never writes
//! is refused, and an answer cannot be torn into another one.

pub mod answer;
mod line;
pub mod reader;
pub mod request;

pub use self::{
    answer::{Answer, PREAMBLE, ResultCode},
    reader::{RequestError, RequestReader},
    request::{Bind, Compare, Operation, Origin, Peer, Request},
};
