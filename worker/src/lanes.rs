//! The lines from which a worker takes its deliveries: its queues, each with the lane of its suspects.

use std::{pin::Pin, task::Poll};

use futures::{Stream, future::poll_fn};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions},
    types::FieldTable,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use warren_core::{QueueName, weights::Turns};
use warren_runtime::amqp::{Error, Link, Topology, session::chain};

use crate::receipt::{Receipt, Receipts};

/// What a lane carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The tasks of a queue.
    Tasks,
    /// Those of them that may have killed a worker: one at a time.
    Suspects,
}

/// Which of a worker's connections it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Its first.
    First,
    /// The one before has broken.
    Again,
}

/// A delivery, and where it came from.
#[derive(Debug)]
pub struct Taken {
    /// The queue that it belongs to.
    pub queue: QueueName,
    /// The lane that it came by.
    pub lane: Lane,
    /// Since when there is a connection to take from.
    pub connected: Instant,
    /// Which connection that is.
    pub session: Session,
    /// The delivery.
    pub delivery: Delivery,
    /// By which it is let go.
    pub receipt: Receipt,
}

/// All lanes of one connection.
#[derive(Debug)]
pub struct Lanes {
    lines: Vec<Line>,
    turns: Turns,
    prefetch: u16,
    opened: Instant,
    session: Session,
    settling: TaskTracker,
}

#[derive(Debug)]
struct Line {
    queue: QueueName,
    lane: Lane,
    // What the broker calls it.
    name: String,
    // Held so that it stays open: on it what runs is acknowledged, whether the line rests or not.
    channel: Channel,
    // Nothing while the line rests.
    consumer: Option<Consumer>,
    receipts: Receipts,
    head: Option<(Delivery, Receipt)>,
}

impl Lanes {
    /// Declares the queues; nothing is consumed before [`Lanes::steer`]. `queues` are names with weights; what is still to be
    /// acknowledged is tracked by `settling`.
    pub async fn open(
        link: &Link,
        topology: &Topology,
        queues: &[(QueueName, u32)],
        prefetch: u16,
        session: Session,
        settling: &TaskTracker,
    ) -> Result<Self, Error> {
        declare(link, topology, queues).await?;
        let mut lines = Vec::new();
        for (queue, _) in queues {
            for lane in [Lane::Tasks, Lane::Suspects] {
                lines.push(Line::open(link, topology, queue, lane, prefetch, settling).await?);
            }
        }
        let turns = Turns::new(queues.iter().flat_map(|(_, weight)| [*weight, 1]));
        Ok(Self { lines, turns, prefetch, opened: Instant::now(), session, settling: settling.clone() })
    }

    /// Consumes the queues that are wanted, and no others. What has arrived of those that are not goes back.
    pub async fn steer(&mut self, is_wanted: impl Fn(&QueueName) -> bool) -> Result<(), Error> {
        for line in &mut self.lines {
            match (is_wanted(&line.queue), &line.consumer) {
                (true, None) => line.consume().await?,
                (false, Some(_)) => {
                    line.cancel().await;
                    line.give_back().await;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        Ok(())
    }

    /// The next delivery, in proportion to the weights of the queues that have one. A lane whose consumer was cancelled
    /// is opened again. Cancel safe.
    pub async fn next(&mut self, link: &Link, topology: &Topology) -> Result<Taken, Error> {
        loop {
            match poll_fn(|context| self.poll_heads(context)).await {
                None => {
                    let index =
                        self.turns.choose(|index| self.lines[index].head.is_some()).expect("a head has arrived");
                    let Line { queue, lane, head, .. } = &mut self.lines[index];
                    let (delivery, receipt) = head.take().expect("only lines with a head are chosen");
                    let (queue, lane, connected, session) = (queue.clone(), *lane, self.opened, self.session);
                    return Ok(Taken { queue, lane, connected, session, delivery, receipt });
                }
                Some(index) => self.reopen(index, link, topology).await?,
            }
        }
    }

    /// Takes nothing more, and gives back what no slot has taken yet. The channels stay open, for on them what runs is
    /// acknowledged.
    pub async fn stop(&mut self) {
        for line in &self.lines {
            line.cancel().await;
        }
        for line in &mut self.lines {
            line.give_back().await;
        }
    }

    // Ready with `None` when some line has a head, with the index of a line whose consumer has ended otherwise.
    fn poll_heads(&mut self, context: &mut std::task::Context<'_>) -> Poll<Option<usize>> {
        let mut ready = false;
        for (index, line) in self.lines.iter_mut().enumerate() {
            let Some(consumer) = &mut line.consumer else { continue };
            if line.head.is_none() {
                match Pin::new(consumer).poll_next(context) {
                    Poll::Ready(Some(Ok(delivery))) => {
                        let receipt = line.receipts.take(&delivery);
                        line.head = Some((delivery, receipt));
                    }
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(index)),
                    Poll::Pending => {}
                }
            }
            ready |= line.head.is_some();
        }
        if ready { Poll::Ready(None) } else { Poll::Pending }
    }

    async fn reopen(&mut self, index: usize, link: &Link, topology: &Topology) -> Result<(), Error> {
        let (queue, lane) = (self.lines[index].queue.clone(), self.lines[index].lane);
        warn!(%queue, "the broker cancelled the consumer: opening it again");
        topology.declare(link).await?;
        topology.declare_queue(link, &queue).await?;
        self.lines[index] = Line::open(link, topology, &queue, lane, self.prefetch, &self.settling).await?;
        self.lines[index].consume().await
    }
}

impl Line {
    async fn open(
        link: &Link,
        topology: &Topology,
        queue: &QueueName,
        lane: Lane,
        prefetch: u16,
        settling: &TaskTracker,
    ) -> Result<Self, Error> {
        let (name, prefetch) = match lane {
            Lane::Tasks => (topology.names().queue(queue), prefetch),
            Lane::Suspects => (topology.names().suspect(queue), 1),
        };
        let channel = link.consuming_channel(prefetch).await?;
        let receipts = Receipts::new(settling.clone());
        Ok(Self { queue: queue.clone(), lane, name, channel, consumer: None, receipts, head: None })
    }

    async fn consume(&mut self) -> Result<(), Error> {
        let (name, options) = (self.name.as_str(), BasicConsumeOptions::default());
        let consumer = self.channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await;
        self.consumer = Some(consumer.map_err(|source| Error::Broker { what: format!("consume {name}"), source })?);
        Ok(())
    }

    // Nothing more arrives; what has arrived is still to be given back.
    async fn cancel(&self) {
        let Some(consumer) = &self.consumer else { return };
        if let Err(error) = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await {
            info!(queue = %self.queue, error = chain(&error), "the consumer is gone already");
        }
    }

    async fn give_back(&mut self) {
        while let Some(left_over) = self.left_over().await {
            left_over.give_back().await;
        }
        self.consumer = None;
    }

    // What arrived before the consumer was cancelled; the stream ends by itself after it.
    async fn left_over(&mut self) -> Option<Receipt> {
        if let Some((_, receipt)) = self.head.take() {
            return Some(receipt);
        }
        let (consumer, receipts) = (self.consumer.as_mut()?, &self.receipts);
        poll_fn(|context| match Pin::new(&mut *consumer).poll_next(context) {
            Poll::Ready(Some(Ok(delivery))) => Poll::Ready(Some(receipts.take(&delivery))),
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

/// Makes everything that these queues need, as far as it is not there.
pub async fn declare(link: &Link, topology: &Topology, queues: &[(QueueName, u32)]) -> Result<(), Error> {
    topology.declare(link).await?;
    for (queue, _) in queues {
        topology.declare_queue(link, queue).await?;
    }
    Ok(())
}
