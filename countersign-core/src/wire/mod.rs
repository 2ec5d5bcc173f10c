//! What travels: protocol codecs that know bytes, not users.

pub mod ldap;
pub mod otpce;
pub mod radius;
