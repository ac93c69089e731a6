//! What a worker is told: its queues, its slots, and how it runs which kind.

mod assignments;
mod handler;
mod policy;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    thread,
    time::Duration,
};

use serde::Deserialize;
use warren_core::{Kind, QueueName, retry::Policy};
use warren_runtime::{
    amqp,
    config::{Problems, Validate, duration},
    http, redis, telemetry,
};

pub use handler::{EnvironmentVariable, HandlerConfig, HandlerType, HeaderValue};
pub use policy::{Jitter, PolicyConfig};

/// Where a worker tells its health and its metrics, unless `http.listen` says otherwise.
pub const PORT: u16 = 8082;

// Semaphores and AMQP's prefetch bear more; more attempts at once than this is a slip of the pen.
const MOST_SLOTS: u32 = 10_000;

/// A worker's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The prefix of everything in the broker and in Redis, so that several pools can share them.
    pub namespace: QueueName,
    /// How many attempts run at the same time; by default one for each core.
    pub slots: u32,
    /// How many deliveries of a queue are held at once; by default as many as there are slots, and more where there are
    /// several queues.
    pub prefetch: Option<u16>,
    /// The queues to take from; by default `default` alone.
    pub queues: Vec<QueueConfig>,
    /// How long running attempts may go on when the worker is told to stop.
    #[serde(with = "duration")]
    pub grace: Duration,
    /// How often the worker says that it is there.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// A task that was running in this many workers when they were lost is put aside.
    pub crashes: u32,
    /// How many bytes of a result are kept; of a longer one only its length.
    pub max_result_bytes: usize,
    /// The broker.
    pub amqp: amqp::Config,
    /// The store in which a flagged delivery is looked up.
    pub redis: redis::Config,
    /// Logs.
    pub log: telemetry::Config,
    /// Health and metrics.
    pub http: http::Config,
    /// The policy of every kind that does not say otherwise.
    pub defaults: PolicyConfig,
    /// How each kind is run. A kind that is built in can be given another handler here.
    pub handlers: BTreeMap<String, HandlerConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: QueueName::parse("warren").expect("the literal is a valid name"),
            slots: thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(MOST_SLOTS)),
            prefetch: None,
            queues: vec![QueueConfig { name: QueueName::default(), weight: 1, default_kind: None }],
            grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            crashes: 3,
            max_result_bytes: 64 * 1024,
            amqp: amqp::Config::default(),
            redis: redis::Config::default(),
            log: telemetry::Config::default(),
            http: http::Config::default(),
            defaults: PolicyConfig::default(),
            handlers: BTreeMap::new(),
        }
    }
}

/// A queue that a worker takes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QueueConfig {
    /// Its name.
    pub name: QueueName,
    /// Its share where several queues have work: 2 gets twice as much as 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// The kind of a message that names none.
    #[serde(default)]
    pub default_kind: Option<Kind>,
}

fn one() -> u32 {
    1
}

impl Config {
    /// The policy of a kind that has no table of its own.
    pub fn default_policy(&self) -> Policy {
        self.defaults.over(&PolicyConfig::default()).policy()
    }

    /// How many deliveries of a queue are held at once, from their arrival to their acknowledgement. With several queues
    /// there must be one to spare beside those that run and those whose outcome is being made safe: a queue that has
    /// none waiting when a slot falls free is passed over, whatever its weight.
    pub fn prefetch(&self) -> u16 {
        let held = if self.queues.len() > 1 { 2 * self.slots + 1 } else { self.slots };
        self.prefetch.unwrap_or_else(|| u16::try_from(held).unwrap_or(u16::MAX))
    }

    /// The queues with their weights.
    pub fn weights(&self) -> Vec<(QueueName, u32)> {
        self.queues.iter().map(|queue| (queue.name.clone(), queue.weight)).collect()
    }

    /// The kind of a message that names none, by queue.
    pub fn default_kinds(&self) -> HashMap<QueueName, Kind> {
        self.queues.iter().filter_map(|queue| Some((queue.name.clone(), queue.default_kind.clone()?))).collect()
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if !(1..=MOST_SLOTS).contains(&self.slots) {
            problems.add("slots", format_args!("expected 1 to {MOST_SLOTS}, got {}", self.slots));
        }
        if self.prefetch == Some(0) {
            problems.add("prefetch", "expected at least 1: without a limit the broker would send everything");
        }
        if self.heartbeat.is_zero() {
            problems.add("heartbeat", "expected more than zero");
        }
        if self.crashes == 0 {
            problems.add("crashes", "expected at least 1");
        }
        self.validate_queues(problems);
        self.amqp.validate(problems);
        self.redis.validate(problems);
        self.http.validate(problems);
        self.defaults.validate("defaults", self.slots, problems);
        for (kind, handler) in &self.handlers {
            let key = format!("handlers.{kind}");
            if let Err(error) = Kind::parse(kind) {
                problems.add(&key, error);
            }
            handler.validate(&key, self.slots, problems);
        }
    }
}

impl Config {
    fn validate_queues(&self, problems: &mut Problems) {
        if self.queues.is_empty() {
            problems.add("queues", "expected at least one");
        }
        let mut seen = BTreeSet::new();
        for (index, queue) in self.queues.iter().enumerate() {
            if !seen.insert(&queue.name) {
                problems.add(&format!("queues[{index}].name"), format_args!("{} is listed twice", queue.name));
            }
            if queue.weight == 0 {
                problems.add(&format!("queues[{index}].weight"), "expected at least 1");
            }
        }
    }
}
