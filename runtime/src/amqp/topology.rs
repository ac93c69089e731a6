//! Every exchange and queue of Warren: their names, their arguments, and how they are bound.
//!
//! Everything is durable and every argument is explicit, so that the same code runs on RabbitMQ 3.10 and 4.x and a
//! mismatch is ours to explain. Queue arguments cannot change once a queue exists.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::AMQPSoftError,
    types::{AMQPValue, FieldTable},
};
use serde::Deserialize;
use warren_core::{Priority, QueueName, ladder::Level, order};

use super::{Config, Error, Link, connection::is_soft, session::chain};

// How many copies of foreign submissions wait for the monitor at most. They are for showing; the tasks lie elsewhere.
const TAP_MESSAGES: i64 = 100_000;
const TAP_BYTES: i64 = 256 << 20;
// Retention drops whole segments: small ones keep close to the limit.
const LOG_SEGMENT_BYTES: i64 = 64 << 20;
// All that is in force is stated anew from time to time, so that little of the command log is ever needed.
const COMMANDS_MAX_AGE: &str = "7D";
const COMMANDS_BYTES: i64 = 64 << 20;
const COMMANDS_SEGMENT_BYTES: i64 = 8 << 20;
// RabbitMQ 4 drops a message after 20 returns unless told otherwise, and 3.10 takes -1 for "at the first return".
// Crashes are counted by Warren itself, so the broker's limit is put out of reach.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// How task queues are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Classic queues with ten priorities: strict order, one node.
    Classic,
    /// Quorum queues: replicated, every one of them, so that a cluster may lose any one node. Priorities are what the
    /// broker makes of them: none on 3.10, two levels on 4.0, strict from 4.3 on.
    Quorum,
}

/// The names in one namespace, and the name of everything in it.
#[derive(Debug, Clone)]
pub struct Names {
    namespace: Arc<str>,
}

impl Names {
    /// The names of a pool.
    pub fn new(namespace: &QueueName) -> Self {
        Self { namespace: namespace.as_str().into() }
    }

    /// The namespace itself.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where foreign clients publish, with the queue's name as routing key.
    pub fn tasks(&self) -> String {
        self.with("tasks")
    }

    /// The exchange and the queue for what no queue took.
    pub fn unroutable(&self) -> String {
        self.with("unroutable")
    }

    /// Where the broker itself puts what expires in a task queue.
    pub fn dead_letters(&self) -> String {
        self.with("dlx")
    }

    /// The copies of foreign submissions, for the monitor.
    pub fn tap(&self) -> String {
        self.with("tap")
    }

    /// The event log.
    pub fn log(&self) -> String {
        self.with("log")
    }

    /// The command log.
    pub fn commands(&self) -> String {
        self.with("commands")
    }

    /// Tasks that wait for others, for whoever runs workflows.
    pub fn held(&self) -> String {
        self.with("held")
    }

    /// A queue of tasks.
    pub fn queue(&self, queue: &QueueName) -> String {
        self.with(&format!("q.{queue}"))
    }

    /// Its dead letters.
    pub fn dead(&self, queue: &QueueName) -> String {
        self.with(&format!("dead.{queue}"))
    }

    /// Its tasks that may have killed a worker: they run one at a time.
    pub fn suspect(&self, queue: &QueueName) -> String {
        self.with(&format!("suspect.{queue}"))
    }

    /// Where foreign clients publish tasks that bear an order key, with the queue's name as routing key.
    pub fn ordered(&self) -> String {
        self.with("ordered")
    }

    /// One of the lanes of a queue, for its tasks that bear an order key.
    pub fn lane(&self, queue: &QueueName, lane: u8) -> String {
        self.with(&format!("lane.{queue}.{lane}"))
    }

    /// One level of the delay ladder.
    pub fn delay(&self, level: Level) -> String {
        self.with(&format!("delay.{:02}", level.number()))
    }

    fn with(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }
}

/// Declares what a pool needs; declaring again changes nothing.
#[derive(Debug, Clone)]
pub struct Topology {
    names: Names,
    profile: Profile,
    log_max_age: Duration,
    log_max_bytes: u64,
}

impl Topology {
    /// As configured.
    pub fn new(names: Names, config: &Config) -> Self {
        let Config { profile, log_max_age, log_max_bytes, .. } = *config;
        Self { names, profile, log_max_age, log_max_bytes }
    }

    /// The names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How task queues are made.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Declares what does not depend on any queue: exchanges, the logs, the tap, the delay ladder.
    pub async fn declare(&self, link: &Link) -> Result<(), Error> {
        let names = &self.names;
        let on = Declaring { channel: link.channel().await? };
        on.exchange(&names.unroutable(), ExchangeKind::Fanout, FieldTable::default()).await?;
        on.queue(&names.unroutable(), self.plain()).await?;
        on.bind(&names.unroutable(), &names.unroutable(), "").await?;
        let alternate = table([("alternate-exchange", text(names.unroutable()))]);
        on.exchange(&names.tasks(), ExchangeKind::Direct, alternate.clone()).await?;
        on.exchange(&names.ordered(), ExchangeKind::Direct, alternate).await?;
        on.exchange(&names.dead_letters(), ExchangeKind::Direct, FieldTable::default()).await?;
        on.queue(&names.log(), self.log()).await?;
        on.queue(&names.commands(), commands()).await?;
        on.queue(&names.tap(), self.tap()).await?;
        on.queue(&names.held(), self.plain()).await?;
        // All at once: one after the other they are most of what a return takes.
        let levels: Vec<_> = Level::all().map(|level| names.delay(level)).collect();
        try_join_all(levels.iter().map(|level| on.queue(level, self.delay()))).await.map(drop)
    }

    /// Declares a queue of tasks and what belongs to it. What [`Topology::declare`] makes must exist.
    pub async fn declare_queue(&self, link: &Link, queue: &QueueName) -> Result<(), Error> {
        let names = &self.names;
        let on = Declaring { channel: link.channel().await? };
        on.queue(&names.dead(queue), self.plain()).await?;
        on.bind(&names.dead(queue), &names.dead_letters(), queue.as_str()).await?;
        on.bind(&names.tap(), &names.dead_letters(), queue.as_str()).await?;
        on.queue(&names.suspect(queue), self.plain()).await?;
        on.queue(&names.queue(queue), self.tasks(queue)).await?;
        on.bind(&names.queue(queue), &names.tasks(), queue.as_str()).await?;
        on.bind(&names.tap(), &names.tasks(), queue.as_str()).await?;
        let lanes: Vec<_> = (0..order::LANES).map(|lane| names.lane(queue, lane)).collect();
        try_join_all(lanes.iter().map(|lane| on.queue(lane, self.lane(queue)))).await?;
        // Whoever takes from it moves each task to the lane of its key, in the order of their coming.
        on.bind(&lanes[0], &names.ordered(), queue.as_str()).await?;
        on.bind(&names.tap(), &names.ordered(), queue.as_str()).await
    }

    // No length limit: a full queue would swallow returning retries. Depth is limited where tasks come in.
    fn tasks(&self, queue: &QueueName) -> FieldTable {
        let mut arguments = self.expiring(queue);
        if self.profile == Profile::Classic {
            arguments.insert("x-max-priority".into(), number(i64::from(Priority::MAX.get())));
        }
        arguments
    }

    // What is in order has no priorities.
    fn lane(&self, queue: &QueueName) -> FieldTable {
        let mut arguments = self.expiring(queue);
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        arguments
    }

    // The broker puts what expires among the dead letters of this queue.
    fn expiring(&self, queue: &QueueName) -> FieldTable {
        let mut arguments = self.plain();
        arguments.insert("x-dead-letter-exchange".into(), text(self.names.dead_letters()));
        arguments.insert("x-dead-letter-routing-key".into(), text(queue.as_str()));
        if self.profile == Profile::Quorum {
            arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
            // Without this the broker falls back to at-most-once, silently.
            arguments.insert("x-overflow".into(), text("reject-publish"));
        }
        arguments
    }

    fn delay(&self) -> FieldTable {
        let mut arguments = self.plain();
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        arguments
    }

    fn plain(&self) -> FieldTable {
        match self.profile {
            Profile::Classic => table([("x-queue-type", text("classic"))]),
            Profile::Quorum => table([("x-queue-type", text("quorum")), ("x-delivery-limit", number(DELIVERY_LIMIT))]),
        }
    }

    fn log(&self) -> FieldTable {
        table([
            ("x-queue-type", text("stream")),
            ("x-max-age", text(format!("{}s", self.log_max_age.as_secs()))),
            ("x-max-length-bytes", number(i64::try_from(self.log_max_bytes).unwrap_or(i64::MAX))),
            ("x-stream-max-segment-size-bytes", number(LOG_SEGMENT_BYTES)),
        ])
    }

    // Replicated as the others are: a classic queue on a lost node cannot be declared, and so would keep every process
    // from starting. A quorum queue overshoots its length by a few, which does no harm here.
    fn tap(&self) -> FieldTable {
        let mut arguments = self.plain();
        arguments
            .insert("x-max-length".into(), number(TAP_MESSAGES))
            .insert("x-max-length-bytes".into(), number(TAP_BYTES))
            .insert("x-overflow".into(), text("drop-head"));
        arguments
    }
}

fn commands() -> FieldTable {
    table([
        ("x-queue-type", text("stream")),
        ("x-max-age", text(COMMANDS_MAX_AGE)),
        ("x-max-length-bytes", number(COMMANDS_BYTES)),
        ("x-stream-max-segment-size-bytes", number(COMMANDS_SEGMENT_BYTES)),
    ])
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

fn text(text: impl Into<String>) -> AMQPValue {
    AMQPValue::LongString(text.into().into())
}

fn number(number: i64) -> AMQPValue {
    AMQPValue::LongLongInt(number)
}

struct Declaring {
    channel: Channel,
}

impl Declaring {
    async fn exchange(&self, name: &str, kind: ExchangeKind, arguments: FieldTable) -> Result<(), Error> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared = self.channel.exchange_declare(name.into(), kind, options, arguments).await;
        declared.map_err(|error| explain("exchange", name, error))
    }

    async fn queue(&self, name: &str, arguments: FieldTable) -> Result<(), Error> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(name.into(), options, arguments).await;
        declared.map(drop).map_err(|error| explain("queue", name, error))
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), Error> {
        let options = QueueBindOptions::default();
        let bound = self.channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
        bound.await.map_err(Error::broker(format!("bind {queue} to {exchange}")))
    }
}

// RabbitMQ answers 406 with which argument differs; on its own that says neither what to do nor who is right.
fn explain(what: &str, name: &str, error: lapin::Error) -> Error {
    let object = format!("{what} {name}");
    if is_soft(&error, &AMQPSoftError::PRECONDITIONFAILED) {
        return Error::Mismatch { object, difference: chain(&error) };
    }
    Error::Broker { what: format!("declare {object}"), source: error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(profile: Profile) -> Vec<String> {
        let config = Config { profile, ..Config::default() };
        let topology = Topology::new(Names::new(&QueueName::default()), &config);
        let queue = QueueName::default();
        let queues =
            [topology.tasks(&queue), topology.lane(&queue), topology.plain(), topology.delay(), topology.tap()];
        let shown = queues.iter().map(|table| {
            let shown = table.inner().iter().map(|(name, value)| match value {
                AMQPValue::LongString(text) => format!("{name}={text}"),
                AMQPValue::LongLongInt(number) => format!("{name}={number}"),
                AMQPValue::Boolean(flag) => format!("{name}={flag}"),
                other => panic!("{name}: {other:?}"),
            });
            shown.collect::<Vec<_>>().join(" ")
        });
        shown.collect()
    }

    // A queue's arguments cannot change once it exists, so neither may these.
    #[test]
    fn the_arguments_of_each_profile_stay_as_they_are() {
        assert_eq!(
            arguments(Profile::Classic),
            [
                "x-dead-letter-exchange=default.dlx x-dead-letter-routing-key=default x-max-priority=9 x-queue-type=classic",
                "x-dead-letter-exchange=default.dlx x-dead-letter-routing-key=default x-queue-type=classic \
                 x-single-active-consumer=true",
                "x-queue-type=classic",
                "x-queue-type=classic x-single-active-consumer=true",
                "x-max-length=100000 x-max-length-bytes=268435456 x-overflow=drop-head x-queue-type=classic",
            ]
        );
        assert_eq!(
            arguments(Profile::Quorum),
            [
                "x-dead-letter-exchange=default.dlx x-dead-letter-routing-key=default x-dead-letter-strategy=at-least-once \
                 x-delivery-limit=1000000 x-overflow=reject-publish x-queue-type=quorum",
                "x-dead-letter-exchange=default.dlx x-dead-letter-routing-key=default x-dead-letter-strategy=at-least-once \
                 x-delivery-limit=1000000 x-overflow=reject-publish x-queue-type=quorum x-single-active-consumer=true",
                "x-delivery-limit=1000000 x-queue-type=quorum",
                "x-delivery-limit=1000000 x-queue-type=quorum x-single-active-consumer=true",
                "x-delivery-limit=1000000 x-max-length=100000 x-max-length-bytes=268435456 x-overflow=drop-head \
                 x-queue-type=quorum",
            ]
        );
    }
}
