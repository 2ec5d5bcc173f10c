//! `countersign demo`: what a new user sees first.

use std::process::Command;

use tempfile::tempdir;

use crate::support::{countersign::program, process::run};

#[test]
fn demo_ends_with_a_ticket_and_leaves_nothing_behind() {
    let home = tempdir().unwrap();
    let mut command = Command::new(program());
    command.arg("demo").env("TMPDIR", home.path()).current_dir(home.path());
    let said = run(&mut command, b"").succeeded();
    for part in ["krbtgt/", "smart card logon", "refused"] {
        assert!(said.contains(part), "{part:?} is missing:\n{said}");
    }
    let left: Vec<_> = home.path().read_dir().unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn demo_keeps_everything_on_request() {
    let home = tempdir().unwrap();
    let kept = home.path().join("kept");
    let mut command = Command::new(program());
    run(command.args(["demo", "--keep"]).arg(&kept).current_dir(home.path()), b"").succeeded();
    let config = kept.read_dir().unwrap().flatten().map(|entry| entry.path());
    let config: Vec<_> = config.filter(|path| path.ends_with("countersign.toml")).collect();
    let [config] = &config[..] else { panic!("{config:?}") };
    let mut check = Command::new(program());
    run(check.arg("--config").arg(config).arg("check"), b"").succeeded();
}
