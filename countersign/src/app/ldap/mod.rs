//! OpenLDAP's slapd beside Countersign: what it should have ([`config`]), and what it has.
//! [`genkey`] makes the keys for secrets in the directory; [`migrate`] brings entries of others
//! over.

pub mod config;
pub mod genkey;
pub mod migrate;
