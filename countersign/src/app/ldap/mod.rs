//! OpenLDAP's slapd beside Countersign: what it should have ([`config`]), and what it has
//! ([`check`]). [`genkey`] makes the keys for secrets in the directory; [`migrate`] brings
//! entries of others over.

pub mod check;
pub mod config;
pub mod genkey;
pub mod migrate;
