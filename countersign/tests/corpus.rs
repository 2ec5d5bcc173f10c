//! Replays the corpus of the fuzz targets that need the whole daemon.

use std::{fs, path::PathBuf};

#[path = "../../fuzz/src/handler.rs"]
pub mod handler;
#[path = "../../fuzz/src/password.rs"]
pub mod password;

#[test]
fn every_conversation_of_the_corpus_does_no_harm() {
    let files = fs::read_dir(corpus("radius_handler")).unwrap();
    let told = files.map(|file| handler::radius(&fs::read(file.unwrap().path()).unwrap())).count();
    assert!(told > 0, "there is no corpus");
}

#[test]
fn the_corpus_reaches_acceptances() {
    for (name, accepted) in [
        ("accepted_once", 2),
        ("exempt", 2),
        ("probe_and_status", 1),
        ("every_way", 8),
        ("pin_first", 4),
        ("state_of_another", 0),
        ("kdc", 2),
        ("retry_grace", 1),
        ("radius_1_1", 2),
        ("delivered", 0),
        ("sent_on_and_reported", 0),
    ] {
        let conversation = fs::read(corpus("radius_handler").join(name)).unwrap();
        assert_eq!(handler::acceptances(&conversation), accepted, "{name}");
    }
}

#[test]
fn every_stored_password_of_the_corpus_does_no_harm() {
    let files = fs::read_dir(corpus("stored_password")).unwrap();
    let seen = files.map(|file| password::stored(&fs::read(file.unwrap().path()).unwrap()));
    assert!(seen.count() > 0, "there is no corpus");
}

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../fuzz/corpus", target].iter().collect()
}
