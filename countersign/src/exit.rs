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

impl Exit {
    /// What another process of this program ended with.
    #[must_use]
    pub fn of_number(number: u8) -> Self {
        let all = [Self::Success, Self::Failure, Self::Usage, Self::Config, Self::Refused];
        all.get(usize::from(number)).copied().unwrap_or(Self::Failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_found_by_its_number() {
        for number in 0..=4 {
            let exit = ExitCode::from(Exit::of_number(number));
            assert_eq!(format!("{exit:?}"), format!("{:?}", ExitCode::from(number)));
        }
        assert_eq!(Exit::of_number(137), Exit::Failure);
    }
}
