//! Units for systemd: one holds the socket beyond the life of the daemon, the other keeps the
//! daemon from everything that it does not need.

use std::{fmt::Write, path::PathBuf};

use super::{Name, Part, Place, Socket, Wanted};

/// systemd holds the socket, so that slapd finds it while the daemon restarts.
pub(super) fn socket(socket: &Socket) -> Part {
    let mut text = format!(
        "[Unit]\nDescription=Countersign, asked by slapd\nBefore=slapd.service\n\n[Socket]\n\
         ListenStream={}\nSocketMode={:04o}\n",
        socket.path.display(),
        socket.mode
    );
    if let Some(group) = &socket.group {
        let _ = writeln!(text, "SocketGroup={group}");
    }
    text += "Service=countersign.service\n\n[Install]\nWantedBy=sockets.target\n";
    let notes = vec![
        "systemd holds the socket; a daemon that dies is no \"connection refused\" to slapd"
            .to_owned(),
        "systemctl enable --now countersign-slapd.socket".to_owned(),
    ];
    let file = PathBuf::from("/etc/systemd/system/countersign-slapd.socket");
    Part { name: Name::SocketUnit, place: Place::File(file), notes, text }
}

/// The daemon itself.
pub(super) fn service(wanted: &Wanted) -> Part {
    let user = &wanted.user_name;
    let config = wanted.config_file.display();
    let mut text = String::from("[Unit]\nDescription=Countersign\nAfter=network.target\n");
    if wanted.socket.is_some() {
        text += "Requires=countersign-slapd.socket\nAfter=countersign-slapd.socket\n";
    }
    let _ = write!(
        text,
        "\n[Service]\nExecStart=/usr/bin/countersign --config {config} serve\nUser={user}\n\
         Environment=LDAPNOINIT=1\nRestart=always\nRestartSec=100ms\n"
    );
    text += HARDENED;
    text += if wanted.isolated {
        ISOLATED
    } else {
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n"
    };
    if let Some(directory) = wanted.config_file.parent() {
        let _ = writeln!(text, "ReadWritePaths={}", directory.display());
    }
    text += "\n[Install]\nWantedBy=multi-user.target\n";
    let note = if wanted.isolated {
        "the config needs UNIX sockets only, so the daemon has no network at all"
    } else {
        "the config has listeners or servers on the network; without them the unit would have \
         RestrictAddressFamilies=AF_UNIX and PrivateNetwork=yes"
    };
    let file = PathBuf::from("/etc/systemd/system/countersign.service");
    Part {
        name: Name::ServiceUnit,
        place: Place::File(file),
        notes: vec![note.to_owned(), "systemctl enable --now countersign".to_owned()],
        text,
    }
}

const HARDENED: &str = "\
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
LimitCORE=0
";
const ISOLATED: &str = "\
RestrictAddressFamilies=AF_UNIX
PrivateNetwork=yes
IPAddressDeny=any
";
