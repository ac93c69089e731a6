//! Where the broker is, and who we are there.

use std::{path::PathBuf, time::Duration};

use lapin::uri::AMQPUri;
use serde::Deserialize;

use super::topology::Profile;
use crate::config::{Problems, Secret, duration};

/// Section `amqp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS.
    pub url: Secret,
    /// A file that holds the URL, for those who keep secrets in files. It wins over `url`.
    pub url_file: Option<PathBuf>,
    /// The certificate authority of the broker, as a PEM file; without it, the web's public ones are trusted.
    pub ca_file: Option<PathBuf>,
    /// How long the broker may take to confirm a message.
    #[serde(with = "duration")]
    pub confirm_timeout: Duration,
    /// How long the broker lets a consumer hold a delivery (`consumer_timeout` in rabbitmq.conf). No client can ask the
    /// broker for it, so whoever raises it there says so here too.
    #[serde(with = "duration")]
    pub consumer_timeout: Duration,
    /// How task queues are made: `classic` (with priorities) or `quorum` (for clusters).
    pub profile: Profile,
    /// How long the event log reaches back.
    #[serde(with = "duration")]
    pub log_max_age: Duration,
    /// How many bytes the event log may take on the broker's disk.
    pub log_max_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::new("amqp://guest:guest@127.0.0.1:5672/%2f"),
            url_file: None,
            ca_file: None,
            confirm_timeout: Duration::from_secs(30),
            // RabbitMQ's own default (RabbitMQ documentation, "Consumers", delivery acknowledgement timeout).
            consumer_timeout: Duration::from_mins(30),
            profile: Profile::Classic,
            log_max_age: Duration::from_hours(7 * 24),
            log_max_bytes: 2 << 30,
        }
    }
}

impl Config {
    /// Reports every value that does not make sense.
    pub fn validate(&self, problems: &mut Problems) {
        match self.address() {
            Ok(address) => {
                if let Err(problem) = address.parse::<AMQPUri>() {
                    problems.add("amqp.url", format_args!("expected amqp://user:password@host:port/vhost: {problem}"));
                }
            }
            Err(error) => problems.add("amqp.url_file", error),
        }
        if let Some(path) = self.ca_file.as_ref().filter(|path| !path.is_file()) {
            problems.add("amqp.ca_file", format_args!("{} is not a file", path.display()));
        }
        if self.confirm_timeout.is_zero() {
            problems.add("amqp.confirm_timeout", "expected more than zero");
        }
    }

    pub(super) fn address(&self) -> Result<String, crate::config::SecretError> {
        match &self.url_file {
            Some(path) => Secret::from_file(path).map(|secret| secret.expose().to_owned()),
            None => Ok(self.url.expose().to_owned()),
        }
    }
}
