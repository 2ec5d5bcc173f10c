//! OTPs that are sent: through a real mail server, to a gateway, by a shell script.
//!
//! The mail server is Debian's aiosmtpd, and Python's mail library says what arrived.
//! The gateway for SMS is a mock: a few lines here that speak HTTP, because no such
//! gateway can be had without its network.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    countersign::Site,
    openssl::Authority,
    process::{Ran, run},
    smtp::{MailServer, Mode, PASSWORD, USER},
};

/// A site with a channel `mail` to a server of its own.
struct Mailing {
    site: Site,
    server: MailServer,
}

impl Mailing {
    #[track_caller]
    fn new(mode: Mode) -> Self {
        let site = Site::new();
        let identity = site.issue("server", "localhost");
        let server = MailServer::start(&site, mode, &identity);
        let mailing = Self { site, server };
        let tls = match mode {
            Mode::Starttls => "tls = 'starttls'",
            Mode::Tls => "tls = 'tls'",
            Mode::Plain => "tls = 'none'",
        };
        let protected = match mode {
            Mode::Starttls | Mode::Tls => {
                "user = 'countersign'\npassword-file = 'mail.password'\ntrust = 'ca/ca.pem'"
            }
            Mode::Plain => "",
        };
        let password = mailing.site.directory().join("mail.password");
        fs::write(password, format!("{PASSWORD}\n")).unwrap();
        mailing.configure(&format!("{tls}\n{protected}"));
        mailing
    }

    #[track_caller]
    fn configure(&self, rest: &str) {
        let port = self.server.port;
        self.site.configure_with(&format!(
            "[delivery.mail]\ntype = 'mail'\nserver = 'localhost:{port}'\n\
             from = 'Müllers Anmeldung <otp@corp.example>'\n{rest}"
        ));
    }

    fn send(&self, to: &str) -> Ran {
        test(&self.site, "mail", to)
    }

    /// The only mail that has arrived.
    #[track_caller]
    fn mail(&self) -> Value {
        let mut mails = self.server.mails();
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.remove(0)
    }
}

fn test(site: &Site, channel: &str, to: &str) -> Ran {
    site.run(["delivery", "test", channel, "--to", to, "--account", "CORP\\alice"])
}

#[test]
fn a_mail_arrives_over_starttls_with_a_password() {
    let mailing = Mailing::new(Mode::Starttls);
    mailing
        .configure("subject = 'Einmalpaßwort für {site}'\ntext = \"{otp} für {account}.\\nGrüße\"");
    let said = mailing.send("alice@corp.example").succeeded();
    assert!(
        said.contains("the mail server took the sample 000000 for alice@corp.example"),
        "{said}"
    );
    let mail = mailing.mail();
    assert_eq!((&mail["tls"], &mail["authenticated"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&json!("otp@corp.example"), &json!(["alice@corp.example"]))
    );
    assert_eq!(mail["name"], "[127.0.0.1]");
    assert_eq!(mail["headers"]["From"], "Müllers Anmeldung <otp@corp.example>");
    assert_eq!(mail["headers"]["To"], "alice@corp.example");
    assert_eq!(mail["headers"]["Subject"], "Einmalpaßwort für CORP.EXAMPLE");
    assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
    assert!(mail["headers"]["Message-ID"].as_str().unwrap().ends_with("@corp.example>"));
    assert_eq!(mail["text"], "000000 für CORP\\alice.\r\nGrüße\r\n");
}

#[test]
fn a_mail_arrives_over_tls_and_in_clear() {
    for (mode, protected) in [(Mode::Tls, true), (Mode::Plain, false)] {
        let mailing = Mailing::new(mode);
        mailing.send("alice@corp.example").succeeded();
        let mail = mailing.mail();
        assert_eq!((&mail["tls"], &mail["authenticated"]), (&json!(protected), &json!(protected)));
        assert_eq!(mail["headers"]["Subject"], "Your one-time password");
        assert_eq!(mail["text"], "Your one-time password is 000000.\r\n");
    }
}

#[test]
fn nothing_is_sent_without_the_protection_that_was_asked_for() {
    let mailing = Mailing::new(Mode::Plain);
    mailing.configure("tls = 'starttls'\ntrust = 'ca/ca.pem'");
    let said = mailing.send("alice@corp.example").failed();
    assert!(said.contains("it offers no STARTTLS"), "{said}");
    mailing.configure("tls = 'tls'");
    assert!(mailing.send("alice@corp.example").failed().contains("TLS: "));
    assert!(mailing.server.mails().is_empty());
}

#[test]
fn a_server_that_is_not_trusted_gets_no_password() {
    for mode in [Mode::Starttls, Mode::Tls] {
        let mailing = Mailing::new(mode);
        let stranger = Authority::new(&mailing.site.file(""), "Stranger");
        let trust = stranger.certificate().display().to_string();
        mailing.configure(&format!("trust = '{trust}'"));
        let said = mailing.send("alice@corp.example").failed();
        assert!(said.contains("TLS: ") && said.contains("ertificate"), "{said}");
        assert!(mailing.server.mails().is_empty());
    }
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let mailing = Mailing::new(Mode::Starttls);
    fs::write(mailing.site.directory().join("mail.password"), "wrong-password-77\n").unwrap();
    let said = mailing.send("alice@corp.example").failed();
    assert!(said.contains(&format!("as user \"{USER}\": permanent error (535)")), "{said}");
    assert!(!said.contains("wrong-password-77"), "{said}");
}

#[test]
fn what_a_mail_server_refuses_is_told_without_the_otp() {
    let mailing = Mailing::new(Mode::Tls);
    let said = mailing.send("refused@corp.example").failed();
    assert!(said.contains("550") && said.contains("nobody here has that name"), "{said}");
    mailing.configure("subject = 'filtered'\ntext = 'It is {otp}'");
    let said = mailing.send("alice@corp.example").failed();
    assert!(said.contains("spam: It is …") && !said.contains("000000"), "{said}");
}

#[test]
fn nobody_else_gets_a_mail_by_way_of_an_address_or_a_login() {
    let mailing = Mailing::new(Mode::Plain);
    for to in [
        "alice@corp.example\r\nRCPT TO:<eve@corp.example>",
        "alice@corp.example,eve@corp.example",
        "alice@corp.example> NOTIFY=SUCCESS <eve@corp.example",
        "not an address",
    ] {
        assert!(mailing.send(to).failed().contains("is no address"), "{to}");
    }
    mailing.configure("tls = 'none'\nsubject = 'For {account}'");
    let account = "alice\r\nBcc: eve@corp.example\r\n\r\n.\r\nQUIT";
    let to = "alice@corp.example";
    mailing.site.run(["delivery", "test", "mail", "--to", to, "--account", account]).succeeded();
    let mail = mailing.mail();
    assert_eq!(mail["to"], json!([to]));
    assert_eq!(mail["headers"]["Bcc"], Value::Null);
    assert_eq!(mail["headers"]["Subject"], "For alice  Bcc: eve@corp.example    .  QUIT");
}

/// What a gateway was asked.
#[derive(Debug)]
struct Asked {
    line: String,
    headers: Vec<String>,
    body: String,
}

/// The mock: answers every request with a status and a text, and passes on what was asked.
fn gateway(status: &'static str) -> (u16, Receiver<Asked>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (pass, passed) = channel();
    thread::spawn(move || {
        for stream in socket.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut lines = reader.by_ref().lines().map(Result::unwrap);
            let line = lines.next().unwrap();
            let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let lower: Vec<_> = headers.iter().map(|line| line.to_lowercase()).collect();
            let length = lower.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let said = format!("balance is 0, refused: {body}");
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{said}", said.len());
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if pass.send(Asked { line, headers, body }).is_err() {
                return;
            }
        }
    });
    (port, passed)
}

#[test]
fn a_gateway_is_asked_as_the_config_says() {
    let (port, asked) = gateway("202 Accepted");
    let site = Site::new();
    fs::write(site.directory().join("token"), "Bearer 4b1d\n").unwrap();
    site.configure_with(&format!(
        "[delivery.sms]\ntype = 'http'\nurl = 'http://127.0.0.1:{port}/send?for={{account}}'\n\
         header-files = {{ Authorization = 'token' }}\ncontent-type = 'application/json'\n\
         body = '{{\"to\": \"{{to}}\", \"text\": \"OTP: {{otp}}\"}}'"
    ));
    let to = "+49\", \"to\": \"+1";
    let said = test(&site, "sms", to).succeeded();
    assert!(said.contains("the gateway took the sample"), "{said}");
    let asked = asked.recv().unwrap();
    assert_eq!(asked.line, "POST /send?for=CORP%5Calice HTTP/1.1");
    assert!(asked.headers.contains(&"authorization: Bearer 4b1d".to_owned()), "{asked:?}");
    assert!(asked.headers.contains(&"content-type: application/json".to_owned()), "{asked:?}");
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "to": to, "text": "OTP: 000000" }));
}

#[test]
fn a_gateway_that_refuses_is_told_of_without_the_otp() {
    let (port, asked) = gateway("402 Payment Required");
    let site = Site::new();
    site.configure_with(&format!(
        "[delivery.sms]\ntype = 'http'\nurl = 'http://127.0.0.1:{port}/'\n\
         body = 'to={{to}}&text={{otp}}'"
    ));
    let said = test(&site, "sms", "1&text=2").failed();
    assert_eq!(asked.recv().unwrap().body, "to=1%26text%3D2&text=000000");
    let expected = format!("http://127.0.0.1:{port} answered with HTTP status 402");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("balance is 0, refused: to=1%26text%3D2&text=…"), "{said}");
}

/// A shell script in the state directory, as a channel `script`.
#[track_caller]
fn with_script(lines: &str) -> Site {
    let site = Site::new();
    let script = site.directory().join("send-otp");
    fs::write(&script, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    site.configure_with("[delivery.script]\ntype = 'script'\ncommand = ['send-otp', '--sms']");
    site
}

#[test]
fn a_script_gets_the_otp_on_its_standard_input() {
    let site = with_script(
        "read otp; echo \"$1 $otp $COUNTERSIGN_TO $COUNTERSIGN_ACCOUNT $SECRET\" > \"${0%send-otp}sent\"",
    );
    let mut command = site.command(["--json", "delivery", "test", "script", "--to", "4711"]);
    let said = run(command.env("SECRET", "of the daemon"), b"").succeeded();
    let expected = json!({ "channel": "script", "to": "4711", "delivered": true });
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);
    let sent = fs::read_to_string(site.directory().join("sent")).unwrap();
    assert_eq!(sent, "--sms 000000 4711 sample \n");
}

/// The one in the guide of the administrator, with another gateway.
#[test]
fn the_script_of_the_guide_works() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/otp-administrator.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, script) = guide.split_once("```sh\n#!/bin/sh\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let (port, asked) = gateway("200 OK");
    let site = with_script(&script.replace("sms.example.com", &format!("127.0.0.1:{port}")));
    test(&site, "script", "+49 1&text=2").succeeded();
    let body = asked.recv().unwrap().body;
    assert_eq!(body, "to=%2B49+1%26text%3D2&text=Your+one-time+password+is+000000.");
}

#[test]
fn a_script_that_fails_or_hangs_is_told_of() {
    let site = with_script("echo \"no network for $(cat)\" >&2; exit 7");
    let said = test(&site, "script", "4711").failed();
    assert!(said.contains("send-otp ended with exit status: 7: no network for …"), "{said}");

    let site = with_script("mkfifo \"$0.gate\"; read never < \"$0.gate\"");
    site.configure_with("[delivery.script]\ntimeout = '1s'");
    let said = test(&site, "script", "4711").failed();
    assert!(said.contains("longer than 1 seconds"), "{said}");
}

#[test]
fn an_unknown_channel_is_refused_with_those_that_there_are() {
    let site = with_script("");
    let ran = test(&site, "fax", "4711");
    assert_eq!(ran.status.code(), Some(1));
    let said = ran.failed();
    assert!(said.contains("no delivery channel \"fax\"; it has script"), "{said}");
}

#[test]
fn check_says_what_channels_do_and_what_is_wrong_with_them() {
    let site = with_script("");
    let script = site.directory().join("send-otp");
    site.configure_with(
        "[delivery.mail]\ntype = 'mail'\nserver = 'smtp.corp.example'\nfrom = 'otp@corp.example'\n\
         tls = 'none'\n[delivery.sms]\ntype = 'http'\nurl = 'https://sms.example/{otp}/{to}'\n\
         trust = 'none.pem'",
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let said = site.run(["check"]).failed();
    for expected in [
        "ok      delivery.mail: mails from otp@corp.example through smtp.corp.example:25, in clear",
        "warning delivery.mail: everybody between here and smtp.corp.example can read the OTPs",
        "ok      delivery.sms: asks https://sms.example by POST",
        "warning delivery.sms: the OTP is in the URL",
        "ERROR   delivery.sms: config delivery.sms.trust: certificate ",
        "ok      delivery.script: runs ",
        "is no program (mode 644)",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_delivered_token_is_added_shown_and_missed_by_check() {
    let site = with_script("");
    site.run(["account", "add", "alice", "--group", "admins", "--group", "vpn"]).succeeded();
    let add = ["token", "add", "alice", "--type", "delivered", "--via"];
    let said = run(site.command(add).arg("fax"), b"").failed();
    assert!(said.contains("no delivery channel \"fax\"; it has script"), "{said}");
    let said = run(site.command(add).arg("script"), b"").failed();
    assert!(said.contains("give one by --to"), "{said}");
    let rest = ["script", "--to", "4711", "--digits", "8", "--indicator", "otp"];
    let said = run(site.command(add).args(rest), b"").succeeded();
    for expected in ["delivered by script to 4711, 8 digits", "indicators otp", "next       0"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let shown = site.run(["account", "show", "alice"]).succeeded();
    assert!(shown.contains("groups     admins, vpn"), "{shown}");
    let shown = site.run(["--json", "account", "show", "alice"]).succeeded();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["account"]["groups"], json!(["admins", "vpn"]));
    assert_eq!(shown["tokens"][0]["indicators"], json!(["otp"]));
    site.run(["account", "set", "alice", "--no-groups"]).succeeded();
    let shown = site.run(["account", "show", "alice"]).succeeded();
    assert!(!shown.contains("groups"), "{shown}");

    site.configure(|config| drop(config.remove("delivery")));
    let said = site.run(["check"]).failed();
    let expected =
        "ERROR   token alice script: its OTPs go through the delivery channel \"script\"";
    assert!(said.contains(expected), "{said}");
}
