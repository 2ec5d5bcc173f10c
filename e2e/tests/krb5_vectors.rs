//! Requests that real KDCs sent, and the replies that they want, octet for octet.

use std::{fs, io::Write, path::Path};

use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::support::{
    clock::LIMIT,
    countersign::Site,
    freeradius::{FreeRadius, Role, SECRET},
    kdc_otp::{site, socket},
    oath::OathToken,
    process::{Service, run},
    radius,
    stream::{receive, unix},
};

/// A captured request and what it expects.
struct Vector {
    name: String,
    octets: Vec<u8>,
    user: String,
    otp: String,
    accept: bool,
    reply: Vec<u8>,
}

fn vectors(file: &str) -> Vec<Vector> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/krb5");
    let text = fs::read_to_string(directory.join(file)).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    document["packets"].as_array().unwrap().iter().map(Vector::of).collect()
}

impl Vector {
    fn of(packet: &Value) -> Self {
        let text = |key: &str| packet[key].as_str().unwrap().to_owned();
        let octets = |key: &str| HEXLOWER.decode(text(key).as_bytes()).unwrap();
        let accept = text("reply_expected") == "Access-Accept";
        // A KDC that signs its request takes a signed reply; an older one drops it.
        let signed = packet["message_authenticator_in_request"] == true;
        let reply = match (accept, signed) {
            (true, false) => octets("reply_accept_hex"),
            (false, false) => octets("reply_reject_hex"),
            (true, true) => octets("reply_accept_with_message_authenticator_hex"),
            (false, true) => octets("reply_reject_with_message_authenticator_hex"),
        };
        let [name, user, otp] = ["name", "user_name", "otp"].map(text);
        Self { name, octets: octets("hex"), user, otp, accept, reply }
    }

    /// Makes the account anew, so that the OTP is right for it, or at least has a token.
    fn prepare(&self, site: &Site) {
        let (name, realm) = self.user.split_once('@').unwrap_or((&self.user, "otp.test"));
        site.run(["account", "remove", &self.user]);
        site.run(["account", "add", name, "--realm", realm, "--domain", "OTP"]).succeeded();
        let label = format!("{} {}", self.name, HEXLOWER.encode(&self.octets[4..8]));
        let (counter, pin) = self.counter_and_pin();
        let mut command = site.command(["token", "add", &self.user, "--label", &label]);
        match counter {
            None if self.accept => {
                command.args(["--type", "remote", "--upstream", "otp", "--user-name"]);
                command.arg(format!("of-{}-octets", self.otp.len()));
            }
            _ => {
                let counter = counter.unwrap_or_default().to_string();
                let digits = if self.user == "zoë" { "8" } else { "6" };
                command.args(["--type", "hotp", "--counter", &counter, "--digits", digits]);
                command.arg("--secret-file").arg(site.write("secret", token(6).base32()));
                if !pin.is_empty() {
                    command.arg("--pin-file").arg(site.write("pin", pin));
                }
            }
        }
        run(&mut command, b"").succeeded();
    }

    /// Where the end of what was typed is in the tables of RFC 4226 and RFC 6238.
    fn counter_and_pin(&self) -> (Option<usize>, &str) {
        for digits in [8, 6] {
            let otps = token(digits).otps(0, 10);
            let ends = |otp: &String| self.otp.ends_with(otp.as_str());
            if let Some(counter) = otps.iter().position(ends) {
                return (Some(counter), self.otp.strip_suffix(&otps[counter]).unwrap());
            }
        }
        (None, "")
    }
}

fn token(digits: u32) -> OathToken {
    OathToken { digits, ..OathToken::usual(b"12345678901234567890") }
}

/// A site of that realm, with an upstream that knows what is no OTP of a table.
fn stage() -> (Site, FreeRadius, Service) {
    let site = site();
    let upstream = FreeRadius::start(&site.file("upstream"), Role::OtpServer { signs: true });
    site.configure_with(&format!(
        "site = {{ realm = 'otp.test', domain = 'OTP' }}\n\
         radius.client.e2e = {{ address = '127.0.0.1', secret = 'kdc-udp-secret-0001', \
         kdc = true, require-message-authenticator = false }}\n\
         upstream.otp = {{ servers = ['{}'], secret = '{SECRET}' }}",
        upstream.address()
    ));
    let daemon = site.serve();
    (site, upstream, daemon)
}

#[test]
fn captured_requests_on_the_socket_get_the_replies_that_a_kdc_takes() {
    let (site, _upstream, _daemon) = stage();
    for vector in vectors("kdc-unix.json") {
        vector.prepare(&site);
        let mut connection = unix(&socket(&site));
        connection.write_all(&vector.octets).unwrap();
        let reply = receive(&mut connection).expect(&vector.name);
        assert_eq!(reply, vector.reply, "{}: {}", vector.name, site.audit_log());
    }
    // The host of the KDC, which is all that tells one from another.
    site.has_recorded("kdc1.otp.test");
}

/// A KDC sends four copies if nothing comes; all get the same, and the OTP counts once.
#[test]
fn captured_requests_over_udp_get_the_replies_that_a_kdc_takes() {
    let (site, _upstream, _daemon) = stage();
    for vector in vectors("kdc-udp.json") {
        vector.prepare(&site);
        let socket = radius::socket(site.radius_port);
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        for copy in 0..4 {
            socket.send(&vector.octets).unwrap();
            let mut reply = [0; 4096];
            let length = socket.recv(&mut reply).expect(&vector.name);
            let what = format!("{}, copy {copy}: {}", vector.name, site.audit_log());
            assert_eq!(reply[..length], vector.reply, "{what}");
        }
    }
}
