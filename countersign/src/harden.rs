//! What the process does to itself so that its memory stays its own and its listeners have room.

use rustix::{
    io,
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};

/// Writes no core dump, not even through a handler of the system, and lets no other process of
/// the same user read this one's memory.
///
/// # Errors
///
/// The kernel refuses.
pub fn keep_memory_private() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Has as many files and connections open as listeners take, if the system lets us. The
/// usual 1024 are fewer than one listener takes, and whoever used them up would also keep
/// us from asking an upstream or sending an OTP.
///
/// # Errors
///
/// The kernel refuses.
pub fn open_many_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    match limit.current {
        Some(current) if current < wanted => {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
        }
        Some(_) | None => Ok(()),
    }
}

/// Room for 4096 connections on each of several listeners.
const OPEN_FILES: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_are_wanted_or_may_be_are_opened() {
        open_many_files().unwrap();
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
        assert!(limit.current.is_none_or(|current| current >= wanted), "{limit:?}");
    }
}
