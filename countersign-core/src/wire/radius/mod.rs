//! RADIUS packets (RFC 2865), authenticated before anything in them is believed.

pub mod accounting;
pub mod attribute;
pub mod authenticator;
pub mod concealed;
pub mod dictionary;
pub mod packet;
pub mod password;
pub mod repeat;
pub mod stream;
pub mod transport;

#[cfg(test)]
mod testdata;
