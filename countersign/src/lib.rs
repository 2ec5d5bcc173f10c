//! Countersign acts: it listens, stores, signs and asks. What it decides by is `countersign-core`.
//!
//! Calls go down this list, values come back up, nothing calls back:
//!
//! * [`listener`]: everything that takes requests from peers.
//! * [`app`]: one file per use case: load, decide, commit, record.
//! * [`store`], [`signer`], [`client`]: what is kept, what signs, who is asked.
//! * [`directory`]: LDAP servers that are asked, below all of these.
//! * [`vault`], [`audit`], [`clock`], [`config`]: what all of them need.

pub mod app;
pub mod audit;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod directory;
pub mod exit;
pub mod harden;
pub mod hold;
pub mod init;
pub mod listener;
pub mod log;
pub mod run;
pub mod signer;
pub mod store;
pub mod vault;
