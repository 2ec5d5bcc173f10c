//! What the command line says: text for people, JSON for machines, errors for both.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::{config::ConfigError, exit::Exit};

/// Writes a value as JSON, or else the text for people.
///
/// # Errors
///
/// Standard output cannot be written; a broken pipe is not an error.
pub fn show<T: Serialize>(
    json: bool,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if json { line(&serde_json::to_string_pretty(value)?) } else { line(&text(value)) }
}

/// Writes lines of text; nothing for an empty text.
///
/// # Errors
///
/// Standard output cannot be written; a broken pipe is not an error.
pub fn line(text: &str) -> anyhow::Result<()> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes an error with its causes, and says which exit code it means.
pub fn failure(error: &anyhow::Error, json: bool) -> Exit {
    let message = format!("{error:#}");
    let exit = if error.is::<ConfigError>() { Exit::Config } else { Exit::Failure };
    if json {
        let _ = line(&json!({ "error": message }).to_string());
    }
    let _ = writeln!(io::stderr(), "countersign: {message}");
    exit
}
