//! What can be configured.

use std::time::Duration;

use serde::Deserialize;
use warren_core::{QueueName, preview};
use warren_runtime::{
    amqp,
    config::{Problems, Validate, duration},
    http, redis, telemetry,
};

use crate::alerts;

/// Where the monitor listens unless told otherwise.
pub const PORT: u16 = 8080;

/// The configuration of a monitor.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The prefix of every queue and key: two pools on one broker differ in it.
    pub namespace: QueueName,
    /// The broker.
    pub amqp: amqp::Config,
    /// Where the projection lives.
    pub redis: redis::Config,
    /// Logs.
    pub log: telemetry::Config,
    /// Where to listen, and who is let in.
    pub http: http::Config,
    /// How long what is over is kept.
    pub retention: Retention,
    /// Who is told what is found.
    pub alerts: alerts::Config,
    /// So many of the first bytes of a foreign payload are kept for people to look at, in the event log and in Redis; 0 for
    /// none. Our own producers have the same key.
    pub preview_bytes: usize,
    /// A worker that is silent for longer is lost.
    #[serde(with = "duration")]
    pub lost_after: Duration,
    /// An attempt that goes on for longer than this after its limit is stuck: its worker should have ended it by force.
    #[serde(with = "duration")]
    pub stuck_after: Duration,
}

/// Section `retention`: how long the projection keeps what is over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Tasks that succeeded or were cancelled.
    #[serde(with = "duration")]
    pub finished: Duration,
    /// How many of those at most; the oldest go first.
    pub finished_tasks: u64,
    /// Dead letters, those that expired included.
    #[serde(with = "duration")]
    pub dead: Duration,
    /// Workers that stopped or were lost.
    #[serde(with = "duration")]
    pub workers: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: QueueName::parse("warren").expect("the literal is a valid name"),
            amqp: amqp::Config::default(),
            redis: redis::Config::default(),
            log: telemetry::Config::default(),
            http: http::Config::default(),
            retention: Retention::default(),
            alerts: alerts::Config::default(),
            preview_bytes: preview::DEFAULT,
            lost_after: Duration::from_secs(20),
            stuck_after: Duration::from_secs(15),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: Duration::from_hours(24),
            finished_tasks: 1_000_000,
            dead: Duration::from_hours(30 * 24),
            workers: Duration::from_hours(24),
        }
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        self.amqp.validate(problems);
        self.redis.validate(problems);
        self.http.validate(problems);
        self.alerts.validate(problems);
        if self.preview_bytes > preview::LARGEST {
            problems
                .add("preview_bytes", format_args!("expected 0 to {}, got {}", preview::LARGEST, self.preview_bytes));
        }
        if self.lost_after < Duration::from_secs(1) {
            problems.add("lost_after", "expected at least 1s");
        }
        for (key, kept) in [
            ("retention.finished", self.retention.finished),
            ("retention.dead", self.retention.dead),
            ("retention.workers", self.retention.workers),
        ] {
            // Less would drop what is still being looked at, and a late fact would bring half of it back.
            if kept < Duration::from_mins(1) {
                problems.add(key, "expected at least 1m");
            }
        }
    }
}
