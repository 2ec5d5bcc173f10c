//! What channels are read, and what is said about the ones that are not.

#![expect(clippy::unwrap_in_result, reason = "these are tests")]

use std::fs;

use super::*;

/// What becomes of a channel as the config has it, or of its key and what is wrong with it.
fn check(text: &str) -> Result<DeliverySettings, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hush"), "correct horse\nsecond line\n").unwrap();
    let file: DeliveryFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let site = Site { realm: Some("example.com".into()), domain: None };
    check_delivery("x".into(), file, dir.path(), &site)
        .map_err(|Wrong { key, cause }| format!("{key}: {cause}"))
}

fn mail(rest: &str) -> Result<MailSettings, String> {
    let settings = check(&format!("type = \"mail\"\nfrom = \"otp@example.com\"\n{rest}"))?;
    let DeliveryMeans::Mail(mail) = settings.means else { panic!("{settings:?}") };
    Ok(*mail)
}

fn http(rest: &str) -> Result<HttpSettings, String> {
    let settings = check(&format!("type = \"http\"\n{rest}"))?;
    let DeliveryMeans::Http(http) = settings.means else { panic!("{settings:?}") };
    Ok(*http)
}

const GATEWAY: &str = "url = \"https://sms.example/send\"\n";
const JSON: &str = "content-type = \"application/json\"\n";

#[test]
fn a_mail_channel_needs_server_and_sender_only() {
    let settings = mail("server = \"smtp.example.com\"").unwrap();
    assert_eq!((settings.host.as_str(), settings.port), ("smtp.example.com", 587));
    assert_eq!(settings.tls, MailTls::Starttls);
    assert!(settings.credentials.is_none() && settings.trust.is_none());
    assert!(settings.text.has(Place::Otp) && !settings.subject.has(Place::Otp));
}

#[test]
fn ports_are_the_usual_ones_unless_given() {
    for (server, tls, host, port) in [
        ("smtp.example.com", "tls", "smtp.example.com", 465),
        ("localhost", "none", "localhost", 25),
        ("[::1]", "none", "::1", 25),
        ("[::1]:2525", "none", "::1", 2525),
        ("192.0.2.1:2525", "starttls", "192.0.2.1", 2525),
    ] {
        let settings = mail(&format!("server = \"{server}\"\ntls = \"{tls}\"")).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), (host, port));
    }
    for server in ["", ":25", "a:0", "a:x", "a:99999", "a b", "::1", "[a]:25", "a\\r\\nb"] {
        let error = mail(&format!("server = \"{server}\"")).unwrap_err();
        assert!(error.starts_with("delivery.x.server: "), "{server}: {error}");
    }
}

#[test]
fn the_password_of_a_mail_server_may_stand_in_a_file() {
    for password in ["password-file = \"hush\"", "password = \"correct horse\""] {
        let settings = mail(&format!("server = \"a\"\nuser = \"otp\"\n{password}")).unwrap();
        assert_eq!(settings.credentials.unwrap().password.expose(), "correct horse");
    }
}

#[test]
fn mail_channels_that_make_no_sense_are_named_by_their_key() {
    for (rest, expected) in [
        ("user = \"otp\"", "delivery.x: give exactly one of password and password-file"),
        ("password-file = \"hush\"", "delivery.x.user: whose password is it?"),
        ("user = \"otp\"\npassword-file = \"none\"", "delivery.x.password-file: "),
        ("tls = \"none\"\nuser = \"a\"\npassword = \"b\"", "delivery.x.tls: the password would"),
        ("tls = \"none\"\ntrust = \"ca.pem\"", "delivery.x.trust: with tls = \"none\""),
        ("text = \"Hello\"", "delivery.x.text: it does not have {otp}"),
        ("text = \"{opt}\"", "delivery.x.text: nothing is known of {opt}"),
        ("subject = \"{user}\"", "delivery.x.subject: nothing is known of {user}"),
        ("timeout = \"2m\"", "delivery.x.timeout: 120 seconds are out of bounds"),
        ("timeout = \"0s\"", "delivery.x.timeout: 0 seconds are out of bounds"),
        ("max-at-once = 0", "delivery.x.max-at-once: 0 is out of bounds, from 1 to 64"),
        ("max-at-once = 65", "delivery.x.max-at-once: 65 is out of bounds"),
        ("tls = \"maybe\"", "unknown variant `maybe`"),
        ("sever = \"a\"", "unknown field `sever`"),
    ] {
        let error = mail(&format!("server = \"smtp.example.com\"\n{rest}")).unwrap_err();
        assert!(error.starts_with(expected), "{rest}: {error}");
        assert!(!error.contains("horse"), "{error}");
    }
    let error = check("type = \"mail\"\nserver = \"a\"\nfrom = \"a\\r\\nBcc: b@c\"").unwrap_err();
    assert!(error.starts_with("delivery.x.from: "), "{error}");
}

#[test]
fn a_server_on_this_machine_may_get_a_password_in_clear() {
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let rest = format!("server = \"{host}\"\ntls = \"none\"\nuser = \"a\"\npassword = \"b\"");
        assert!(mail(&rest).unwrap().is_local());
    }
}

#[test]
fn a_gateway_gets_what_the_config_says() {
    let rest = "headers = { X-Sender = \"otp\" }\nheader-files = { Authorization = \"hush\" }\n\
                body = '{\"to\": \"{to}\", \"text\": \"{site}: {otp}\"}'";
    let settings = http(&format!("{GATEWAY}{JSON}{rest}")).unwrap();
    assert_eq!(
        (settings.gateway.as_str(), settings.method.as_str()),
        ("https://sms.example", "POST")
    );
    assert_eq!(settings.headers["Authorization"], "correct horse");
    assert_eq!(settings.headers["Content-Type"], "application/json");
    assert_eq!(settings.body.as_ref().unwrap().form, BodyForm::Json);
    assert!(!settings.is_plain());
    let shown = format!("{settings:?}");
    assert!(!shown.contains("horse"), "{shown}");
}

#[test]
fn a_gateway_may_be_asked_by_get() {
    let rest = "method = \"GET\"\nurl = \"http://10.0.0.1:8080/send?to={to}&text={otp}\"";
    let settings = http(rest).unwrap();
    assert!(settings.is_plain() && settings.body.is_none());
    assert_eq!(settings.gateway, "http://10.0.0.1:8080");
}

#[test]
fn gateways_that_make_no_sense_are_named_by_their_key() {
    let form = "body = \"to={to}&text={otp}\"\n";
    for (rest, expected) in [
        ("url = \"sms.example\"", "delivery.x.url: it is not of the form"),
        ("url = \"ftp://sms.example/{otp}{to}\"", "delivery.x.url: it is not of the form"),
        ("url = \"https://user:hush@sms.example/\"", "delivery.x.url: it is not of the form"),
        ("url = \"https://{to}/{otp}\"", "delivery.x.url: places"),
        ("url = \"https://sms{to}.example/{otp}\"", "delivery.x.url: places"),
        ("url = \"https://sms{otp}/{to}\"", "delivery.x.url: places"),
        ("url = \"https://sms.example:80{otp}/{to}\"", "delivery.x.url: "),
        (&format!("{GATEWAY}method = \"get\""), "delivery.x.method: \"get\" is none of"),
        (&format!("{GATEWAY}{form}method = \"GET\""), "delivery.x.body: GET has no body"),
        (GATEWAY, "delivery.x.body: neither body nor url has {otp}"),
        (
            &format!("{GATEWAY}body = \"text={{otp}}\""),
            "delivery.x.body: neither body nor url has {to}",
        ),
        (&format!("{GATEWAY}{JSON}"), "delivery.x.content-type: there is no body"),
        (&format!("{GATEWAY}{form}content-type = \"a/b\""), "delivery.x.content-type: \"a/b\""),
        (
            &format!("{GATEWAY}body = \"to={{to}}&text=Your OTP {{otp}}\""),
            "delivery.x.body: a form",
        ),
        (&format!("{GATEWAY}{JSON}{form}"), "delivery.x.body: it is no JSON"),
        (
            &format!("{GATEWAY}{JSON}body = '[\"{{to}}\", {{otp}}]'"),
            "delivery.x.body: it is no JSON",
        ),
        (
            &format!("{GATEWAY}{JSON}body = '[{{to}}, \"{{otp}}\"]'"),
            "delivery.x.body: it is no JSON",
        ),
        (
            &format!("{GATEWAY}{form}headers = {{ Host = \"a\" }}"),
            "delivery.x.headers.Host: this header field is ours",
        ),
        (
            &format!("{GATEWAY}{form}headers = {{ \"a b\" = \"a\" }}"),
            "delivery.x.headers.a b: this is no name",
        ),
        (
            &format!("{GATEWAY}{form}headers = {{ A = \"a\\nB: c\" }}"),
            "delivery.x.headers.A: a header field has printable",
        ),
        (
            &format!("{GATEWAY}{form}headers = {{ A = \"a\", a = \"b\" }}"),
            "delivery.x.headers.a: this header field is given twice",
        ),
        (
            &format!("{GATEWAY}{form}header-files = {{ A = \"none\" }}"),
            "delivery.x.header-files.A: ",
        ),
        (
            &format!("url = \"http://sms.example/\"\n{form}trust = \"ca.pem\""),
            "delivery.x.trust: an http:// server",
        ),
        (&format!("{GATEWAY}{form}verify = false"), "unknown field `verify`"),
    ] {
        let error = http(rest).unwrap_err();
        assert!(error.starts_with(expected), "{rest}: {error}");
        assert!(!error.contains("hush@"), "{error}");
    }
}

#[test]
fn values_stay_values_in_every_form_of_body() {
    let value = "a\"b\\c&d=e<f>\r\ng'";
    for (form, expected) in [
        (BodyForm::Json, r#"a\"b\\c&d=e<f>\r\ng'"#),
        (BodyForm::Form, "a%22b%5Cc%26d%3De%3Cf%3E%0D%0Ag%27"),
        (BodyForm::Xml, "a&quot;b\\c&amp;d=e&lt;f&gt;  g&#39;"),
        (BodyForm::Text, "a\"b\\c&d=e<f>  g'"),
    ] {
        assert_eq!(form.escape(value), expected);
    }
}

#[test]
fn a_script_never_gets_the_otp_as_an_argument() {
    let settings = check("type = \"script\"\ncommand = [\"bin/send\", \"--sms\"]").unwrap();
    let DeliveryMeans::Script(script) = settings.means else { panic!() };
    assert!(script.program.is_absolute() && script.program.ends_with("bin/send"));
    assert_eq!(script.arguments, ["--sms"]);
    for (command, expected) in [
        ("[]", "delivery.x.command: it names no program"),
        ("[\"\"]", "delivery.x.command: it names no program"),
        ("[\"send\", \"--otp={otp}\"]", "delivery.x.command: the OTP is on standard input"),
    ] {
        let error = check(&format!("type = \"script\"\ncommand = {command}")).unwrap_err();
        assert!(error.starts_with(expected), "{command}: {error}");
    }
}

#[test]
fn a_type_must_be_known() {
    for (text, expected) in
        [("type = \"fax\"", "unknown variant `fax`"), ("", "missing field `type`")]
    {
        let error = check(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
