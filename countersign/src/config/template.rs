//! The config that `init` writes: a template with comments, filled in.

use super::file::{TEMPLATE_NAME, TEMPLATE_OID};

/// What the template leaves open.
#[derive(Debug, Clone)]
pub struct Filling {
    /// NetBIOS domain.
    pub domain: String,
    /// DNS domain.
    pub realm: String,
    /// The name of this host, as others reach it.
    pub host: String,
    /// The name of the embedded CA.
    pub ca_name: String,
    /// The address that listeners bind.
    pub listen: std::net::IpAddr,
    /// UDP port of RADIUS.
    pub radius_port: u16,
    /// TCP port of MS-OTPCE.
    pub otpce_port: u16,
    /// TCP port of EST.
    pub est_port: u16,
    /// TCP port of plain HTTP.
    pub http_port: u16,
    /// The kind of key of the signing certificate, as the config writes it.
    pub key_type: String,
}

impl Filling {
    /// The config as text.
    #[must_use]
    pub fn render(&self) -> String {
        let listen = match self.listen {
            std::net::IpAddr::V4(address) => address.to_string(),
            std::net::IpAddr::V6(address) => format!("[{address}]"),
        };
        let filled = [
            ("@DOMAIN@", self.domain.as_str()),
            ("@REALM@", &self.realm),
            ("@HOST@", &self.host),
            ("@CA_NAME@", &self.ca_name),
            ("@LISTEN@", &listen),
            ("@RADIUS_PORT@", &self.radius_port.to_string()),
            ("@OTPCE_PORT@", &self.otpce_port.to_string()),
            ("@EST_PORT@", &self.est_port.to_string()),
            ("@HTTP_PORT@", &self.http_port.to_string()),
            ("@KEY_TYPE@", &self.key_type),
            ("@TEMPLATE_NAME@", TEMPLATE_NAME),
            ("@TEMPLATE_OID@", TEMPLATE_OID),
        ];
        filled.iter().fold(TEMPLATE.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }
}

const TEMPLATE: &str = include_str!("template.toml");
