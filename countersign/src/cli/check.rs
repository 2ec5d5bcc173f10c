//! `countersign check`: read the config and say what it means and what is wrong.

use std::fmt::Write;

use clap::Args;

use super::{Context, output};
use crate::{
    app::examine::{Finding, Grade, examine},
    client::control,
    clock::{Clock, SystemClock},
    exit::Exit,
};

/// Say what the config means and what would fail at run time
///
/// Ends with 0 if nothing would fail, with 1 if something would, with 3 if the
/// config cannot be read at all.
#[derive(Debug, Args)]
pub struct Check {
    /// Show only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

impl Check {
    /// Examines and reports.
    ///
    /// # Errors
    ///
    /// The config cannot be read.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        let running = control::is_running(&config.control_socket).await;
        let mut findings = examine(&config, SystemClock.now(), running).await;
        findings.retain(|finding| !self.quiet || finding.grade != Grade::Good);
        output::show(context.json, &findings, |findings| report(findings))?;
        let failing = findings.iter().any(|finding| finding.grade == Grade::Error);
        Ok(if failing { Exit::Failure } else { Exit::Success })
    }
}

/// A line for each finding, and one for what to do about it.
pub(super) fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { grade, object, finding, remedy } in findings {
        let mark = match grade {
            Grade::Good => "ok      ",
            Grade::Warning => "warning ",
            Grade::Error => "ERROR   ",
        };
        let _ = writeln!(text, "{mark}{object}: {finding}");
        if !remedy.is_empty() {
            let _ = writeln!(text, "        -> {remedy}");
        }
    }
    text
}
