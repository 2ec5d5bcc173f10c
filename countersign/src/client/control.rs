//! The command line's side of the local socket.
//!
//! One connection carries one request and one reply, each a line of JSON.

use std::{io, path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the daemon is not running.
    #[error("the daemon is not running")]
    NotRunning,
    /// The socket cannot be used.
    #[error("control socket {path}: {cause}; run this as root or as the daemon's user")]
    Unusable {
        /// The socket.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
    /// The daemon is there and says nothing.
    #[error(
        "the daemon does not answer at {path} within {seconds} s; see whether it is stopped or \
         hangs, and restart it"
    )]
    Silent {
        /// The socket.
        path: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The daemon did not do it, and says why.
    #[error("{0}")]
    Refused(String),
}

/// Whether a daemon listens on this socket.
pub async fn is_running(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Sends a request to the daemon and waits for its reply.
///
/// # Errors
///
/// The daemon is not running, cannot be reached, or refuses.
pub async fn call<Request: Serialize, Reply: DeserializeOwned>(
    path: &Path,
    request: &Request,
) -> Result<Reply, ControlError> {
    let mut stream = connect(path).await?;
    let line = exchange_in_time(path, &mut stream, request).await?;
    let answer: Result<Reply, String> =
        serde_json::from_str(&line).map_err(|error| unusable(path, error.into()))?;
    answer.map_err(ControlError::Refused)
}

/// Sends a request after which the connection is used for something else.
///
/// # Errors
///
/// The daemon is not running, cannot be reached, or refuses.
pub async fn hand_over<Request: Serialize>(
    path: &Path,
    request: &Request,
) -> Result<UnixStream, ControlError> {
    let mut stream = connect(path).await?;
    let line = exchange_in_time(path, &mut stream, request).await?;
    let answer: Result<(), String> =
        serde_json::from_str(&line).map_err(|error| unusable(path, error.into()))?;
    answer.map(|()| stream).map_err(ControlError::Refused)
}

async fn connect(path: &Path) -> Result<UnixStream, ControlError> {
    UnixStream::connect(path).await.map_err(|cause| {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        if nobody.contains(&cause.kind()) {
            ControlError::NotRunning
        } else {
            unusable(path, cause)
        }
    })
}

async fn exchange_in_time<Request: Serialize>(
    path: &Path,
    stream: &mut UnixStream,
    request: &Request,
) -> Result<String, ControlError> {
    let answer = timeout(PATIENCE, exchange(stream, request)).await.map_err(|_| {
        ControlError::Silent { path: path.display().to_string(), seconds: PATIENCE.as_secs() }
    })?;
    answer.map_err(|cause| unusable(path, cause))
}

fn unusable(path: &Path, cause: io::Error) -> ControlError {
    ControlError::Unusable { path: path.display().to_string(), cause }
}

async fn exchange<Request: Serialize>(
    stream: &mut UnixStream,
    request: &Request,
) -> io::Result<String> {
    let mut line = zeroize::Zeroizing::new(serde_json::to_vec(request)?);
    line.push(b'\n');
    stream.write_all(&line).await?;
    // Octet by octet, for what follows the line may be for somebody else.
    let mut reply = Vec::new();
    let mut stream = BufReader::with_capacity(1, stream);
    stream.read_until(b'\n', &mut reply).await?;
    String::from_utf8(reply).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Longer than the daemon takes for any request.
const PATIENCE: Duration = Duration::from_secs(70);
