//! The event log. Writing to it: many events to a message, each counted only when the broker has confirmed it. Reading it
//! ([`reader`]): from a place that is stored together with what was built up to there.

pub mod cursor;
pub mod entry;
pub mod reader;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warren_core::event::{self, Event};

use crate::amqp::{Names, Outgoing, PublishError, Publisher, message::PERSISTENT};

// Few enough that a lost connection repeats little, many enough that a message costs nothing beside its events.
const EVENTS_IN_A_BATCH: usize = 256;
const BYTES_IN_A_BATCH: usize = 1 << 20;
const WAITING: usize = 4 * EVENTS_IN_A_BATCH;
const LAST_WORDS: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The event cannot be written any more: the process is ending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event log is closed")]
pub struct Closed;

/// A handle for writing events; cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog {
    entries: mpsc::Sender<Entry>,
}

#[derive(Debug)]
struct Entry {
    event: String,
    done: Option<oneshot::Sender<()>>,
}

/// The component behind the handles. It writes each batch again until it is confirmed, in the order of the events.
#[derive(Debug)]
pub struct EventWriter {
    entries: mpsc::Receiver<Entry>,
    publisher: Publisher,
    queue: String,
    source: String,
    seq: u64,
}

impl EventLog {
    /// A writer to run, and the first handle. `source` names this run of this process.
    pub fn new(publisher: Publisher, names: &Names, source: &str) -> (EventWriter, Self) {
        let (sender, entries) = mpsc::channel(WAITING);
        let writer = EventWriter { entries, publisher, queue: names.log(), source: source.to_owned(), seq: 1 };
        (writer, Self { entries: sender })
    }

    /// Writes an event and returns when the log has confirmed it.
    pub async fn record(&self, event: &Event) -> Result<(), Closed> {
        let (done, confirmed) = oneshot::channel();
        self.push(event, Some(done)).await?;
        confirmed.await.map_err(|_| Closed)
    }

    /// Hands an event over to be written soon. Waits only while too many are waiting already.
    pub async fn note(&self, event: &Event) -> Result<(), Closed> {
        self.push(event, None).await
    }

    /// Hands an event over to be written soon, unless too many are waiting already.
    pub fn offer(&self, event: &Event) -> bool {
        self.entries.try_send(Entry { event: encode(event), done: None }).is_ok()
    }

    /// Asks the writer to write what was handed over and to end, and waits until it has.
    pub async fn close(&self, stop: &CancellationToken) {
        stop.cancel();
        self.entries.closed().await;
    }

    async fn push(&self, event: &Event, done: Option<oneshot::Sender<()>>) -> Result<(), Closed> {
        self.entries.send(Entry { event: encode(event), done }).await.map_err(|_| Closed)
    }
}

fn encode(event: &Event) -> String {
    serde_json::to_string(event).expect("events hold no map with keys other than text")
}

impl EventWriter {
    /// Writes until every handle is gone or `stop` is cancelled; what was handed over before that is still written, for
    /// a few seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut entries = Vec::with_capacity(EVENTS_IN_A_BATCH);
        loop {
            let waited = stop.run_until_cancelled(self.entries.recv_many(&mut entries, EVENTS_IN_A_BATCH)).await;
            if waited.is_none() {
                while entries.len() < EVENTS_IN_A_BATCH {
                    let Ok(entry) = self.entries.try_recv() else { break };
                    entries.push(entry);
                }
            }
            if entries.is_empty() {
                return;
            }
            while !entries.is_empty() {
                let batch = first_of(&mut entries);
                if !self.write(batch, &stop).await {
                    return;
                }
            }
        }
    }

    async fn write(&mut self, batch: Vec<Entry>, stop: &CancellationToken) -> bool {
        let events: Vec<_> = batch.iter().map(|entry| entry.event.as_str()).collect();
        let properties = lapin::BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = event::assemble(&self.source, self.seq, &events);
        let message = Outgoing::to_queue(&self.queue, properties, body);
        let last_words = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = self.insist(&message) => {}
            () = last_words => {
                warn!(events = batch.len(), "the broker is away: the last events are lost");
                return false;
            }
        }
        self.seq += 1;
        for entry in batch {
            // Whoever waited may have given up meanwhile.
            entry.done.map(|done| done.send(()));
        }
        true
    }

    async fn insist(&self, message: &Outgoing) {
        let mut wait = Duration::from_millis(50);
        while let Err(error) = self.publisher.publish(message).await {
            // The first process of a pool writes before another part of it has declared the log; later it was deleted.
            if let PublishError::Returned { .. } = error {
                self.publisher.miss();
            }
            if wait < LONGEST_WAIT {
                debug!(%error, "events are not in the log yet");
            } else {
                warn!(%error, "events are not in the log yet");
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

// Takes as many from the front as fit into one message, at least one.
fn first_of(entries: &mut Vec<Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let mut fits = |entry: &Entry| {
        bytes += entry.event.len();
        bytes <= BYTES_IN_A_BATCH
    };
    let count = entries.iter().take_while(|entry| fits(entry)).count().max(1);
    entries.drain(..count).collect()
}
