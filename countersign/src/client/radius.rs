//! The RADIUS client: upstream servers in order, fail-over on silence only.
//!
//! An answer, whatever it says, ends the matter: the passcode may be spent, and to
//! ask another server with it would at best be refused. Only a server that stays
//! silent is followed by the next one. A connection that breaks after a request was sent is
//! silence, too: nobody can know whether the server has read it. To the same server nothing
//! is sent twice on a stream.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_core::{
    domain::{account::Account, name::LoginName},
    secret::Secret,
    wire::radius::dictionary::Code,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    dial::Tls,
    link::Link,
    question::{Answer, Question},
    server::Server,
};
pub use self::{
    dial::UpstreamTlsError,
    forward::{Forward, Forwarded},
    question::Unsendable,
    reply::Reply,
};
use crate::config::upstream::{
    ProbeSettings, ServerSettings, UpstreamSettings, UpstreamTls, UserNameFormat,
};

mod connection;
mod dial;
mod flight;
mod forward;
mod link;
mod pool;
mod question;
mod reply;
mod server;
mod udp;

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The server: no authentic answer came in time.
    #[error("no authentic answer; check address, shared secret and what the server logs")]
    Silent,
    /// The server or the way to it: nothing could be delivered.
    #[error("not reachable: {0}")]
    Unreachable(#[from] io::Error),
    /// The server: it took the connection and closed it without a word, as it does when it
    /// does not like our certificate or address.
    #[error("it closes the connection without a word: {0}; does it know us as a client?")]
    Refused(String),
    /// The server or the way to it: the connection ended after the request was sent.
    #[error("the connection ended before the answer came: {0}")]
    Broken(String),
    /// The server: what came on the connection cannot be believed, so it was closed.
    #[error("its answer cannot be believed: {0}; check the shared secret")]
    Untrusted(String),
    /// Us: too many requests are under way.
    #[error("too many requests wait for it")]
    Busy,
    /// Caller: the request does not fit into a RADIUS packet.
    #[error("cannot be sent: {0}")]
    Unsendable(#[from] Unsendable),
}

/// An ordered list of RADIUS servers that know the same users.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    servers: Vec<Server>,
    patience: Patience,
    user_name: UserNameFormat,
    nas_identifier: String,
    probe: Option<ProbeSettings>,
    permits: Semaphore,
}

/// What a probe found out about one server.
#[derive(Debug)]
pub struct Probed {
    /// The server, as in the config.
    pub server: ServerSettings,
    /// What it answered, or why there was no answer.
    pub answer: Result<Code, Unanswered>,
}

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Between two transmissions, and after the last.
    timeout: Duration,
    /// Transmissions.
    tries: u32,
}

impl Upstream {
    /// An upstream whose servers are all taken to be alive. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// A certificate or key for TLS cannot be used.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamTlsError> {
        let tls = settings.tls.as_ref().map(Tls::load).transpose()?.map(Arc::new);
        let servers = settings.servers.iter();
        Ok(Self {
            servers: servers.map(|server| Server::new(server, &settings, tls.as_ref())).collect(),
            patience: Patience { timeout: settings.timeout, tries: settings.tries },
            name: settings.name,
            user_name: settings.user_name,
            nas_identifier: settings.nas_identifier,
            probe: settings.probe,
            permits: Semaphore::new(MAX_IN_FLIGHT),
        })
    }

    /// Asks about a passcode. It is sent as it is, to one server after the other until
    /// one of them answers.
    pub async fn ask(
        &self,
        account: &Account,
        login: &LoginName,
        passcode: &Secret<Vec<u8>>,
    ) -> Reply {
        self.ask_by_name(&self.user_name(account, login), passcode).await
    }

    /// The same for a User-Name as it is.
    pub async fn ask_by_name(&self, user_name: &str, passcode: &Secret<Vec<u8>>) -> Reply {
        let question = Question::about(user_name, passcode, &self.nas_identifier, &[]);
        let Ok(_permit) = self.permit().await else { return Reply::Silent };
        self.reply_of(self.ask_in_order(&question, Server::access).await)
    }

    /// Answers a challenge. The server that asked is the only one that can judge.
    pub async fn answer_challenge(
        &self,
        server: u8,
        state: &[u8],
        user_name: &str,
        passcode: &Secret<Vec<u8>>,
    ) -> Reply {
        let index = usize::from(server);
        let Some(server) = self.servers.get(index) else {
            tracing::debug!(upstream = self.name, index, "the server of a challenge is gone");
            return Reply::Silent;
        };
        let question = Question::about(user_name, passcode, &self.nas_identifier, state);
        let Ok(_permit) = self.permit().await else { return Reply::Silent };
        self.reply_of(server.access.ask(&question).await.map(|answer| (index, answer)))
    }

    /// The User-Name that this upstream wants for an account.
    #[must_use]
    pub fn user_name(&self, account: &Account, login: &LoginName) -> String {
        user_name(self.user_name, account, login)
    }

    /// Asks every server about the probe user. Without one there is nothing to ask.
    pub async fn probe(&self) -> Vec<Probed> {
        let Some(probe) = &self.probe else { return Vec::new() };
        let user = &probe.user;
        let question = Question::about(&user.name, &user.password, &self.nas_identifier, &[]);
        let mut found = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let answer = server.access.ask(&question).await.map(|answer| answer.code);
            found.push(Probed { server: server.settings.clone(), answer });
        }
        found
    }

    /// Probes again and again until `stop`, so that a server that died or came back is
    /// known before a user has to wait for it.
    pub async fn watch(&self, stop: CancellationToken) {
        let Some(probe) = &self.probe else { return };
        let watching = async {
            loop {
                self.probe().await;
                tokio::time::sleep(probe.interval).await;
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Asks one server after the other until one answers, and says which.
    async fn ask_in_order(
        &self,
        question: &Question,
        way: fn(&Server) -> &Arc<Link>,
    ) -> Result<(usize, Answer), Unanswered> {
        let mut unanswered = Unanswered::Silent;
        for (index, link) in self.in_order(way, Instant::now()) {
            match link.ask(question).await {
                Ok(answer) => return Ok((index, answer)),
                Err(error @ Unanswered::Unsendable(_)) => return Err(error),
                Err(error) => unanswered = error,
            }
        }
        Err(unanswered)
    }

    /// Those alive, or all if none is; with their places in the list.
    fn in_order(&self, way: fn(&Server) -> &Arc<Link>, now: Instant) -> Vec<(usize, &Arc<Link>)> {
        let all = || self.servers.iter().map(way).enumerate();
        let alive: Vec<_> = all().filter(|(_, link)| !link.is_dead(now)).collect();
        if alive.is_empty() { all().collect() } else { alive }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Unanswered> {
        let permit = timeout(self.patience.total(), self.permits.acquire()).await;
        let permit = permit.ok().and_then(Result::ok);
        permit.ok_or_else(|| {
            tracing::debug!(upstream = self.name, "too many requests wait for this upstream");
            Unanswered::Busy
        })
    }

    fn reply_of(&self, answer: Result<(usize, Answer), Unanswered>) -> Reply {
        match answer {
            Ok((server, answer)) => Reply::of(server, &answer),
            Err(Unanswered::Unsendable(error)) => {
                tracing::debug!(upstream = self.name, %error, "refused without asking");
                Reply::Rejected
            }
            Err(
                Unanswered::Silent
                | Unanswered::Unreachable(_)
                | Unanswered::Refused(_)
                | Unanswered::Broken(_)
                | Unanswered::Untrusted(_)
                | Unanswered::Busy,
            ) => Reply::Silent,
        }
    }
}

impl Patience {
    /// For one server.
    fn total(self) -> Duration {
        self.timeout.saturating_mul(self.tries)
    }
}

/// Sees whether certificates and keys for TLS can be used, without connecting.
///
/// # Errors
///
/// They cannot.
pub fn check_tls(settings: &UpstreamTls) -> Result<(), UpstreamTlsError> {
    Tls::load(settings).map(drop)
}

fn user_name(format: UserNameFormat, account: &Account, login: &LoginName) -> String {
    match (format, &account.domain) {
        (UserNameFormat::AsGiven, _) => login.given().to_owned(),
        (UserNameFormat::DomainUser, Some(domain)) => format!("{domain}\\{}", account.name),
        (UserNameFormat::DomainUser, None) | (UserNameFormat::User, _) => account.name.clone(),
        (UserNameFormat::Upn, _) => account.effective_upn().unwrap_or_else(|| account.name.clone()),
    }
}

/// Requests to one upstream at a time; over UDP each has a socket of its own.
const MAX_IN_FLIGHT: usize = 512;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use countersign_core::domain::{account::Authentication, id::AccountId};

    use super::*;

    fn account() -> Account {
        Account {
            domain: Some("CORP".into()),
            realm: Some("CORP.EXAMPLE".into()),
            authentication: Authentication::Upstream("otp".into()),
            ..Account::new(AccountId::from_bytes([1; 16]), "alice".into())
        }
    }

    #[test]
    fn writes_the_user_name_as_the_upstream_wants_it() {
        let login = LoginName::parse("corp\\Alice").unwrap();
        let names = |account: &Account| {
            use UserNameFormat::{AsGiven, DomainUser, Upn, User};
            [AsGiven, User, DomainUser, Upn].map(|format| user_name(format, account, &login))
        };
        assert_eq!(
            names(&account()),
            ["corp\\Alice", "alice", "CORP\\alice", "alice@corp.example"]
        );
        let bare = Account { domain: None, realm: None, ..account() };
        assert_eq!(names(&bare), ["corp\\Alice", "alice", "alice", "alice"]);
    }

    fn upstream(ports: &[u16]) -> Upstream {
        let server = |port: &u16| ServerSettings {
            address: SocketAddr::from(([127, 0, 0, 1], *port)).into(),
            secret: Secret::new(b"secret".to_vec()),
        };
        let settings = UpstreamSettings {
            name: "otp".into(),
            servers: ports.iter().map(server).collect(),
            timeout: Duration::from_secs(1),
            tries: 1,
            dead_time: Duration::from_secs(60),
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign".into(),
            require_message_authenticator: true,
            accounting_port: None,
            tls: None,
            probe: None,
        };
        Upstream::new(settings).unwrap()
    }

    #[test]
    fn passes_over_the_dead_unless_all_are_dead() {
        let upstream = upstream(&[1, 2, 3]);
        let now = Instant::now();
        let order = |way: fn(&Server) -> &Arc<Link>, now| -> Vec<usize> {
            upstream.in_order(way, now).into_iter().map(|(index, _)| index).collect()
        };
        let alive = |now| order(Server::access, now);
        let dies = |index: usize, until| upstream.servers[index].access.set_dead_until(until);
        let soon = Some(now + Duration::from_secs(60));
        assert_eq!(alive(now), [0, 1, 2]);
        dies(0, soon);
        assert_eq!(alive(now), [1, 2]);
        assert_eq!(order(Server::accounting, now), [0, 1, 2], "that is another matter");
        dies(1, soon);
        dies(2, soon);
        assert_eq!(alive(now), [0, 1, 2], "somebody has to be asked");
        dies(1, None);
        assert_eq!(alive(now), [1]);
        assert_eq!(alive(now + Duration::from_secs(60)), [0, 1, 2], "the dead time is over");
    }
}
