//! A mail server: aiosmtpd, Debian's SMTP server in Python, which keeps what it gets.

use std::{fs, net::TcpStream, path::PathBuf, process::Command};

use serde_json::Value;

use super::{countersign::Site, openssl::Identity, ports, process::Service};

/// A running mail server for `localhost`.
#[derive(Debug)]
pub struct MailServer {
    pub port: u16,
    box_file: PathBuf,
    _service: Service,
}

/// How it takes mail.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// After STARTTLS and AUTH only.
    Starttls,
    /// Over TLS from the first octet, after AUTH only.
    Tls,
    /// In clear, from anybody, and without STARTTLS.
    Plain,
}

impl MailServer {
    /// Starts one in a directory of a site. It knows [`USER`] by [`PASSWORD`], and refuses mail
    /// for `refused@…`.
    #[track_caller]
    pub fn start(site: &Site, mode: Mode, identity: &Identity) -> Self {
        let port = ports::free();
        let script = site.write("smtp.py", SERVER);
        let box_file = site.file(&format!("box-{port}"));
        let mode = match mode {
            Mode::Starttls => "starttls",
            Mode::Tls => "tls",
            Mode::Plain => "plain",
        };
        // Debian's own Python, for which the package is.
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).args([mode, &port.to_string(), USER, PASSWORD]);
        command.arg(&box_file).arg(&identity.certificate).arg(&identity.key);
        let log = site.file(&format!("smtp-{port}.log"));
        let mut service = Service::start("aiosmtpd", &mut command, &log);
        service.wait_until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, box_file, _service: service }
    }

    /// The mails it has taken, as Python's mail library reads them.
    #[track_caller]
    pub fn mails(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.box_file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

/// Whom the server knows.
pub const USER: &str = "countersign";
/// By what.
pub const PASSWORD: &str = "mail-password-5e1f";

const SERVER: &str = r#"
import email, email.policy, json, ssl, sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode, port, user, password, box, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)

class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 nobody here has that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        # It repeats what it refuses, as filters do.
        if "filtered" in mail["Subject"]:
            return "554 5.7.1 spam: " + " ".join(mail.get_content().split())
        kept = {
            "name": session.host_name,
            "authenticated": bool(session.authenticated),
            "tls": session.ssl is not None or mode == "tls",
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name: value for name, value in mail.items()},
            "text": mail.get_content(),
        }
        with open(box, "a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 OK"

def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and data == LoginPassword(user.encode(), password.encode())
    return AuthResult(success=known, handled=False)

class Server(Controller):
    def factory(self):
        if mode == "plain":
            return SMTP(self.handler, enable_SMTPUTF8=False)
        return SMTP(
            self.handler, enable_SMTPUTF8=False, authenticator=authenticate, auth_required=True,
            auth_require_tls=mode == "starttls", require_starttls=mode == "starttls",
            tls_context=context if mode == "starttls" else None,
        )

server = Server(Keep(), hostname="127.0.0.1", port=int(port), ssl_context=context if mode == "tls" else None)
server.start()
threading.Event().wait()
"#;
