//! `radclient`, FreeRADIUS' client.

use std::process::Command;

use super::process::{Ran, run};

/// What a RADIUS server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accept,
    Reject,
    Challenge,
    Silence,
}

/// Asks once, with User-Name, User-Password and further attributes as radclient writes them.
pub fn ask(port: u16, secret: &str, user: &str, password: &str, more: &str) -> (Answer, Ran) {
    ask_at(&format!("127.0.0.1:{port}"), &[], secret, user, password, more)
}

/// The same for another address, with further options.
pub fn ask_at(
    server: &str,
    options: &[&str],
    secret: &str,
    user: &str,
    password: &str,
    more: &str,
) -> (Answer, Ran) {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let (user, password) = (escape(user), escape(password));
    let request = format!("User-Name = \"{user}\"\nUser-Password = \"{password}\"\n{more}\n");
    let mut command = Command::new("radclient");
    command.args(["-x", "-r", "1", "-t", TIMEOUT]).args(options).args([server, "auth", secret]);
    let ran = run(&mut command, request.as_bytes());
    let received = |name: &str| ran.stdout.contains(&format!("Received Access-{name} "));
    let answer = match [received("Accept"), received("Reject"), received("Challenge")] {
        [true, false, false] => Answer::Accept,
        [false, true, false] => Answer::Reject,
        [false, false, true] => Answer::Challenge,
        _ if ran.stdout.contains("No reply from server") => Answer::Silence,
        _ => panic!("radclient says neither yes nor no:\n{ran}"),
    };
    (answer, ran)
}

/// Asks once, with a Message-Authenticator.
pub fn logon(port: u16, secret: &str, user: &str, password: &str) -> Answer {
    ask(port, secret, user, password, MESSAGE_AUTHENTICATOR).0
}

/// radclient fills in the value.
pub const MESSAGE_AUTHENTICATOR: &str = "Message-Authenticator = 0x00";

/// Seconds until silence is silence; longer than any answer takes on a busy machine.
const TIMEOUT: &str = "5";
