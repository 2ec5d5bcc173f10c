//! EAP logons as Wi-Fi and VPN clients make them: `eapol_test` of wpa_supplicant, and the
//! part of FreeRADIUS' config that takes their password out of the tunnel.

use std::process::Command;

use super::{
    certificate::path,
    countersign::Site,
    freeradius::{FreeRadius, SECRET},
    openssl::Identity,
    process::{Ran, run},
};

/// What is inside of the TLS tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// EAP-TTLS with PAP.
    TtlsPap,
    /// EAP-TTLS with EAP-GTC.
    TtlsGtc,
    /// PEAP with EAP-GTC, the generic token card.
    PeapGtc,
}

/// Logs on through a FreeRADIUS with a certificate of the site's CA.
pub fn logon(site: &Site, server: &FreeRadius, method: Method, user: &str, otp: &str) -> Ran {
    let (outer, inner) = match method {
        Method::TtlsPap => ("TTLS", "auth=PAP"),
        Method::TtlsGtc => ("TTLS", "autheap=GTC"),
        Method::PeapGtc => ("PEAP", "auth=GTC"),
    };
    let ca = site.ca_certificate();
    let config = format!(
        "network={{\n key_mgmt=WPA-EAP\n eap={outer}\n phase2=\"{inner}\"\n \
         anonymous_identity=\"anonymous\"\n identity=\"{user}\"\n password=\"{otp}\"\n \
         ca_cert=\"{}\"\n domain_match=\"localhost\"\n}}\n",
        ca.display()
    );
    let config = site.write(&format!("{method:?}-{user}-{otp}.conf"), config);
    let port = server.port.to_string();
    let mut command = Command::new("eapol_test");
    command.args(["-c", path(&config), "-a", "127.0.0.1", "-p", &port, "-s", SECRET]);
    run(command.args(["-r", "0", "-t", "20"]), b"")
}

/// FreeRADIUS' modules that end EAP. What is in EAP-GTC goes to radclient, because FreeRADIUS
/// does not proxy what it ends.
pub fn modules(to: u16, secret: &str, identity: &Identity) -> String {
    let Identity { certificate, key } = identity;
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        r#"
  exec otp {{
    wait = yes
    input_pairs = request
    program = "/bin/sh -c 'echo User-Name=$USER_NAME,User-Password=$USER_PASSWORD,Message-Authenticator=0x00 | radclient -r 1 -t 10 127.0.0.1:{to} auth {secret}'"
  }}
  eap {{
    default_eap_type = ttls
    tls-config common {{
      private_key_file = {key}
      certificate_file = {certificate}
      tls_min_version = "1.2"
      tls_max_version = "1.2"
    }}
    ttls {{
      tls = common
      default_eap_type = gtc
      virtual_server = inner
    }}
    peap {{
      tls = common
      default_eap_type = gtc
      virtual_server = inner
    }}
    gtc {{
      auth_type = OTP
    }}
  }}
"#
    )
}

/// The virtual server for what is inside of the tunnel: a bare password is proxied on.
pub const INNER_SERVER: &str = r"
server inner {
  authorize {
    if (&EAP-Message) {
      eap
    }
    else {
      update control {
        &Proxy-To-Realm := DAEMON
      }
    }
  }
  authenticate {
    Auth-Type OTP {
      otp
    }
    eap
  }
}
";
