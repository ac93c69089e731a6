//! The lanes for tasks that bear an order key: of each key one runs at a time, in the order of their coming.
//!
//! A lane is consumed by one worker at a time (single active consumer), so it is in that worker alone that the order has to
//! be kept: a task whose next attempt has to wait keeps its place, unacknowledged, and with it its key. A lane is let go by
//! closing its channel when nothing of it runs: the broker takes back in one step all that was out, in its order, and only
//! then hands the first to the next worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::try_join_all,
    stream::{self, BoxStream, SelectAll},
};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use warren_core::{QueueName, order};
use warren_runtime::amqp::{Error, Link, Names, message, session::chain};

use crate::{
    lanes::Lane,
    receipt::Receipts,
    turn::{Entry, Key, Turns},
};

/// How many deliveries of a lane are held at once. A key of which more wait holds up the others of its lane while its first
/// one rests.
pub const PREFETCH: u16 = 128;

// How often a worker looks whether it has more lanes than its share.
const SHARE_OUT: Duration = Duration::from_secs(5);

// RabbitMQ closes the channel of whoever holds a message for longer than `consumer_timeout`, 30 minutes by default.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

/// The lanes that this worker consumes, of all its queues.
pub struct Ordered {
    strands: BTreeMap<u32, Strand>,
    opened: u32,
    arrivals: SelectAll<BoxStream<'static, (u32, Option<Delivery>)>>,
    turns: Turns,
    timer: Pin<Box<Sleep>>,
    shared_out: Instant,
    settling: TaskTracker,
}

// A lane, from its consumer's beginning to its end.
#[derive(Debug)]
struct Strand {
    queue: QueueName,
    lane: u8,
    channel: Channel,
    receipts: Receipts,
    // Something has come by it: it is this worker that the broker gives what comes.
    is_active: bool,
    stay: Stay,
    has_ended: bool,
    turned_over: Instant,
}

// What is to become of a lane as soon as nothing of it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    // Nothing.
    Stays,
    // It is let go of.
    Leaves,
    // It is let go of so that another worker gets it, and consumed again behind that.
    Returns,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The turn of a delivery has come.
    Ready,
    /// The broker has ended the consumer of a lane.
    Ended(u32),
    /// Nothing runs any more of a lane that is to be let go.
    Finished(u32),
    /// What waits in a lane is held for long.
    Overdue(u32),
    /// It is time to look whether other workers could do with some of the lanes.
    Unshared,
}

impl Ordered {
    /// No lane. What is given back in the background is tracked by `settling`.
    pub fn new(settling: TaskTracker) -> Self {
        let (strands, arrivals, turns) = (BTreeMap::new(), SelectAll::new(), Turns::default());
        let shared_out = Instant::now();
        Self { strands, opened: 0, arrivals, turns, timer: Box::pin(sleep(Duration::ZERO)), shared_out, settling }
    }

    /// Consumes the lanes of the queues that are wanted, and lets go of the others as soon as nothing of them runs.
    pub async fn steer(
        &mut self,
        link: &Link,
        names: &Names,
        queues: impl Iterator<Item = (QueueName, bool)>,
    ) -> Result<(), Error> {
        for (queue, is_wanted) in queues {
            let mut mine: Vec<_> = (0..order::LANES).collect();
            for strand in self.strands.values_mut().filter(|strand| strand.queue == queue) {
                strand.stay = if is_wanted { Stay::Stays } else { Stay::Leaves };
                mine.retain(|lane| *lane != strand.lane);
            }
            if is_wanted {
                let opening = mine.into_iter().map(|lane| open(link, names, &queue, lane));
                for (lane, channel, consumer) in try_join_all(opening).await? {
                    self.add(&queue, lane, channel, consumer);
                }
            }
        }
        self.turns.waker().wake();
        Ok(())
    }

    fn add(&mut self, queue: &QueueName, lane: u8, channel: Channel, consumer: Consumer) {
        self.opened += 1;
        let id = self.opened;
        let arrivals = consumer.map(move |arrived| (id, arrived.ok()));
        self.arrivals.push(arrivals.chain(stream::iter([(id, None)])).boxed());
        let receipts = Receipts::in_turn(channel.clone());
        let (queue, turned_over) = (queue.clone(), Instant::now());
        let strand = Strand {
            queue,
            lane,
            channel,
            receipts,
            is_active: false,
            stay: Stay::Stays,
            has_ended: false,
            turned_over,
        };
        self.strands.insert(id, strand);
    }

    /// Takes in what has arrived, and tells what has happened.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        self.turns.waker().register(context.waker());
        while let Poll::Ready(Some((id, arrived))) = self.arrivals.poll_next_unpin(context) {
            let Some(strand) = self.strands.get_mut(&id) else { continue };
            let Some(delivery) = arrived else {
                strand.has_ended = true;
                continue;
            };
            strand.is_active = true;
            // Whoever takes one whose key cannot be read says what is wrong with it.
            let key = delivery.properties.headers().as_ref().and_then(message::order_key);
            let receipt = strand.receipts.take(&delivery);
            self.turns.lock().arrive(&(id, key), Entry { lane: Lane::Tasks, delivery, receipt });
        }
        // Most workers never see an order key, and this is asked for each task.
        if self.strands.values().all(|strand| !strand.is_active && strand.stay == Stay::Stays && !strand.has_ended) {
            return Poll::Pending;
        }
        let mut row = self.turns.lock();
        let now = Instant::now();
        for (id, strand) in &self.strands {
            if strand.has_ended {
                return Poll::Ready(Event::Ended(*id));
            }
            if strand.stay != Stay::Stays && !row.is_out(keys(*id)) {
                return Poll::Ready(Event::Finished(*id));
            }
            if now.duration_since(strand.turned_over) > LONGEST_HOLD {
                return Poll::Ready(Event::Overdue(*id));
            }
        }
        if now.duration_since(self.shared_out) > SHARE_OUT {
            return Poll::Ready(Event::Unshared);
        }
        if row.has_next(now, |key| is_offered(&self.strands, key)) {
            return Poll::Ready(Event::Ready);
        }
        let next = self.strands.values().map(|strand| strand.turned_over + LONGEST_HOLD).chain(row.wake());
        let next = next.fold(self.shared_out + SHARE_OUT, Instant::min);
        drop(row);
        if self.timer.deadline() != next {
            self.timer.as_mut().reset(next);
        }
        if self.timer.poll_unpin(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The delivery whose turn it is, with its queue and its lane.
    pub fn take(&mut self) -> Option<(QueueName, u8, Entry)> {
        let (key, mut entry) = self.turns.lock().take(Instant::now(), |key| is_offered(&self.strands, key))?;
        let strand = &self.strands[&key.0];
        entry.receipt = entry.receipt.with_turn(self.turns.turn(key));
        Some((strand.queue.clone(), strand.lane, entry))
    }

    /// The queue whose lane has ended, if that is what has happened.
    pub fn ended(&self, event: Event) -> Option<&QueueName> {
        let Event::Ended(id) = event else { return None };
        self.strands.get(&id).map(|strand| &strand.queue)
    }

    /// Does what an event asks for. Cancel safe: what was not done to its end is asked for again.
    pub async fn attend(&mut self, event: Event, link: &Link, names: &Names) -> Result<(), Error> {
        match event {
            Event::Ready => {}
            Event::Ended(id) => {
                let Some(strand) = self.strands.get(&id) else { return Ok(()) };
                self.turns.lock().drain(keys(id));
                if strand.stay != Stay::Leaves {
                    let (queue, lane) = (strand.queue.clone(), strand.lane);
                    warn!(%queue, lane, "the broker cancelled the consumer: opening it again");
                    let (_, channel, consumer) = open(link, names, &queue, lane).await?;
                    self.add(&queue, lane, channel, consumer);
                }
                self.strands.remove(&id);
            }
            Event::Finished(id) => {
                let Some(strand) = self.strands.get_mut(&id) else { return Ok(()) };
                if strand.stay == Stay::Returns {
                    if self.turns.lock().goes_again(keys(id)) {
                        strand.stay = Stay::Stays;
                        return Ok(());
                    }
                    // While the old one is there, for it gets nothing before that is gone; and behind those who wait already.
                    let (queue, lane) = (strand.queue.clone(), strand.lane);
                    let (_, channel, consumer) = open(link, names, &queue, lane).await?;
                    self.add(&queue, lane, channel, consumer);
                    self.strands.entry(id).and_modify(|strand| strand.stay = Stay::Leaves);
                }
                self.let_go(id).await;
            }
            Event::Unshared => {
                self.share_out(link, names).await?;
                self.shared_out = Instant::now();
            }
            Event::Overdue(id) => {
                if let Some(strand) = self.strands.get_mut(&id) {
                    strand.turned_over = Instant::now();
                }
                // In the order of their coming, in which the broker hands them out again.
                let mut held = self.turns.lock().drain(keys(id));
                held.sort_by_key(|entry| entry.receipt.tag());
                self.settling.spawn(async move {
                    for entry in held {
                        entry.receipt.give_back().await;
                    }
                });
            }
        }
        Ok(())
    }

    // The broker gives a lane to whoever has consumed it for the longest, so the first worker would have them all. What is
    // more than its share it lets go of, and consumes it anew behind the others: not where a task rests between two attempts,
    // for its delivery tells the next worker of the first one, and whoever knows better may not answer.
    async fn share_out(&mut self, link: &Link, names: &Names) -> Result<(), Error> {
        let is_held = |strand: &Strand| strand.is_active && strand.stay == Stay::Stays;
        let held = self.strands.values().filter(|strand| is_held(strand));
        let queues: BTreeSet<_> = held.map(|strand| strand.queue.clone()).collect();
        for queue in queues {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let channel = link.channel().await?;
            // Each worker of the queue consumes this one.
            let asked = channel.queue_declare(names.suspect(&queue).into(), options, FieldTable::default()).await;
            let Ok(workers) = asked.map(|found| found.consumer_count().max(1)) else { continue };
            let share = u32::from(order::LANES).div_ceil(workers) as usize;
            let held = self.strands.iter_mut().filter(|(_, strand)| strand.queue == queue && is_held(strand));
            let held: Vec<_> = held.collect();
            let surplus = held.len().saturating_sub(share);
            let row = self.turns.lock();
            for (_, strand) in held.into_iter().filter(|(id, _)| !row.goes_again(keys(**id))).take(surplus) {
                debug!(%queue, lane = strand.lane, workers, "more lanes than its share: letting go of one");
                strand.stay = Stay::Returns;
            }
        }
        Ok(())
    }

    /// Takes nothing more, and lets go of every lane of which nothing runs. The others end with the connection.
    pub async fn stop(&mut self) {
        for strand in self.strands.values_mut() {
            strand.stay = Stay::Leaves;
        }
        let idle: Vec<_> = {
            let row = self.turns.lock();
            self.strands.keys().copied().filter(|id| !row.is_out(keys(*id))).collect()
        };
        for id in idle {
            self.let_go(id).await;
        }
    }

    async fn let_go(&mut self, id: u32) {
        let Some(strand) = self.strands.get(&id) else { return };
        self.turns.lock().drain(keys(id));
        if let Err(error) = strand.channel.close(200, "let go".into()).await {
            debug!(queue = %strand.queue, lane = strand.lane, error = chain(&error), "the lane is gone already");
        }
        self.strands.remove(&id);
    }
}

async fn open(link: &Link, names: &Names, queue: &QueueName, lane: u8) -> Result<(u8, Channel, Consumer), Error> {
    let name = names.lane(queue, lane);
    let channel = link.consuming_channel(PREFETCH).await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default()).await;
    let consumer = consumer.map_err(|source| Error::Broker { what: format!("consume {name}"), source })?;
    Ok((lane, channel, consumer))
}

// Of a lane that is to be let go nothing more is begun.
fn is_offered(strands: &BTreeMap<u32, Strand>, (id, _): &Key) -> bool {
    strands.get(id).is_some_and(|strand| strand.stay == Stay::Stays)
}

fn keys(strand: u32) -> std::ops::Range<Key> {
    (strand, None)..(strand + 1, None)
}
