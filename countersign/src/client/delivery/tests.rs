//! Channels as the rest of the program knows them. Real mail servers are in `e2e`.

use std::collections::BTreeMap;

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;
use crate::{
    client::tests::{Pki, Service},
    config::delivery::{
        BodyForm, BodySettings, HttpSettings, MailSettings, MailTls, Pattern, ScriptSettings,
    },
};

fn message(to: &str) -> Message {
    let otp = Secret::new("123456".to_owned());
    Message { to: to.into(), account: "EXAMPLE\\alice".into(), otp }
}

fn channel(means: DeliveryMeans, timeout: Duration, max_at_once: usize) -> Channel {
    Channel::new(&DeliverySettings { name: "x".into(), means, timeout, max_at_once }).unwrap()
}

fn shell(command: &str) -> DeliveryMeans {
    let arguments = vec!["-c".to_owned(), command.to_owned()];
    DeliveryMeans::Script(ScriptSettings { program: "/bin/sh".into(), arguments })
}

fn gateway(url: &str, form: BodyForm, body: &str, trust: Option<&Path>) -> DeliveryMeans {
    let pattern = |text| Pattern::parse(text, "Example").unwrap();
    DeliveryMeans::Http(Box::new(HttpSettings {
        method: hyper::Method::POST,
        url: pattern(url),
        gateway: url.split('/').take(3).collect::<Vec<_>>().join("/"),
        headers: [("authorization".parse().unwrap(), "Bearer hush".parse().unwrap())]
            .into_iter()
            .collect(),
        body: Some(BodySettings { form, text: pattern(body) }),
        trust: trust.map(Path::to_owned),
    }))
}

/// A gateway that notes what it is asked, and answers with the status that the path ends with.
fn noting() -> (Router, mpsc::UnboundedReceiver<(String, String)>) {
    let (note, noted) = mpsc::unbounded_channel();
    let router = Router::new().fallback(move |request: Request<Body>| {
        let note = note.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let authorization = head.headers["authorization"].to_str().unwrap().to_owned();
            let status = head.uri.path().rsplit('/').next().unwrap().parse::<u16>().unwrap();
            note.send((format!("{} {} {authorization}", head.method, head.uri), body.clone()))
                .unwrap();
            (axum::http::StatusCode::from_u16(status).unwrap(), format!("no credit\nfor {body}"))
        }
    });
    (router, noted)
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_gateway_gets_values_that_stay_values() {
    let pki = Pki::new();
    let (router, mut noted) = noting();
    let service = Service::start(&pki, router).await;
    let url = service.url("/{to}/201").to_string();
    let body = r#"{"to": "{to}", "text": "{site}: {otp}", "for": "{account}"}"#;
    let trust = pki.path("ca.pem");
    let means = gateway(&url, BodyForm::Json, body, Some(&trust));
    let to = "+49\", \"text\": \"x?/\r\n";
    channel(means, LONG, 1).send(&message(to)).await.unwrap();
    let (head, body) = noted.recv().await.unwrap();
    assert_eq!(head, "POST /%2B49%22%2C%20%22text%22%3A%20%22x%3F%2F%0D%0A/201 Bearer hush");
    let read: BTreeMap<String, String> = serde_json::from_str(&body).unwrap();
    assert_eq!(read["to"], to);
    assert_eq!(read["text"], "Example: 123456");
    assert_eq!(read["for"], "EXAMPLE\\alice");
}

#[tokio::test]
async fn a_gateway_that_says_no_is_heard_without_the_otp() {
    let pki = Pki::new();
    let (router, _noted) = noting();
    let service = Service::start(&pki, router).await;
    let url = service.url("/{otp}/402").to_string();
    let trust = pki.path("ca.pem");
    let means = gateway(&url, BodyForm::Form, "text={otp}", Some(&trust));
    let error = channel(means, LONG, 1).send(&message("4711")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("delivery channel x: https://127.0.0.1:"), "{text}");
    assert!(text.contains("answered with HTTP status 402"), "{text}");
    assert_eq!(error.failure.said(), Some("no credit for text=…"));
    assert!(!format!("{error:?}").contains("123456"), "{error:?}");
}

#[tokio::test]
async fn no_otp_is_in_an_error_about_a_gateway_that_cannot_be_asked() {
    let (pki, other) = (Pki::new(), Pki::new());
    let service = Service::start(&pki, noting().0).await;
    let (closed, strange) = ("http://127.0.0.1:1/{otp}", service.url("/{otp}/200").to_string());
    let trust = other.path("ca.pem");
    for (url, trust) in [(closed, None), (strange.as_str(), Some(trust.as_path()))] {
        let means = gateway(url, BodyForm::Text, "{otp}", trust);
        let error = channel(means, LONG, 1).send(&message("4711")).await.unwrap_err();
        assert!(error.to_string().contains("cannot connect"), "{error}");
        assert!(!format!("{error} {error:?}").contains("123456"), "{error:?}");
    }
}

#[tokio::test]
async fn a_mail_server_that_never_answers_is_given_up() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    for tls in [MailTls::None, MailTls::Starttls, MailTls::Tls] {
        let means = DeliveryMeans::Mail(Box::new(MailSettings {
            host: "127.0.0.1".into(),
            port,
            tls,
            credentials: None,
            from: "otp@example.com".parse().unwrap(),
            trust: None,
            subject: Pattern::parse("OTP", "").unwrap(),
            text: Pattern::parse("{otp}", "").unwrap(),
        }));
        let mail = channel(means, Duration::from_millis(100), 1);
        let error = mail.send(&message("alice@example.com")).await.unwrap_err();
        assert!(matches!(error.failure, Failure::TimedOut(_)), "{error}");
        assert!(error.to_string().contains("longer than 0.1 seconds"), "{error}");
    }
}

#[tokio::test]
async fn a_script_that_hangs_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    // It waits for somebody who never comes.
    let command = format!("mkfifo {0}/fifo && cat {0}/fifo", directory.path().display());
    let channel = channel(shell(&command), Duration::from_millis(100), 1);
    let error = channel.send(&message("4711")).await.unwrap_err();
    assert!(matches!(error.failure, Failure::TimedOut(_)), "{error}");
    assert_eq!(channel.turns.available_permits(), 1, "others get their turn");
}

#[tokio::test]
async fn who_does_not_get_a_turn_in_time_is_told_so() {
    let channel = channel(shell("exit 0"), Duration::from_millis(50), 1);
    let _turn = channel.turns.acquire().await.unwrap();
    let error = channel.send(&message("4711")).await.unwrap_err();
    assert!(error.to_string().contains("was not its turn"), "{error}");
}

#[tokio::test]
async fn what_a_script_says_is_kept_short_and_without_the_otp() {
    let command =
        "read otp; echo \"$otp failed\" >&2; head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1";
    let error = channel(shell(command), LONG, 1).send(&message("4711")).await.unwrap_err();
    assert_eq!(error.to_string(), "delivery channel x: /bin/sh ended with exit status: 1");
    let said = error.failure.said().unwrap();
    assert!(said.starts_with("… failed xxx") && said.chars().count() == MAX_SAID, "{said}");
    assert!(!format!("{error:?}").contains("123456"), "{error:?}");
}

#[test]
fn trust_anchors_that_cannot_be_used_are_named_by_their_key() {
    let trust = Path::new("/nonexistent/ca.pem");
    let means = gateway("https://127.0.0.1/", BodyForm::Text, "{otp}", Some(trust));
    let settings = DeliverySettings { name: "sms".into(), means, timeout: LONG, max_at_once: 1 };
    let error = channels(&[settings]).unwrap_err().to_string();
    assert!(
        error.starts_with("config delivery.sms.trust: certificate /nonexistent/ca.pem"),
        "{error}"
    );
}

#[test]
fn channels_are_found_by_their_names() {
    let settings = |name: &str| DeliverySettings {
        name: name.into(),
        means: shell("exit 0"),
        timeout: LONG,
        max_at_once: 1,
    };
    let channels = channels(&[settings("mail"), settings("sms")]).unwrap();
    assert!(channels.contains_key("mail") && channels.contains_key("sms"));
}

#[test]
fn addresses_are_hidden_all_but_a_bit() {
    for (to, hidden) in [
        ("alice@example.com", "a…@example.com"),
        ("ä@example.com", "ä…@example.com"),
        ("@example.com", "…@example.com"),
        ("\"a@b\"@example.com", "\"…@example.com"),
        ("+49 170 1234711", "…4711"),
        ("12345678", "…5678"),
        ("1234567", "…67"),
        ("110", "…0"),
        ("ab", "…"),
        ("", "…"),
        ("a\r\n@example.com", "a…@example.com"),
    ] {
        assert_eq!(hide(to), hidden, "{to:?}");
    }
}
