//! RADIUS packets: what was read is written the same, and only what was made with the
//! shared secret is believed.

use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::{Authenticator, Demand},
        concealed::{Concealment, conceal_anew},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Packet, Protection},
    },
};

/// A request as it arrives, and one that a client made of the same attributes.
pub fn request(octets: &[u8]) {
    let Ok(packet) = Packet::read(octets) else { return };
    is_written_the_same(&packet);
    let secret = secret();
    let lenient = packet.verify_request(&secret, Demand::WherePresent);
    let strict = packet.verify_request(&secret, Demand::Required);
    assert!(lenient.is_ok() || strict.is_err(), "strict takes nothing that lenient does not");
    if let Ok(verified) = strict {
        assert_eq!(verified.carried(), Protection::MessageAuthenticator);
    }
    if let Ok(verified) = lenient {
        let is_shaped = packet.attributes().contains(AttributeNumber::PROXY_STATE);
        assert!(!is_shaped || verified.carried() == Protection::MessageAuthenticator);
        if let Ok(Some(password)) = verified.user_password() {
            assert!(password.expose().len() <= 128);
        }
    }
    made_by_a_client(&packet);
    made_of_accounting(&packet);
}

/// A reply as it arrives, and one that a server made of the same attributes.
pub fn reply(octets: &[u8]) {
    let Ok(packet) = Packet::read(octets) else { return };
    let secret = secret();
    for demand in [Demand::WherePresent, Demand::Required] {
        let verified = packet.verify_reply(packet.identifier(), ASKED, &secret, demand);
        let forged = packet.verify_reply(packet.identifier(), OTHER, &secret, demand);
        assert!(verified.is_err() || forged.is_err(), "a reply answers one request");
        let other = Identifier(packet.identifier().0.wrapping_add(1));
        assert!(packet.verify_reply(other, ASKED, &secret, demand).is_err());
    }
    is_passed_on(&packet);
    let protection = Protection::MessageAuthenticator;
    let Some(draft) = draft_of(&packet, packet.code(), protection) else { return };
    let mut made = draft.finish_reply(&secret);
    assert!(is_believed(&made));
    let place = usize::from(octets[4]) * made.len() / 256;
    made[place] ^= 1 << (octets[5] % 8);
    assert!(!is_believed(&made), "octet {place} was changed");
}

fn is_believed(reply: &[u8]) -> bool {
    let Ok(packet) = Packet::read(reply) else { return false };
    packet.verify_reply(IDENTIFIER, ASKED, &secret(), Demand::Required).is_ok()
}

fn is_written_the_same(packet: &Packet<'_>) {
    let mut draft =
        Draft::new(packet.code(), packet.identifier(), packet.authenticator(), Protection::None);
    for attribute in packet.attributes() {
        if draft.push(attribute.number, attribute.value).is_err() {
            return;
        }
    }
    assert_eq!(draft.finish_request(&secret()), packet.as_bytes());
}

/// The first value becomes a password; it must come out as it went in.
fn made_by_a_client(packet: &Packet<'_>) {
    let secret = secret();
    let protection = Protection::MessageAuthenticator;
    let Some(mut draft) = draft_of(packet, Code::ACCESS_REQUEST, protection) else { return };
    let value = packet.attributes().iter().next().map(|first| first.value).unwrap_or_default();
    let length = value.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let password = Secret::new(value[..length].to_vec());
    let pushed = draft.push_user_password(&password, &secret).is_ok();
    let made = draft.finish_request(&secret);
    let read = Packet::read(&made).expect("what was made is well-formed");
    let verified = read.verify_request(&secret, Demand::Required).expect("it was made with it");
    let unhidden = verified.user_password().expect("there is one at most");
    assert_eq!(unhidden, pushed.then_some(password));
    let other = Secret::new(b"another".to_vec());
    assert!(read.verify_request(&other, Demand::WherePresent).is_err());
}

/// A report of the same attributes is believed as it was made.
fn made_of_accounting(packet: &Packet<'_>) {
    let mut draft = Draft::new_accounting_request(IDENTIFIER);
    for attribute in packet.attributes() {
        let _ = draft.push(attribute.number, attribute.value);
    }
    let (mut made, authenticator) = draft.finish_accounting_request(&secret());
    let is_believed = |made: &[u8]| {
        let read = Packet::read(made).expect("what was made is well-formed");
        assert_eq!(read.authenticator(), authenticator);
        read.verify_accounting_request(&secret()).is_ok()
    };
    assert!(is_believed(&made));
    made[0] ^= 1;
    assert!(!is_believed(&made));
}

/// What was concealed can be concealed for another hop, and is the same there.
fn is_passed_on(packet: &Packet<'_>) {
    let hop = |authenticator| Concealment::Md5 { authenticator, secret: secret() };
    let (here, there, clear) = (hop(ASKED), hop(OTHER), Concealment::Transport);
    for attribute in packet.attributes() {
        let anew =
            |value: &[u8], from, to| conceal_anew(attribute.number, value, from, to, [0, 1]).ok();
        let Some(passed_on) = anew(attribute.value, &here, &there) else { continue };
        assert_eq!(anew(&passed_on, &there, &clear), anew(attribute.value, &here, &clear));
    }
}

/// The attributes of a packet in a new one, without passwords and Message-Authenticators.
fn draft_of(packet: &Packet<'_>, code: Code, protection: Protection) -> Option<Draft> {
    let mut draft = Draft::new(code, IDENTIFIER, ASKED, protection);
    let left_out = [AttributeNumber::MESSAGE_AUTHENTICATOR, AttributeNumber::USER_PASSWORD];
    for attribute in packet.attributes() {
        if !left_out.contains(&attribute.number) {
            draft.push(attribute.number, attribute.value).ok()?;
        }
    }
    Some(draft)
}

fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"xyzzy5461".to_vec())
}

const IDENTIFIER: Identifier = Identifier(7);
const ASKED: Authenticator = Authenticator([0x5a; 16]);
const OTHER: Authenticator = Authenticator([0xa5; 16]);
