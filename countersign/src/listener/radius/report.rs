//! What an Accounting-Request reports, as an event for the audit (RFC 2866).

use countersign_core::{
    domain::{
        event::{Event, What},
        id::CorrelationId,
        time::UnixTime,
    },
    wire::radius::{authenticator::VerifiedRequest, dictionary::AttributeNumber},
};

use super::{handler::Asked, handler::origin};

/// Reads a report.
pub(super) fn read(
    request: &VerifiedRequest<'_>,
    asked: &Asked,
    correlation: CorrelationId,
    now: UnixTime,
) -> Event {
    let attributes = request.packet().attributes();
    let text = |number| attributes.first(number).map(readable);
    let number = |number| {
        attributes.first(number).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
    };
    Event {
        at: now,
        correlation,
        what: What::Accounted {
            peer: asked.client.settings.name.clone(),
            origin: origin(request, &asked.peer),
            status: status(number(AttributeNumber::ACCT_STATUS_TYPE)),
            login: text(AttributeNumber::USER_NAME),
            session: text(AttributeNumber::ACCT_SESSION_ID),
            seconds: number(AttributeNumber::ACCT_SESSION_TIME),
        },
    }
}

/// Acct-Status-Type in words (RFC 2866 §5.1).
fn status(number: Option<u32>) -> String {
    match number {
        Some(1) => "start".into(),
        Some(2) => "stop".into(),
        Some(3) => "interim-update".into(),
        Some(7) => "accounting-on".into(),
        Some(8) => "accounting-off".into(),
        Some(other) => other.to_string(),
        None => "unknown".into(),
    }
}

/// What a peer sent, with nothing in it that a log or a terminal takes for more than text.
pub(super) fn readable(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let letters = text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter });
    letters.take(MAX_LETTERS).collect()
}

const MAX_LETTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_names_of_rfc_2866() {
        let names = [Some(1), Some(2), Some(3), Some(7), Some(8), Some(99), None].map(status);
        assert_eq!(
            names,
            ["start", "stop", "interim-update", "accounting-on", "accounting-off", "99", "unknown"]
        );
    }

    #[test]
    fn what_a_peer_sent_stays_text() {
        assert_eq!(readable(b"vpn1.example"), "vpn1.example");
        assert_eq!(readable(b"a\nb\x1b[2J\xff"), "a\u{fffd}b\u{fffd}[2J\u{fffd}");
        assert_eq!(readable(&[b'x'; 253]).len(), MAX_LETTERS);
    }
}
