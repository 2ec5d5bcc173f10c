//! The log: for operators, on standard error. What a packet can trigger is at most `debug`, or
//! told seldom.

use std::{
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::file::{Level, LogFile, LogFormat};

/// Begins to log. `RUST_LOG` overrides the level of the config.
pub fn start(log: &LogFile) {
    let level = match log.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = std::io::stderr().is_terminal();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A second start in one process (the demo, tests) keeps the first subscriber.
    drop(started);
}

/// For what strangers can make happen as often as they like: the operator is told at most once
/// a minute.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is time to tell.
    ///
    /// # Panics
    ///
    /// Never: nobody panics with this lock.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock().expect("nobody panics with this lock");
        let is_due = told.is_none_or(|last| now.duration_since(last) >= MINUTE);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_told_once_a_minute() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let due = |seconds| seldom.is_due(start + Duration::from_secs(seconds));
        assert_eq!([due(0), due(59), due(60), due(61)], [true, false, true, false]);
    }
}
