//! Configuration: the defaults of the code, then a file, then the environment, then flags.
//!
//! Everything that is wrong is reported at once and before anything connects: each unknown key and each bad value with
//! the key's full name.

pub mod duration;
mod secret;

use std::{fmt, path::PathBuf};

use config::{Config, Environment, File, FileFormat, Map, Source, Value, ValueKind};
use serde::de::DeserializeOwned;

pub use secret::{Secret, SecretError};

const PREFIX: &str = "WARREN_";

// Variables that bear Warren's prefix and are no configuration: what handlers are told, what scripts use, and where the
// command line finds its monitor.
const NOT_CONFIGURATION: [&str; 7] = [
    "WARREN_CONFIG",
    "WARREN_REQUIRE_DOCKER",
    "WARREN_KIND",
    "WARREN_QUEUE",
    "WARREN_ATTEMPT",
    "WARREN_PRIORITY",
    "WARREN_TIMEOUT_MS",
];
const NOT_CONFIGURATION_PREFIXES: [&str; 4] = ["WARREN_TEST_", "WARREN_SCRIPT_", "WARREN_TASK_", "WARREN_MONITOR_"];

// Sections that several services share: whoever sets one for all of them means no harm to those that have no use for it.
const SHARED_SECTIONS: [&str; 4] = ["amqp", "redis", "log", "http"];

/// Where configuration comes from.
#[derive(Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those with the prefix `WARREN_` count.
    pub environment: Vec<(String, String)>,
    /// Keys with dots (`http.listen`) and values, from the command line.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// This process's environment, and the file.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, environment: std::env::vars().collect(), flags: Vec::new() }
    }

    /// Adds a value from the command line, if it was given.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: Option<impl fmt::Display>) -> Self {
        self.flags.extend(value.map(|value| (key, value.to_string())));
        self
    }
}

/// A configuration that checks what a single value cannot tell.
pub trait Validate {
    /// Reports every value that does not make sense.
    fn validate(&self, problems: &mut Problems);
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Reports a problem of the value at `key`.
    pub fn add(&mut self, key: &str, problem: impl fmt::Display) {
        self.0.push(format!("{key}: {problem}"));
    }

    /// Reports everything that is wrong with a part.
    pub fn extend(&mut self, part: Self) {
        self.0.extend(part.0);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not valid")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// Loads and checks a configuration.
pub fn load<T: DeserializeOwned + Validate>(sources: &Sources) -> Result<T, Problems> {
    let mut problems = Problems::default();
    let mut tree = match merge(sources, &mut problems) {
        Ok(tree) => tree,
        Err(error) => {
            problems.0.push(error.to_string());
            return Err(problems);
        }
    };
    // One bad value hides the next: note it, take it out, and read again, until everything has been seen.
    let value: T = loop {
        let mut unknown = Vec::new();
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
        let reader = serde_ignored::Deserializer::new(tree.clone(), &mut note);
        match serde_path_to_error::deserialize::<_, T>(reader) {
            Ok(value) => {
                unknown.retain(|key| !SHARED_SECTIONS.contains(&key.as_str()));
                problems.0.extend(unknown.iter().map(|key| format!("{key}: unknown key")));
                break value;
            }
            Err(error) => {
                let path = error.path().to_string();
                problems.add(&path, error.into_inner());
                if !remove(&mut tree, &path) {
                    return Err(problems);
                }
            }
        }
    };
    value.validate(&mut problems);
    if problems.0.is_empty() { Ok(value) } else { Err(problems) }
}

fn merge(sources: &Sources, problems: &mut Problems) -> Result<Value, config::ConfigError> {
    let mut builder = Config::builder();
    if let Some(path) = &sources.file {
        builder = builder.add_source(Plain::of(&File::from(path.clone()).format(FileFormat::Toml), problems)?);
    }
    let variables: Map<String, String> =
        sources.environment.iter().filter(|(name, _)| is_configuration(name)).cloned().collect();
    let environment = Environment::with_prefix("WARREN").prefix_separator("_").separator("__").source(Some(variables));
    builder = builder.add_source(Plain::of(&environment, problems)?);
    for (key, value) in &sources.flags {
        builder = builder.set_override(*key, value.clone())?;
    }
    let tree: Map<String, Value> = builder.build()?.try_deserialize()?;
    Ok(Value::new(None, tree))
}

// One key of a source, for a source as a whole hands its keys over in any order, and `http` must not win over
// `http.listen` by chance. None is the name of a place in a list: the library would make the list as long as the place
// says, and `queues[99999999999]` must be a bad key, not the end of the memory.
#[derive(Debug, Clone)]
struct Plain(Map<String, Value>);

impl Plain {
    fn of(source: &impl Source, problems: &mut Problems) -> Result<Vec<Self>, config::ConfigError> {
        let mut values: Vec<_> = source.collect()?.into_iter().collect();
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (places, names): (Vec<_>, Vec<_>) = values.into_iter().partition(|(key, _)| key.contains('['));
        for (key, _) in &places {
            problems.add(key, "unknown key");
        }
        Ok(names.into_iter().map(|member| Self(Map::from_iter([member]))).collect())
    }
}

impl Source for Plain {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn is_configuration(name: &str) -> bool {
    name.starts_with(PREFIX)
        && !NOT_CONFIGURATION.contains(&name)
        && !NOT_CONFIGURATION_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

// Takes the value at the path out of the tree, or the list that it stands in. Names may hold dots themselves, so every
// way to cut the path is tried before something larger goes, whose other mistakes would go unseen.
fn remove(tree: &mut Value, path: &str) -> bool {
    let ValueKind::Table(table) = &mut tree.kind else { return false };
    if table.remove(path).is_some() {
        return true;
    }
    let inside = |(at, _)| table.get_mut(&path[..at]).is_some_and(|inner| remove(inner, &path[at + 1..]));
    if path.match_indices('.').any(inside) {
        return true;
    }
    let larger = ['[', '.'].map(|end| path.split(end).next().unwrap_or_default());
    larger.into_iter().any(|key| table.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        name: String,
        slots: u32,
        http: Http,
        handlers: std::collections::BTreeMap<String, Handler>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default)]
    struct Http {
        listen: std::net::SocketAddr,
        token: Option<String>,
        #[serde(with = "duration")]
        grace: Duration,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Handler {
        command: Vec<String>,
    }

    impl Default for Http {
        fn default() -> Self {
            Self { listen: ([127, 0, 0, 1], 80).into(), token: None, grace: Duration::from_secs(30) }
        }
    }

    impl Validate for Sample {
        fn validate(&self, problems: &mut Problems) {
            if self.slots > 100 {
                problems.add("slots", "expected at most 100");
            }
        }
    }

    fn sources(toml: &str, environment: &[(&str, &str)]) -> Sources {
        let path =
            std::env::temp_dir().join(format!("warren-config-{}-{}.toml", std::process::id(), fastrand::u64(..)));
        std::fs::write(&path, toml).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sources { file: Some(path), environment, flags: Vec::new() }
    }

    #[test]
    fn later_sources_win_and_text_becomes_what_is_asked_for() {
        let sources = sources(
            "name = 'file'\nslots = 3\n[http]\ngrace = '5s'\n[handlers.Resize]\ncommand = ['x']",
            &[
                ("WARREN_SLOTS", "7"),
                ("WARREN_HTTP__TOKEN", "12345"),
                ("WARREN_REDIS__URL", "redis://elsewhere"),
                ("WARREN_TEST_X", "1"),
                ("PATH", "/bin"),
            ],
        );
        let sources = sources.flag("name", Some("flag")).flag("http.listen", Some("127.0.0.1:99"));
        let sample: Sample = load(&sources).unwrap();
        assert_eq!((sample.name.as_str(), sample.slots), ("flag", 7));
        assert_eq!(sample.http.token.as_deref(), Some("12345"));
        assert_eq!(sample.http.listen.port(), 99);
        assert_eq!(sample.http.grace, Duration::from_secs(5));
        assert!(sample.handlers.contains_key("Resize"));
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once_by_its_key() {
        let toml = "slots = 'many'\ncolour = 'red'\n[http]\nlisten = 'here'\ngrace = 5\n[handlers.x]\nkind = 'y'";
        let error = load::<Sample>(&sources(toml, &[("WARREN_SLOOTS", "7"), ("WARREN_HTTP__TOKN", "x")])).unwrap_err();
        let text = error.to_string();
        for key in [
            "slots:",
            "http.listen:",
            "http.grace:",
            "handlers.x:",
            "colour: unknown",
            "sloots: unknown",
            "http.tokn: unknown",
        ] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
    }

    #[test]
    fn a_mistake_in_a_name_with_dots_hides_no_other() {
        let toml = "[handlers.'a.b.c']\nkind = 'x'\n[handlers.d]\nkind = 'y'\n[handlers.'e[0]']\nkind = 'z'";
        let text = load::<Sample>(&sources(toml, &[])).unwrap_err().to_string();
        for key in ["handlers.a.b.c:", "handlers.d:", "handlers.e[0]:"] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
    }

    #[test]
    fn a_place_in_a_list_is_no_key() {
        let variables = [("WARREN_SLOTS[99999999999]", "1"), ("WARREN_SLOTS", "7")];
        let error = load::<Sample>(&sources("'name[9223372036854775807]' = 1", &variables)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("name[9223372036854775807]: unknown key"), "{text}");
        assert!(text.contains("slots[99999999999]: unknown key"), "{text}");
    }

    #[test]
    fn values_are_checked_together_too() {
        let error = load::<Sample>(&sources("slots = 101", &[])).unwrap_err();
        assert_eq!(error.to_string(), "the configuration is not valid\n  slots: expected at most 100");
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let sources = Sources { file: Some("/no/such.toml".into()), ..Sources::default() };
        assert!(load::<Sample>(&sources).unwrap_err().to_string().contains("/no/such.toml"));
    }
}
