//! Tells a web service what is found and what has ended: `alerts.webhook`.
//!
//! One request a finding, in order, each again until it is taken or nobody would want it any more. Who detects never waits
//! for it: what does not fit into the queue is dropped, counted and logged.

use std::{path::PathBuf, time::Duration};

use reqwest::{Client, StatusCode, Url, header::AUTHORIZATION, redirect};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use warren_core::Timestamp;
use warren_runtime::{
    amqp::session::chain,
    config::{Problems, Secret, SecretError, duration},
    tls,
};

use crate::{
    api::{FindingView, Time},
    found::{self, Found},
    metrics::Metrics,
};

const WAITING: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_mins(15);

/// Section `alerts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where findings are sent by POST; nowhere if not given.
    pub webhook: Option<String>,
    /// The header `Authorization` of each request.
    pub authorization: Option<Secret>,
    /// A file that holds it. It wins over `authorization`.
    pub authorization_file: Option<PathBuf>,
    /// What is called of late where a queue's growth, failures and durations are judged.
    #[serde(with = "duration")]
    pub window: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { webhook: None, authorization: None, authorization_file: None, window: Duration::from_mins(5) }
    }
}

impl Config {
    /// Reports every value that does not make sense.
    pub fn validate(&self, problems: &mut Problems) {
        if self.webhook.as_deref().is_some_and(|url| address(url).is_none()) {
            problems.add("alerts.webhook", "expected an address as http://host:port/path or https://host/path");
        }
        if let Err(error) = self.secret() {
            problems.add("alerts.authorization_file", error);
        }
        if !(Duration::from_secs(30)..=Duration::from_mins(15)).contains(&self.window) {
            problems.add("alerts.window", "expected 30s to 15m");
        }
    }

    fn secret(&self) -> Result<Option<Secret>, SecretError> {
        match &self.authorization_file {
            Some(path) => Secret::from_file(path).map(Some),
            None => Ok(self.authorization.clone()),
        }
    }
}

/// Why alerts cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("alerts.webhook is no address")]
    Address,
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The client cannot be made.
    #[error("cannot prepare to call the webhook")]
    Client(#[from] reqwest::Error),
}

/// Something to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It is there.
    Found,
    /// It is there no longer.
    Ended,
}

#[derive(Debug, Serialize)]
struct Alert {
    event: Happened,
    pool: String,
    at: Time,
    finding: FindingView,
}

/// Hands over what is to be told; cheap to clone. Without a webhook it does nothing.
#[derive(Debug, Clone)]
pub struct Alerts {
    pool: String,
    waiting: Option<mpsc::Sender<Alert>>,
    metrics: Metrics,
}

/// The component that tells it.
#[derive(Debug)]
pub struct Messenger {
    waiting: mpsc::Receiver<Alert>,
    client: Client,
    url: Url,
    authorization: Option<Secret>,
    metrics: Metrics,
}

impl Alerts {
    /// As configured, for the pool of this name.
    pub fn new(config: &Config, pool: &str, metrics: Metrics) -> Result<(Self, Option<Messenger>), Error> {
        let mut alerts = Self { pool: pool.to_owned(), waiting: None, metrics: metrics.clone() };
        let Some(url) = &config.webhook else { return Ok((alerts, None)) };
        // Without a provider of cryptography the client panics, even for plain addresses.
        tls::install();
        // What is wrong goes where the configuration says, and nowhere else.
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(TIMEOUT).build()?;
        let (sender, waiting) = mpsc::channel(WAITING);
        alerts.waiting = Some(sender);
        let url = address(url).ok_or(Error::Address)?;
        Ok((alerts, Some(Messenger { waiting, client, url, authorization: config.secret()?, metrics })))
    }

    /// Hands one over.
    pub fn tell(&self, event: Happened, found: &Found, at: Timestamp) {
        let Some(waiting) = &self.waiting else { return };
        let alert = Alert { event, pool: self.pool.clone(), at: at.into(), finding: found.into() };
        if waiting.try_send(alert).is_err() {
            warn!(finding = found::name(&found.finding), "too many alerts wait for the webhook: one is dropped");
            self.metrics.alerts_dropped.inc();
        }
    }
}

impl Messenger {
    /// Tells until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let telling = async {
            while let Some(alert) = self.waiting.recv().await {
                self.deliver(&alert).await;
            }
        };
        stop.run_until_cancelled(telling).await;
    }

    async fn deliver(&self, alert: &Alert) {
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            let problem = match self.send(alert).await {
                Ok(status) if status.is_success() => {
                    self.metrics.alerts_sent.inc();
                    return;
                }
                Ok(status) if !may_be_tried_again(status) => {
                    return self.give_up(alert, &format!("the webhook refuses it: {status}"));
                }
                Ok(status) => format!("the webhook answers {status}"),
                // The address may hold a secret.
                Err(error) => chain(&error.without_url()),
            };
            if begun.elapsed() > PATIENCE {
                return self.give_up(alert, &problem);
            }
            debug!(problem, "an alert is sent again");
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn send(&self, alert: &Alert) -> Result<StatusCode, reqwest::Error> {
        let mut request = self.client.post(self.url.clone()).json(alert);
        if let Some(secret) = &self.authorization {
            request = request.header(AUTHORIZATION, secret.expose());
        }
        Ok(request.send().await?.status())
    }

    fn give_up(&self, alert: &Alert, problem: &str) {
        error!(finding = alert.finding.finding, event = ?alert.event, problem, "an alert is dropped");
        self.metrics.alerts_dropped.inc();
    }
}

fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

fn may_be_tried_again(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_by_table() {
        for (text, good) in [
            ("https://hooks.example/x", true),
            ("http://127.0.0.1:9/", true),
            ("ftp://host/", false),
            ("hooks.example", false),
        ] {
            assert_eq!(address(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn without_a_webhook_nothing_is_told() {
        let (alerts, messenger) = Alerts::new(&Config::default(), "warren", Metrics::default()).unwrap();
        assert!(messenger.is_none() && alerts.waiting.is_none());
    }
}
