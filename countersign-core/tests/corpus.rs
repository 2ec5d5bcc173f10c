//! Replays the corpus of the fuzzer: whatever once was interesting stays harmless.

use std::{fs, path::Path};

#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;

#[test]
fn every_file_of_the_corpus_does_no_harm() {
    for (name, target) in fuzz::TARGETS {
        let files = fs::read_dir(corpus().join(name)).unwrap();
        let replayed = files.map(|file| target(&fs::read(file.unwrap().path()).unwrap())).count();
        assert!(replayed > 0, "{name} has no corpus");
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let folders = fs::read_dir(corpus()).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().file_name()).collect();
    let targets = fuzz::TARGETS.map(|(name, _)| name);
    let mut targets: Vec<_> = targets.into_iter().chain(fuzz::ELSEWHERE).collect();
    folders.sort();
    targets.sort_unstable();
    assert_eq!(folders, targets);
}

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"))
}
