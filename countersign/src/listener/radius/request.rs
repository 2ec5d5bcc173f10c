//! What an Access-Request asks: is this user's passcode right? PAP only.

use countersign_core::{
    domain::name::{LoginName, LoginNameError},
    secret::Secret,
    wire::radius::{
        authenticator::VerifiedRequest, dictionary::AttributeNumber, password::PasswordError,
    },
};

use crate::config::upstream::ProbeUser;

/// Whom the request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A user and what the user typed.
    Logon(LoginName, Secret<Vec<u8>>),
    /// The client's probe user, and whether its password was right.
    Probe(bool),
}

/// Peer: a request that nobody has to decide about. It is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it has no User-Name or several")]
    UserNames,
    #[error("its User-Name is not UTF-8; the shared secret may still be right")]
    UserNameEncoding,
    #[error("its User-Name is no login name: {0}")]
    LoginName(#[from] LoginNameError),
    #[error("it has no User-Password; configure the client for PAP, not for CHAP")]
    Chap,
    #[error("it has no User-Password; configure the client for PAP, not for EAP")]
    Eap,
    #[error("it has no User-Password; configure the client for PAP")]
    NoPassword,
    #[error("{0}")]
    Password(#[from] PasswordError),
}

impl Question {
    pub(super) fn read(
        request: &VerifiedRequest<'_>,
        probe: Option<&ProbeUser>,
    ) -> Result<Self, Refusal> {
        let name = user_name(request)?;
        let password = match request.user_password()? {
            Some(password) => password,
            None => return Err(other_method(request)),
        };
        match probe {
            Some(probe) if probe.name == name => Ok(Self::Probe(probe.password == password)),
            Some(_) | None => Ok(Self::Logon(LoginName::parse(name)?, password)),
        }
    }
}

fn user_name<'a>(request: &VerifiedRequest<'a>) -> Result<&'a str, Refusal> {
    let mut names = request.packet().attributes().all(AttributeNumber::USER_NAME);
    match (names.next(), names.next()) {
        (Some(name), None) => str::from_utf8(name).map_err(|_| Refusal::UserNameEncoding),
        (None, _) | (Some(_), Some(_)) => Err(Refusal::UserNames),
    }
}

fn other_method(request: &VerifiedRequest<'_>) -> Refusal {
    let attributes = request.packet().attributes();
    if attributes.contains(AttributeNumber::CHAP_PASSWORD) {
        Refusal::Chap
    } else if attributes.contains(AttributeNumber::EAP_MESSAGE) {
        Refusal::Eap
    } else {
        Refusal::NoPassword
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::{
        authenticator::{Authenticator, Demand},
        dictionary::Code,
        packet::{Draft, Identifier, Packet, Protection},
    };

    use super::*;

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn draft() -> Draft {
        Draft::new(
            Code::ACCESS_REQUEST,
            Identifier(1),
            Authenticator([7; 16]),
            Protection::MessageAuthenticator,
        )
    }

    fn with(attributes: &[(AttributeNumber, &[u8])]) -> Draft {
        let mut draft = draft();
        for (number, value) in attributes {
            draft.push(*number, value).unwrap();
        }
        draft
    }

    fn password(mut draft: Draft, password: &[u8]) -> Draft {
        draft.push_user_password(&Secret::new(password.to_vec()), &secret()).unwrap();
        draft
    }

    fn question(draft: Draft) -> Result<Question, Refusal> {
        let probe = ProbeUser { name: "probe".into(), password: Secret::new(b"alive".to_vec()) };
        let (bytes, secret) = (draft.finish_request(&secret()), secret());
        let packet = Packet::read(&bytes).ok();
        let request =
            packet.and_then(|packet| packet.verify_request(&secret, Demand::Required).ok());
        match request {
            Some(request) => Question::read(&request, Some(&probe)),
            None => panic!("the request is not even a request"),
        }
    }

    #[test]
    fn asks_about_a_user_and_what_was_typed() {
        let asked = question(password(with(&[(AttributeNumber::USER_NAME, b"CORP\\alice")]), b"1"));
        let login = LoginName::parse("CORP\\alice").unwrap();
        assert_eq!(asked, Ok(Question::Logon(login, Secret::new(b"1".to_vec()))));
    }

    #[test]
    fn knows_the_probe_user_by_name_and_its_password() {
        let probe = || with(&[(AttributeNumber::USER_NAME, b"probe")]);
        assert_eq!(question(password(probe(), b"alive")), Ok(Question::Probe(true)));
        assert_eq!(question(password(probe(), b"755224")), Ok(Question::Probe(false)));
    }

    #[test]
    fn refuses_names_that_are_none() {
        let name = AttributeNumber::USER_NAME;
        for (names, refusal) in [
            (&[][..], Refusal::UserNames),
            (&[(name, &b"alice"[..]), (name, b"bob")], Refusal::UserNames),
            (&[(name, b"\xff")], Refusal::UserNameEncoding),
            (&[(name, b"")], Refusal::LoginName(LoginNameError::Empty)),
            (&[(name, b"a\0b")], Refusal::LoginName(LoginNameError::ControlCharacter)),
        ] {
            assert_eq!(question(password(with(names), b"1")), Err(refusal), "{names:?}");
        }
    }

    #[test]
    fn refuses_every_method_but_pap_and_says_which() {
        let name = (AttributeNumber::USER_NAME, &b"alice"[..]);
        for (method, refusal) in [
            (Some((AttributeNumber::CHAP_PASSWORD, &[0; 17][..])), Refusal::Chap),
            (Some((AttributeNumber::EAP_MESSAGE, &[2, 0, 0, 4])), Refusal::Eap),
            (None, Refusal::NoPassword),
        ] {
            let attributes: Vec<_> = [name].into_iter().chain(method).collect();
            assert_eq!(question(with(&attributes)), Err(refusal));
        }
    }

    #[test]
    fn refuses_a_password_that_was_not_hidden() {
        let attributes: [(_, &[u8]); 2] =
            [(AttributeNumber::USER_NAME, b"alice"), (AttributeNumber::USER_PASSWORD, b"755224")];
        assert_eq!(question(with(&attributes)), Err(Refusal::Password(PasswordError::Length(6))));
    }
}
