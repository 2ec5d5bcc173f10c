//! The config, checked: what the daemon is to do.
//!
//! [`file`] is the config as written; [`Config::load`] reads it, checks it and
//! returns it as the rest of the program needs it. Paths in it are relative to
//! the directory that the file is in.

pub mod file;
pub mod radius;
pub mod span;
