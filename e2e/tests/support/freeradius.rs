//! FreeRADIUS in a temporary directory: as an OTP server with fixed passwords, as a RADIUS
//! client that proxies to another server, or as the server of a Wi-Fi or VPN that ends EAP.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{eap, openssl::Identity, ports, process::Service};

/// A running FreeRADIUS.
#[derive(Debug)]
pub struct FreeRadius {
    pub port: u16,
    scheme: &'static str,
    directory: PathBuf,
    service: Service,
}

/// What it does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Role<'a> {
    /// Knows `alice` with the password `123456` and a few more; challenges `challenged`.
    OtpServer {
        /// Whether its replies carry a Message-Authenticator.
        signs: bool,
    },
    /// The same over TCP.
    OtpServerOverTcp,
    /// The same over TLS, for clients whose certificate is from the CA of this file.
    OtpServerOverTls { identity: &'a Identity, client_trust: &'a Path },
    /// Asks the server on another port.
    Proxy { to: u16, secret: &'a str },
    /// The same over TCP.
    ProxyOverTcp { to: u16, secret: &'a str },
    /// The same over TLS, with a client certificate and a CA that it trusts.
    ProxyOverTls { to: u16, identity: &'a Identity, trust: &'a Path },
    /// Ends EAP-TTLS and PEAP with a server certificate, and asks the server on another port
    /// about what is inside.
    Eap { to: u16, secret: &'a str, identity: &'a Identity },
}

impl FreeRadius {
    /// Starts one for clients on this machine with the secret [`SECRET`].
    #[track_caller]
    pub fn start(directory: &Path, role: Role<'_>) -> Self {
        let port = ports::free();
        fs::create_dir_all(directory).expect("a directory");
        fs::write(directory.join("radiusd.conf"), configuration(directory, port, role))
            .expect("a file");
        fs::write(directory.join("users"), USERS).expect("a file");
        let scheme = match role {
            Role::OtpServerOverTcp => "tcp",
            Role::OtpServerOverTls { .. } => "tls",
            // Its clients ask over UDP.
            Role::OtpServer { .. }
            | Role::Proxy { .. }
            | Role::ProxyOverTcp { .. }
            | Role::ProxyOverTls { .. }
            | Role::Eap { .. } => "udp",
        };
        Self { port, scheme, directory: directory.into(), service: serve(directory) }
    }

    /// Kills it and starts it again.
    #[track_caller]
    pub fn restart(self) -> Self {
        self.service.kill();
        let service = serve(&self.directory);
        Self { service, ..self }
    }

    /// Its log, which names who logged on and who did not.
    pub fn log(&self) -> String {
        self.service.log()
    }

    /// Its address in an upstream's list of servers.
    pub fn address(&self) -> String {
        match self.scheme {
            "udp" => format!("127.0.0.1:{}", self.port),
            // The name in the certificate.
            scheme => format!("{scheme}://localhost:{}", self.port),
        }
    }
}

#[track_caller]
fn serve(directory: &Path) -> Service {
    let mut command = Command::new("freeradius");
    command.args(["-f", "-l", "stdout", "-d"]).arg(directory);
    let log = directory.join("log");
    let starts = || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.matches("Ready to process requests").count()
    };
    let before = starts();
    let mut service = Service::start("freeradius", &mut command, &log);
    service.wait_until("it is ready", || starts() > before);
    service
}

/// The secret shared with FreeRADIUS.
pub const SECRET: &str = "upstream-secret-5f2c";

/// `special` has a password with everything that XML and config files treat in ways of
/// their own; `user1` is from the protocol's published example; the passwords of 16 and 128
/// octets are what a KDC sent that was tried.
const USERS: &str = r#"
alice Cleartext-Password := "123456"
DEFAULT User-Name == "CORP\\alice", Cleartext-Password := "123456"
special Cleartext-Password := "a&bA <\303\274\""
DEFAULT User-Name == "DOMAIN1\\user1", Cleartext-Password := "Pa$$word1"
of-16-octets Cleartext-Password := "pin-1234-8675309"
of-128-octets Cleartext-Password := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
"#;

/// What differs between the roles.
#[derive(Debug, Default)]
struct Parts {
    authorize: &'static str,
    authenticate: &'static str,
    post_proxy: &'static str,
    post_auth: &'static str,
    modules: String,
    /// Other servers, real and virtual.
    more: String,
}

fn parts(role: Role<'_>) -> Parts {
    let proxy = |more| Parts { authorize: PROXY, more, ..Parts::default() };
    match role {
        Role::OtpServer { signs: true } | Role::OtpServerOverTcp => {
            let post_auth = "update reply {\n Message-Authenticator := 0x00\n }";
            Parts { authorize: OTP_SERVER, post_auth, ..Parts::default() }
        }
        Role::OtpServer { signs: false } | Role::OtpServerOverTls { .. } => {
            Parts { authorize: OTP_SERVER, ..Parts::default() }
        }
        Role::Proxy { to, secret } => proxy(proxy_to(to, secret, "")),
        Role::ProxyOverTcp { to, secret } => proxy(proxy_to(to, secret, "proto = tcp")),
        Role::ProxyOverTls { to, identity, trust } => {
            proxy(proxy_to(to, "radsec", &tls_client(identity, trust)))
        }
        Role::Eap { to, secret, identity } => Parts {
            authorize: "eap",
            authenticate: "eap",
            post_proxy: "eap",
            modules: eap::modules(to, secret, identity),
            more: proxy_to(to, secret, "") + eap::INNER_SERVER,
            ..Parts::default()
        },
    }
}

fn configuration(directory: &Path, port: u16, role: Role<'_>) -> String {
    let directory = directory.display();
    let (transport, secret) = transport(role);
    let Parts { authorize, authenticate, post_proxy, post_auth, modules, more } = parts(role);
    format!(
        r#"
prefix = /usr
name = e2e
confdir = {directory}
raddbdir = {directory}
run_dir = {directory}
logdir = {directory}
libdir = /usr/lib/freeradius
max_request_time = 20
cleanup_delay = 2
security {{
  reject_delay = 0
  status_server = yes
}}
log {{
  destination = stdout
  auth = yes
}}
thread pool {{
  start_servers = 1
  max_servers = 4
  min_spare_servers = 1
  max_spare_servers = 4
  max_requests_per_server = 0
}}
modules {{
  always handled {{
    rcode = handled
  }}
  pap {{
  }}
  files {{
    usersfile = {directory}/users
  }}
{modules}}}
client local {{
  ipaddr = 127.0.0.1
  proto = *
  secret = {secret}
  require_message_authenticator = yes
}}
{more}
server e2e {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
    {transport}
  }}
  authorize {{
    {authorize}
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    {authenticate}
  }}
  pre-proxy {{
    update proxy-request {{
      Message-Authenticator := 0x00
    }}
  }}
  post-proxy {{
    {post_proxy}
  }}
  post-auth {{
    {post_auth}
    Post-Auth-Type REJECT {{
      {post_auth}
    }}
    Post-Auth-Type Challenge {{
      {post_auth}
    }}
  }}
}}
"#
    )
}

/// What a listener says about its transport, and the secret of its clients.
fn transport(role: Role<'_>) -> (String, &'static str) {
    match role {
        Role::OtpServer { .. }
        | Role::Proxy { .. }
        | Role::ProxyOverTcp { .. }
        | Role::ProxyOverTls { .. }
        | Role::Eap { .. } => (String::new(), SECRET),
        Role::OtpServerOverTcp => ("proto = tcp".into(), SECRET),
        Role::OtpServerOverTls { identity: Identity { certificate, key }, client_trust } => {
            let [certificate, key, ca] =
                [certificate, key, client_trust].map(|path| path.display().to_string());
            (format!("proto = tcp\n{}", tls(&certificate, &key, &ca)), "radsec")
        }
    }
}

fn tls(certificate: &str, key: &str, ca: &str) -> String {
    format!(
        r#"
tls {{
  certificate_file = {certificate}
  private_key_file = {key}
  ca_file = {ca}
  require_client_cert = yes
  tls_min_version = "1.2"
  tls_max_version = "1.3"
  cipher_list = "DEFAULT"
  fragment_size = 8192
}}
"#
    )
}

fn proxy_to(port: u16, secret: &str, transport: &str) -> String {
    format!(
        r#"
proxy server {{
  default_fallback = no
}}
home_server daemon {{
  type = auth
  ipaddr = 127.0.0.1
  port = {port}
  secret = {secret}
  response_window = 10
  status_check = none
  {transport}
}}
home_server_pool daemon {{
  home_server = daemon
}}
realm DAEMON {{
  auth_pool = daemon
  nostrip
}}
"#
    )
}

fn tls_client(identity: &Identity, trust: &Path) -> String {
    let Identity { certificate, key } = identity;
    let [certificate, key, trust] = [certificate, key, trust].map(|file| file.display());
    format!(
        r#"proto = tcp
  tls {{
    certificate_file = {certificate}
    private_key_file = {key}
    ca_file = {trust}
  }}"#
    )
}

const OTP_SERVER: &str = r#"
    if (&User-Name == "challenged" && &State == 0x0102) {
      update control {
        &Auth-Type := Accept
      }
    }
    elsif (&User-Name == "challenged") {
      update control {
        &Response-Packet-Type := Access-Challenge
      }
      update reply {
        &State := 0x0102
        &Reply-Message := "the next code"
      }
      handled
    }
    files
    pap
"#;

const PROXY: &str = r"
    update control {
      &Proxy-To-Realm := DAEMON
    }
";
