//! Configuration: a file in TOML and variables of the environment, for each of the three programs.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::de::DeserializeOwned;
use warren_runtime::config::{Sources, Validate, load};

// A key that no configuration knows.
const STRANGER: &str = "zz_stranger";

/// A file; after a line `---`, variables as `NAME=value`, a line for each.
pub fn config(bytes: &[u8]) {
    // Secrets may lie in files of their own; what a fuzzer makes up must not make us read what lies around here.
    if bytes.windows(5).any(|window| window.eq_ignore_ascii_case(b"_file")) {
        return;
    }
    let (file, variables) = split(bytes);
    let file = File::new(&file);
    loads::<warren_worker::config::Config>(&file, &variables, |config| {
        assert!((1..=10_000).contains(&config.slots) && config.prefetch() > 0 && !config.queues.is_empty());
        assert!(config.crashes > 0 && !config.heartbeat.is_zero());
        assert!(config.weights().iter().all(|(_, weight)| *weight > 0));
        assert!(!config.default_policy().timeout.is_zero());
        for (kind, handler) in &config.handlers {
            assert!(warren_core::Kind::parse(kind).is_ok(), "{kind}");
            let policy = handler.policy().over(&config.defaults);
            assert!(!policy.policy().timeout.is_zero() && (1..=config.slots).contains(&policy.slots()));
        }
    });
    loads::<warren_producer::Config>(&file, &variables, |config| {
        assert!(config.max_body_bytes > 0 && config.max_request_bytes >= config.max_body_bytes);
    });
    loads::<warren_monitor::config::Config>(&file, &variables, |_| {});
}

fn split(bytes: &[u8]) -> (Vec<u8>, Vec<(String, String)>) {
    let at = bytes.windows(5).position(|window| window == b"\n---\n");
    let (file, rest) = at.map_or((bytes, &b""[..]), |at| (&bytes[..=at], &bytes[at + 5..]));
    let text = String::from_utf8_lossy(rest);
    let mut variables = BTreeMap::new();
    // Names count in any case, and which of two counts that differ in nothing else is nobody's promise.
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        variables.entry(name.to_ascii_lowercase()).or_insert((name.to_owned(), value.to_owned()));
    }
    (file.to_vec(), variables.into_values().collect())
}

// What is accepted is sound; what is not says which key; and one mistake more is named beside the others.
fn loads<T: DeserializeOwned + Validate>(file: &File, variables: &[(String, String)], is_sound: impl Fn(&T)) {
    let environment = variables.to_vec();
    let sources = Sources { file: Some(file.0.clone()), environment, ..Sources::default() };
    let read = load::<T>(&sources).map_err(|problems| problems.to_string());
    if let Ok(config) = &read {
        is_sound(config);
    }
    let sources = sources.flag(STRANGER, Some("1"));
    let text = load::<T>(&sources).err().expect("an unknown key is refused").to_string();
    let known = read.err().unwrap_or_default();
    // A file that is no TOML is all that is told, with the line of it that is not.
    if known.is_empty() || (known.contains(": unknown key") && !known.contains("TOML parse error")) {
        assert!(text.contains(STRANGER), "{text}");
    }
    // A list goes as a whole with the first mistake in it, whichever that is.
    for line in known.lines().filter(|line| !line.contains(STRANGER) && !line.contains('[')) {
        assert!(text.contains(line), "{line:?} is missing in {text:?}");
    }
    assert!(known.lines().skip(1).all(|line| !line.trim().is_empty()) || known.contains("TOML"), "{known:?}");
}

// A file in the folder for such; it goes when this does.
struct File(PathBuf);

impl File {
    fn new(content: &[u8]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("warren-fuzz-{}-{number}.toml", std::process::id()));
        fs::write(&path, content).expect("the folder for temporary files takes a file");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}
