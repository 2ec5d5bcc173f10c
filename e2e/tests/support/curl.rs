//! `curl`, with and without a client certificate.

use std::{path::Path, process::Command};

use super::{
    openssl::Identity,
    process::{Ran, run},
};

/// A request in the making.
#[derive(Debug)]
pub struct Curl(Command);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Curl {
    /// A request that trusts this CA alone.
    pub fn new(trust: &Path) -> Self {
        let mut command = Command::new("curl");
        command.args(["-sS", "--ipv4", "--http1.1", "--noproxy", "*", "--max-time", "30"]);
        command.arg("--cacert").arg(trust);
        Self(command)
    }

    /// Shows a client certificate.
    pub fn with(mut self, identity: &Identity) -> Self {
        self.0.arg("--cert").arg(&identity.certificate).arg("--key").arg(&identity.key);
        self
    }

    /// Adds a header; one without a value, `Name:`, is left out.
    pub fn header(mut self, header: &str) -> Self {
        self.0.args(["-H", header]);
        self
    }

    /// Adds options as curl has them.
    pub fn options<const N: usize>(mut self, options: [&str; N]) -> Self {
        self.0.args(options);
        self
    }

    /// Gets a page.
    #[track_caller]
    pub fn get(self, url: &str) -> Response {
        response(self.run(url, b""))
    }

    /// Posts a body.
    #[track_caller]
    pub fn post(self, url: &str, body: &[u8]) -> Response {
        response(self.options(["--data-binary", "@-"]).run(url, body))
    }

    /// Runs curl, whatever comes of it.
    pub fn run(mut self, url: &str, body: &[u8]) -> Ran {
        run(self.0.args(["-i", url]), body)
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.headers.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }
}

#[track_caller]
fn response(ran: Ran) -> Response {
    let output = ran.clone().succeeded();
    let (headers, body) = output.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{ran}"));
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{ran}"));
    Response { status, headers: headers.into(), body: body.into() }
}
