//! The bodies over the inputs that are kept, and over some that nobody chose.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use warren_core::event::{Batch, Event};
use warren_fuzz_bodies::BODIES;

fn run(target: &str) {
    let (_, body) = BODIES.iter().find(|(name, _)| *name == target).expect("the target has a body");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        // Shown by a failing test: the last one is the one that fails.
        println!("{}", file.display());
        body(&fs::read(&file).expect("the file can be read"));
    }
}

#[test]
fn what_is_kept_of_messages_breaks_no_promise() {
    run("message");
}

#[test]
fn what_is_kept_of_headers_breaks_no_promise() {
    run("headers");
}

#[test]
fn what_is_kept_of_configurations_breaks_no_promise() {
    run("config");
}

#[test]
fn what_is_kept_of_the_protocol_breaks_no_promise() {
    run("protocol");
}

#[test]
fn what_is_kept_of_events_breaks_no_promise() {
    run("events");
}

#[test]
fn what_is_kept_of_requests_breaks_no_promise() {
    run("request");
}

#[test]
fn what_is_kept_of_the_api_breaks_no_promise() {
    run("api");
}

#[test]
fn what_is_kept_of_workflows_breaks_no_promise() {
    run("workflow");
}

#[test]
fn the_stretches_of_a_log_among_them_are_understood() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/workflow");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("log-")).collect();
    assert!(!logs.is_empty());
    for file in logs {
        let batch = Batch::decode(&fs::read(&file).unwrap()).unwrap();
        assert!(!batch.events.contains(&Event::Unknown), "{}", file.display());
    }
}

#[test]
fn every_folder_of_the_corpus_belongs_to_a_target() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(BODIES.iter().any(|(target, _)| *target == name), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_break_no_promise(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (_, body) in BODIES {
            body(&bytes);
        }
    }
}
