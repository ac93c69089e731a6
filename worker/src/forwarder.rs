//! Carries what rests on the delay ladder from level to level, and at its time to its queue.
//!
//! Each level is consumed by one worker at a time (single active consumer). A message is published onward with a confirm
//! and then acknowledged; it is never dead-lettered by the broker, for that hop is not confirmed and a killed broker
//! loses what is hopping.

use std::{collections::VecDeque, time::Duration};

use futures::{
    StreamExt,
    future::{join_all, try_join_all},
};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};
use warren_core::{
    Timestamp,
    event::{Event, Released, Unrouted},
    ladder::Level,
    message::{self, Climb},
};
use warren_runtime::{
    amqp::{
        Connector, Error, Link, Names, Route, Topology,
        message::{Copy, incoming},
        session::{Sessions, chain},
    },
    clock,
};

use crate::{
    lanes::give_back,
    metrics::Metrics,
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
    /// Counts it.
    pub metrics: Metrics,
}

struct Held {
    delivery: Delivery,
    climb: Climb,
    since: Instant,
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
            let ended = tokio::select! {
                ended = self.live(&link) => ended,
                error = link.broken() => Err(error),
                () = drain.cancelled() => Ok(()),
            };
            sessions.ended(link, ended).await;
        }
    }

    async fn live(&self, link: &Link) -> Result<(), Error> {
        self.topology.declare(link).await?;
        let channel = link.consuming_channel(PREFETCH).await?;
        let mut levels = JoinSet::new();
        for (level, consumer) in try_join_all(Level::all().map(|level| self.consume(&channel, level))).await? {
            let forwarder = self.clone();
            levels.spawn(async move { forwarder.climb(level, consumer).await });
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

    async fn climb(&self, level: Level, mut consumer: Consumer) {
        let mut held: VecDeque<Held> = VecDeque::new();
        loop {
            let next_step = held.front().map(|head| wake(head, level));
            let next_step = async {
                match next_step {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                arrived = consumer.next(), if held.len() < usize::from(PREFETCH) => match arrived {
                    Some(Ok(delivery)) => held.extend(self.hold(delivery).await),
                    Some(Err(error)) => return debug!(error = chain(&error), "a level of the delay ladder has ended"),
                    None => return debug!("a level of the delay ladder has ended"),
                },
                () = next_step => self.step(level, &mut held).await,
            }
        }
    }

    async fn hold(&self, delivery: Delivery) -> Option<Held> {
        match message::parse_climb(&incoming(&delivery).headers) {
            Ok(climb) => Some(Held { delivery, climb, since: Instant::now() }),
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
            Fate::GiveBack => return self.set_aside(&delivery).await,
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

fn message_id(delivery: &Delivery) -> Option<warren_core::TaskId> {
    delivery.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok())
}

async fn acknowledge(delivery: &Delivery) {
    if let Err(error) = delivery.acker.ack(BasicAckOptions::default()).await {
        debug!(error = chain(&error), "a forwarded message comes back with its channel: its copy is marked");
    }
}
