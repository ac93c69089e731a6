//! Asks the broker how full its queues are, every two seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lapin::{Channel, options::QueueDeclareOptions, types::FieldTable};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use warren_core::{QueueName, TaskState, Timestamp, ladder::Level, order};
use warren_runtime::{
    amqp::{Connector, Error, Link, Names, session::Sessions},
    clock,
    redis::{self as store, Store},
};

use crate::{
    index::Counts,
    metrics::{Metrics, QueueLabel, StateLabel},
    worker_entry::WorkerEntry,
};

const INTERVAL: Duration = Duration::from_secs(2);

/// What the broker says of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Messages that wait to be taken.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
    /// When it was asked.
    pub at: Timestamp,
}

/// The queue that holds what no queue took, as a field of [`warren_runtime::redis::Keys::queues`].
pub const UNROUTABLE: &str = "unroutable";

/// The fields under which the parts of a queue are stored.
pub fn fields(queue: &QueueName) -> [String; 3] {
    [format!("q.{queue}"), format!("dead.{queue}"), format!("suspect.{queue}")]
}

/// The fields under which its lanes are stored.
pub fn lanes(queue: &QueueName) -> impl Iterator<Item = String> {
    (0..order::LANES).map(move |lane| format!("lane.{queue}.{lane}"))
}

/// The component, for one term of leadership.
#[derive(Debug)]
pub struct Poller {
    /// How to reach the broker.
    pub connector: Connector,
    /// What its queues are called.
    pub names: Names,
    /// Where the answers are written.
    pub store: Store,
    /// What is measured.
    pub metrics: Metrics,
}

impl Poller {
    /// Asks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "look at queues");
        while let Some(link) = sessions.next(&stop).await {
            let ended = stop.run_until_cancelled(link.during(self.session(&link))).await;
            sessions.ended(link, ended.unwrap_or(Ok(()))).await;
        }
    }

    async fn session(&self, link: &Link) -> Result<(), Error> {
        let mut away = false;
        let mut shown = BTreeSet::new();
        loop {
            match self.round(link, &mut shown).await {
                Ok(()) => away = false,
                Err(Failed::Broker(error)) => return Err(error),
                Err(Failed::Redis(error)) => {
                    if !away {
                        warn!(%error, "cannot write how full the queues are");
                    }
                    away = true;
                }
            }
            sleep(INTERVAL).await;
        }
    }

    async fn round(&self, link: &Link, shown: &mut BTreeSet<String>) -> Result<(), Failed> {
        let mut asking = Asking { link, channel: None };
        let mut depths = BTreeMap::new();
        let counts = Counts::load(&self.store).await?;
        for field in self.known(&counts).await? {
            let name = format!("{}.{field}", self.names.namespace());
            if let Some(depth) = asking.depth(&name, clock::now()).await? {
                depths.insert(field, depth);
            }
        }
        self.show(&depths, shown);
        for state in TaskState::ALL {
            let number = i64::try_from(counts.total(state)).unwrap_or(i64::MAX);
            self.metrics.tasks.get_or_create(&StateLabel { state: state.name() }).set(number);
        }
        let mut writing = ::redis::pipe();
        writing.atomic().cmd("DEL").arg(self.store.keys().queues());
        let command = writing.cmd("HSET").arg(self.store.keys().queues());
        for (field, depth) in &depths {
            command.arg(field).arg(serde_json::to_string(depth).expect("a depth is always valid JSON"));
        }
        if !depths.is_empty() {
            writing.exec_async(&mut self.store.shared()).await.map_err(store::Error::from)?;
        }
        Ok(())
    }

    // The queues that workers take from, and those that hold tasks.
    async fn known(&self, counts: &Counts) -> Result<Vec<String>, store::Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let workers: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.workers()).await?;
        let mut queues: BTreeSet<_> = counts.queues().into_keys().map(|(queue, _)| queue).collect();
        for entry in workers.values().filter_map(|entry| serde_json::from_slice::<WorkerEntry>(entry).ok()) {
            queues.extend(entry.record.hello.into_iter().flat_map(|hello| hello.queues.into_keys()));
        }
        let levels = Level::all().map(|level| format!("delay.{:02}", level.number()));
        let tasks = queues.iter().flat_map(|queue| fields(queue).into_iter().chain(lanes(queue)));
        Ok([UNROUTABLE, "tap"].map(str::to_owned).into_iter().chain(levels).chain(tasks).collect())
    }

    fn show(&self, depths: &BTreeMap<String, Depth>, shown: &mut BTreeSet<String>) {
        let now: BTreeSet<String> = depths.keys().cloned().collect();
        for queue in shown.difference(&now) {
            let label = QueueLabel { queue: queue.clone() };
            self.metrics.ready.remove(&label);
            self.metrics.consumers.remove(&label);
        }
        for (queue, depth) in depths {
            let label = QueueLabel { queue: queue.clone() };
            self.metrics.ready.get_or_create(&label).set(depth.ready.into());
            self.metrics.consumers.get_or_create(&label).set(depth.consumers.into());
        }
        *shown = now;
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Broker(#[from] Error),
    #[error(transparent)]
    Redis(#[from] store::Error),
}

// A channel dies with the first question about a queue that does not exist, and is opened again for the next.
struct Asking<'a> {
    link: &'a Link,
    channel: Option<Channel>,
}

impl Asking<'_> {
    async fn depth(&mut self, queue: &str, at: Timestamp) -> Result<Option<Depth>, Error> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.link.channel().await?,
        };
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
            Ok(found) => {
                self.channel = Some(channel);
                Ok(Some(Depth { ready: found.message_count(), consumers: found.consumer_count(), at }))
            }
            Err(source) => {
                let error = Error::Broker { what: format!("look at {queue}"), source };
                if error.is_not_found() { Ok(None) } else { Err(error) }
            }
        }
    }
}
