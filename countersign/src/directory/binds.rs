//! Binds with the credentials of users, over connections of their own.
//!
//! The connections of a [`Directory`](super::Directory) are bound as ourselves; these are bound
//! as whoever bound last, and are good for nothing else. A bind is sent once: it may have spent
//! an OTP.

use std::{sync::Mutex, time::Duration};

use countersign_core::secret::Secret;
use ldap3::{
    Ldap, LdapResult,
    controls::{Control as LdapControl, RawControl},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    DirectoryError, ResultCode,
    dial::Dialer,
    operation::{Failure, failure},
};
use crate::config::directory::ServerSettings;

/// A server that users are bound at, over a bounded number of kept connections.
pub struct Binds {
    server: BindServer,
    permits: Semaphore,
    idle: Mutex<Vec<BindConnection>>,
}

/// A server that users are bound at.
pub struct BindServer {
    dialer: Dialer,
    time_limit: Duration,
}

/// A connection that users are bound on, one after the other.
pub struct BindConnection(Ldap);

/// A control of a request (RFC 4511 §4.1.11); none of them is critical.
#[derive(Debug, Clone)]
pub struct Control {
    /// Its object identifier.
    pub kind: &'static str,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// The answer to a bind.
#[derive(Debug)]
pub struct BindResult {
    /// The result code (RFC 4511 §4.1.9).
    pub code: u32,
    /// The diagnostic message.
    pub text: String,
    /// Controls of the answer: object identifier and value.
    pub controls: Vec<(String, Vec<u8>)>,
}

impl Binds {
    /// A server that nothing was asked yet.
    ///
    /// # Errors
    ///
    /// The URL is none of a directory, or a file of its settings cannot be used.
    pub fn new(settings: &ServerSettings, connections: usize) -> Result<Self, DirectoryError> {
        let server = BindServer::new(settings)?;
        Ok(Self { server, permits: Semaphore::new(connections), idle: Mutex::default() })
    }

    /// Binds a user, once.
    ///
    /// # Errors
    ///
    /// There is no answer. Only after [`DirectoryError::Unanswered`] the bind may have happened.
    pub async fn bind(
        &self,
        dn: &str,
        password: &Secret<Vec<u8>>,
        controls: &[Control],
    ) -> Result<BindResult, DirectoryError> {
        let deadline = self.server.deadline();
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        let _permit = permit.map_err(|_| self.server.busy())?;
        let mut connection = match self.kept() {
            Some(connection) => connection,
            None => self.server.open_by(deadline).await?,
        };
        let result = self.server.bind_by(&mut connection, dn, password, controls, deadline).await?;
        self.idle.lock().expect(UNPOISONED).push(connection);
        Ok(result)
    }

    fn kept(&self) -> Option<BindConnection> {
        let mut idle = self.idle.lock().expect(UNPOISONED);
        while let Some(mut connection) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }
}

impl BindServer {
    /// A server that nothing was asked yet.
    ///
    /// # Errors
    ///
    /// As [`Binds::new`].
    pub fn new(settings: &ServerSettings) -> Result<Self, DirectoryError> {
        Ok(Self { dialer: Dialer::new(settings)?, time_limit: settings.time_limit })
    }

    /// A new connection.
    ///
    /// # Errors
    ///
    /// The server cannot be reached.
    pub async fn open(&self) -> Result<BindConnection, DirectoryError> {
        self.open_by(self.deadline()).await
    }

    /// Binds a user on a connection, once. After an error it is good for nothing any more.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn bind(
        &self,
        connection: &mut BindConnection,
        dn: &str,
        password: &Secret<Vec<u8>>,
    ) -> Result<BindResult, DirectoryError> {
        self.bind_by(connection, dn, password, &[], self.deadline()).await
    }

    async fn open_by(&self, deadline: Instant) -> Result<BindConnection, DirectoryError> {
        match timeout_at(deadline, self.dialer.open()).await {
            Ok(opened) => opened.map(BindConnection),
            Err(_) => Err(self.dialer.unreachable(self.nothing_in_time())),
        }
    }

    async fn bind_by(
        &self,
        connection: &mut BindConnection,
        dn: &str,
        password: &Secret<Vec<u8>>,
        controls: &[Control],
        deadline: Instant,
    ) -> Result<BindResult, DirectoryError> {
        // RFC 4513 §5.1.3: a simple bind without a password is anonymous. Nobody is let in by one.
        let text = std::str::from_utf8(password.expose_bytes()).ok();
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(BindResult::refused());
        };
        let controls: Vec<RawControl> = controls.iter().map(Control::raw).collect();
        connection.0.with_controls(controls);
        match timeout_at(deadline, connection.0.simple_bind(dn, text)).await {
            Ok(Ok(result)) => Ok(result.into()),
            Ok(Err(error)) => match failure(error) {
                Failure::Refused(ResultCode { code, text }) => {
                    Ok(BindResult { code, text, controls: Vec::new() })
                }
                Failure::Lost(cause) => Err(self.unanswered(cause)),
            },
            Err(_) => Err(self.unanswered(self.nothing_in_time())),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.time_limit
    }

    fn busy(&self) -> DirectoryError {
        let server = self.dialer.name().to_owned();
        DirectoryError::Busy { server, seconds: self.time_limit.as_secs() }
    }

    fn unanswered(&self, cause: String) -> DirectoryError {
        DirectoryError::Unanswered { server: self.dialer.name().to_owned(), cause }
    }

    fn nothing_in_time(&self) -> String {
        format!("nothing within {} s", self.time_limit.as_secs_f32())
    }
}

impl BindConnection {
    /// Whether the server has not closed it.
    pub fn is_open(&mut self) -> bool {
        !self.0.is_closed()
    }
}

impl Control {
    fn raw(&self) -> RawControl {
        RawControl { ctype: self.kind.to_owned(), crit: false, val: self.value.clone() }
    }
}

impl BindResult {
    /// invalidCredentials, without asking anybody.
    fn refused() -> Self {
        let (text, controls) = (String::new(), Vec::new());
        Self { code: ResultCode::INVALID_CREDENTIALS, text, controls }
    }

    /// Whether the user is bound.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == 0
    }
}

impl From<LdapResult> for BindResult {
    fn from(result: LdapResult) -> Self {
        let value = |LdapControl(_, raw)| (raw.ctype, raw.val.unwrap_or_default());
        let controls = result.ctrls.into_iter().map(value).collect();
        Self { code: result.rc, text: result.text, controls }
    }
}

const UNPOISONED: &str = "nobody panics with this lock";
