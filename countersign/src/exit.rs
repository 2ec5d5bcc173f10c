//! Exit codes: a table that scripts can rely on.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: it could not be done.
    Failure,
    /// 2: the command line makes no sense (clap uses this number).
    Usage,
    /// 3: the config cannot be used.
    Config,
    /// 4: the credentials were refused.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Refused => 4,
        })
    }
}
