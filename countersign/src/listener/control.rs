//! The local socket of the command line.
//!
//! Who may use it is decided by the kernel's word about the peer: root, or the
//! user that the daemon runs as. One connection carries one request and one
//! reply, each a line of JSON; the reply is `{"Ok": …}` or `{"Err": "why"}`. After some
//! requests the connection is handed over and carries something else.

use std::{io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// What carries out requests from the local socket.
pub trait Control: Send + Sync + 'static {
    /// What may be asked.
    type Request: DeserializeOwned + Send;
    /// What is answered.
    type Reply: Serialize + Send;

    /// Carries out a request of the local user `by`; the error is for that user to read.
    fn execute(
        &self,
        by: String,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Reply, String>> + Send;

    /// Whether the connection is to be used for something else after the reply to this request.
    fn is_handover(&self, request: &Self::Request) -> bool;

    /// Uses the connection for what the request says.
    fn take_over(
        &self,
        request: Self::Request,
        stream: UnixStream,
    ) -> impl Future<Output = ()> + Send;
}

/// Binds the socket, readable and writable by its owner only.
///
/// # Errors
///
/// Another daemon listens on it, or it cannot be made.
pub async fn bind(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens on it"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stop`.
pub async fn serve<C: Control>(listener: UnixListener, control: Arc<C>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let control = control.clone();
        tokio::spawn(async move {
            match timeout(REQUEST_TIME, connection(stream, &*control)).await {
                Ok(Ok(Some((request, stream)))) => control.take_over(request, stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "control connection ended"),
                Ok(Ok(None)) | Err(_) => {}
            }
        });
    }
}

/// The request and the connection, if that is handed over.
async fn connection<C: Control>(
    stream: UnixStream,
    control: &C,
) -> io::Result<Option<(C::Request, UnixStream)>> {
    let uid = stream.peer_cred()?.uid();
    let mut stream = BufReader::new(stream);
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("user id {uid}")));
    }
    let mut line = zeroize::Zeroizing::new(String::new());
    (&mut stream).take(MAX_REQUEST).read_line(&mut line).await?;
    let request: Result<C::Request, _> = serde_json::from_str(&line);
    let reply = match request {
        Ok(request) if control.is_handover(&request) => {
            stream.write_all(b"{\"Ok\":null}\n").await?;
            return Ok(Some((request, stream.into_inner())));
        }
        Ok(request) => control.execute(format!("uid {uid}"), request).await,
        Err(error) => Err(format!("the daemon does not understand the request: {error}")),
    };
    let mut reply = serde_json::to_vec(&reply)?;
    reply.push(b'\n');
    stream.write_all(&reply).await?;
    Ok(None)
}

/// Octets of the longest request.
const MAX_REQUEST: u64 = 1024 * 1024;
/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::control::{ControlError, call, hand_over};

    struct Echo;

    impl Control for Echo {
        type Request = u32;
        type Reply = String;

        async fn execute(&self, by: String, request: u32) -> Result<String, String> {
            if request == 0 { Err("nothing to do".into()) } else { Ok(format!("{by} {request}")) }
        }

        fn is_handover(&self, request: &u32) -> bool {
            *request == 99
        }

        async fn take_over(&self, request: u32, mut stream: UnixStream) {
            let _ = stream.write_u32(request).await;
        }
    }

    #[tokio::test]
    async fn carries_requests_replies_and_refusals() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let missing: Result<String, _> = call(&path, &1_u32).await;
        assert!(matches!(missing, Err(ControlError::NotRunning)));

        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(bind(&path).await.unwrap(), Arc::new(Echo), stop.clone()));
        assert!(bind(&path).await.is_err(), "a second daemon must not take the socket");
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(call::<_, String>(&path, &7_u32).await.unwrap(), format!("uid {uid} 7"));
        let refused = call::<_, String>(&path, &0_u32).await.unwrap_err();
        assert_eq!(refused.to_string(), "nothing to do");
        let foreign = call::<_, String>(&path, &"text").await.unwrap_err();
        assert!(foreign.to_string().contains("does not understand"), "{foreign}");
        let mut handed: UnixStream = hand_over(&path, &99_u32).await.unwrap();
        assert_eq!(handed.read_u32().await.unwrap(), 99);
        stop.cancel();
        served.await.unwrap();

        let gone: Result<String, _> = call(&path, &1_u32).await;
        assert!(matches!(gone, Err(ControlError::NotRunning)));
        bind(&path).await.unwrap();
    }
}
