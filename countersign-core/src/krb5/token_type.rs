//! The section `[otp]`: token types, and whether the KDC's plug-in starts with them.
//!
//! ```text
//! [otp]
//!     NAME = {
//!         server = /path/of/socket | host[:port]
//!         secret = FILE            needed for a host, not for a socket
//!         timeout = 5              seconds for everything
//!         retries = 3              for a host only
//!         strip_realm = true       but false for the built-in DEFAULT
//!         indicator = STRING       any number of them
//!     }
//! ```
//!
//! It is read once, when the KDC starts. One type that cannot be read disables OTP for
//! everybody, so [`TokenTypes::broken`] is about all of them.

use super::{
    finding::Finding,
    profile::{Profile, is_name, relation, section},
};

/// All token types of a KDC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTypes {
    /// Each name once.
    pub types: Vec<TokenType>,
    /// Whether something keeps the plug-in from starting, so that nobody has OTP.
    pub broken: bool,
}

/// A token type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenType {
    /// What user strings call it.
    pub name: String,
    /// Whom the KDC asks.
    pub server: Server,
    /// The file with the shared secret as it is written; without one the secret is empty.
    pub secret_file: Option<String>,
    /// Seconds that the KDC waits for everything.
    pub timeout: i32,
    /// How often it asks again, of a host.
    pub retries: i32,
    /// Whether User-Name goes without the realm.
    pub strip_realm: bool,
    /// What the ticket says when this type was used.
    pub indicators: Vec<String>,
    /// Whether no file says anything about it.
    pub built_in: bool,
}

/// Whom the KDC asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A UNIX stream socket.
    Socket(String),
    /// RADIUS over UDP.
    Host {
        /// A name or an IPv4 address.
        host: String,
        /// A number or the name of a service; `radius` if none is given.
        port: Option<String>,
    },
}

impl TokenTypes {
    /// The types of a profile, with what is to be said about them. `run_directory` is where
    /// the KDC expects sockets that are not named.
    #[must_use]
    pub fn read(profile: &Profile, run_directory: &str) -> (Self, Vec<Finding>) {
        let mut reader = Reader { profile, run_directory, broken: false, findings: Vec::new() };
        let mut types: Vec<_> =
            profile.sections(&[OTP]).into_iter().map(|name| reader.token_type(name)).collect();
        if !types.iter().any(|token_type| token_type.name == TokenType::DEFAULT) {
            types.insert(0, TokenType::built_in(run_directory));
        }
        reader.stray_relations();
        (Self { types, broken: reader.broken }, reader.findings)
    }

    /// The type of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&TokenType> {
        self.types.iter().find(|token_type| token_type.name == name)
    }
}

impl TokenType {
    /// The type of tokens that name none.
    pub const DEFAULT: &'static str = "DEFAULT";
    /// Seconds, unless the type says something else.
    pub const DEFAULT_TIMEOUT: i32 = 5;

    /// What `DEFAULT` is as long as no file has a section of that name.
    #[must_use]
    pub fn built_in(run_directory: &str) -> Self {
        Self {
            server: Server::Socket(default_socket(run_directory, Self::DEFAULT)),
            strip_realm: false,
            built_in: true,
            ..Self::new(Self::DEFAULT, Server::Socket(String::new()))
        }
    }

    /// A type as it is when its section says whom to ask and nothing else.
    #[must_use]
    pub fn new(name: &str, server: Server) -> Self {
        Self {
            name: name.to_owned(),
            server,
            secret_file: None,
            timeout: Self::DEFAULT_TIMEOUT,
            retries: DEFAULT_RETRIES,
            strip_realm: true,
            indicators: Vec::new(),
            built_in: false,
        }
    }

    /// The subsection of `[otp]` that makes this type, if its name can be written.
    #[must_use]
    pub fn to_profile(&self) -> Option<String> {
        if !is_name(&self.name) {
            return None;
        }
        let mut body = relation(2, "server", &self.server.to_string());
        if let Some(file) = &self.secret_file {
            body += &relation(2, "secret", file);
        }
        body += &relation(2, "timeout", &self.timeout.to_string());
        if let Server::Host { .. } = self.server {
            body += &relation(2, "retries", &self.retries.to_string());
        }
        body += &relation(2, "strip_realm", if self.strip_realm { "true" } else { "false" });
        body.extend(self.indicators.iter().map(|indicator| relation(2, "indicator", indicator)));
        Some(section(1, &self.name, &body))
    }
}

impl Server {
    /// As the KDC reads the value of `server`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.starts_with('/') {
            return Self::Socket(text.to_owned());
        }
        // Behind a closing bracket or the last colon, if anything is there.
        let split = match text.strip_prefix('[') {
            Some(_) => text.rfind("]:").map(|at| at + 1),
            None => text.rfind(':').filter(|at| at + 1 < text.len()),
        };
        let (host, port) = match split {
            Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        Self::Host { host: host.to_owned(), port }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => f.write_str(path),
            Self::Host { host, port: Some(port) } => write!(f, "{host}:{port}"),
            Self::Host { host, port: None } => f.write_str(host),
        }
    }
}

/// The shared secret in a file, as the KDC reads it: the first line without the space around it.
///
/// # Errors
///
/// The file is empty, which keeps the plug-in from starting.
pub fn secret_of(file: &[u8]) -> Result<&[u8], EmptySecretFile> {
    let line = file.split_inclusive(|&octet| octet == b'\n').next().ok_or(EmptySecretFile)?;
    let line = line.split(|&octet| octet == 0).next().unwrap_or_default();
    Ok(line[..line.len().min(MAX_SECRET)].trim_ascii())
}

/// The file of a secret has nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file is empty")]
pub struct EmptySecretFile;

struct Reader<'a> {
    profile: &'a Profile,
    run_directory: &'a str,
    broken: bool,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn token_type(&mut self, name: &str) -> TokenType {
        let server = match self.value(name, "server") {
            Some(text) => Server::parse(text),
            None => Server::Socket(default_socket(self.run_directory, name)),
        };
        let token_type = TokenType {
            secret_file: self.value(name, "secret").map(str::to_owned),
            timeout: self.integer(name, "timeout", TokenType::DEFAULT_TIMEOUT),
            retries: self.integer(name, "retries", DEFAULT_RETRIES),
            strip_realm: self.boolean(name, "strip_realm", true),
            indicators: self.indicators(name),
            ..TokenType::new(name, server)
        };
        self.examine(&token_type);
        self.examine_names(name);
        token_type
    }

    fn value(&self, name: &str, key: &str) -> Option<&str> {
        self.profile.value(&[OTP, name, key])
    }

    fn indicators(&self, name: &str) -> Vec<String> {
        let values = self.profile.values(&[OTP, name, "indicator"]);
        values.into_iter().map(str::to_owned).collect()
    }

    fn integer(&mut self, name: &str, key: &str, default: i32) -> i32 {
        let Some(text) = self.value(name, key).map(str::to_owned) else { return default };
        // `strtol` takes space in front.
        text.trim_start().parse().unwrap_or_else(|_| {
            let cause = format!("{key} = {text} is no whole number");
            self.breaks(name, &cause, "write a whole number of seconds or retries, without a unit");
            default
        })
    }

    fn boolean(&mut self, name: &str, key: &str, default: bool) -> bool {
        let Some(text) = self.value(name, key).map(str::to_owned) else { return default };
        let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is_one_of(&TRUE) || is_one_of(&FALSE) {
            return is_one_of(&TRUE);
        }
        let cause = format!("{key} = {text} is neither true nor false");
        self.breaks(name, &cause, "write true or false");
        default
    }

    fn examine(&mut self, token_type: &TokenType) {
        let TokenType { name, server, secret_file, .. } = token_type;
        match server {
            Server::Socket(path) => self.examine_socket(name, path),
            Server::Host { host, port } => {
                self.examine_host(name, host, port.as_deref());
                if secret_file.is_none() {
                    let cause = "it asks a host and has no secret";
                    self.breaks(
                        name,
                        cause,
                        "add secret = FILE, a file whose first line is the \
                         shared secret; or name a socket",
                    );
                }
            }
        }
        self.examine_times(token_type);
        if name == TokenType::DEFAULT && self.value(name, "strip_realm").is_none() {
            let cause = "a DEFAULT that is written down strips the realm, the built-in one did not: \
                         User-Name is now `user` and no longer `user@REALM`";
            let finding = Finding::warning(
                object(name),
                cause,
                "write strip_realm = false, or true, so that it does not depend on this",
            );
            self.findings.push(finding);
        }
    }

    fn examine_socket(&mut self, name: &str, path: &str) {
        if path.len() > MAX_SOCKET_PATH {
            let cause = format!(
                "the path of its socket has {} octets; the KDC cuts it after {MAX_SOCKET_PATH} \
                 without a word, and finds nobody there",
                path.len()
            );
            self.fails(name, cause, "choose a shorter path");
        }
    }

    fn examine_host(&mut self, name: &str, host: &str, port: Option<&str>) {
        if host.starts_with('[') || host.contains(':') {
            let cause = format!(
                "the KDC looks up {host:?} as a host name; an IPv6 address cannot be written here"
            );
            self.fails(
                name,
                cause,
                "use a host name that resolves to the address, for instance \
                 from /etc/hosts, or a socket",
            );
        } else if host.contains('/') {
            let cause =
                format!("{host:?} is taken for a host name, because it does not begin with /");
            self.fails(name, cause, "write the path of the socket from / on");
        } else if port.is_none() {
            let finding = Finding::warning(
                object(name),
                "it names no port, so the KDC looks up the service `radius` in /etc/services, \
                 which may not be there",
                "write host:1812",
            );
            self.findings.push(finding);
        }
    }

    fn examine_times(&mut self, token_type: &TokenType) {
        let TokenType { name, server, timeout, retries, .. } = token_type;
        if *timeout < 0 || *timeout > i32::MAX / 1000 {
            let cause = format!("timeout = {timeout}: {CRASHES}");
            self.fails(name, cause, "write seconds, 5 for instance");
        } else if *timeout == 0 {
            let cause = "timeout = 0 leaves no time for an answer";
            self.fails(name, cause, "write seconds, 5 for instance");
        } else if *timeout > PATIENCE {
            let cause = format!(
                "timeout = {timeout} is longer than clients wait: those up to 1.21 give up after \
                 {PATIENCE} s over UDP, and ask again after 1 s, so that an OTP comes twice"
            );
            let cure = "set udp_preference_limit = 1 in [libdefaults] of all clients; keep the \
                 timeout short where nobody has to press a button";
            self.findings.push(Finding::warning(object(name), cause, cure));
        }
        if *retries < 0 && matches!(server, Server::Host { .. }) {
            let cause = format!("retries = {retries}: {CRASHES}");
            self.fails(name, cause, "write 0 or more");
        }
    }

    /// Names that the KDC does not look for, and relations of which it takes the first only.
    fn examine_names(&mut self, name: &str) {
        for key in self.profile.relation_names(&[OTP, name]) {
            let cause = if !KEYS.contains(&key) {
                format!("{key} is no name that the KDC knows, and is ignored")
            } else if key != "indicator" && self.profile.values(&[OTP, name, key]).len() > 1 {
                format!("{key} stands there several times; the first one counts")
            } else {
                continue;
            };
            let cure = match key {
                "strip-realm" => "write strip_realm",
                "indicators" => "write indicator, once for each",
                _ => "remove it",
            };
            self.findings.push(Finding::warning(object(name), cause, cure));
        }
    }

    fn stray_relations(&mut self) {
        for name in self.profile.relation_names(&[OTP]) {
            let cause = "it is a value and no subsection, so there is no token type of this name";
            let cure = "put the opening brace at the end of its line, every relation on a line \
                 of its own, and the closing brace on another";
            self.findings.push(Finding::error(object(name), cause, cure));
        }
    }

    /// For everybody.
    fn breaks(&mut self, name: &str, cause: &str, cure: &str) {
        self.broken = true;
        let cause = format!("{cause}; {BREAKS}");
        self.fails(name, cause, cure);
    }

    fn fails(&mut self, name: &str, cause: impl Into<String>, cure: &str) {
        self.findings.push(Finding::error(object(name), cause, cure));
    }
}

/// How findings name a type.
#[must_use]
pub fn object(name: &str) -> String {
    format!("otp type {name}")
}

fn default_socket(run_directory: &str, name: &str) -> String {
    format!("{run_directory}/{name}.socket")
}

/// What one broken type means.
pub const BREAKS: &str = "this keeps the KDC's OTP plug-in from starting, so nobody can log on with \
                          an OTP, whatever their type";
const CRASHES: &str = "the KDC itself crashes at the first logon of this type";
/// `sun_path` of a socket address has 108 octets, with a zero at the end.
pub const MAX_SOCKET_PATH: usize = 107;

const OTP: &str = "otp";
const KEYS: [&str; 6] = ["server", "secret", "timeout", "retries", "strip_realm", "indicator"];
const TRUE: [&str; 6] = ["y", "yes", "true", "t", "1", "on"];
const FALSE: [&str; 6] = ["n", "no", "false", "nil", "0", "off"];
const DEFAULT_RETRIES: i32 = 3;
const MAX_SECRET: usize = 1023;
/// Seconds that a client library before 1.22 gives a single KDC over UDP.
const PATIENCE: i32 = 18;

#[cfg(test)]
mod tests;
