//! The table of one kind, `[handlers.<kind>]`.
//!
//! It is read as one flat table and made into a handler by its `type` afterwards: serde's tagged enums take in unknown
//! keys silently.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use reqwest::header::{self, HeaderName};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use warren_core::retry::Backoff;
use warren_runtime::config::{Problems, Secret, duration};

use super::policy::{self, Jitter, PolicyConfig};
use crate::handler::{HttpTarget, Program};

// The pool drops an attempt ten seconds after it has asked it to stop: a kill that waits longer would never come.
const LONGEST_GRACE: Duration = Duration::from_secs(9);

/// How a kind is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HandlerConfig {
    /// By what; it decides which of the other keys are allowed.
    #[serde(rename = "type")]
    pub handler: HandlerType,

    /// How long one attempt may take.
    #[serde(default, deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// How many attempts there are, the first included.
    #[serde(default)]
    pub max_attempts: Option<NonZeroU32>,
    /// `fixed:MS` or `exponential:FIRST_MS:MAX_MS`.
    #[serde(default, deserialize_with = "policy::backoff")]
    pub backoff: Option<Backoff>,
    /// Whether the wait is spread by chance.
    #[serde(default)]
    pub jitter: Option<Jitter>,
    /// How many slots an attempt takes.
    #[serde(default)]
    pub slots: Option<u32>,

    /// `command`, `process`: the program and its arguments. No shell reads them.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// `command`, `process`: where it runs; by default where the worker runs.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// `command`, `process`: the variables of the worker's environment that it may see, beside `PATH`.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// `command`, `process`: from SIGTERM to SIGKILL; 5 s unless said otherwise.
    #[serde(default, deserialize_with = "duration::optional")]
    pub kill_grace: Option<Duration>,

    /// `process`: how many programs run at most; by default as many as attempts fit into the worker's slots.
    #[serde(default)]
    pub processes: Option<NonZeroU32>,
    /// `process`: a program is replaced after so many tasks; by default never.
    #[serde(default)]
    pub max_tasks_per_process: Option<NonZeroU32>,

    /// `http`: where to POST the payload.
    #[serde(default)]
    pub url: Option<String>,
    /// `http`: further headers, each a text or `{ env = "NAME" }` for what must not stand in a file.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, HeaderValue>>,
    /// `http`: a certificate authority to trust beside the system's, as a PEM file.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What runs a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandlerType {
    /// A program a task.
    Command,
    /// Long-lived programs that speak JSON lines.
    Process,
    /// A web service.
    Http,
}

impl fmt::Display for HandlerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "command",
            Self::Process => "process",
            Self::Http => "http",
        })
    }
}

/// The value of a header.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// As it stands.
    Text(Secret),
    /// From the worker's environment.
    Environment(EnvironmentVariable),
}

/// A variable of the worker's environment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentVariable {
    /// Its name.
    pub env: String,
}

impl HeaderValue {
    /// The value itself, or what keeps it from being one.
    pub fn resolve(&self) -> Result<header::HeaderValue, String> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Environment(EnvironmentVariable { env }) => {
                Secret::new(std::env::var(env).map_err(|_| format!("the environment has no variable {env}"))?)
            }
        };
        let mut value = header::HeaderValue::from_bytes(text.expose().as_bytes())
            .map_err(|_| "expected text without line breaks or control characters".to_owned())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrVariable;

        impl<'de> Visitor<'de> for TextOrVariable {
            type Value = HeaderValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or { env = \"NAME\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Text(Secret::new(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderValue, A::Error> {
                EnvironmentVariable::deserialize(MapAccessDeserializer::new(map)).map(HeaderValue::Environment)
            }
        }

        deserializer.deserialize_any(TextOrVariable)
    }
}

impl HandlerConfig {
    /// What the table says of the policy.
    pub fn policy(&self) -> PolicyConfig {
        PolicyConfig {
            timeout: self.timeout,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            jitter: self.jitter,
            slots: self.slots,
        }
    }

    /// The program; `None` if the table names none.
    pub fn program(&self) -> Option<Program> {
        let visible = self.env.clone().unwrap_or_default();
        Program::new(self.command.as_deref().unwrap_or_default(), self.directory.clone(), visible)
    }

    /// From SIGTERM to SIGKILL.
    pub fn kill_grace(&self) -> Duration {
        self.kill_grace.unwrap_or(Duration::from_secs(5))
    }

    /// Reports every value that does not make sense in a worker with so many slots.
    pub fn validate(&self, key: &str, slots: u32, problems: &mut Problems) {
        self.policy().validate(key, slots, problems);
        for (name, allowed) in self.given() {
            if !allowed.contains(&self.handler) {
                problems.add(&format!("{key}.{name}"), format_args!("not a key of type {}", self.handler));
            }
        }
        match self.handler {
            HandlerType::Command | HandlerType::Process => self.validate_program(key, problems),
            HandlerType::Http => self.validate_http(key, problems),
        }
    }

    // The keys that are there and belong to some types only.
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static [HandlerType])> {
        const PROGRAMS: &[HandlerType] = &[HandlerType::Command, HandlerType::Process];
        const PROCESSES: &[HandlerType] = &[HandlerType::Process];
        const SERVICES: &[HandlerType] = &[HandlerType::Http];
        let given = [
            ("command", self.command.is_some(), PROGRAMS),
            ("directory", self.directory.is_some(), PROGRAMS),
            ("env", self.env.is_some(), PROGRAMS),
            ("kill_grace", self.kill_grace.is_some(), PROGRAMS),
            ("processes", self.processes.is_some(), PROCESSES),
            ("max_tasks_per_process", self.max_tasks_per_process.is_some(), PROCESSES),
            ("url", self.url.is_some(), SERVICES),
            ("headers", self.headers.is_some(), SERVICES),
            ("ca_file", self.ca_file.is_some(), SERVICES),
        ];
        given.into_iter().filter(|(_, is_given, _)| *is_given).map(|(name, _, allowed)| (name, allowed))
    }

    fn validate_program(&self, key: &str, problems: &mut Problems) {
        if self.program().is_none() {
            problems
                .add(&format!("{key}.command"), r#"expected a program and its arguments, as ["program", "argument"]"#);
        }
        if self.kill_grace() > LONGEST_GRACE {
            problems.add(&format!("{key}.kill_grace"), format_args!("expected at most {LONGEST_GRACE:?}"));
        }
        for name in self.env.iter().flatten() {
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.add(&format!("{key}.env"), format_args!("expected names of variables, got {name:?}"));
            } else if name.starts_with("WARREN_") {
                let problem = format_args!("{name} is the worker's own: a handler sees none of its configuration");
                problems.add(&format!("{key}.env"), problem);
            }
        }
    }

    fn validate_http(&self, key: &str, problems: &mut Problems) {
        if let Err(error) = HttpTarget::new(self.url.as_deref().unwrap_or_default()) {
            problems.add(&format!("{key}.url"), error);
        }
        for (name, value) in self.headers.iter().flatten() {
            let key = format!("{key}.headers.{name}");
            if HeaderName::try_from(name).is_err() {
                problems.add(&key, "not a valid name of a header");
            }
            if let Err(problem) = value.resolve() {
                problems.add(&key, problem);
            }
        }
    }
}
