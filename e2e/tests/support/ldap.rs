//! Those who ask a directory: OpenLDAP's programs, and a client that binds on many connections
//! at once with whatever octets.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use data_encoding::BASE64;

use super::{
    clock::LIMIT,
    process::{Ran, run},
};

/// Where a directory is, and who trusts it by what.
#[derive(Debug, Clone)]
pub struct Ldap {
    pub url: String,
    /// The CA, for TLS.
    pub trust: Option<std::path::PathBuf>,
    /// Whether to ask for StartTLS, without which there is no answer.
    pub start_tls: bool,
}

/// As whom somebody asks.
#[derive(Debug, Clone, Copy)]
pub enum As<'a> {
    Anonymous,
    /// A simple bind with DN and password.
    Simple(&'a str, &'a str),
    /// SASL EXTERNAL: by process identity over ldapi.
    External,
}

/// What a directory answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The result code; 255 if there was no connection.
    pub code: i32,
    /// Everything that was printed.
    pub text: String,
}

impl Ldap {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), trust: None, start_tls: false }
    }

    /// `ldapwhoami`: whether a bind succeeds.
    #[track_caller]
    pub fn whoami(&self, who: As<'_>) -> Said {
        said(run(&mut self.command("ldapwhoami", who), b""))
    }

    /// The result code of a simple bind.
    #[track_caller]
    pub fn bind(&self, dn: &str, password: &str) -> i32 {
        self.whoami(As::Simple(dn, password)).code
    }

    /// `ldapsearch` of a base and a filter, for attributes; lines are not folded.
    #[track_caller]
    pub fn search(&self, who: As<'_>, base: &str, filter: &str, attributes: &[&str]) -> Said {
        let mut command = self.command("ldapsearch", who);
        command.args(["-LLL", "-o", "ldif-wrap=no", "-b", base, filter]).args(attributes);
        said(run(&mut command, b""))
    }

    /// The values of an attribute of one entry, as somebody sees them.
    #[track_caller]
    pub fn values(&self, who: As<'_>, dn: &str, attribute: &str) -> Vec<String> {
        let mut command = self.command("ldapsearch", who);
        command.args(["-LLL", "-o", "ldif-wrap=no", "-b", dn, "-s", "base", "(objectClass=*)"]);
        let text = run(command.arg(attribute), b"").stdout;
        let values =
            text.lines().filter_map(|line| line.strip_prefix(attribute)?.strip_prefix(':'));
        values.map(value).collect()
    }

    /// `ldapmodify` with LDIF.
    #[track_caller]
    pub fn modify(&self, who: As<'_>, ldif: &str) -> Said {
        said(run(&mut self.command("ldapmodify", who), ldif.as_bytes()))
    }

    /// `ldapadd` with LDIF.
    #[track_caller]
    pub fn add(&self, who: As<'_>, ldif: &str) -> Said {
        said(run(&mut self.command("ldapadd", who), ldif.as_bytes()))
    }

    /// `ldapadd` with LDIF that has operational attributes (Relax Rules).
    #[track_caller]
    pub fn add_relaxed(&self, who: As<'_>, ldif: &str) -> Said {
        said(run(self.command("ldapadd", who).args(["-e", "!relax"]), ldif.as_bytes()))
    }

    /// `ldapcompare`: 6 is true, 5 is false.
    #[track_caller]
    pub fn compare(&self, who: As<'_>, dn: &str, assertion: &str) -> Said {
        said(run(self.command("ldapcompare", who).args([dn, assertion]), b""))
    }

    /// One of OpenLDAP's programs, told where to ask and as whom.
    pub fn command(&self, program: &str, who: As<'_>) -> Command {
        let mut command = Command::new(program);
        command.env("LDAPNOINIT", "1").args(["-H", &self.url]);
        if let Some(trust) = &self.trust {
            // Without LDAPNOINIT, because only the environment names a CA; the files it
            // would read besides are empty.
            command.env_remove("LDAPNOINIT").env("LDAPCONF", "/dev/null");
            command.env("LDAPRC", "/dev/null").env("LDAPTLS_CACERT", trust);
        }
        if self.start_tls {
            command.arg("-ZZ");
        }
        match who {
            As::Anonymous => command.arg("-x"),
            As::Simple(dn, password) => command.args(["-x", "-D", dn, "-w", password]),
            As::External => command.args(["-Q", "-Y", "EXTERNAL"]),
        };
        command
    }
}

fn said(Ran { status, stdout, stderr, .. }: Ran) -> Said {
    Said { code: status.code().unwrap_or(255), text: format!("{stdout}{stderr}") }
}

/// A value of LDIF, after the first colon.
fn value(text: &str) -> String {
    let Some(encoded) = text.strip_prefix(": ") else { return text.trim_start().to_owned() };
    let octets = BASE64.decode(encoded.as_bytes()).expect("base64 follows two colons");
    String::from_utf8_lossy(&octets).into_owned()
}

/// A connection that binds as often as it is told, without a program for each bind.
#[derive(Debug)]
pub struct Binder<S> {
    stream: S,
    message: i32,
}

impl Binder<TcpStream> {
    /// To a port of this machine.
    pub fn tcp(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream, message: 0 })
    }
}

impl Binder<UnixStream> {
    /// To a UNIX socket.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream, message: 0 })
    }
}

impl<S: Read + Write> Binder<S> {
    /// Binds and says what came back: the result code and the text.
    pub fn bind(&mut self, dn: &[u8], password: &[u8]) -> io::Result<(i32, String)> {
        self.message += 1;
        self.stream.write_all(&bind_request(self.message, dn, password))?;
        bind_response(&read_message(&mut self.stream)?)
    }
}

/// A BindRequest of RFC 4511 §4.2.
pub fn bind_request(message: i32, dn: &[u8], password: &[u8]) -> Vec<u8> {
    let bind = [element(2, &[3]), element(4, dn), element(0x80, password)].concat();
    element(0x30, &[element(2, &message.to_be_bytes()), element(0x60, &bind)].concat())
}

/// An element of BER: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("elements of tests are small").to_be_bytes();
    let mut octets = vec![tag];
    match content.len() {
        0..128 => octets.push(length[3]),
        _ => octets.extend([0x84].iter().chain(&length)),
    }
    octets.extend(content);
    octets
}

/// Reads one whole message.
pub fn read_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; 2];
    stream.read_exact(&mut octets)?;
    let more = if octets[1] < 128 { 0 } else { usize::from(octets[1] & 127) };
    octets.resize(2 + more, 0);
    stream.read_exact(&mut octets[2..])?;
    let length = match more {
        0 => usize::from(octets[1]),
        _ => octets[2..].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)),
    };
    let start = octets.len();
    octets.resize(start + length, 0);
    stream.read_exact(&mut octets[start..])?;
    Ok(octets)
}

/// Code and diagnostic text of a response.
fn bind_response(message: &[u8]) -> io::Result<(i32, String)> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("{message:02x?}"));
    let (_, body, _) = split(message).ok_or_else(broken)?;
    let (_, _, rest) = split(body).ok_or_else(broken)?;
    let (_, response, _) = split(rest).ok_or_else(broken)?;
    let (_, code, rest) = split(response).ok_or_else(broken)?;
    let (_, _, rest) = split(rest).ok_or_else(broken)?;
    let (_, text, _) = split(rest).ok_or_else(broken)?;
    let code = code.iter().fold(0, |code, octet| code << 8 | i32::from(*octet));
    Ok((code, String::from_utf8_lossy(text).into_owned()))
}

/// The first element: tag, content, and what follows.
pub fn split(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = octets.split_first_chunk::<2>()?;
    let (length, rest) = if first < 128 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 127))?;
        (length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
