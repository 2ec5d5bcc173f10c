//! `countersign serve`: run every listener the config names.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use anyhow::{Context as _, bail};
use clap::Args;
use socket2::Socket;
use tokio::{
    net::UnixStream,
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};

use super::Context;
use crate::{
    app::command,
    client::control::{ControlError, hand_over},
    config::{Config, socket::SocketSettings},
    exit::Exit,
    harden,
    hold::{self, Held, Holder},
    listener::{inherited::Inherited, radius::Accepted},
    log, run,
};

/// Run every listener the config names
///
/// Ends at SIGTERM or SIGINT: listeners take nothing new, requests in flight are
/// answered, then the program exits. SIGHUP and `countersign reload` read the config
/// again: RADIUS clients, secrets, realms, replies, upstreams and delivery channels
/// are replaced without losing a packet; a config with a mistake changes nothing.
///
/// Sockets that systemd opened (socket units) are used where the config has their
/// address or path.
///
/// With [back-sock] in the config this process holds the socket of slapd and its connections,
/// and starts itself once more to do the work.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Serve one connection that was accepted on the socket of this RADIUS client (systemd
    /// `Accept=yes`, or `StandardInput=socket`), then end
    #[arg(long, value_name = "CLIENT")]
    inetd: Option<String>,
    /// Take the socket of slapd from the process that started this one
    #[arg(long, hide = true)]
    held: bool,
}

/// What was opened before this process began.
#[derive(Debug, Default)]
pub struct Sockets {
    inherited: Inherited,
    held: Option<Held>,
}

impl Serve {
    /// The sockets that were opened for this process. To be called before there are threads.
    ///
    /// # Errors
    ///
    /// Nobody hands over what somebody said.
    pub fn sockets(&self) -> anyhow::Result<Sockets> {
        if self.held {
            let (inherited, held) =
                Held::receive().context("--held is for the program itself; leave it out")?;
            return Ok(Sockets { inherited, held: Some(held) });
        }
        Ok(Sockets { inherited: Inherited::from_environment(), held: None })
    }

    /// Starts the daemon and waits for the signal to stop.
    ///
    /// # Errors
    ///
    /// A part cannot be started; the error says which and why.
    pub async fn run(self, context: &Context, sockets: Sockets) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        log::start(&config.log);
        if let Err(error) = harden::keep_memory_private() {
            tracing::warn!(%error, "core dumps of the daemon cannot be prevented");
        }
        if let Err(error) = harden::open_many_files() {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
        let Sockets { inherited, held } = sockets;
        if let Some(client) = self.inetd {
            return connection(config, client, inherited).await;
        }
        if let (None, Some(back_sock)) = (&held, &config.back_sock) {
            return hold_socket(&back_sock.socket, inherited).await;
        }
        let mut signals = Signals::heed()?;
        let daemon = run::start(config, inherited).await?;
        tokio::select! {
            () = signals.until_stop(&daemon) => {}
            () = lost(held.as_ref()) => tracing::error!("the holder of the socket is gone: stopping"),
        }
        daemon.stop().await;
        if let Some(held) = held {
            held.end().await;
        }
        Ok(Exit::Success)
    }
}

/// Holds the socket of slapd for workers, which are this program once more.
async fn hold_socket(socket: &SocketSettings, inherited: Inherited) -> anyhow::Result<Exit> {
    let orders = hold::orders()?;
    let holder = Holder::bind(socket, inherited)
        .with_context(|| format!("back-sock cannot listen on {}", socket.path.display()))?;
    // Known from now on, whatever becomes of the file: a worker that is started after an
    // upgrade is the new program.
    let program = std::env::current_exe()?;
    let worker = || {
        let mut worker = Command::new(&program);
        worker.args(std::env::args_os().skip(1)).arg("--held");
        worker
    };
    let code = holder.run(worker, orders).await?;
    Ok(Exit::of_number(code))
}

/// Returns when there was a holder and there is none any more.
async fn lost(held: Option<&Held>) {
    match held {
        Some(held) => held.lost().await.unwrap_or_else(|error| {
            tracing::error!(%error, "the holder of the socket cannot be watched");
        }),
        None => std::future::pending().await,
    }
}

/// What the daemon is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on none of them ends the process, though it may be served already while
    /// other parts are still started.
    fn heed() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at the signal to stop; reloads at each signal to reload.
    async fn until_stop(&mut self, daemon: &run::Daemon) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return tracing::info!("SIGTERM: stopping"),
                _ = self.interrupt.recv() => return tracing::info!("SIGINT: stopping"),
                // The result is in the log.
                _ = self.hangup.recv() => drop(daemon.reload()),
            }
        }
    }
}

/// One connection: handed over to the daemon if one is running, or else served here, and with
/// it those of other processes that find this one running.
async fn connection(
    config: Config,
    client: String,
    mut inherited: Inherited,
) -> anyhow::Result<Exit> {
    let socket = match inherited.take_connection() {
        Some(socket) => socket,
        None => standard_input()?,
    };
    socket.set_nonblocking(true)?;
    let mut stream =
        UnixStream::from_std(socket.into()).context("the connection is no UNIX stream socket")?;
    let credentials = stream.peer_cred()?;
    let (user, process) = (credentials.uid(), credentials.pid());
    let command = command::Command::Connect { client: client.clone(), user, process };
    let control = config.control_socket.clone();
    match hand_over(&control, &command).await {
        Err(ControlError::NotRunning) => {}
        Ok(mut daemon) => {
            tokio::io::copy_bidirectional(&mut stream, &mut daemon).await?;
            return Ok(Exit::Success);
        }
        Err(error) => return Err(error.into()),
    }
    match run::start(without_listeners(config), Inherited::default()).await {
        Ok(daemon) => {
            let served = daemon.serve_connection(Accepted { client, user, process }, stream).await;
            daemon.stop().await;
            served.map_err(anyhow::Error::msg)?;
        }
        // Another process was first; it takes this connection, too.
        Err(error) => {
            let Ok(mut daemon) = hand_over(&control, &command).await else {
                return Err(error.into());
            };
            tokio::io::copy_bidirectional(&mut stream, &mut daemon).await?;
        }
    }
    Ok(Exit::Success)
}

fn standard_input() -> anyhow::Result<Socket> {
    let input = io::stdin();
    if input.is_terminal() {
        bail!(NO_CONNECTION);
    }
    let descriptor = input.as_fd().try_clone_to_owned()?;
    let socket = Socket::from(descriptor);
    socket.peer_addr().context(NO_CONNECTION)?;
    Ok(socket)
}

/// The same config with nothing to listen on: what comes is handed over.
fn without_listeners(mut config: Config) -> Config {
    if let Some(radius) = &mut config.radius {
        radius.listen.clear();
        radius.listen_tcp.clear();
        radius.sockets.clear();
        radius.tls = None;
    }
    Config {
        otpce: None,
        ra: None,
        est: None,
        http: None,
        back_sock: None,
        bind_proxy: None,
        ldap_proxy: None,
        ..config
    }
}

const NO_CONNECTION: &str = "\
--inetd wants an accepted connection as file descriptor 3 (LISTEN_FDS=1) or as standard input; \
systemd starts it by a socket unit with Accept=yes";

const EXAMPLES: &str = "\
Examples:
  countersign serve
  countersign serve --inetd kdc         one connection of a KDC, started by systemd
  systemctl reload countersign          the same as `countersign reload`";
