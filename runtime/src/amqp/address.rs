//! Where the broker is, and who we are there.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{node::Node, topology::Profile};
use crate::config::{Problems, Secret, duration};

/// Section `amqp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS; of a cluster, all its nodes, separated by commas.
    pub url: Secret,
    /// A file that holds it, for those who keep secrets in files. It wins over `url`.
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
        let key = if self.url_file.is_some() { "amqp.url_file" } else { "amqp.url" };
        match self.addresses() {
            Ok(text) => {
                for problem in Node::parse_all(&text).into_iter().filter_map(Result::err) {
                    problems.add(key, problem);
                }
            }
            Err(error) => problems.add(key, error),
        }
        if let Some(path) = self.ca_file.as_ref().filter(|path| !path.is_file()) {
            problems.add("amqp.ca_file", format_args!("{} is not a file", path.display()));
        }
        if self.confirm_timeout.is_zero() {
            problems.add("amqp.confirm_timeout", "expected more than zero");
        }
    }

    /// The nodes, read anew: the file may hold another secret by now.
    pub(super) fn nodes(&self) -> Result<Vec<Node>, String> {
        let text = self.addresses().map_err(|error| error.to_string())?;
        Node::parse_all(&text).into_iter().collect()
    }

    fn addresses(&self) -> Result<String, crate::config::SecretError> {
        match &self.url_file {
            Some(path) => Secret::from_file(path).map(|secret| secret.expose().to_owned()),
            None => Ok(self.url.expose().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &Config) -> String {
        let mut problems = Problems::default();
        config.validate(&mut problems);
        problems.to_string()
    }

    #[test]
    fn every_bad_address_is_a_problem_of_its_own_under_the_key_that_holds_it() {
        let url = Secret::new("amqp://one,nonsense,amqp://u:secret@two:x");
        let text = problems(&Config { url: url.clone(), ..Config::default() });
        assert!(text.contains("\n  amqp.url: address 2 of 3: ") && text.contains("\n  amqp.url: address 3 of 3: "));
        assert!(!text.contains("secret"), "{text}");

        let path = std::env::temp_dir().join(format!("warren-url-{}", crate::clock::process_name()));
        std::fs::write(&path, "amqp://one,\n").unwrap();
        let text = problems(&Config { url, url_file: Some(path.clone()), ..Config::default() });
        std::fs::remove_file(path).unwrap();
        assert!(text.contains("\n  amqp.url_file: address 2 of 2: ") && !text.contains("amqp.url:"), "{text}");
    }
}
