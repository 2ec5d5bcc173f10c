//! The time, and waiting for something with a limit.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "these tests run real programs in real time")]
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// Asks again and again until something is there or the limit has passed.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Lets a program live at another time, written as libfaketime has it: `+2h`, `-3d`.
pub fn with_clock<'a>(command: &'a mut Command, offset: &str) -> &'a mut Command {
    command.env("LD_PRELOAD", faketime_library()).env("FAKETIME", offset);
    // Waits are counted in real time.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Where Debian puts libfaketime: the directory is named after the machine.
fn faketime_library() -> PathBuf {
    let directories = fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let mut libraries = directories.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime is installed")
}

/// How long anything on this machine may take; generous, for busy machines.
pub const LIMIT: Duration = Duration::from_secs(60);
