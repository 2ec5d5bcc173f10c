//! One file per use case: load, decide, commit, record.

pub mod admin;
pub mod authenticate;
pub mod countersign;
pub mod examine;
pub mod issue;
pub mod publish;
pub mod renew;
pub mod sign;
