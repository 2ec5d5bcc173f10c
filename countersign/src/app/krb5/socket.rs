//! The sockets that the KDC connects to: whether somebody listens, and whether it may.

use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};

use super::{client::RADIUS, kdc::Process};
use crate::app::examine::Findings;

pub(super) async fn examine(
    object: &str,
    path: &Path,
    kdc: Option<&Process>,
    findings: &mut Findings,
) {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let finding =
                format!("there is no {}; every logon of this type fails at once", path.display());
            findings.error(
                object,
                finding,
                "start the daemon, or the socket unit; or correct `server`",
            );
            return;
        }
        Err(error) => {
            let finding = format!("{} cannot be looked at: {error}", path.display());
            findings.warning(object, finding, "run this as root");
            return;
        }
    };
    if !metadata.file_type().is_socket() {
        let finding = format!("{} is no socket", path.display());
        findings.error(object, finding, "remove it, and start the daemon");
        return;
    }
    listener(object, path, findings).await;
    permissions(object, path, &metadata, kdc, findings);
}

/// Whether somebody has a UDP port of this machine. Nothing is sent; of other machines nothing
/// is said.
pub(super) fn examine_port(object: &str, host: &str, port: Option<&str>, findings: &mut Findings) {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let port = port.map_or(Ok(RADIUS), str::parse);
    let (Ok(host), Ok(port)) = (host.parse::<Ipv4Addr>(), port) else { return };
    match UdpSocket::bind((host, port)) {
        Ok(_) => findings.error(
            object,
            format!(
                "nobody listens on {host}:{port}; every logon of this type runs into its timeout"
            ),
            "start the daemon; or correct `server`",
        ),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            findings.good(object, format!("somebody listens on {host}:{port}"));
        }
        Err(_) => {}
    }
}

/// A full backlog keeps whoever connects waiting, and the KDC is one of those.
async fn listener(object: &str, path: &Path, findings: &mut Findings) {
    let shown = path.display();
    match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Ok(_)) => findings.good(object, format!("somebody listens on {shown}")),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => findings.error(
            object,
            format!("nobody listens on {shown}; every logon of this type fails at once"),
            "start the daemon",
        ),
        Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => findings.warning(
            object,
            format!(
                "{shown} may not be connected to from here, so nobody knows whether somebody \
                 listens"
            ),
            "run this as root",
        ),
        Ok(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
            findings.error(
                object,
                format!("{shown} cannot be connected to: {error}"),
                "restart the daemon",
            );
        }
        Ok(Err(_)) | Err(_) => findings.error(
            object,
            format!(
                "{shown} accepts no connection; the KDC waits there, and answers nobody at \
                 all"
            ),
            "restart the daemon; a stopped one must not keep its socket",
        ),
    }
}

fn permissions(
    object: &str,
    path: &Path,
    socket: &Metadata,
    kdc: Option<&Process>,
    findings: &mut Findings,
) {
    // The packaged unit starts it as root and takes away what makes root more than that.
    let packaged = Process::packaged();
    let process = kdc.unwrap_or(&packaged);
    let mode = socket.mode() & 0o7777;
    let closed = closed_directory(path, process);
    let finding = if let Some(directory) = closed {
        format!("{directory} is not open to the KDC")
    } else if !process.may(socket, WRITE) {
        format!(
            "{} belongs to {}:{} with mode {mode:o}, which the KDC may not write to",
            path.display(),
            socket.uid(),
            socket.gid()
        )
    } else {
        if mode & 0o002 != 0 {
            let finding = format!(
                "every user of this machine may connect to {} and guess (mode {mode:o})",
                path.display()
            );
            findings.warning(
                object,
                finding,
                "socket-mode = \"0600\" and the owner root, or \
                 \"0660\" and a group of the KDC's own",
            );
        }
        return;
    };
    let finding = format!(
        "{finding} (uid {}, without CAP_DAC_OVERRIDE, as the packaged unit runs it)",
        process.user
    );
    if kdc.is_some_and(|kdc| kdc.overrides) {
        let finding = format!(
            "{finding}; the KDC that is running now may do everything, but it was not started by \
                 that unit"
        );
        findings.warning(object, finding, OPEN);
    } else {
        findings.error(object, finding, OPEN);
    }
}

fn closed_directory(path: &Path, process: &Process) -> Option<String> {
    let directories =
        path.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty());
    let closed = |directory: &&Path| {
        fs::metadata(directory).is_ok_and(|metadata| !process.may(&metadata, SEARCH))
    };
    directories.filter(closed).last().map(|directory| directory.display().to_string())
}

const OPEN: &str = "have systemd make the socket (owner root, SocketMode=0600); or socket-group = \"root\" with \
                    socket-mode = \"0660\" and directories with mode 0755";
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream as Client},
        },
        path::PathBuf,
    };

    use super::*;
    use crate::app::examine::{Finding, Grade};

    async fn examined(path: &Path, kdc: Option<&Process>) -> Vec<Finding> {
        let mut findings = Findings::default();
        examine("otp type x", path, kdc, &mut findings).await;
        findings.into_vec()
    }

    #[track_caller]
    fn says(findings: &[Finding], grade: Grade, word: &str) {
        let found =
            findings.iter().any(|found| found.grade == grade && found.finding.contains(word));
        assert!(found, "{word}: {findings:#?}");
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        (directory, path)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_is_listened_on_is_good() {
        let (directory, path) = place();
        set_mode(directory.path(), 0o755);
        let _listener = UnixListener::bind(&path).unwrap();
        set_mode(&path, 0o600);
        let own = Process { user: fs::metadata(&path).unwrap().uid(), ..Process::packaged() };
        let found = examined(&path, Some(&own)).await;
        assert_eq!(found.len(), 1, "{found:?}");
        says(&found, Grade::Good, "listens");
        set_mode(&path, 0o666);
        says(&examined(&path, Some(&own)).await, Grade::Warning, "guess");
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_listened_on_is_an_error() {
        let (_directory, path) = place();
        says(&examined(&path, None).await, Grade::Error, "there is no");
        drop(UnixListener::bind(&path).unwrap());
        says(&examined(&path, None).await, Grade::Error, "nobody listens");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        says(&examined(&path, None).await, Grade::Error, "no socket");
    }

    #[tokio::test]
    async fn a_full_backlog_is_an_error() {
        let (_directory, path) = place();
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _waiting = Client::connect(&path).unwrap();
        says(&examined(&path, None).await, Grade::Error, "answers nobody");
    }

    #[tokio::test]
    async fn modes_that_root_without_capabilities_cannot_use_are_errors() {
        let (directory, path) = place();
        set_mode(directory.path(), 0o755);
        let _listener = UnixListener::bind(&path).unwrap();
        set_mode(&path, 0o600);
        let other = Process { user: 4711, group: 4712, ..Process::packaged() };
        says(&examined(&path, Some(&other)).await, Grade::Error, "CAP_DAC_OVERRIDE");
        let strong = Process { overrides: true, ..other.clone() };
        says(&examined(&path, Some(&strong)).await, Grade::Warning, "CAP_DAC_OVERRIDE");
        set_mode(&path, 0o666);
        set_mode(directory.path(), 0o700);
        says(&examined(&path, Some(&other)).await, Grade::Error, "is not open");
    }

    #[test]
    fn a_port_of_this_machine_that_nobody_has_is_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let examined = |host: &str, port: &str| {
            let mut findings = Findings::default();
            examine_port("otp type x", host, Some(port), &mut findings);
            findings.into_vec()
        };
        says(&examined("127.0.0.1", &port), Grade::Good, "somebody listens");
        says(&examined("localhost", &port), Grade::Good, "somebody listens");
        says(&examined("127.77.0.1", &port), Grade::Error, "nobody listens on 127.77.0.1");
        assert!(examined("192.0.2.1", &port).is_empty());
        assert!(examined("otp.test", &port).is_empty());
    }
}
