//! Everything that takes requests from peers.

pub mod backsock;
pub mod control;
pub mod est;
pub mod http;
pub mod inherited;
pub mod ldap;
pub mod limit;
pub mod otpce;
mod places;
pub mod publish;
pub mod radius;
pub mod rights;
pub mod tls;
pub mod unix;
