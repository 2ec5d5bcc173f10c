//! UNIX sockets in the config: path, mode, group, and who may connect.

use std::path::PathBuf;

use super::{Wrong, wrong};

/// A UNIX stream socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// Its path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its group, by number; that of the daemon if absent.
    pub group: Option<u32>,
    /// The users who may connect, by number; root and the daemon's user if empty.
    pub users: Vec<u32>,
}

/// What the config says of a socket beside its path, as written.
pub(super) struct SocketFile<'a> {
    pub(super) mode: Option<&'a str>,
    pub(super) group: Option<&'a str>,
    pub(super) users: &'a [String],
}

/// Checks the keys `socket`, `socket-mode`, `socket-group` and `socket-users` of a table.
pub(super) fn check_socket(
    key: &str,
    file: &SocketFile<'_>,
    path: PathBuf,
) -> Result<SocketSettings, Wrong> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let cause =
            format!("the path is longer than {MAX_SOCKET_PATH} octets, which no socket has");
        return wrong(format!("{key}.socket"), cause);
    }
    let mode = file.mode.unwrap_or("0600");
    let Some(mode) = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777) else {
        return wrong(
            format!("{key}.socket-mode"),
            format!("{mode:?} is no mode such as \"0660\""),
        );
    };
    let group = file.group.map(|name| group_id(key, name)).transpose()?;
    let users = file.users.iter().map(|name| user_id(key, name)).collect::<Result<_, _>>()?;
    Ok(SocketSettings { path, mode, group, users })
}

fn user_id(key: &str, name: &str) -> Result<u32, Wrong> {
    let found = nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    found.or_else(|| name.parse().ok()).map_or_else(
        || wrong(format!("{key}.socket-users"), format!("this machine has no user {name:?}")),
        Ok,
    )
}

fn group_id(key: &str, name: &str) -> Result<u32, Wrong> {
    let found = nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    found.or_else(|| name.parse().ok()).map_or_else(
        || wrong(format!("{key}.socket-group"), format!("this machine has no group {name:?}")),
        Ok,
    )
}

/// Octets of a path; one less than the system has room for (`unix(7)`).
const MAX_SOCKET_PATH: usize = 107;
