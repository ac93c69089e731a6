//! The producer's configuration.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use warren_core::{QueueName, ScheduleName, preview, schedule::Definition};
use warren_runtime::{
    amqp::{self, publisher::LARGEST_BODY},
    config::{Problems, Secret, Sources, Validate, load},
    http, redis, telemetry,
};

use crate::{Error, field::Problem, schedule};

/// Where the gateway listens unless it is told otherwise.
pub const PORT: u16 = 8081;

/// What a producer needs to know. The library reads `namespace`, `amqp`, `app_id`, `max_body_bytes` and `preview_bytes`; the other values
/// are for the program.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The pool's name, with which all its queues begin.
    pub namespace: QueueName,
    /// The broker.
    pub amqp: amqp::Config,
    /// Where schedules and workflows are kept.
    pub redis: redis::Config,
    /// Who hands the tasks in, where a task does not say it itself.
    pub app_id: Option<String>,
    /// How large a task's payload may be: at most 16 MiB.
    pub max_body_bytes: usize,
    /// So many of the first bytes of each payload are kept for the monitor to show, in the event log and in Redis; 0 for
    /// none.
    pub preview_bytes: usize,
    /// Logs.
    pub log: telemetry::Config,
    /// Where the gateway listens, and whom it lets in.
    pub http: http::Config,
    /// How large a request to the gateway may be, which can hold many tasks.
    pub max_request_bytes: usize,
    /// The queues that the gateway declares when it starts.
    #[serde(deserialize_with = "queues")]
    pub queues: Vec<QueueName>,
    /// Whether the gateway runs the schedules, as one of any number.
    #[serde(deserialize_with = "switch")]
    pub run_schedules: bool,
    /// Whether the gateway runs the workflows, as one of any number.
    #[serde(deserialize_with = "switch")]
    pub run_workflows: bool,
    /// Schedules by name, in the JSON form of a schedule; see [`Config::definitions`].
    pub schedules: BTreeMap<String, Value>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: QueueName::parse("warren").expect("the literal is a valid name"),
            amqp: amqp::Config::default(),
            redis: redis::Config::default(),
            app_id: None,
            max_body_bytes: 1 << 20,
            preview_bytes: preview::DEFAULT,
            log: telemetry::Config::default(),
            http: http::Config::default(),
            max_request_bytes: 4 << 20,
            queues: vec![QueueName::default()],
            run_schedules: true,
            run_workflows: true,
            schedules: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The defaults, with the broker at this URL.
    pub fn at(url: impl Into<String>) -> Self {
        let amqp = amqp::Config { url: Secret::new(url), ..amqp::Config::default() };
        Self { amqp, ..Self::default() }
    }

    /// From a file, then this process's environment, then flags.
    pub fn load(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Result<Self, Problems> {
        load(&Sources { flags, ..Sources::new(file) })
    }

    /// The schedules that are configured.
    ///
    /// # Errors
    /// What is wrong with them, by the keys.
    pub fn definitions(&self) -> Result<BTreeMap<ScheduleName, Definition>, Problems> {
        let (mut definitions, mut problems) = (BTreeMap::new(), Problems::default());
        for (name, value) in &self.schedules {
            let key = format!("schedules.{name}");
            match define(name, value) {
                Ok((name, definition)) => drop(definitions.insert(name, definition)),
                Err(wrong) => {
                    for Problem { field, detail } in wrong {
                        let key = if field.is_empty() { key.clone() } else { format!("{key}.{field}") };
                        problems.add(&key, detail);
                    }
                }
            }
        }
        if problems.is_empty() { Ok(definitions) } else { Err(problems) }
    }
}

fn define(name: &str, value: &Value) -> Result<(ScheduleName, Definition), Vec<Problem>> {
    let name = ScheduleName::parse(name).map_err(|error| vec![Problem::new("", error)])?;
    match schedule::read(&name, value.to_string().as_bytes()) {
        Ok(definition) => Ok((name, definition)),
        Err(Error::Invalid(invalid)) => Err(invalid.into_iter().collect()),
        Err(other) => Err(vec![Problem::new("", other)]),
    }
}

// In an environment variable it is text.
fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(on) => Ok(on),
        Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
        other => Err(de::Error::custom(format_args!("expected true or false, got {other}"))),
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        self.amqp.validate(problems);
        self.redis.validate(problems);
        self.http.validate(problems);
        if let Err(wrong) = self.definitions() {
            problems.extend(wrong);
        }
        if !(1..=LARGEST_BODY).contains(&self.max_body_bytes) {
            problems.add("max_body_bytes", format_args!("expected 1 to {LARGEST_BODY}, got {}", self.max_body_bytes));
        }
        if self.preview_bytes > preview::LARGEST {
            problems
                .add("preview_bytes", format_args!("expected 0 to {}, got {}", preview::LARGEST, self.preview_bytes));
        }
        if self.max_request_bytes < self.max_body_bytes {
            problems.add("max_request_bytes", "expected at least max_body_bytes");
        }
        if let Some(app) = self.app_id.as_ref().filter(|app| app.is_empty() || app.len() > 255) {
            problems.add("app_id", format_args!("expected 1 to 255 bytes, got {}", app.len()));
        }
    }
}

// A list in the file; in an environment variable, names separated by commas.
fn queues<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<QueueName>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        List(Vec<String>),
        Text(String),
    }
    let names = match Written::deserialize(deserializer)? {
        Written::List(names) => names,
        Written::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    names.iter().map(|name| QueueName::parse(name).map_err(de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Config, Problems> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Sources { environment, ..Sources::default() })
    }

    #[test]
    fn reads_queues_from_the_environment() {
        let config = from(&[("WARREN_QUEUES", "images, mail"), ("WARREN_MAX_BODY_BYTES", "99")]).unwrap();
        assert_eq!(config.queues, ["images", "mail"].map(|name| QueueName::parse(name).unwrap()));
        assert_eq!(config.max_body_bytes, 99);
    }

    #[test]
    fn everything_that_is_wrong_with_schedules_is_named_by_its_key() {
        let variables = [
            ("WARREN_SCHEDULES__A__EVERY", "soon"),
            ("WARREN_SCHEDULES__A__TASK__KIND", "a b"),
            ("WARREN_SCHEDULES__B__CRON", "61 * * * *"),
            ("WARREN_SCHEDULES__B__COLOUR", "red"),
            ("WARREN_MAX_BODY_BYTES", "0"),
        ];
        let text = from(&variables).unwrap_err().to_string();
        for key in [
            "schedules.a.every:",
            "schedules.a.task.kind:",
            "schedules.b.cron:",
            "schedules.b.colour:",
            "max_body_bytes:",
        ] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
        let config =
            from(&[("WARREN_SCHEDULES__A__EVERY", "5s"), ("WARREN_SCHEDULES__A__TASK__KIND", "echo")]).unwrap();
        assert_eq!(config.definitions().unwrap().len(), 1);
        assert!(config.run_schedules && !from(&[("WARREN_RUN_SCHEDULES", "false")]).unwrap().run_schedules);
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        let problems = from(&[
            ("WARREN_MAX_BODY_BYTES", "0"),
            ("WARREN_PREVIEW_BYTES", "99999"),
            ("WARREN_APP_ID", ""),
            ("WARREN_QUEUES", "A"),
        ])
        .unwrap_err();
        let text = problems.to_string();
        for key in ["max_body_bytes:", "preview_bytes:", "app_id:", "queues:"] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
    }
}
