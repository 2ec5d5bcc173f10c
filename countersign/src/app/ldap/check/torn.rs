//! Tries for real whether slapd takes an answer that breaks off for a success (ITS#10559).
//!
//! It takes the daemon's place at the socket, so the daemon must not run. Only the bind of one
//! name, and only with the password that was drawn for it, gets the torn answer; whoever else
//! comes meanwhile is refused.

use std::{io, path::Path, time::Duration};

use countersign_core::secret::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{
    app::examine::{Finding, Findings},
    config::directory::ServerSettings,
    directory::{Directory, DirectoryError},
};

/// Binds as `dn` with `password`, which nobody has, and answers with half a word.
pub async fn try_torn(
    socket: &Path,
    server: &ServerSettings,
    dn: &str,
    password: Secret<String>,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let object = format!("torn answer for {dn}");
    let listener = match take(socket).await {
        Ok(listener) => listener,
        Err(error) => {
            findings.error(
                &object,
                error,
                "stop the daemon and its socket unit, on a machine where that does no harm",
            );
            return findings.into_vec();
        }
    };
    let expected = password.expose().clone();
    let answering = tokio::spawn(async move { answer(&listener, &expected).await });
    let settings = ServerSettings {
        bind: Some((dn.to_owned(), password)),
        authorization_id: None,
        ..server.clone()
    };
    let bound = match Directory::new(&settings, 1) {
        Ok(directory) => directory.who_am_i().await,
        Err(error) => Err(error),
    };
    let was_asked = answering.is_finished() || timeout(PATIENCE, answering).await.is_ok();
    let _ = std::fs::remove_file(socket);
    report(&object, was_asked, &bound, &mut findings);
    findings.into_vec()
}

fn report(
    object: &str,
    was_asked: bool,
    bound: &Result<String, DirectoryError>,
    findings: &mut Findings,
) {
    match (was_asked, bound) {
        (true, Ok(_)) => findings.warning(
            object,
            "slapd took it for a success: a wrong password was let in (ITS#10559)",
            "keep the socket unit and let nobody but Countersign answer there; slapd 2.6.14 mends it",
        ),
        (true, Err(error)) if error.code().is_some() => {
            findings.good(object, format!("slapd took it for a failure: {error}"));
        }
        (_, Err(error)) => findings.error(object, error.to_string(), "see directory.url"),
        (false, Ok(_)) => findings.error(
            object,
            "slapd let a wrong password in and did not ask",
            "is that the DN of an account that may bind without a password?",
        ),
    }
}

/// A path that nobody listens on.
async fn take(path: &Path) -> Result<UnixListener, String> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(format!("somebody listens on {}", path.display()));
    }
    let bind = || -> io::Result<UnixListener> {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        open_to_all(path)?;
        Ok(listener)
    };
    bind().map_err(|error| format!("{}: {error}", path.display()))
}

/// slapd may be any user; whoever else comes learns nothing.
fn open_to_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

/// Answers until the expected bind was answered.
async fn answer(listener: &UnixListener, password: &str) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut request = Vec::new();
        let mut octets = [0; 4096];
        while !request.ends_with(b"\n\n") {
            match timeout(PATIENCE, stream.read(&mut octets)).await {
                Ok(Ok(length)) if length > 0 => request.extend_from_slice(&octets[..length]),
                _ => break,
            }
        }
        let line = format!("\ncred: {password}\n");
        if request.windows(line.len()).any(|part| part == line.as_bytes()) {
            return stream.write_all(b"RESULT\ncod").await;
        }
        stream.write_all(b"RESULT\ncode: 49\n\n").await?;
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
