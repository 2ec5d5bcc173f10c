//! What the tests stand on: processes, ports, and one file per peer.

pub mod certificate;
pub mod clock;
pub mod countersign;
pub mod curl;
pub mod der;
pub mod directory;
pub mod eap;
pub mod freeradius;
pub mod kdc;
pub mod kdc_check;
pub mod kdc_otp;
pub mod ldap;
pub mod ldap_stage;
pub mod oath;
pub mod openssl;
pub mod otpce;
pub mod ports;
pub mod process;
pub mod pyrad;
pub mod radclient;
pub mod radius;
pub mod slapd;
pub mod smtp;
pub mod stage;
pub mod stream;
pub mod strongswan;
