//! strongSwan twice: a VPN gateway that asks a RADIUS server about IKEv1's XAUTH, and its
//! client. No tunnel is made; the logon is all that counts here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    certificate::path,
    ports,
    process::{Ran, Service, run},
};

/// A gateway and its client.
pub struct Vpn {
    gateway: Charon,
    client: Charon,
}

/// strongSwan's daemon.
struct Charon {
    directory: PathBuf,
    port: u16,
    _service: Service,
}

impl Vpn {
    /// Starts both; the gateway asks the RADIUS server on a port.
    #[track_caller]
    pub fn start(directory: &Path, radius_port: u16, secret: &str) -> Self {
        let radius = format!(
            "eap-radius {{\n servers {{\n daemon {{\n address = 127.0.0.1\n \
             auth_port = {radius_port}\n secret = {secret}\n }}\n }}\n }}"
        );
        let gateway = Charon::start(&directory.join("gateway"), &radius);
        let client = Charon::start(&directory.join("client"), "");
        gateway.load(&format!(
            "connections {{\n vpn {{\n version = 1\n local_addrs = 127.0.0.1\n \
             local_port = {}\n local {{\n auth = psk\n id = gateway\n }}\n \
             remote {{\n auth = psk\n }}\n remote-2 {{\n auth = xauth-radius\n }}\n }}\n }}\n\
             secrets {{\n ike {{\n secret = group\n }}\n }}\n",
            gateway.port
        ));
        Self { gateway, client }
    }

    /// Logs on with a passcode.
    #[track_caller]
    pub fn log_on(&self, user: &str, passcode: &str) -> Ran {
        let Self { gateway, client } = self;
        client.load(&format!(
            "connections {{\n vpn {{\n version = 1\n remote_addrs = 127.0.0.1\n \
             remote_port = {}\n local_port = {}\n local {{\n auth = psk\n id = laptop\n }}\n \
             local-2 {{\n auth = xauth\n xauth_id = {user}\n }}\n \
             remote {{\n auth = psk\n id = gateway\n }}\n }}\n }}\n\
             secrets {{\n ike {{\n secret = group\n }}\n \
             xauth {{\n id = {user}\n secret = {passcode}\n }}\n }}\n",
            gateway.port, client.port
        ));
        let ran = client.control(&["--initiate", "--ike", "vpn"]);
        client.control(&["--terminate", "--ike", "vpn"]);
        ran
    }
}

impl Charon {
    fn start(directory: &Path, plugins: &str) -> Self {
        fs::create_dir_all(directory.join("swanctl")).expect("a directory");
        let port = ports::free();
        let config = format!(
            "charon-systemd {{\n load = random nonce drbg aes sha1 sha2 hmac kdf md5 gmp \
             kernel-netlink socket-default vici xauth-generic eap-radius\n \
             port = {}\n port_nat_t = {port}\n install_routes = no\n routing_table = 0\n install_virtual_ip = no\n \
             filelog {{\n stdout {{\n default = 1\n flush_line = yes\n }}\n }}\n \
             plugins {{\n vici {{\n socket = {}\n }}\n {plugins}\n }}\n }}\n",
            ports::free(),
            vici(directory)
        );
        fs::write(directory.join("strongswan.conf"), config).expect("a file");
        let mut command = Command::new("/usr/sbin/charon-systemd");
        command.env("STRONGSWAN_CONF", directory.join("strongswan.conf"));
        let mut service = Service::start("charon-systemd", &mut command, &directory.join("log"));
        let socket = directory.join("vici");
        service.wait_until("it can be controlled", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        Self { directory: directory.into(), port, _service: service }
    }

    /// Has it read its connections and secrets anew.
    #[track_caller]
    fn load(&self, config: &str) {
        fs::write(self.directory.join("swanctl/swanctl.conf"), config).expect("a file");
        self.control(&["--load-all", "--clear"]).succeeded();
    }

    fn control(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("swanctl");
        command.env("STRONGSWAN_CONF", self.directory.join("strongswan.conf"));
        command.env("SWANCTL_DIR", self.directory.join("swanctl"));
        run(command.args(arguments).args(["--uri", &vici(&self.directory)]), b"")
    }
}

fn vici(directory: &Path) -> String {
    format!("unix://{}", path(&directory.join("vici")))
}
