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
use warren_runtime::amqp::{Error, Link, Names, Topology, session::chain};

use crate::{
    ordered::{Event, Ordered},
    receipt::{Receipt, Receipts},
    turn::Entry,
};

/// What a lane carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The tasks of a queue.
    Tasks,
    /// Those of them that may have killed a worker: one at a time.
    Suspects,
}

/// Which of the connections it is on which a worker consumes.
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
    /// Which of the lanes for its queue's order keys that is, if it is one.
    pub in_order: Option<u8>,
    /// The delivery.
    pub delivery: Delivery,
    /// By which it is let go.
    pub receipt: Receipt,
}

impl Taken {
    /// Gives it back unused: to the broker, or, where others wait for it, to its place before them.
    pub async fn give_back(self) {
        if !self.receipt.is_in_turn() {
            return self.receipt.give_back().await;
        }
        self.receipt.again(self.lane, self.delivery, Instant::now());
    }
}

/// All lanes of one connection.
pub struct Lanes {
    lines: Vec<Line>,
    ordered: Ordered,
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

// What is to be done next.
enum Arrived {
    // Take the head of some line, or what is in order.
    Heads { in_order: bool },
    // Open the line again.
    Ended(usize),
    // See to the lanes for order keys.
    InOrder(Event),
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
        // What is in order takes turns with the heaviest queue.
        let heaviest = queues.iter().map(|(_, weight)| *weight).max();
        let turns = Turns::new(queues.iter().flat_map(|(_, weight)| [*weight, 1]).chain(heaviest));
        let (ordered, settling) = (Ordered::new(settling.clone()), settling.clone());
        Ok(Self { lines, ordered, turns, prefetch, opened: Instant::now(), session, settling })
    }

    /// Consumes the queues that are wanted, and no others. What has arrived of those that are not goes back.
    pub async fn steer(
        &mut self,
        link: &Link,
        names: &Names,
        is_wanted: impl Fn(&QueueName) -> bool,
    ) -> Result<(), Error> {
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
        let queues = self.lines.iter().filter(|line| line.lane == Lane::Tasks);
        let queues = queues.map(|line| (line.queue.clone(), is_wanted(&line.queue)));
        self.ordered.steer(link, names, queues).await
    }

    /// The next delivery, in proportion to the weights of the queues that have one. A lane whose consumer was cancelled
    /// is opened again. Cancel safe.
    pub async fn next(&mut self, link: &Link, topology: &Topology) -> Result<Taken, Error> {
        loop {
            match poll_fn(|context| self.poll_heads(context)).await {
                Arrived::Heads { in_order } => return Ok(self.choose(in_order)),
                Arrived::Ended(index) => self.reopen(index, link, topology).await?,
                Arrived::InOrder(event) => {
                    if let Some(queue) = self.ordered.ended(event) {
                        topology.declare_queue(link, queue).await?;
                    }
                    self.ordered.attend(event, link, topology.names()).await?;
                }
            }
        }
    }

    fn choose(&mut self, in_order: bool) -> Taken {
        let lines = &self.lines;
        let index = self.turns.choose(|index| lines.get(index).map_or(in_order, |line| line.head.is_some()));
        let (connected, session) = (self.opened, self.session);
        match self.lines.get_mut(index.expect("a head has arrived")) {
            Some(Line { queue, lane, head, .. }) => {
                let (delivery, receipt) = head.take().expect("only lines with a head are chosen");
                Taken { queue: queue.clone(), lane: *lane, connected, session, in_order: None, delivery, receipt }
            }
            None => {
                let (queue, number, entry) = self.ordered.take().expect("its turn has come");
                let Entry { lane, delivery, receipt } = entry;
                Taken { queue, lane, connected, session, in_order: Some(number), delivery, receipt }
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
        self.ordered.stop().await;
    }

    fn poll_heads(&mut self, context: &mut std::task::Context<'_>) -> Poll<Arrived> {
        let in_order = match self.ordered.poll(context) {
            Poll::Ready(Event::Ready) => true,
            Poll::Ready(event) => return Poll::Ready(Arrived::InOrder(event)),
            Poll::Pending => false,
        };
        let mut ready = in_order;
        for (index, line) in self.lines.iter_mut().enumerate() {
            let Some(consumer) = &mut line.consumer else { continue };
            if line.head.is_none() {
                match Pin::new(consumer).poll_next(context) {
                    Poll::Ready(Some(Ok(delivery))) => {
                        let receipt = line.receipts.take(&delivery);
                        line.head = Some((delivery, receipt));
                    }
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Arrived::Ended(index)),
                    Poll::Pending => {}
                }
            }
            ready |= line.head.is_some();
        }
        if ready { Poll::Ready(Arrived::Heads { in_order }) } else { Poll::Pending }
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
        let receipts = Receipts::together(settling.clone());
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
