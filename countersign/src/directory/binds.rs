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
    guard::guarded,
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
        let permit = timeout_at(self.server.deadline(), self.permits.acquire()).await;
        let _permit = permit.map_err(|_| self.server.busy())?;
        // Others that took long are no reason to find the server out of reach.
        let deadline = self.server.deadline();
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
        let binding = async { connection.0.simple_bind(dn, text).await.map_err(failure) };
        match timeout_at(deadline, guarded(binding)).await {
            Ok(Ok(result)) => Ok(result.into()),
            Ok(Err(Failure::Refused(ResultCode { code, text }))) => {
                Ok(BindResult { code, text, controls: Vec::new() })
            }
            Ok(Err(Failure::Lost(cause))) => Err(self.unanswered(cause)),
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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    fn server(listener: &TcpListener, time_limit: Duration) -> ServerSettings {
        ServerSettings {
            url: format!("ldap://{}", listener.local_addr().unwrap()),
            trust: None,
            identity: None,
            bind: None,
            authorization_id: None,
            time_limit,
        }
    }

    /// What a server that has lost its senses says to a bind.
    async fn answered(garbage: &'static [u8]) -> Result<BindResult, DirectoryError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let binds = Binds::new(&server(&listener, Duration::from_secs(2)), 1).unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(garbage);
        });
        let result = binds.bind("uid=alice,dc=test", &Secret::new(b"secret".to_vec()), &[]).await;
        serving.join().unwrap();
        result
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn garbage_of_a_server_is_a_connection_that_is_lost() {
        for garbage in [
            &b"\x30\x00"[..],
            b"\x30\x03\x02\x01\x01",
            b"\x30\x05\x02\x01\x01\x42\x00",
            b"\x30\x0d\x02\x01\x01\x61\x08\x0a\x01\x31\x04\x00\x04\x01\xff",
            b"\x30\x07\x02\x01\x01\x61\x02\x0a\x00",
        ] {
            let result = answered(garbage).await;
            let is_lost = matches!(result, Err(DirectoryError::Unanswered { .. }));
            assert!(is_lost, "{garbage:02x?}: {result:?}");
        }
    }

    /// Nothing is said about the server by our being many.
    #[tokio::test]
    async fn who_waits_for_a_connection_in_vain_finds_the_server_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let binds = Binds::new(&server(&listener, Duration::from_millis(300)), 1).unwrap();
        let password = Secret::new(b"secret".to_vec());
        let bind = || binds.bind("uid=alice,dc=test", &password, &[]);
        let (first, second) = tokio::join!(bind(), bind());
        assert!(matches!(first, Err(DirectoryError::Unanswered { .. })), "{first:?}");
        let is_busy =
            matches!(second, Err(DirectoryError::Busy { .. } | DirectoryError::Unanswered { .. }));
        assert!(is_busy, "{second:?}");
    }

    #[tokio::test]
    async fn nobody_is_bound_without_a_password_or_by_one_that_is_no_text() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let binds = Binds::new(&server(&listener, Duration::from_secs(2)), 1).unwrap();
        for password in [&b""[..], b"\xff"] {
            let password = Secret::new(password.to_vec());
            let result = binds.bind("uid=alice,dc=test", &password, &[]).await.unwrap();
            assert_eq!(result.code, ResultCode::INVALID_CREDENTIALS);
        }
    }
}
