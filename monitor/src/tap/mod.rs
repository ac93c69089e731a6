//! Takes in what passes by Warren's own programs: what foreign clients submit, and what the broker itself expires.
//!
//! The tap holds copies; the tasks lie elsewhere. Each copy becomes an event, and is acknowledged only when the log has
//! confirmed that.

pub mod copy;
mod destination;

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use lapin::{message::Delivery, options::BasicConsumeOptions, types::FieldTable};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warren_core::{
    QueueName,
    event::{Event, Unrouted},
};
use warren_runtime::{
    amqp::{
        Connector, Error, Link, Outgoing, PublishError, Publisher, Topology, message::Copy, session::Sessions, settle,
    },
    clock,
    event_log::{Closed, EventLog},
};

use self::{
    copy::{Meaning, meaning},
    destination::Destinations,
};
use crate::metrics::Metrics;

const PREFETCH: u16 = 100;
const AGAIN: Duration = Duration::from_secs(1);

/// The component, for one term of leadership.
#[derive(Debug)]
pub struct Tap {
    /// How to reach the broker.
    pub connector: Connector,
    /// What must exist there.
    pub topology: Topology,
    /// Moves what has no queue any more.
    pub publisher: Publisher,
    /// Where events are written.
    pub log: EventLog,
    /// So many of the first bytes of a payload are kept.
    pub preview_bytes: usize,
    /// What is measured.
    pub metrics: Metrics,
}

// What is to be done with a copy before it is acknowledged.
#[derive(Debug)]
enum Duty {
    Nothing(&'static str),
    Record(Box<Event>),
    Strand(QueueName, Option<Box<Event>>),
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Log(#[from] Closed),
    #[error("cannot move a message whose queue is gone")]
    Move(#[from] PublishError),
}

impl Tap {
    /// Takes in until `stop`. What is not done then stays in the tap for the next leader.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "tap");
        while let Some(link) = sessions.next(&stop).await {
            let ended = stop.run_until_cancelled(link.during(self.session(&link))).await;
            sessions.ended(link, ended.unwrap_or(Ok(()))).await;
        }
    }

    async fn session(&self, link: &Link) -> Result<(), Error> {
        self.topology.declare(link).await?;
        let queue = self.topology.names().tap();
        let channel = link.consuming_channel(PREFETCH).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.as_str().into(), "tap".into(), options, FieldTable::default()).await;
        let failed = |what: &str| {
            let what = format!("{what} {queue}");
            move |source| Error::Broker { what, source }
        };
        let mut deliveries = consumer.map_err(failed("consume"))?.ready_chunks(PREFETCH.into());
        let mut destinations = Destinations::default();
        loop {
            let arrived = deliveries.next().await.ok_or_else(|| Error::Cancelled { queue: queue.clone() })?;
            let arrived = arrived.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed("read"))?;
            self.take_in(link, &mut destinations, &arrived).await?;
        }
    }

    async fn take_in(&self, link: &Link, destinations: &mut Destinations, arrived: &[Delivery]) -> Result<(), Error> {
        let names = self.topology.names();
        let now = clock::now();
        let mut duties = Vec::with_capacity(arrived.len());
        for delivery in arrived {
            duties.push(match meaning(delivery, names, now, self.preview_bytes) {
                Meaning::Nothing(why) => Duty::Nothing(why),
                Meaning::Fact(event) => Duty::Record(event),
                Meaning::Submission { queue, event } => {
                    if !destinations.exists(link, &names.queue(&queue)).await? {
                        Duty::Strand(queue, event)
                    } else if let Some(event) = event {
                        Duty::Record(event)
                    } else {
                        Duty::Nothing("the worker that takes it will report it")
                    }
                }
            });
        }
        // All at once, so that the log takes them as one batch.
        let results = join_all(arrived.iter().zip(duties).map(|(delivery, duty)| self.carry_out(delivery, duty)));
        let mut again = false;
        for (delivery, result) in arrived.iter().zip(results.await) {
            match result {
                Ok(()) => settle::acknowledge(&delivery.acker, false).await?,
                Err(error) => {
                    warn!(%error, "a copy stays in the tap");
                    again = true;
                    settle::give_back(&delivery.acker).await?;
                }
            }
        }
        if again {
            sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn carry_out(&self, delivery: &Delivery, duty: Duty) -> Result<(), Failed> {
        match duty {
            Duty::Nothing(why) => debug!(why, key = %delivery.routing_key, "a copy says nothing"),
            Duty::Record(event) => {
                self.log.record(&event).await?;
                self.metrics.tapped.inc();
            }
            Duty::Strand(queue, event) => self.strand(delivery, &queue, event.as_deref()).await?,
        }
        Ok(())
    }

    // The broker has confirmed this message to its sender, though no worker will ever see it.
    async fn strand(&self, delivery: &Delivery, queue: &QueueName, event: Option<&Event>) -> Result<(), Failed> {
        let to = self.topology.names().unroutable();
        let message = Copy::of(delivery).expiration(None).to_queue(&to);
        // Through the exchange, so that it bears its routing key as everything there does.
        let message = Outgoing { exchange: to.into(), key: queue.as_str().into(), ..message };
        self.publisher.publish(&message).await?;
        let task = event.and_then(Event::task).cloned();
        warn!(%queue, ?task, "a foreign message was confirmed though its queue is gone; it lies among the unroutable ones");
        let unrouted = Event::Unrouted(Unrouted { at: clock::now(), key: queue.to_string(), task });
        self.log.record(&unrouted).await?;
        self.metrics.unrouted.inc();
        Ok(())
    }
}
