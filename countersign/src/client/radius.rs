//! The RADIUS client: upstream servers in order, fail-over on silence only.
//!
//! An answer, whatever it says, ends the matter: the passcode may be spent, and to
//! ask another server with it would at best be refused. Only a server that stays
//! silent is followed by the next one.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use countersign_core::{
    domain::{account::Account, name::LoginName},
    secret::Secret,
    wire::radius::{authenticator::Demand, dictionary::Code},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::exchange::Unanswered;
use self::exchange::{Credentials, Patience, exchange};
use crate::config::upstream::{ProbeSettings, ServerSettings, UpstreamSettings, UserNameFormat};

mod exchange;

/// What an upstream said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the upstream's word decides"]
pub enum Reply {
    /// Access-Accept.
    Accepted,
    /// Access-Reject.
    Rejected,
    /// Access-Challenge, which cannot be carried further here.
    Challenged,
    /// No server gave an authentic answer in time.
    Silent,
}

/// An ordered list of RADIUS servers that know the same users.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    servers: Vec<Server>,
    patience: Patience,
    demand: Demand,
    dead_time: Duration,
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

#[derive(Debug)]
struct Server {
    settings: ServerSettings,
    /// Passed over until then, because it stayed silent.
    dead_until: Mutex<Option<Instant>>,
}

impl Upstream {
    /// An upstream whose servers are all taken to be alive.
    #[must_use]
    pub fn new(settings: UpstreamSettings) -> Self {
        let server = |settings| Server { settings, dead_until: Mutex::new(None) };
        Self {
            name: settings.name,
            servers: settings.servers.into_iter().map(server).collect(),
            patience: Patience { timeout: settings.timeout, tries: settings.tries },
            demand: match settings.require_message_authenticator {
                true => Demand::Required,
                false => Demand::WherePresent,
            },
            dead_time: settings.dead_time,
            user_name: settings.user_name,
            nas_identifier: settings.nas_identifier,
            probe: settings.probe,
            permits: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    /// Asks about a passcode. It is sent as it is, to one server after the other until
    /// one of them answers.
    pub async fn ask(
        &self,
        account: &Account,
        login: &LoginName,
        passcode: &Secret<Vec<u8>>,
    ) -> Reply {
        self.ask_by_name(&user_name(self.user_name, account, login), passcode).await
    }

    /// The same for a User-Name as it is.
    pub async fn ask_by_name(&self, user_name: &str, passcode: &Secret<Vec<u8>>) -> Reply {
        let Ok(Ok(_permit)) = timeout(self.patience.total(), self.permits.acquire()).await else {
            tracing::warn!(upstream = self.name, "too many requests wait for this upstream");
            return Reply::Silent;
        };
        for server in self.in_order(Instant::now()) {
            match self.ask_server(server, user_name, passcode).await {
                Ok(code) => return reply_of(code),
                Err(Unanswered::Unsendable(error)) => {
                    tracing::debug!(upstream = self.name, %error, "refused without asking");
                    return Reply::Rejected;
                }
                Err(_) => {}
            }
        }
        Reply::Silent
    }

    /// Asks every server about the probe user. Without one there is nothing to ask.
    pub async fn probe(&self) -> Vec<Probed> {
        let Some(probe) = &self.probe else { return Vec::new() };
        let mut found = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let answer = self.ask_server(server, &probe.user.name, &probe.user.password).await;
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

    /// Those alive, or all if none is.
    fn in_order(&self, now: Instant) -> Vec<&Server> {
        let alive: Vec<_> = self.servers.iter().filter(|server| !server.is_dead(now)).collect();
        if alive.is_empty() { self.servers.iter().collect() } else { alive }
    }

    async fn ask_server(
        &self,
        server: &Server,
        user_name: &str,
        passcode: &Secret<Vec<u8>>,
    ) -> Result<Code, Unanswered> {
        let credentials = Credentials { user_name, passcode, nas_identifier: &self.nas_identifier };
        let answer = exchange(&server.settings, credentials, self.patience, self.demand).await;
        match &answer {
            Ok(_) => self.found_alive(server),
            Err(Unanswered::Unsendable(_)) => {}
            Err(error) => self.found_dead(server, error),
        }
        answer
    }

    fn found_alive(&self, server: &Server) {
        if server.set_dead_until(None).is_some() {
            tracing::info!(upstream = self.name, server = %server.settings.address, "answers again");
        }
    }

    fn found_dead(&self, server: &Server, error: &Unanswered) {
        let until = Instant::now() + self.dead_time;
        if server.set_dead_until(Some(until)).is_none() {
            let address = server.settings.address;
            tracing::warn!(upstream = self.name, server = %address, %error, "does not answer");
        }
    }
}

impl Server {
    fn is_dead(&self, now: Instant) -> bool {
        self.dead_until.lock().is_ok_and(|until| until.is_some_and(|until| now < until))
    }

    fn set_dead_until(&self, until: Option<Instant>) -> Option<Instant> {
        let mut dead_until = self.dead_until.lock().expect("nobody panics with this lock");
        std::mem::replace(&mut dead_until, until)
    }
}

fn reply_of(code: Code) -> Reply {
    match code {
        Code::ACCESS_ACCEPT => Reply::Accepted,
        Code::ACCESS_CHALLENGE => Reply::Challenged,
        _ => Reply::Rejected,
    }
}

fn user_name(format: UserNameFormat, account: &Account, login: &LoginName) -> String {
    match (format, &account.domain) {
        (UserNameFormat::AsGiven, _) => login.given().to_owned(),
        (UserNameFormat::DomainUser, Some(domain)) => format!("{domain}\\{}", account.name),
        (UserNameFormat::DomainUser, None) | (UserNameFormat::User, _) => account.name.clone(),
        (UserNameFormat::Upn, _) => account.effective_upn().unwrap_or_else(|| account.name.clone()),
    }
}

/// Requests to one upstream at a time; each has a socket of its own.
const MAX_IN_FLIGHT: usize = 512;

#[cfg(test)]
mod tests {
    use countersign_core::domain::{
        account::{Authentication, Validity},
        id::AccountId,
    };

    use super::*;

    fn account() -> Account {
        Account {
            id: AccountId::from_bytes([1; 16]),
            person: None,
            name: "alice".into(),
            domain: Some("CORP".into()),
            realm: Some("CORP.EXAMPLE".into()),
            upn: None,
            dn: None,
            sid: None,
            groups: Vec::new(),
            disabled: false,
            validity: Validity::default(),
            authentication: Authentication::Upstream("otp".into()),
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
            address: ([127, 0, 0, 1], *port).into(),
            secret: Secret::new(b"secret".to_vec()),
        };
        Upstream::new(UpstreamSettings {
            name: "otp".into(),
            servers: ports.iter().map(server).collect(),
            timeout: Duration::from_secs(1),
            tries: 1,
            dead_time: Duration::from_secs(60),
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign".into(),
            require_message_authenticator: true,
            probe: None,
        })
    }

    #[test]
    fn passes_over_the_dead_unless_all_are_dead() {
        let upstream = upstream(&[1, 2, 3]);
        let now = Instant::now();
        let ports = |now| -> Vec<u16> {
            let servers = upstream.in_order(now).into_iter();
            servers.map(|server| server.settings.address.port()).collect()
        };
        let soon = Some(now + Duration::from_secs(60));
        assert_eq!(ports(now), [1, 2, 3]);
        upstream.servers[0].set_dead_until(soon);
        assert_eq!(ports(now), [2, 3]);
        upstream.servers[1].set_dead_until(soon);
        upstream.servers[2].set_dead_until(soon);
        assert_eq!(ports(now), [1, 2, 3], "somebody has to be asked");
        upstream.servers[1].set_dead_until(None);
        assert_eq!(ports(now), [2]);
        assert_eq!(ports(now + Duration::from_secs(60)), [1, 2, 3], "the dead time is over");
    }
}
