//! Carries what rests on the delay ladder from level to level, and at its time to its queue.
//!
//! Each level is consumed by one worker at a time (single active consumer). A message is published onward with a confirm
//! and then acknowledged; it is never dead-lettered by the broker, for that hop is not confirmed and a killed broker
//! loses what is hopping.
//!
//! What is cancelled is taken off the ladder when it is met here, and what shall run now leaves at once. A message that
//! nobody has met yet, for many rest before it, is searched for in bounded steps ([`crate::search`]).

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use futures::{
    StreamExt,
    future::{join_all, try_join_all},
};
use lapin::{Channel, Consumer, message::Delivery, options::BasicConsumeOptions, types::FieldTable};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};
use warren_core::{
    OrderId, TaskId, Timestamp,
    event::{About, Event, Released, Unrouted},
    ladder::Level,
    message::{self, Climb},
};
use warren_runtime::{
    amqp::{
        Connector, Error, Link, Names, Route, Topology,
        message::{Copy, incoming},
        session::{Sessions, chain},
        settle,
    },
    clock,
    command_log::Orders,
};

use crate::{
    metrics::Metrics,
    search::Search,
    settlement::{Fate, Settlement},
};

const PREFETCH: u16 = 50;
// RabbitMQ closes the channel of whoever holds a message for longer than `consumer_timeout`, 30 minutes by default.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

/// The component.
#[derive(Clone)]
pub struct Forwarder {
    /// Reaches the broker.
    pub connector: Connector,
    /// Declares the ladder.
    pub topology: Topology,
    /// Publishes what moves on.
    pub settlement: Settlement,
    /// What operators ordered.
    pub orders: Orders,
    /// Counts it.
    pub metrics: Metrics,
}

/// A message of the ladder, and since when it is held.
pub struct Held {
    delivery: Delivery,
    climb: Climb,
    task: Option<TaskId>,
    since: Instant,
}

// What an operator wishes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Cancel,
    Haste,
}

impl Held {
    // No stay is longer than its level's rest. Where the clock says otherwise, it was set back meanwhile, or is behind that
    // of whoever wrote the time to leave; and all that came later would wait behind this one.
    fn has_rested(&self, level: Level) -> bool {
        self.since.elapsed() >= level.rest()
    }
}

impl Forwarder {
    /// Forwards until `drain`. What is held then goes back to its place when the connection closes.
    pub async fn run(self, drain: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "forward");
        while let Some(link) = sessions.next(&drain).await {
            let ended = drain.run_until_cancelled(link.during(self.live(&link))).await;
            sessions.ended(link, ended.unwrap_or(Ok(()))).await;
        }
    }

    async fn live(&self, link: &Link) -> Result<(), Error> {
        self.topology.declare(link).await?;
        let channel = link.consuming_channel(PREFETCH).await?;
        let mut levels = JoinSet::new();
        for (level, consumer) in try_join_all(Level::all().map(|level| self.consume(&channel, level))).await? {
            let (forwarder, link) = (self.clone(), link.clone());
            levels.spawn(async move { forwarder.climb(&link, level, consumer).await });
        }
        // A level ends only when its consumer does, and then all are opened anew.
        levels.join_next().await;
        Err(Error::ChannelClosed)
    }

    async fn consume(&self, channel: &Channel, level: Level) -> Result<(Level, Consumer), Error> {
        let queue = self.names().delay(level);
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
        let consumer = consuming.await.map_err(|source| Error::Broker { what: format!("consume {queue}"), source })?;
        Ok((level, consumer))
    }

    async fn climb(&self, link: &Link, level: Level, mut consumer: Consumer) {
        let mut held: VecDeque<Held> = VecDeque::new();
        let mut changes = self.orders.watch();
        let mut searched = BTreeSet::new();
        loop {
            // Whoever holds fewer than it may sees the whole level.
            if held.len() == usize::from(PREFETCH) {
                self.search(link, level, &mut searched).await;
            }
            let next_step = held.front().map(|head| wake(head, level));
            let next_step = async {
                match next_step {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                arrived = consumer.next(), if held.len() < usize::from(PREFETCH) => match arrived {
                    Some(Ok(delivery)) => {
                        if let Some(one) = self.hold(delivery).await {
                            held.extend(self.obey(one).await);
                        }
                    }
                    Some(Err(error)) => return debug!(error = chain(&error), "a level of the delay ladder has ended"),
                    None => return debug!("a level of the delay ladder has ended"),
                },
                () = next_step => self.step(level, &mut held).await,
                _ = changes.changed() => {
                    for one in std::mem::take(&mut held) {
                        held.extend(self.obey(one).await);
                    }
                }
            }
        }
    }

    // A second look at a level in which more rest than are held, once for each order.
    async fn search(&self, link: &Link, level: Level, searched: &mut BTreeSet<OrderId>) {
        let now = clock::now();
        let wanted: Vec<(OrderId, TaskId)> = self.orders.look(|in_force| {
            let hasty = in_force.hasty(now).filter_map(|order| Some((order.id.clone(), order.task()?.clone())));
            hasty.collect()
        });
        // Nothing of what is over needs to be remembered.
        searched.retain(|id| wanted.iter().any(|(wanted, _)| wanted == id));
        let mut tasks: BTreeSet<TaskId> =
            wanted.into_iter().filter(|(id, _)| searched.insert(id.clone())).map(|(_, task)| task).collect();
        if tasks.is_empty() {
            return;
        }
        if let Err(error) = self.search_for(link, level, &mut tasks).await {
            // With quorum queues the broker lets nobody look.
            debug!(level = level.number(), error = chain(&error), "a level of the delay ladder cannot be searched");
        }
    }

    async fn search_for(&self, link: &Link, level: Level, tasks: &mut BTreeSet<TaskId>) -> Result<(), Error> {
        let mut search = Search::open(link, self.names().delay(level)).await?;
        while let Some(delivery) = search.next(tasks).await? {
            if let Some(one) = self.hold(delivery).await {
                // Should the wish be gone by now, it goes back with the others.
                drop(self.obey(one).await);
            }
        }
        search.close().await
    }

    // Does what an operator wishes; what nobody wishes anything of comes back.
    async fn obey(&self, mut held: Held) -> Option<Held> {
        let now = clock::now();
        match self.wish(&held, now) {
            Wish::Nothing => return Some(held),
            Wish::Cancel => self.withdraw(&held).await,
            Wish::Haste => {
                held.climb.due = held.climb.due.min(now);
                self.forward(held, now).await;
            }
        }
        None
    }

    fn wish(&self, held: &Held, now: Timestamp) -> Wish {
        let Some(task) = &held.task else { return Wish::Nothing };
        self.orders.look(|in_force| {
            if in_force.cancel_of(task, now).is_some() {
                Wish::Cancel
            } else if in_force.haste_of(task, now).is_some() {
                Wish::Haste
            } else {
                Wish::Nothing
            }
        })
    }

    async fn withdraw(&self, Held { delivery, climb, task, .. }: &Held) {
        let Some(id) = task else { return };
        let (kind, attempt, priority) = match message::parse(&incoming(delivery), &climb.queue, clock::now()) {
            Ok(task) => (task.kind, task.attempt, task.priority),
            Err(invalid) => (invalid.kind, invalid.attempt, delivery.properties.priority().unwrap_or(0).into()),
        };
        let about = About { kind, queue: climb.queue.clone(), priority };
        match self.settlement.withdraw(delivery, id, about, attempt).await {
            Fate::Acknowledge => acknowledge(delivery).await,
            Fate::GiveBack | Fate::Again(_) => give_back(delivery).await,
            Fate::Leave => {}
        }
    }

    async fn hold(&self, delivery: Delivery) -> Option<Held> {
        match message::parse_climb(&incoming(&delivery).headers) {
            Ok(climb) => {
                let task = message_id(&delivery);
                Some(Held { delivery, climb, task, since: Instant::now() })
            }
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                error!(
                    problems = problems.join("; "),
                    "not a message of the delay ladder: it goes to the unroutable ones"
                );
                self.set_aside(&delivery).await;
                None
            }
        }
    }

    // Everything whose time has come moves on together; what was held too long goes back to its place.
    async fn step(&self, level: Level, held: &mut VecDeque<Held>) {
        let now = clock::now();
        let due = held.iter().take_while(|held| held.climb.leave <= now || held.has_rested(level)).count();
        // What has rested goes on as if it were its time to leave: what is left of its wait stays the same.
        let moves = held.drain(..due).map(|held| {
            let now = now.max(held.climb.leave);
            self.forward(held, now)
        });
        join_all(moves).await;
        self.metrics.forwarded(due);
        while held.front().is_some_and(|head| head.since.elapsed() >= LONGEST_HOLD) {
            give_back(&held.pop_front().expect("there is a head").delivery).await;
        }
    }

    async fn forward(&self, held: Held, now: Timestamp) {
        let Held { delivery, climb, .. } = held;
        let task = message::parse(&incoming(&delivery), &climb.queue, now);
        let (id, attempt, deadline) = match &task {
            Ok(task) => (task.id.clone(), task.attempt, task.deadline),
            // The worker that takes it says what is wrong with it.
            Err(invalid) => (invalid.id.clone(), invalid.attempt, None),
        };
        let copy = Copy::of(&delivery);
        let copy = if delivery.redelivered { copy.check() } else { copy };
        let route = Route { queue: &climb.queue, attempt, due: Some(climb.due), deadline };
        let is_released = climb.due <= now;
        match self.settlement.deliver(&route.address(copy, self.names(), now)).await {
            Fate::Acknowledge => {}
            Fate::GiveBack | Fate::Again(_) => return self.set_aside(&delivery).await,
            Fate::Leave => return,
        }
        if let Some(task) = id.filter(|_| is_released) {
            drop(self.settlement.log.note(&Event::Released(Released { task, at: now, attempt })).await);
        }
        acknowledge(&delivery).await;
    }

    // Its queue is gone: it is kept where people look for such messages.
    async fn set_aside(&self, delivery: &Delivery) {
        let task = message_id(delivery);
        let key = delivery.routing_key.to_string();
        let message = Copy::of(delivery).to_queue(&self.names().unroutable());
        if self.settlement.deliver(&message).await == Fate::Acknowledge {
            drop(self.settlement.log.note(&Event::Unrouted(Unrouted { at: clock::now(), key, task })).await);
            acknowledge(delivery).await;
        }
    }

    fn names(&self) -> &Names {
        self.topology.names()
    }
}

fn wake(head: &Held, level: Level) -> Instant {
    let until_leave = head.climb.leave.since(clock::now());
    (Instant::now() + until_leave).min(head.since + level.rest()).min(head.since + LONGEST_HOLD)
}

fn message_id(delivery: &Delivery) -> Option<TaskId> {
    delivery.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok())
}

async fn give_back(delivery: &Delivery) {
    if let Err(error) = settle::give_back(&delivery.acker).await {
        debug!(error = chain(&error), "a message of the ladder was given back by the broken connection itself");
    }
}

async fn acknowledge(delivery: &Delivery) {
    if let Err(error) = settle::acknowledge(&delivery.acker, false).await {
        debug!(error = chain(&error), "a forwarded message comes back with its channel: its copy is marked");
    }
}
