//! How a token reads.

use std::fmt::Write;

use countersign_core::{domain::token::TokenKind, oath::hotp::Algorithm};

use crate::{
    app::admin::{ClearText, TokenView},
    cli::account::validity,
};

/// A token on one line.
pub(in crate::cli) fn summary(token: &TokenView) -> String {
    let mut text = format!("{:?} {} {}", token.label, token.id, kind(&token.kind));
    if token.pin {
        text.push_str(", PIN");
    }
    if token.disabled {
        text.push_str(", disabled");
    }
    if let Some(validity) = validity(token.validity) {
        let _ = write!(text, ", valid {validity}");
    }
    text
}

fn kind(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Hotp { algorithm, digits } => {
            format!("HOTP {}, {} digits", name_of(*algorithm), u8::from(*digits))
        }
        TokenKind::Totp { algorithm, digits, period } => {
            format!("TOTP {}, {} digits, {period} s", name_of(*algorithm), u8::from(*digits))
        }
        TokenKind::Remote { upstream, user_name: None } => {
            format!("decided by upstream {upstream}")
        }
        TokenKind::Remote { upstream, user_name: Some(name) } => {
            format!("decided by upstream {upstream}, asked about {name}")
        }
        TokenKind::Delivered { channel, to, digits } => {
            let to = to.as_deref().unwrap_or("the person's mail address");
            format!("delivered by {channel} to {to}, {} digits", digits.length())
        }
    }
}

fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "SHA-1",
        Algorithm::Sha224 => "SHA-224",
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha384 => "SHA-384",
        Algorithm::Sha512 => "SHA-512",
    }
}

pub(super) fn logins(token: &TokenView) -> String {
    let logins: Vec<_> = token.accounts.iter().map(|account| account.login.as_str()).collect();
    if logins.is_empty() { "assigned to nobody".to_owned() } else { logins.join(", ") }
}

pub(super) fn token(view: &TokenView) -> String {
    let mut rows = vec![
        ("id", view.id.to_string()),
        ("type", kind(&view.kind)),
        ("state", if view.disabled { "disabled" } else { "enabled" }.to_owned()),
        ("accounts", logins(view)),
        ("PIN", if view.pin { "asked for" } else { "none" }.to_owned()),
    ];
    if !view.indicators.is_empty() {
        rows.push(("indicators", view.indicators.join(", ")));
    }
    rows.extend(validity(view.validity).map(|validity| ("valid", validity)));
    if let Some(counter) = &view.counter {
        rows.push(("next", counter.next.to_string()));
        if counter.drift != 0 {
            rows.push(("drift", format!("{} time steps", counter.drift)));
        }
        if counter.resynchronising {
            rows.push(("resync", "begun; the next OTP in a row completes it".to_owned()));
        }
    }
    let mut text = format!("{:?}\n", view.label);
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    text
}

pub(super) fn addition(view: &TokenView, uri: Option<&ClearText>) -> String {
    let mut text = token(view);
    if let Some(uri) = uri {
        let _ = writeln!(
            text,
            "\nFor the app, shown this once only; who has it can log on:\n  {}",
            uri.0.expose()
        );
    }
    text
}
