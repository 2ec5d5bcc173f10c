//! Delivery channels under examination, and the tokens that need them. Nothing is sent.

use std::{os::unix::fs::PermissionsExt, path::Path};

use countersign_core::domain::token::{Token, TokenKind};

use super::Findings;
use crate::{
    client::delivery::Channel,
    config::{
        Config,
        delivery::{
            DeliveryMeans, DeliverySettings, HttpSettings, MailSettings, MailTls, Place,
            ScriptSettings,
        },
    },
};

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    for settings in &config.deliveries {
        let object = format!("delivery.{}", settings.name);
        findings.good(&object, meaning(settings));
        if let Err(error) = Channel::new(settings) {
            let remedy = "name a PEM file with the certificates of the CA";
            findings.error(&object, error.to_string(), remedy);
        }
        match &settings.means {
            DeliveryMeans::Mail(mail) => examine_mail(&object, mail, findings),
            DeliveryMeans::Http(http) => examine_gateway(&object, http, findings),
            DeliveryMeans::Script(script) => examine_script(&object, script, findings),
        }
    }
}

/// A token whose OTPs would be sent through a channel which the config does not have.
pub(super) fn examine_token(config: &Config, token: &Token, findings: &mut Findings) {
    let TokenKind::Delivered { channel, .. } = &token.kind else { return };
    if config.deliveries.iter().any(|settings| settings.name == *channel) {
        return;
    }
    let finding =
        format!("its OTPs go through the delivery channel {channel:?}, which the config lacks");
    let remedy = "add [delivery.NAME] to the config, or remove the token";
    findings.error(&format!("token {}", token.label), finding, remedy);
}

fn meaning(settings: &DeliverySettings) -> String {
    let how = match &settings.means {
        DeliveryMeans::Mail(mail) => {
            let protection = match mail.tls {
                MailTls::Starttls => "protected by STARTTLS",
                MailTls::Tls => "protected by TLS",
                MailTls::None => "in clear",
            };
            let user = mail.credentials.as_ref();
            let user = user.map(|ours| format!(", as user {:?}", ours.user)).unwrap_or_default();
            format!(
                "mails from {} through {}:{}, {protection}{user}",
                mail.from, mail.host, mail.port
            )
        }
        DeliveryMeans::Http(http) => format!("asks {} by {}", http.gateway, http.method),
        DeliveryMeans::Script(script) => {
            format!("runs {}, with the OTP on its standard input", script.program.display())
        }
    };
    let (seconds, at_once) = (settings.timeout.as_secs(), settings.max_at_once);
    format!("{how}; gives up after {seconds} s, {at_once} deliveries at once")
}

fn examine_mail(object: &str, mail: &MailSettings, findings: &mut Findings) {
    if mail.tls == MailTls::None && !mail.is_local() {
        findings.warning(
            object,
            format!("everybody between here and {} can read the OTPs", mail.host),
            "set tls = \"starttls\" or \"tls\"",
        );
    }
    if mail.subject.has(Place::Otp) {
        findings.warning(
            object,
            "the OTP is in the subject, which a locked telephone shows and mail servers log",
            "move {otp} into text",
        );
    }
}

fn examine_gateway(object: &str, http: &HttpSettings, findings: &mut Findings) {
    if http.is_plain() && !is_local(&http.gateway) {
        findings.warning(
            object,
            format!("everybody between here and {} can read the OTPs", http.gateway),
            "use https:// if the gateway can",
        );
    }
    if http.url.has(Place::Otp) {
        findings.warning(
            object,
            "the OTP is in the URL, which servers and proxies log",
            "move {otp} into body if the gateway takes it there",
        );
    }
}

fn is_local(gateway: &str) -> bool {
    let host = gateway.split("://").nth(1).unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
        host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

fn examine_script(object: &str, script: &ScriptSettings, findings: &mut Findings) {
    let program = script.program.display();
    let remedy = format!("put an executable program there (chmod 755 {program})");
    let metadata = match script.program.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return findings.error(object, format!("{program}: {error}"), &remedy),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() || mode & 0o111 == 0 {
        findings.error(object, format!("{program} is no program (mode {mode:o})"), &remedy);
    }
    if mode & 0o022 != 0 || is_open(&script.program) {
        findings.warning(
            object,
            format!("others than its owner can replace {program}, and would get the OTPs"),
            &format!("chmod go-w {program}, and the directory that it is in"),
        );
    }
}

/// Whether others may put another file in its place; a sticky directory keeps them from that.
fn is_open(file: &Path) -> bool {
    let directory = file.parent().and_then(|directory| directory.metadata().ok());
    let mode = directory.map_or(0, |metadata| metadata.permissions().mode());
    mode & 0o022 != 0 && mode & 0o1000 == 0
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        app::examine::{Finding, Grade},
        config::delivery::Pattern,
    };

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, "").unwrap()
    }

    fn mail(host: &str, tls: MailTls, subject: &str) -> MailSettings {
        MailSettings {
            host: host.into(),
            port: 25,
            tls,
            credentials: None,
            from: "otp@example.com".parse().unwrap(),
            trust: None,
            subject: pattern(subject),
            text: pattern("{otp}"),
        }
    }

    fn gateway(gateway: &str, path: &str) -> HttpSettings {
        HttpSettings {
            method: hyper::Method::POST,
            url: pattern(&format!("{gateway}{path}")),
            gateway: gateway.into(),
            headers: hyper::HeaderMap::new(),
            body: None,
            trust: None,
        }
    }

    fn found(examine: impl FnOnce(&mut Findings)) -> Vec<Finding> {
        let mut findings = Findings::default();
        examine(&mut findings);
        findings.0
    }

    #[test]
    fn mail_in_clear_is_warned_of_unless_it_stays_here() {
        for (host, tls, expected) in [
            ("smtp.example.com", MailTls::None, 1),
            ("smtp.example.com", MailTls::Starttls, 0),
            ("smtp.example.com", MailTls::Tls, 0),
            ("localhost", MailTls::None, 0),
            ("::1", MailTls::None, 0),
            ("127.0.0.2", MailTls::None, 0),
        ] {
            let found = found(|findings| examine_mail("x", &mail(host, tls, "OTP"), findings));
            assert_eq!(found.len(), expected, "{host} {tls:?}");
            assert!(found.iter().all(|finding| finding.grade == Grade::Warning));
        }
        let in_subject = mail("localhost", MailTls::None, "{otp}");
        assert_eq!(found(|findings| examine_mail("x", &in_subject, findings)).len(), 1);
    }

    #[test]
    fn gateways_in_clear_and_otps_in_urls_are_warned_of() {
        for (url, path, expected) in [
            ("http://sms.example", "/", 1),
            ("http://localhost.example", "/", 1),
            ("http://localhost:8080", "/", 0),
            ("http://[::1]", "/", 0),
            ("https://sms.example", "/", 0),
            ("https://sms.example", "/?text={otp}", 1),
        ] {
            let found = found(|findings| examine_gateway("x", &gateway(url, path), findings));
            assert_eq!(found.len(), expected, "{url}{path}: {found:?}");
        }
    }

    /// What is found about a file of this mode in a directory of its own.
    fn script(mode: u32) -> Vec<Finding> {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("send");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
        let script = ScriptSettings { program, arguments: Vec::new() };
        found(|findings| examine_script("x", &script, findings))
    }

    #[test]
    fn programs_are_there_executable_and_not_for_others_to_write() {
        assert!(script(0o755).is_empty());
        assert_eq!(script(0o644)[0].grade, Grade::Error);
        assert_eq!(script(0o775)[0].grade, Grade::Warning);
        let absent = ScriptSettings { program: "/nonexistent/send".into(), arguments: vec![] };
        let found = found(|findings| examine_script("x", &absent, findings));
        assert!(found[0].grade == Grade::Error && found[0].remedy.contains("/nonexistent/send"));
    }

    #[test]
    fn a_directory_that_others_may_change_is_open_unless_it_is_sticky() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, expected) in [(0o755, false), (0o775, true), (0o777, true), (0o1777, false)] {
            fs::set_permissions(&directory, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(is_open(&directory.path().join("send")), expected, "{mode:o}");
        }
    }

    #[test]
    fn a_channel_says_what_it_does() {
        let settings = |means| DeliverySettings {
            name: "x".into(),
            means,
            timeout: Duration::from_secs(10),
            max_at_once: 8,
        };
        let mail = mail("smtp.example.com", MailTls::Starttls, "OTP");
        assert_eq!(
            meaning(&settings(DeliveryMeans::Mail(Box::new(mail)))),
            "mails from otp@example.com through smtp.example.com:25, protected by STARTTLS; \
             gives up after 10 s, 8 deliveries at once"
        );
        let gateway = gateway("https://sms.example", "/?password=hush");
        let meaning = meaning(&settings(DeliveryMeans::Http(Box::new(gateway))));
        assert!(meaning.starts_with("asks https://sms.example by POST;"), "{meaning}");
    }
}
