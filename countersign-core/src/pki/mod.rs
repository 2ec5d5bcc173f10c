//! Certificates and requests as data: prepared here, signed elsewhere, completed here.

pub mod algorithm;
pub mod ber;
pub mod cert;
pub mod cmc;
pub mod cms;
pub mod crl;
pub mod csr;
pub mod dn;
pub mod extension;
mod lint;
pub mod oid;
pub mod pkcs12;
pub mod profile;
pub mod request;

#[cfg(test)]
pub(crate) mod testing;
