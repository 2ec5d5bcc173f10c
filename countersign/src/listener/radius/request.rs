//! What an Access-Request asks: is this user's passcode right? PAP only.

use countersign_core::{
    domain::name::{LoginName, LoginNameError},
    krb5::login::{PrincipalError, login_of},
    secret::Secret,
    wire::radius::{
        authenticator::VerifiedRequest, dictionary::AttributeNumber, password::PasswordError,
    },
};

use super::rules::Rules;
use crate::config::radius::ClientSettings;

/// Whom the request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A user and what the user typed.
    Logon {
        /// The user.
        login: LoginName,
        /// What was typed.
        passcode: Secret<Vec<u8>>,
        /// What ties it to an earlier round.
        state: Option<Vec<u8>>,
    },
    /// The client's probe user, and whether its password was right.
    Probe(bool),
    /// Somebody whom others know.
    Elsewhere {
        /// The upstream.
        upstream: String,
        /// The User-Name to ask with.
        user_name: String,
    },
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
    #[error("{0}")]
    Principal(#[from] PrincipalError),
    #[error(
        "it has a CHAP-Password: CHAP proves that both sides know the same password, and nobody \
         knows an OTP before it is typed; configure the client for PAP"
    )]
    Chap,
    #[error(
        "it has an MS-CHAP-Response: MS-CHAP and MS-CHAPv2 prove that both sides know the same \
         password, and nobody knows an OTP before it is typed; configure the client for PAP, or \
         EAP-TTLS with PAP inside"
    )]
    MsChap,
    #[error(
        "it has an EAP-Message: EAP ends at a server in front of this one; let FreeRADIUS take it \
         and pass the inner PAP on"
    )]
    Eap,
    #[error("it has no User-Password; configure the client for PAP")]
    NoPassword,
    #[error("it has several States")]
    States,
    #[error("an upstream knows the user, and nobody here knows which indicators that stands for")]
    Indicators,
    #[error("{0}")]
    Password(#[from] PasswordError),
}

impl Refusal {
    /// Whether the client is set up for something that cannot work here, whoever logs on.
    pub(super) fn is_about_the_client(self) -> bool {
        matches!(self, Self::Chap | Self::MsChap | Self::Eap | Self::NoPassword)
    }
}

impl Question {
    pub(super) fn read(
        request: &VerifiedRequest<'_>,
        client: &ClientSettings,
        rules: &Rules,
    ) -> Result<Self, Refusal> {
        let given = user_name(request)?;
        let name = match client.is_kdc {
            true => &login_of(given)?,
            false => given,
        };
        let (name, upstream) = route(name, client, rules);
        if let Some(upstream) = upstream {
            return match client.indicators.is_empty() {
                true => Ok(Self::Elsewhere { upstream, user_name: name }),
                false => Err(Refusal::Indicators),
            };
        }
        let password = match request.user_password()? {
            Some(password) => password,
            None => return Err(other_method(request)),
        };
        match &client.probe {
            Some(probe) if probe.name == given => Ok(Self::Probe(probe.password == password)),
            Some(_) | None => Ok(Self::Logon {
                login: LoginName::parse(&name)?,
                passcode: password,
                state: state(request)?,
            }),
        }
    }
}

/// The name to go on with, and the upstream that knows it if it is not known here.
pub(super) fn route(
    name: &str,
    client: &ClientSettings,
    rules: &Rules,
) -> (String, Option<String>) {
    client.route(name, |realm| rules.realm(realm))
}

/// The one User-Name of a request.
pub(super) fn user_name<'a>(request: &VerifiedRequest<'a>) -> Result<&'a str, Refusal> {
    let mut names = request.packet().attributes().all(AttributeNumber::USER_NAME);
    match (names.next(), names.next()) {
        (Some(name), None) => str::from_utf8(name).map_err(|_| Refusal::UserNameEncoding),
        (None, _) | (Some(_), Some(_)) => Err(Refusal::UserNames),
    }
}

fn state(request: &VerifiedRequest<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    let mut states = request.packet().attributes().all(AttributeNumber::STATE);
    match (states.next(), states.next()) {
        (state, None) => Ok(state.map(<[u8]>::to_vec)),
        (_, Some(_)) => Err(Refusal::States),
    }
}

fn other_method(request: &VerifiedRequest<'_>) -> Refusal {
    let attributes = request.packet().attributes();
    let is_ms_chap = |value: &[u8]| match value {
        [a, b, c, d, kind, ..] => [*a, *b, *c, *d] == MICROSOFT && MS_CHAP_RESPONSES.contains(kind),
        _ => false,
    };
    if attributes.contains(AttributeNumber::CHAP_PASSWORD) {
        Refusal::Chap
    } else if attributes.all(AttributeNumber::VENDOR_SPECIFIC).any(is_ms_chap) {
        Refusal::MsChap
    } else if attributes.contains(AttributeNumber::EAP_MESSAGE) {
        Refusal::Eap
    } else {
        Refusal::NoPassword
    }
}

/// The vendor number of Microsoft, 311.
const MICROSOFT: [u8; 4] = [0, 0, 1, 55];
/// MS-CHAP-Response and MS-CHAP2-Response (RFC 2548 §2.1.3, §2.3.2).
const MS_CHAP_RESPONSES: [u8; 2] = [1, 25];

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::{
        authenticator::{Authenticator, Demand},
        dictionary::Code,
        packet::{Draft, Identifier, Packet, Protection},
    };

    use super::*;
    use crate::config::{
        radius::{RadiusRules, RealmSettings, Source},
        upstream::ProbeUser,
    };

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn client() -> ClientSettings {
        let source = Source::Network("10.0.0.0/8".parse().unwrap());
        let probe = ProbeUser { name: "probe".into(), password: Secret::new(b"alive".to_vec()) };
        ClientSettings { probe: Some(probe), ..ClientSettings::new("vpn".into(), source, secret()) }
    }

    fn realm(name: &str, upstream: Option<&str>, strip: bool) -> RealmSettings {
        RealmSettings { name: name.into(), upstream: upstream.map(Into::into), strip }
    }

    fn rules() -> Rules {
        let realms = vec![
            realm("partner.example", Some("partner"), true),
            realm("other.example", Some("other"), false),
            realm("KRB.EXAMPLE", None, true),
        ];
        Rules::new(RadiusRules { realms, ..RadiusRules::default() }).unwrap()
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

    fn question_of(draft: Draft, client: &ClientSettings) -> Result<Question, Refusal> {
        let (bytes, secret) = (draft.finish_request(&secret()), secret());
        let packet = Packet::read(&bytes).ok();
        let request =
            packet.and_then(|packet| packet.verify_request(&secret, Demand::Required).ok());
        match request {
            Some(request) => Question::read(&request, client, &rules()),
            None => panic!("the request is not even a request"),
        }
    }

    fn question(draft: Draft) -> Result<Question, Refusal> {
        question_of(draft, &client())
    }

    fn logon(name: &str, state: Option<&[u8]>) -> Question {
        Question::Logon {
            login: LoginName::parse(name).unwrap(),
            passcode: Secret::new(b"1".to_vec()),
            state: state.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn asks_about_a_user_and_what_was_typed() {
        let asked = question(password(with(&[(AttributeNumber::USER_NAME, b"CORP\\alice")]), b"1"));
        assert_eq!(asked, Ok(logon("CORP\\alice", None)));
        let attributes: [(_, &[u8]); 2] =
            [(AttributeNumber::USER_NAME, b"alice"), (AttributeNumber::STATE, b"round two")];
        let asked = question(password(with(&attributes), b"1"));
        assert_eq!(asked, Ok(logon("alice", Some(b"round two"))));
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
        let vendor = AttributeNumber::VENDOR_SPECIFIC;
        for (method, refusal) in [
            (Some((AttributeNumber::CHAP_PASSWORD, &[0; 17][..])), Refusal::Chap),
            (Some((vendor, &[0, 0, 1, 55, 25, 4, 0, 0])), Refusal::MsChap),
            (Some((vendor, &[0, 0, 1, 55, 1, 4, 0, 0])), Refusal::MsChap),
            (Some((vendor, &[0, 0, 0, 9, 1, 4, 0, 0])), Refusal::NoPassword),
            (Some((AttributeNumber::EAP_MESSAGE, &[2, 0, 0, 4])), Refusal::Eap),
            (None, Refusal::NoPassword),
        ] {
            let attributes: Vec<_> = [name].into_iter().chain(method).collect();
            let refused = question(with(&attributes));
            assert_eq!(refused, Err(refusal));
            assert!(refusal.is_about_the_client());
        }
    }

    #[test]
    fn refuses_a_password_that_was_not_hidden() {
        let attributes: [(_, &[u8]); 2] =
            [(AttributeNumber::USER_NAME, b"alice"), (AttributeNumber::USER_PASSWORD, b"755224")];
        assert_eq!(question(with(&attributes)), Err(Refusal::Password(PasswordError::Length(6))));
    }

    #[test]
    fn a_name_goes_where_its_realm_is_known() {
        let vpn = client();
        let far = ClientSettings { default_realm: Some("Other.Example".into()), ..client() };
        let sent_on = ClientSettings { upstream: Some("rsa".into()), ..client() };
        let stripped = ClientSettings { strip_realm: true, ..client() };
        for (client, name, expected, upstream) in [
            (&vpn, "alice", "alice", None),
            (&vpn, "alice@corp.example", "alice@corp.example", None),
            (&vpn, "alice@PARTNER.example", "alice", Some("partner")),
            (&vpn, "alice@other.example", "alice@other.example", Some("other")),
            (&vpn, "alice@krb.example", "alice", None),
            (&vpn, "a@home@partner.example", "a@home", Some("partner")),
            (&far, "alice", "alice@Other.Example", Some("other")),
            (&far, "CORP\\alice", "CORP\\alice", None),
            (&far, "alice@krb.example", "alice", None),
            (&sent_on, "alice", "alice", Some("rsa")),
            (&sent_on, "alice@partner.example", "alice", Some("rsa")),
            (&stripped, "alice@anywhere", "alice", None),
            (&stripped, "CORP\\alice", "CORP\\alice", None),
            (&stripped, "alice@other.example", "alice", Some("other")),
        ] {
            let (found, sent_to) = route(name, client, &rules());
            assert_eq!((found.as_str(), sent_to.as_deref()), (expected, upstream), "{name}");
        }
    }

    #[test]
    fn what_is_sent_on_need_not_be_pap() {
        let attributes: [(_, &[u8]); 2] = [
            (AttributeNumber::USER_NAME, b"alice@partner.example"),
            (AttributeNumber::CHAP_PASSWORD, &[0; 17]),
        ];
        let elsewhere =
            Question::Elsewhere { upstream: "partner".into(), user_name: "alice".into() };
        assert_eq!(question(with(&attributes)), Ok(elsewhere));
    }

    #[test]
    fn nobody_is_sent_on_for_a_client_that_demands_indicators() {
        let strict = ClientSettings { indicators: ["hardware".into()].into(), ..client() };
        let asked = |name: &[u8]| {
            question_of(password(with(&[(AttributeNumber::USER_NAME, name)]), b"1"), &strict)
        };
        assert_eq!(asked(b"alice@partner.example"), Err(Refusal::Indicators));
        assert_eq!(asked(b"alice"), Ok(logon("alice", None)));
    }

    #[test]
    fn a_kdc_asks_about_principals() {
        let kdc = ClientSettings { is_kdc: true, ..client() };
        let ask = |principal: &[u8]| {
            question_of(password(with(&[(AttributeNumber::USER_NAME, principal)]), b"1"), &kdc)
        };
        assert_eq!(ask(b"alice/admin@KRB.EXAMPLE"), Ok(logon("alice/admin", None)));
        assert_eq!(ask(b"alice@CORP.EXAMPLE"), Ok(logon("alice@CORP.EXAMPLE", None)));
        let ambiguous = Err(Refusal::Principal(PrincipalError::Ambiguous));
        assert_eq!(ask(br"alice\@CORP.EXAMPLE"), ambiguous);
    }
}
