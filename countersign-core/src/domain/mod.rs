//! The rules, in the words of the product.
//!
//! A listener makes an [`attempt::Attempt`]; the store gives the
//! [`subject::Subject`] that it names; [`validate::decide`] returns a
//! [`verdict::Decision`] that carries the [`counter::Change`] which must be
//! durable before an acceptance leaves.

pub mod account;
pub mod attempt;
pub mod challenge;
pub mod counter;
pub mod dn;
pub mod event;
pub mod id;
pub mod lockout;
pub mod name;
pub mod parameters;
pub mod password;
pub mod policy;
pub mod receipt;
pub mod step;
pub mod subject;
pub mod token;
pub mod validate;
pub mod verdict;

pub use crate::time;
