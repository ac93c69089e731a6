//! Keeps the command log: states anew what is in force, ends what is not, and tells the event log what it missed.
//!
//! The command log is the truth of what is in force. It keeps a week and some megabytes, so what holds longer is stated
//! anew long before that. What the projection shows as in force and the log has lost, for somebody deleted it, is stated
//! anew as well.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use redis::AsyncCommands;
use tokio::{
    select,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use warren_core::{
    TaskId, Timestamp, WorkerId,
    command::{Command, Lapse, Order, Target},
    event::{Declined, Event},
    permit::{self, Review},
    record::TaskRecord,
};
use warren_runtime::{
    amqp::{self, Connector, Link, PublishError, Topology, session::Sessions},
    clock,
    command_log::{CommandLog, Follower, Orders},
    event_log::EventLog,
    redis::{Error, Keys, Store},
};

use crate::{projection::Probe, worker_entry::WorkerEntry};

const ROUND: Duration = Duration::from_secs(2);
const STATE_ANEW: Duration = Duration::from_hours(1);
// What was ordered a moment ago may be on its way through the event log.
const UNDER_WAY: Duration = Duration::from_secs(10);
const RECORDS_AT_ONCE: usize = 1_000;

/// The component, for one term of leadership.
#[derive(Debug)]
pub struct Keeper {
    /// How to reach the broker.
    pub connector: Connector,
    /// What must exist there.
    pub topology: Topology,
    /// Where orders are written.
    pub commands: CommandLog,
    /// What is in force: known for as long as this process lives, whatever becomes of the log.
    pub orders: Orders,
    /// What the projection knows.
    pub store: Store,
    /// Where the projection learns what it does not know.
    pub log: EventLog,
    /// Whether the projection is at the end of the event log.
    pub probe: Arc<Probe>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Redis(#[from] Error),
    #[error("an order is not in the command log")]
    Broker(#[from] PublishError),
    #[error("the event log is closed")]
    Closed(#[from] warren_runtime::event_log::Closed),
}

impl From<redis::RedisError> for Failed {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

impl Keeper {
    /// Keeps it until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "commands");
        while let Some(link) = sessions.next(&stop).await {
            let ended = stop.run_until_cancelled(link.during(self.session(&link))).await;
            sessions.ended(link, ended.map_or(Ok(()), |Err(error)| Err(error))).await;
        }
    }

    async fn session(&self, link: &Link) -> Result<Infallible, amqp::Error> {
        self.topology.declare(link).await?;
        let mut follower = Follower::open(link, self.commands.clone(), self.orders.clone()).await?;
        follower.catch_up().await?;
        // In every session: the log may have been made anew since.
        let mut stated: Option<Instant> = None;
        let mut next_round = Instant::now();
        let mut away = false;
        loop {
            select! {
                biased;
                read = follower.next() => drop(read?),
                () = sleep_until(next_round) => {
                    let begun = Instant::now();
                    let done = self.round(&mut stated, clock::now()).await;
                    if let Err(error) = &done && !away {
                        warn!(error = amqp::session::chain(error), "cannot look after the command log");
                    }
                    away = done.is_err();
                    // However much there is to look at, it is a small part of what is done.
                    next_round = Instant::now() + ROUND.max(10 * begun.elapsed());
                }
            }
        }
    }

    async fn round(&self, stated: &mut Option<Instant>, now: Timestamp) -> Result<(), Failed> {
        self.orders.forget(now);
        if stated.is_none_or(|stated| stated.elapsed() > STATE_ANEW) {
            let orders = self.orders();
            self.commands.give(&orders).await?;
            if !orders.is_empty() {
                info!(orders = orders.len(), "stated anew what is in force");
            }
            *stated = Some(Instant::now());
        }
        // Behind, the projection knows less than has happened.
        if self.probe.is_live() {
            self.review_tasks(now).await?;
            self.review_others(now).await?;
        }
        Ok(())
    }

    fn orders(&self) -> Vec<Order> {
        self.orders.look(|in_force| in_force.orders().cloned().collect())
    }

    async fn review_tasks(&self, now: Timestamp) -> Result<(), Failed> {
        let mut tasks: Vec<(TaskId, Order)> =
            self.orders().into_iter().filter_map(|order| Some((order.task()?.clone(), order))).collect();
        self.store.shared().set::<_, _, ()>(self.store.keys().orders_about_tasks(), tasks.len()).await?;
        // The event of an order that was given just now may not be on record yet.
        tasks.retain(|(_, order)| now.since(order.at) > ROUND);
        for some in tasks.chunks(RECORDS_AT_ONCE) {
            let names: Vec<_> = some.iter().map(|(task, _)| self.store.keys().task(task)).collect();
            let records: Vec<Option<Vec<u8>>> = self.store.shared().mget(names).await?;
            for ((_, order), record) in some.iter().zip(records) {
                let record: Option<TaskRecord> = record.and_then(|record| serde_json::from_slice(&record).ok());
                self.review_task(order, record.as_ref(), now).await?;
            }
        }
        Ok(())
    }

    async fn review_task(&self, order: &Order, record: Option<&TaskRecord>, now: Timestamp) -> Result<(), Failed> {
        let is_told =
            record.is_some_and(|record| record.orders.iter().chain(&record.cancel).any(|known| known.id == order.id));
        if !is_told && record.is_some() && now.since(order.at) > UNDER_WAY {
            self.log.record(&Event::Ordered(order.clone())).await?;
        }
        match permit::review(order, record, now) {
            Review::Keep => return Ok(()),
            Review::Lapse => {}
            Review::Decline => {
                let why =
                    "not found on the delay ladder: it lies too deep, or no worker is there; it starts at its time";
                let declined = Declined { order: order.id.clone(), at: now, why: why.to_owned() };
                self.log.record(&Event::Declined(declined)).await?;
            }
        }
        self.lapse(order).await
    }

    // What stands about queues and workers, against what the projection shows.
    async fn review_others(&self, now: Timestamp) -> Result<(), Failed> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let shown: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.orders()).await?;
        let shown: BTreeMap<String, Order> = shown
            .into_iter()
            .filter_map(|(field, order)| Some((field, serde_json::from_slice(&order).ok()?)))
            .collect();
        for order in self.orders() {
            let Some(target) = order.command.target().filter(|target| !matches!(target, Target::Task(_))) else {
                continue;
            };
            if let Target::Worker(worker) = &target
                && now.since(order.at) > UNDER_WAY
                && self.is_gone(worker).await?
            {
                self.lapse(&order).await?;
                continue;
            }
            let known = shown.get(&Keys::order_field(&target));
            if known.is_none_or(|known| order.overrules(known)) && now.since(order.at) > UNDER_WAY {
                self.log.record(&Event::Ordered(order)).await?;
            }
        }
        let lost: Vec<_> = shown.into_values().filter(|order| self.is_lost(order, now)).collect();
        if !lost.is_empty() {
            warn!(orders = lost.len(), "the command log has lost what is in force: stating it anew");
            self.commands.give(&lost).await?;
            self.orders.learn(&lost);
        }
        Ok(())
    }

    fn is_lost(&self, order: &Order, now: Timestamp) -> bool {
        let Command::Pause { queue } = &order.command else { return false };
        let target = Target::Queue(queue.clone());
        let is_known = |known: &Order| known.command.target().as_ref() == Some(&target);
        now.since(order.at) > UNDER_WAY && !self.orders.look(|in_force| in_force.orders().any(is_known))
    }

    async fn is_gone(&self, worker: &WorkerId) -> Result<bool, Failed> {
        let stored: Option<Vec<u8>> = self.store.shared().hget(self.store.keys().workers(), worker.as_str()).await?;
        let entry: Option<WorkerEntry> = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
        Ok(entry.is_none_or(|entry| entry.record.stopped.is_some()))
    }

    async fn lapse(&self, order: &Order) -> Result<(), Failed> {
        let Some(target) = order.command.target() else { return Ok(()) };
        self.commands.lapse(&[Lapse { order: order.id.clone(), target }]).await.map_err(Failed::from)
    }
}
