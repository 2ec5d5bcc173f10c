//! OpenLDAP's slapd beside Countersign: what it should have ([`config`]), and what it has
//! ([`check`]). [`genkey`] makes the keys for secrets in the directory.

pub mod check;
pub mod config;
pub mod genkey;
