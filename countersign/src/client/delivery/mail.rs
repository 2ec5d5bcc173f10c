//! Mail: one connection for a message, which is kept as short as it can be.

use std::sync::Arc;

use lettre::{
    Address, Message as Letter,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::authentication::{Credentials, Mechanism},
};
use rustls::{ALL_VERSIONS, RootCertStore};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::{Failure, Message, hide, smtp::Server};
use crate::{
    client::tls::{ClientError, client_config},
    config::delivery::{MailSettings, one_line},
};

/// Mails through one server.
pub(super) struct Mail {
    server: Server,
    settings: MailSettings,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({})", self.peer())
    }
}

impl Mail {
    pub(super) fn new(settings: &MailSettings, roots: RootCertStore) -> Result<Self, ClientError> {
        let server = Server {
            host: settings.host.clone(),
            port: settings.port,
            tls: settings.tls,
            connector: TlsConnector::from(Arc::new(client_config(roots, None, ALL_VERSIONS)?)),
        };
        Ok(Self { server, settings: settings.clone() })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Failure> {
        let letter = self.letter(message)?;
        let mut connection = self.server.connect().await.map_err(|cause| self.failure(cause))?;
        if let Some(ours) = &self.settings.credentials {
            let credentials = Credentials::new(ours.user.clone(), ours.password.expose().clone());
            let known = connection.auth(&MECHANISMS, &credentials).await;
            known.map_err(|error| self.failure(format!("as user {:?}: {error}", ours.user)))?;
        }
        let sent = connection.send(letter.envelope(), &letter.formatted()).await;
        sent.map_err(|error| self.failure(error))?;
        // It has the message; how it says goodbye does not matter.
        let _ = connection.quit().await;
        Ok(())
    }

    /// The library encodes what stands in a header; that it is one line is seen to here.
    fn letter(&self, message: &Message) -> Result<Letter, Failure> {
        let settings = &self.settings;
        let to: Address = message.to.parse().map_err(|_| Failure::Address(hide(&message.to)))?;
        let subject = settings.subject.fill(&message.values(), one_line);
        let text = settings.text.fill(&message.values(), one_line);
        let id = format!("<{}@{}>", Uuid::new_v4(), settings.from.email.domain());
        let mut letter = Letter::builder()
            .from(settings.from.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(subject.expose()))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .body(text.expose().clone())
            .map_err(|error| self.failure(error))?;
        // So that no holiday notice answers (RFC 3834 §5).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        letter.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        Ok(letter)
    }

    fn peer(&self) -> String {
        format!("mail server {}:{}", self.settings.host, self.settings.port)
    }

    fn failure(&self, cause: impl ToString) -> Failure {
        Failure::Peer { peer: self.peer(), cause: cause.to_string() }
    }
}

/// Those that every server knows; what protects a password is TLS.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use super::*;
    use crate::config::delivery::{MailTls, Pattern};

    fn mail(subject: &str, text: &str) -> Mail {
        let pattern = |text| Pattern::parse(text, "example.com").unwrap();
        let settings = MailSettings {
            host: "smtp.example.com".into(),
            port: 25,
            tls: MailTls::None,
            credentials: None,
            from: "Beispiel <otp@example.com>".parse().unwrap(),
            trust: None,
            subject: pattern(subject),
            text: pattern(text),
        };
        Mail::new(&settings, RootCertStore::empty()).unwrap()
    }

    fn message(to: &str, account: &str) -> Message {
        let otp = Secret::new("123456".to_owned());
        Message { to: to.into(), account: account.into(), otp }
    }

    fn written(mail: &Mail, account: &str) -> String {
        let letter = mail.letter(&message("alice@example.org", account)).unwrap();
        String::from_utf8(letter.formatted()).unwrap()
    }

    #[test]
    fn a_letter_is_what_the_config_says() {
        let text =
            written(&mail("OTP for {site}", "Hello {account},\nyour OTP is {otp}.\n"), "alice");
        for expected in [
            "From: Beispiel <otp@example.com>\r\n",
            "To: alice@example.org\r\n",
            "Subject: OTP for example.com\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "@example.com>\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\n\r\nHello alice,\r\nyour OTP is 123456.\r\n",
        ] {
            assert!(text.contains(expected), "{expected:?}: {text}");
        }
    }

    #[test]
    fn other_than_ascii_is_encoded() {
        let text = written(&mail("Ihr Einmalpaßwort", "Ihr Einmalpaßwort: {otp}"), "alice");
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("Subject: Ihr =?utf-8?b?") && text.contains("123456"), "{text}");
    }

    #[test]
    fn no_value_makes_a_header_of_its_own() {
        let mail = mail("For {account}", "For {account}: {otp}");
        for account in ["a\r\nBcc: eve@example.org", "a\nBcc: eve@example.org", "a\r\n\r\nBcc: b"] {
            let text = written(&mail, account);
            assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "{text}");
        }
        for to in [
            "",
            "alice",
            "alice@example.org\r\nBcc: eve@example.org",
            "alice@example.org, eve@example.org",
            "alice@example.org> RCPT TO:<eve@example.org",
            "\"a\r\nb\"@example.org",
        ] {
            let failure = mail.letter(&message(to, "alice")).unwrap_err();
            assert!(matches!(failure, Failure::Address(_)), "{to:?}: {failure}");
        }
    }
}
