//! Everything that the mixture breaks, and how it is mended.

use std::time::Duration;

use lapin::BasicProperties;
use serde_json::json;

use crate::{
    Broker, Stage, Wire,
    broker::{headers, message},
    ledger::Ledger,
    policy,
    stand::Alarm,
};

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A worker dies in the middle of its tasks.
    WorkerKilled,
    /// A worker is asked to end, and dies while it drains.
    WorkerKilledDraining,
    /// A worker stops for a while, longer than its heartbeats may be missed, and goes on.
    WorkerFrozen,
    /// A task kills every worker that runs it.
    Poison,
    /// Foreign messages that are wrong in every field.
    Malformed,
    /// A producer dies in the middle of a batch.
    ProducerKilled,
    /// The broker is restarted in good order.
    BrokerRestarted,
    /// The broker dies.
    BrokerKilled,
    /// The broker stops for a while.
    BrokerFrozen,
    /// The broker closes every connection.
    ConnectionsClosed,
    /// The wire to the broker is cut.
    BrokerCut,
    /// Every connection to the broker stays, and nothing comes through any more.
    BrokerHalfOpen,
    /// The wire to the broker is slow.
    BrokerSlow,
    /// The broker is short of memory.
    MemoryAlarm,
    /// The broker is short of disk.
    DiskAlarm,
    /// The task queue takes nothing more.
    QueueFull,
    /// Redis is restarted in good order.
    RedisRestarted,
    /// Redis dies.
    RedisKilled,
    /// Redis forgets everything.
    RedisFlushed,
    /// Redis stops for a while.
    RedisFrozen,
    /// Redis cannot be reached.
    RedisCut,
    /// The wire to Redis is slow.
    RedisSlow,
    /// Redis is out of memory.
    RedisFull,
    /// The monitor that projects dies.
    MonitorKilled,
    /// The monitor that projects stops for longer than its lease.
    MonitorFrozen,
}

/// What a fault keeps busy: two faults at once must not mend each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The broker or the wire to it.
    Broker,
    /// Redis or the wire to it.
    Redis,
    /// The workers.
    Workers,
    /// The monitors.
    Monitors,
    /// The producers, and foreign clients.
    Producers,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::WorkerKilled,
        Self::WorkerKilledDraining,
        Self::WorkerFrozen,
        Self::Poison,
        Self::Malformed,
        Self::ProducerKilled,
        Self::BrokerRestarted,
        Self::BrokerKilled,
        Self::BrokerFrozen,
        Self::ConnectionsClosed,
        Self::BrokerCut,
        Self::BrokerHalfOpen,
        Self::BrokerSlow,
        Self::MemoryAlarm,
        Self::DiskAlarm,
        Self::QueueFull,
        Self::RedisRestarted,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::RedisFrozen,
        Self::RedisCut,
        Self::RedisSlow,
        Self::RedisFull,
        Self::MonitorKilled,
        Self::MonitorFrozen,
    ];

    /// What the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker killed",
            Self::WorkerKilledDraining => "worker killed while draining",
            Self::WorkerFrozen => "worker frozen",
            Self::Poison => "poison task",
            Self::Malformed => "malformed messages",
            Self::ProducerKilled => "producer killed",
            Self::BrokerRestarted => "broker restarted",
            Self::BrokerKilled => "broker killed",
            Self::BrokerFrozen => "broker frozen",
            Self::ConnectionsClosed => "all connections closed",
            Self::BrokerCut => "broker cut off",
            Self::BrokerHalfOpen => "broker half open",
            Self::BrokerSlow => "broker slow",
            Self::MemoryAlarm => "memory alarm",
            Self::DiskAlarm => "disk alarm",
            Self::QueueFull => "task queue full",
            Self::RedisRestarted => "Redis restarted",
            Self::RedisKilled => "Redis killed",
            Self::RedisFlushed => "Redis flushed",
            Self::RedisFrozen => "Redis frozen",
            Self::RedisCut => "Redis cut off",
            Self::RedisSlow => "Redis slow",
            Self::RedisFull => "Redis out of memory",
            Self::MonitorKilled => "monitor killed",
            Self::MonitorFrozen => "monitor frozen",
        }
    }

    /// What it keeps busy.
    pub fn part(self) -> Part {
        match self {
            Self::WorkerKilled | Self::WorkerKilledDraining | Self::WorkerFrozen | Self::Poison => Part::Workers,
            Self::Malformed | Self::ProducerKilled => Part::Producers,
            Self::BrokerRestarted
            | Self::BrokerKilled
            | Self::BrokerFrozen
            | Self::ConnectionsClosed
            | Self::BrokerCut
            | Self::BrokerHalfOpen
            | Self::BrokerSlow
            | Self::MemoryAlarm
            | Self::DiskAlarm
            | Self::QueueFull => Part::Broker,
            Self::RedisRestarted
            | Self::RedisKilled
            | Self::RedisFlushed
            | Self::RedisFrozen
            | Self::RedisCut
            | Self::RedisSlow
            | Self::RedisFull => Part::Redis,
            Self::MonitorKilled | Self::MonitorFrozen => Part::Monitors,
        }
    }

    /// Whether no worker can consume while it lasts, so that each must say so and come back by itself.
    pub fn stops_consumption(self) -> bool {
        match self {
            Self::BrokerRestarted
            | Self::BrokerKilled
            | Self::BrokerFrozen
            | Self::BrokerCut
            | Self::BrokerHalfOpen => true,
            Self::WorkerKilled
            | Self::WorkerKilledDraining
            | Self::WorkerFrozen
            | Self::Poison
            | Self::Malformed
            | Self::ProducerKilled
            | Self::ConnectionsClosed
            | Self::BrokerSlow
            | Self::MemoryAlarm
            | Self::DiskAlarm
            | Self::QueueFull
            | Self::RedisRestarted
            | Self::RedisKilled
            | Self::RedisFlushed
            | Self::RedisFrozen
            | Self::RedisCut
            | Self::RedisSlow
            | Self::RedisFull
            | Self::MonitorKilled
            | Self::MonitorFrozen => false,
        }
    }

    /// Whether it breaks off what runs, or what is to be acknowledged, so that work may be done twice.
    pub fn repeats_work(self) -> bool {
        self.stops_consumption()
            || self.part() == Part::Workers
            || matches!(self, Self::ConnectionsClosed | Self::BrokerSlow)
    }

    /// Breaks it. `draw` chooses among what there is.
    pub async fn strike(self, stage: &mut Stage, draw: usize) -> Struck {
        let chosen = match self {
            Self::MonitorKilled | Self::MonitorFrozen => stage.leader().await.unwrap_or(0),
            Self::ProducerKilled => draw % stage.producers.len().max(1),
            _ => draw % stage.workers.len().max(1),
        };
        match self {
            Self::WorkerKilled => stage.workers[chosen].process.kill(),
            Self::WorkerKilledDraining => stage.workers[chosen].process.terminate(),
            Self::WorkerFrozen => stage.workers[chosen].process.freeze(),
            Self::Poison => hand_in_foreign(stage, "poison", &format!("poison-{draw}")).await,
            Self::Malformed => hand_in_malformed(stage, draw).await,
            Self::ProducerKilled => stage.producers[chosen].kill(),
            Self::BrokerRestarted => stage.stand.stop_broker().await,
            Self::BrokerKilled => stage.stand.kill_broker().await,
            Self::BrokerFrozen => stage.stand.freeze_broker().await,
            Self::ConnectionsClosed => stage.stand.close_connections().await,
            Self::BrokerCut => stage.amqp.set(Wire::Cut),
            Self::BrokerHalfOpen => stage.amqp.set(Wire::Silent),
            Self::BrokerSlow => stage.amqp.set(Wire::Slow(Duration::from_millis(100))),
            Self::MemoryAlarm => stage.stand.raise_alarm(Alarm::Memory).await,
            Self::DiskAlarm => stage.stand.raise_alarm(Alarm::Disk).await,
            Self::QueueFull => policy::refuse(&stage.stand, &stage.pool.queue()).await,
            Self::RedisRestarted => stage.stand.stop_redis().await,
            Self::RedisKilled => stage.stand.kill_redis().await,
            Self::RedisFlushed => drop(stage.stand.redis_command(&["FLUSHALL"]).await),
            Self::RedisFrozen => stage.stand.freeze_redis().await,
            Self::RedisCut => stage.redis.set(Wire::Cut),
            Self::RedisSlow => stage.redis.set(Wire::Slow(Duration::from_millis(300))),
            Self::RedisFull => drop(stage.stand.redis_command(&["CONFIG", "SET", "maxmemory", "1mb"]).await),
            Self::MonitorKilled => stage.monitors[chosen].process.kill(),
            Self::MonitorFrozen => stage.monitors[chosen].process.freeze(),
        }
        Struck { fault: self, chosen }
    }
}

/// A fault that is in force.
#[derive(Debug, Clone, Copy)]
pub struct Struck {
    /// What broke.
    pub fault: Fault,
    chosen: usize,
}

impl Struck {
    /// Mends it. What died is started again by [`Stage::tend`].
    pub async fn mend(self, stage: &mut Stage) {
        match self.fault {
            Fault::WorkerKilled
            | Fault::Poison
            | Fault::Malformed
            | Fault::ProducerKilled
            | Fault::ConnectionsClosed
            | Fault::RedisFlushed
            | Fault::MonitorKilled => {}
            Fault::WorkerKilledDraining => stage.workers[self.chosen].process.kill(),
            Fault::WorkerFrozen => stage.workers[self.chosen].process.thaw(),
            Fault::BrokerRestarted | Fault::BrokerKilled => stage.stand.restore_broker().await,
            Fault::RedisRestarted | Fault::RedisKilled => stage.stand.restore_redis().await,
            Fault::BrokerFrozen => stage.stand.thaw_broker().await,
            Fault::BrokerCut | Fault::BrokerHalfOpen | Fault::BrokerSlow => stage.amqp.set(Wire::Open),
            Fault::MemoryAlarm => stage.stand.clear_alarm(Alarm::Memory).await,
            Fault::DiskAlarm => stage.stand.clear_alarm(Alarm::Disk).await,
            Fault::QueueFull => policy::lift(&stage.stand).await,
            Fault::RedisFrozen => stage.stand.thaw_redis().await,
            Fault::RedisCut | Fault::RedisSlow => stage.redis.set(Wire::Open),
            Fault::RedisFull => drop(stage.stand.redis_command(&["CONFIG", "SET", "maxmemory", "0"]).await),
            Fault::MonitorFrozen => stage.monitors[self.chosen].process.thaw(),
        }
    }
}

async fn hand_in_malformed(stage: &Stage, draw: usize) {
    let wrong = [
        ("delay", json!("soon")),
        ("eta", json!("yesterday")),
        ("max_attempts", json!(0)),
        ("timeout", json!("-1")),
        ("backoff", json!("linear")),
    ];
    for (field, value) in wrong {
        let id = format!("malformed-{draw}-{field}");
        hand_in(stage, message("ledger", &id).with_headers(headers(&[(field, value)])), &id).await;
    }
    hand_in_foreign(stage, "nobody-knows", &format!("malformed-{draw}-kind")).await;
}

async fn hand_in_foreign(stage: &Stage, kind: &str, id: &str) {
    hand_in(stage, message(kind, id), id).await;
}

// As any AMQP client would. What the broker does not confirm, for it may be broken itself, is not written down.
async fn hand_in(stage: &Stage, properties: BasicProperties, id: &str) {
    let ledger = Ledger::open(&stage.books.confirmed).expect("the ledger can be opened");
    let tasks = stage.pool.names().tasks();
    let publish = Broker::try_publish(stage.stand.amqp(), &tasks, "default", properties, b"{}");
    if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(2), publish).await {
        ledger.write(id).expect("the ledger takes a line");
    }
}
