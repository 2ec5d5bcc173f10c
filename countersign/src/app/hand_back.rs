//! Hand-back: the directory itself is asked whether a static password is right, by a bind with
//! the password alone.
//!
//! That bind comes back to us through slapd's overlay, and must be let through; nobody else's
//! bind without an OTP may be. What tells ours is the number of its connection. We learn it
//! with a one-time code in the place of a password: only slapd sees it, and passes it to us
//! with the number. Then one bind is expected, on this connection, for this entry and with
//! these octets, and let through once.

use std::{collections::HashMap, sync::Mutex};

use countersign_core::{domain::dn::Dn, secret::Secret};
use data_encoding::HEXLOWER;
use tokio::sync::oneshot;

use crate::{
    config::directory::ServerSettings,
    directory::{
        DirectoryError,
        binds::{BindConnection, BindResult, BindServer},
    },
    vault::random_octets,
};

/// Asks the directory about passwords.
pub struct HandBack {
    server: BindServer,
    idle: Mutex<Vec<Known>>,
    expected: Mutex<Expected>,
}

/// A connection of ours, as slapd counts it.
struct Known {
    connection: BindConnection,
    number: u64,
}

/// What is to come back to us.
#[derive(Default)]
struct Expected {
    /// Who waits for the number of the connection that a code comes by.
    codes: HashMap<Vec<u8>, oneshot::Sender<u64>>,
    /// The binds that are let through, by the numbers of their connections.
    binds: HashMap<u64, (Dn, Secret<Vec<u8>>)>,
}

/// A bind that came back to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// It told the number of a connection, and is to be refused.
    Code,
    /// It is the one that slapd is to decide.
    Expected,
}

/// Why the directory could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum HandBackError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The code did not come.
    #[error(
        "slapd did not tell the number of our connection; \
         does the overlay have `olcDbSocketExtensions: connid`?"
    )]
    Unknown,
}

impl HandBack {
    /// Nobody was asked yet.
    ///
    /// # Errors
    ///
    /// The URL is none of a directory.
    pub fn new(server: &ServerSettings) -> Result<Self, DirectoryError> {
        let server = BindServer::new(server)?;
        Ok(Self { server, idle: Mutex::default(), expected: Mutex::default() })
    }

    /// What the directory says to a password.
    ///
    /// # Errors
    ///
    /// It could not be asked.
    pub async fn ask(
        &self,
        dn: &str,
        password: &Secret<Vec<u8>>,
    ) -> Result<BindResult, HandBackError> {
        let name = Dn::parse(dn).map_err(|_| HandBackError::Unknown)?;
        let mut known = match self.kept() {
            Some(known) => known,
            None => self.introduced(dn).await?,
        };
        self.expected().binds.insert(known.number, (name, password.clone()));
        let result = self.server.bind(&mut known.connection, dn, password).await;
        self.expected().binds.remove(&known.number);
        let result = result?;
        self.idle.lock().expect(UNPOISONED).push(known);
        Ok(result)
    }

    /// Whether a bind is one of ours. Whoever asks has made sure that it came by slapd's own
    /// UNIX socket.
    pub fn own(&self, connection: u64, dn: &str, credentials: &Secret<Vec<u8>>) -> Option<Own> {
        let mut expected = self.expected();
        if let Some(waiting) = expected.codes.remove(credentials.expose_bytes()) {
            // Who waits no more has no use for it.
            let _ = waiting.send(connection);
            return Some(Own::Code);
        }
        let (name, password) = expected.binds.get(&connection)?;
        let is_it = Dn::parse(dn).is_ok_and(|dn| dn == *name) && password == credentials;
        is_it.then(|| expected.binds.remove(&connection)).flatten().map(|_| Own::Expected)
    }

    /// A new connection, with its number.
    async fn introduced(&self, dn: &str) -> Result<Known, HandBackError> {
        let mut connection = self.server.open().await?;
        let code = Secret::new(HEXLOWER.encode(&random_octets::<32>()).into_bytes());
        let (told, number) = oneshot::channel();
        self.expected().codes.insert(code.expose_bytes().to_vec(), told);
        let result = self.server.bind(&mut connection, dn, &code).await;
        self.expected().codes.remove(code.expose_bytes());
        result?;
        let mut number = number;
        let number = number.try_recv().map_err(|_| HandBackError::Unknown)?;
        Ok(Known { connection, number })
    }

    fn kept(&self) -> Option<Known> {
        let mut idle = self.idle.lock().expect(UNPOISONED);
        while let Some(mut known) = idle.pop() {
            if known.connection.is_open() {
                return Some(known);
            }
        }
        None
    }

    fn expected(&self) -> std::sync::MutexGuard<'_, Expected> {
        self.expected.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nobody panics with this lock";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hand_back() -> HandBack {
        let server = ServerSettings {
            url: "ldapi:///nowhere/ldapi".into(),
            trust: None,
            identity: None,
            bind: None,
            authorization_id: None,
            time_limit: Duration::from_secs(1),
        };
        HandBack::new(&server).unwrap()
    }

    fn secret(text: &str) -> Secret<Vec<u8>> {
        Secret::new(text.as_bytes().to_vec())
    }

    fn expect(hand_back: &HandBack, connection: u64, dn: &str, password: &str) {
        let bind = (Dn::parse(dn).unwrap(), secret(password));
        hand_back.expected().binds.insert(connection, bind);
    }

    #[test]
    fn one_bind_is_let_through_once() {
        let hand_back = hand_back();
        expect(&hand_back, 1007, "uid=alice,dc=test", "secret");
        let own = hand_back.own(1007, "uid=Alice,dc=TEST", &secret("secret"));
        assert_eq!(own, Some(Own::Expected));
        assert_eq!(hand_back.own(1007, "uid=alice,dc=test", &secret("secret")), None);
    }

    #[test]
    fn nobody_elses_bind_is_let_through() {
        let hand_back = hand_back();
        expect(&hand_back, 1007, "uid=alice,dc=test", "secret");
        for (connection, dn, password) in [
            (1008, "uid=alice,dc=test", "secret"),
            (1007, "uid=bob,dc=test", "secret"),
            (1007, "uid=alice,dc=test", "Secret"),
            (1007, "uid=alice,dc=test", ""),
            (1007, "no name", "secret"),
        ] {
            assert_eq!(hand_back.own(connection, dn, &secret(password)), None, "{dn} {password}");
        }
        let own = hand_back.own(1007, "uid=alice,dc=test", &secret("secret"));
        assert_eq!(own, Some(Own::Expected), "and ours still is");
    }

    #[test]
    fn a_code_tells_the_number_of_its_connection_once() {
        let hand_back = hand_back();
        let (told, mut number) = oneshot::channel();
        hand_back.expected().codes.insert(b"a code".to_vec(), told);
        assert_eq!(hand_back.own(1009, "uid=alice,dc=test", &secret("a code")), Some(Own::Code));
        assert_eq!(number.try_recv(), Ok(1009));
        assert_eq!(hand_back.own(1009, "uid=alice,dc=test", &secret("a code")), None);
    }

    #[tokio::test]
    async fn nothing_is_expected_any_more_when_the_directory_cannot_be_asked() {
        let hand_back = hand_back();
        let asked = hand_back.ask("uid=alice,dc=test", &secret("secret")).await;
        assert!(matches!(asked, Err(HandBackError::Directory(_))), "{asked:?}");
        assert!(hand_back.expected().codes.is_empty() && hand_back.expected().binds.is_empty());
    }
}
