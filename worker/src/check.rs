//! A preflight: what would fail, said before it does.

use std::time::Duration;

use lapin::{
    BasicProperties,
    options::{BasicCancelOptions, BasicConsumeOptions},
    types::FieldTable,
};
use serde::Serialize;
use warren_core::{event, ladder::Level};
use warren_runtime::{
    Uplink,
    amqp::{Connector, Link, Names, Outgoing, Topology, message::PERSISTENT, session::chain},
    clock,
    redis::{Keys, Store},
};

use crate::{Worker, config::Config};

const PATIENCE: Duration = Duration::from_secs(10);

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub level: Severity,
    /// What was seen, and what to do about it.
    pub detail: String,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, but somebody should know.
    Warning,
    /// It will not work.
    Bad,
}

impl Finding {
    fn new(what: &str, level: Severity, detail: impl Into<String>) -> Self {
        Self { what: what.to_owned(), level, detail: detail.into() }
    }

    fn of(what: &str, result: Result<String, String>) -> Self {
        match result {
            Ok(detail) => Self::new(what, Severity::Good, detail),
            Err(detail) => Self::new(what, Severity::Bad, detail),
        }
    }
}

/// Looks at everything that a worker needs. It declares the queues, as the worker itself would.
pub async fn check(worker: &Worker) -> Vec<Finding> {
    let config = &worker.config;
    let mut findings = handlers(config);
    findings.extend(timeouts(worker));
    findings.extend(broker(config).await);
    findings.extend(redis(config).await);
    findings
}

fn handlers(config: &Config) -> Vec<Finding> {
    let problems = config.handler_problems();
    if problems.is_empty() {
        let count = config.handlers.len();
        return vec![Finding::new("handlers", Severity::Good, format!("{count} configured, all can be started"))];
    }
    problems.into_iter().map(|problem| Finding::new("handlers", Severity::Bad, problem)).collect()
}

/// The kinds whose attempts may take longer than the broker lets a delivery be held.
pub fn timeouts(worker: &Worker) -> Vec<Finding> {
    let borne = worker.config.amqp.consumer_timeout;
    let mut kinds: Vec<_> = worker.kinds.iter().collect();
    kinds.sort_by_key(|(kind, _)| (*kind).clone());
    let too_long = kinds.into_iter().filter(|(_, assignment)| assignment.policy.timeout >= borne);
    let finding = |kind: &str, timeout: Duration| {
        let detail = format!(
            "{kind} may take {timeout:?}, but the broker takes a delivery back after {borne:?}: raise consumer_timeout in \
             rabbitmq.conf, and say so with amqp.consumer_timeout"
        );
        Finding::new("timeouts", Severity::Warning, detail)
    };
    too_long.map(|(kind, assignment)| finding(kind.as_str(), assignment.policy.timeout)).collect()
}

async fn broker(config: &Config) -> Vec<Finding> {
    let connector = Connector::new(config.amqp.clone(), &clock::process_name());
    let link = match connector.connect("check").await {
        Ok(link) => link,
        Err(error) => return vec![Finding::new("broker", Severity::Bad, chain(&error))],
    };
    let topology = Topology::new(Names::new(&config.namespace), &config.amqp);
    let findings = vec![
        Finding::new("broker", Severity::Good, "connected"),
        Finding::of("queues", queues(config, &topology, &link).await),
        Finding::of("consuming", consuming(&topology, &link).await),
        Finding::of("publishing", publishing(connector, topology.names()).await),
    ];
    link.close().await;
    findings
}

async fn queues(config: &Config, topology: &Topology, link: &Link) -> Result<String, String> {
    topology.declare(link).await.map_err(|error| chain(&error))?;
    for (queue, _) in config.weights() {
        topology.declare_queue(link, &queue).await.map_err(|error| chain(&error))?;
    }
    Ok("they exist, with the arguments that they should have".to_owned())
}

// At the top of the delay ladder, where nobody waits for a message that is held for a moment.
async fn consuming(topology: &Topology, link: &Link) -> Result<String, String> {
    let queue = topology.names().delay(Level::all().last().expect("the ladder has levels"));
    let channel = link.consuming_channel(1).await.map_err(|error| chain(&error))?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    let tag = consumer.map_err(|error| chain(&error))?.tag();
    channel.basic_cancel(tag, BasicCancelOptions::default()).await.map_err(|error| chain(&error))?;
    Ok("allowed".to_owned())
}

// A batch without events: it is a message like any other, and says nothing.
async fn publishing(connector: Connector, names: &Names) -> Result<String, String> {
    let source = clock::process_name();
    let uplink = Uplink::start(connector, names, &source, None);
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let message = Outgoing::to_queue(&names.log(), properties, event::assemble(&source, 1, &[]));
    let published = tokio::time::timeout(PATIENCE, uplink.publisher.publish(&message)).await;
    uplink.close().await;
    match published {
        Ok(Ok(())) => Ok("allowed, and confirmed".to_owned()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("the broker did not confirm within {PATIENCE:?}")),
    }
}

async fn redis(config: &Config) -> Vec<Finding> {
    let store = match Store::new(&config.redis, Keys::new(&config.namespace)) {
        Ok(store) => store,
        Err(error) => return vec![Finding::new("redis", Severity::Bad, chain(&error))],
    };
    // Tasks run without Redis: only what happened to a redelivered one cannot be looked up.
    if let Err(error) = store.ping().await {
        let detail = format!("{}; tasks run all the same, and some may run twice after a crash", chain(&error));
        return vec![Finding::new("redis", Severity::Warning, detail)];
    }
    match store.eviction().await {
        Ok(Some(policy)) if policy != "noeviction" => {
            let detail = format!("maxmemory-policy is {policy}: Redis may drop records without a word; set noeviction");
            vec![Finding::new("redis", Severity::Warning, detail)]
        }
        Ok(_) => vec![Finding::new("redis", Severity::Good, "answers, and evicts nothing")],
        Err(error) => vec![Finding::new("redis", Severity::Warning, chain(&error))],
    }
}
