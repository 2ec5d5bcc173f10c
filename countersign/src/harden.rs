//! What the process does to itself so that its memory stays its own.

use rustix::{
    io,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
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
