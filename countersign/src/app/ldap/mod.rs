//! OpenLDAP's slapd beside Countersign: what it should have ([`config`]), and what it has.

pub mod config;
