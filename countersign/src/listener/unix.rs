//! UNIX sockets that listen: taken over, or bound with their mode and group; and who may use them.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use socket2::{Domain, SockAddr, Socket, Type};

use super::inherited::Inherited;
use crate::{config::socket::SocketSettings, vault::random_octets};

/// The socket at a path, inherited or bound. It does not block.
///
/// # Errors
///
/// Somebody listens there, or it cannot be made.
pub fn listen(settings: &SocketSettings, inherited: &mut Inherited) -> io::Result<Socket> {
    let socket = match inherited.take_path(&settings.path) {
        Some(socket) => socket,
        None => bind(settings)?,
    };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A new socket at a path. It is there with its mode and group at once or not at all, for it
/// is made under another name first; what stood there from an earlier run is replaced.
///
/// # Errors
///
/// Somebody listens there, or it cannot be made.
pub fn bind(settings: &SocketSettings) -> io::Result<Socket> {
    if has_listener(&settings.path)? {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens on it"));
    }
    make(settings)
}

fn make(settings: &SocketSettings) -> io::Result<Socket> {
    let SocketSettings { path, mode, group, .. } = settings;
    refuse_other_files(path)?;
    let [a, b] = random_octets();
    let name = format!(".{a:02x}{b:02x}");
    let making = path.with_file_name(name);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&making)?)?;
    let placed = (|| {
        fs::set_permissions(&making, PermissionsExt::from_mode(*mode))?;
        if let Some(group) = group {
            std::os::unix::fs::chown(&making, None, Some(*group))?;
        }
        socket.listen(BACKLOG)?;
        fs::rename(&making, path)
    })();
    placed.inspect_err(|_| {
        let _ = fs::remove_file(&making);
    })?;
    Ok(socket)
}

/// Whether somebody listens on a path, also if that one is too busy to take us.
fn has_listener(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Nothing but a socket is replaced.
fn refuse_other_files(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;

    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and is no socket"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a user may use a socket that is for these.
#[must_use]
pub fn may_connect(user: u32, users: &[u32]) -> bool {
    match users {
        [] => user == 0 || user == rustix::process::geteuid().as_raw(),
        users => users.contains(&user),
    }
}

/// A KDC, or slapd, hangs as a whole while nobody takes its connection.
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(path: &Path, mode: u32) -> SocketSettings {
        SocketSettings { path: path.into(), mode, group: None, users: Vec::new() }
    }

    fn bind(path: &Path, mode: u32) -> io::Result<Socket> {
        listen(&settings(path, mode), &mut Inherited::default())
    }

    #[test]
    fn a_socket_has_its_mode_and_takes_the_place_of_a_dead_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdc.sock");
        for mode in [0o600, 0o660] {
            let listener = bind(&path, mode).unwrap();
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
            assert!(UnixStream::connect(&path).is_ok());
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
            drop(listener);
        }
    }

    #[test]
    fn neither_a_live_socket_nor_another_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdc.sock");
        let _listener = bind(&path, 0o600).unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(bind(&file, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
