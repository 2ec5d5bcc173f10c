//! pyrad, a RADIUS client library in Python.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::radclient::Answer;

/// A Python process that asks through pyrad.
#[derive(Debug)]
pub struct Pyrad {
    child: Child,
}

/// What came back.
#[derive(Debug)]
pub struct Reply(Value);

impl Pyrad {
    /// Starts one for a server on this machine.
    pub fn start(port: u16, secret: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pyrad_client.py");
        let mut command = Command::new("/usr/bin/python3");
        command.args([script, &port.to_string(), secret, TIMEOUT]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("python3 is installed") }
    }

    /// Sends a request once.
    #[track_caller]
    pub fn ask(&mut self, request: &Value) -> Reply {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        let written = writeln!(stdin, "{request}");
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        // It answers each line with a line, and flushes.
        let _ = BufReader::with_capacity(1, stdout).read_line(&mut line);
        if line.is_empty() || written.is_err() {
            let mut said = String::new();
            let stderr = self.child.stderr.as_mut().expect("it is piped");
            let _ = std::io::Read::read_to_string(stderr, &mut said);
            panic!("pyrad ended at {request}:\n{said}");
        }
        Reply(serde_json::from_str(&line).expect("JSON"))
    }

    /// Logs on with a method: `pap`, `chap` or `ms-chap-v2`.
    #[track_caller]
    pub fn log_on(&mut self, method: &str, user: &str, password: &str) -> Reply {
        self.ask(&json!({ "code": 1, "user": user, "method": method, "password": password }))
    }

    /// Logs on with PAP in a second round.
    #[track_caller]
    pub fn answer(&mut self, user: &str, password: &str, state: &str) -> Reply {
        let state = json!({ "State": { "hex": state } });
        self.ask(&json!({ "code": 1, "user": user, "password": password, "attributes": state }))
    }
}

impl Reply {
    /// The code of a reply; `None` is silence.
    pub fn code(&self) -> Option<u64> {
        self.0["code"].as_u64()
    }

    /// What it says to an Access-Request.
    #[track_caller]
    pub fn answer(&self) -> Answer {
        match self.code() {
            None => Answer::Silence,
            Some(2) => Answer::Accept,
            Some(3) => Answer::Reject,
            Some(11) => Answer::Challenge,
            Some(code) => panic!("a reply of code {code}"),
        }
    }

    /// The first value of an attribute, in hexadecimal.
    pub fn attribute(&self, number: u8) -> Option<&str> {
        self.0["attributes"][number.to_string()][0].as_str()
    }
}

impl Drop for Pyrad {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds until silence is silence.
const TIMEOUT: &str = "5";
