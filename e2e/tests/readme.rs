//! The README and a guide do what they say: their tested blocks run, one after the other,
//! in a directory of their own.

use std::process::Command;

use tempfile::tempdir;

use crate::support::{countersign::program, process::run};

#[test]
fn tested_commands_of_the_readme_succeed() {
    blocks_succeed(include_str!("../../README.md"));
}

#[test]
fn tested_commands_of_the_guide_for_radius_administrators_succeed() {
    blocks_succeed(include_str!("../../docs/guide/radius-administrator.md"));
}

#[test]
fn tested_commands_of_the_guide_for_directory_administrators_succeed() {
    blocks_succeed(include_str!("../../docs/guide/directory-administrator.md"));
}

#[track_caller]
fn blocks_succeed(text: &str) {
    let blocks = tested_blocks(text);
    assert!(!blocks.is_empty(), "no block follows a line {MARK}");
    let home = tempdir().unwrap();
    // The daemon goes with the script, whatever becomes of it.
    let end = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT";
    let script = format!("set -euxo pipefail\n{end}\n{}", blocks.concat());
    let bin = program().parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(home.path()).env("HOME", home.path());
    run(command.env("PATH", format!("{bin}:{path}")), b"").succeeded();
}

/// The shell blocks that stand right below a line with the mark.
fn tested_blocks(text: &str) -> Vec<&str> {
    let below =
        text.split(MARK).skip(1).filter_map(|text| text.trim_start().strip_prefix("```sh\n"));
    below.filter_map(|text| text.split_once("```")).map(|(block, _)| block).collect()
}

/// A comment in Markdown, which nobody sees.
const MARK: &str = "<!-- tested -->\n";
