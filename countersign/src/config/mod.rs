//! The config, checked: what the daemon is to do.
