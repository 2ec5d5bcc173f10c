//! What travels: protocol codecs that know bytes, not users.

pub mod backsock;
pub mod ldap;
pub mod otpce;
pub mod radius;
