//! The event log. Writing to it: many events to a message, each counted only when the broker has confirmed it. Reading it
//! ([`reader`]): from a place that is stored together with what was built up to there.

pub mod cursor;
pub mod entry;
pub mod reader;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, error::Elapsed},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warren_core::event::{self, Event};

use crate::amqp::{Names, Outgoing, PublishError, Publisher, message::PERSISTENT};

// One batch is on its way at a time, and behind a thousand tasks of a busy producer its confirm takes a tenth of a second: a
// batch must hold what comes meanwhile.
const EVENTS_IN_A_BATCH: usize = 2_048;
const BYTES_IN_A_BATCH: usize = 1 << 20;
const WAITING: usize = 2 * EVENTS_IN_A_BATCH;
// What nobody waits for waits for company: a message of the log costs the broker more than the events in it. Too short for
// anybody who looks on to see.
const LINGER: Duration = Duration::from_millis(5);
// A writer whose batches hold so many is busy: then what nobody holds a slot for waits as long, for half as many.
const BUSY: usize = 64;
// It looks, for to be woken by each that comes would cost more than the batches that are saved.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
const LAST_WORDS: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
// A broker that was just started may take a batch for a stream whose leader is not there yet, and lose it without a word. All
// that comes after it would wait as long as it does; written once more it counts once. Doubled for a broker that is slow.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(3);

/// The event cannot be written any more: the process is ending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event log is closed")]
pub struct Closed;

/// A handle for writing events; cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog {
    entries: mpsc::Sender<Entry>,
    awaited: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    content: Content,
    then: Then,
}

#[derive(Debug)]
enum Content {
    Encoded(String),
    Tentative(Tentative),
}

// What is done when the log has confirmed it, or before that, when it has left this process.
enum Then {
    Nothing,
    TellSent(oneshot::Sender<()>),
    Tell(oneshot::Sender<()>),
    Call(Box<dyn FnOnce() + Send>),
}

impl Entry {
    // Whether somebody does nothing else until it is written.
    fn is_urgent(&self) -> bool {
        matches!(self.then, Then::TellSent(_) | Then::Tell(_))
    }
}

impl Then {
    fn come(self) {
        match self {
            Self::Nothing => {}
            // Whoever waited may have given up meanwhile.
            Self::TellSent(done) | Self::Tell(done) => drop(done.send(())),
            Self::Call(then) => then(),
        }
    }
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::TellSent(_) => "TellSent",
            Self::Tell(_) => "Tell",
            Self::Call(_) => "Call",
        })
    }
}

/// An event that was handed over and may be taken back until it is written.
#[derive(Debug, Clone)]
pub struct Tentative(Arc<Mutex<Option<Box<Event>>>>);

impl Tentative {
    fn take(&self) -> Option<Box<Event>> {
        self.0.lock().expect("nobody panics while an event is taken").take()
    }

    /// Takes it back, if it is not written yet: what is to be written now says the same and more.
    pub fn withdraw(&self) {
        drop(self.take());
    }
}

/// The component behind the handles. It writes each batch again until it is confirmed, in the order of the events.
#[derive(Debug)]
pub struct EventWriter {
    entries: mpsc::Receiver<Entry>,
    awaited: Arc<Notify>,
    publisher: Publisher,
    queue: String,
    source: String,
    seq: u64,
    // How many events were written the last time.
    last: usize,
}

impl EventLog {
    /// A writer to run, and the first handle. `source` names this run of this process.
    pub fn new(publisher: Publisher, names: &Names, source: &str) -> (EventWriter, Self) {
        let (sender, entries) = mpsc::channel(WAITING);
        let awaited = Arc::new(Notify::new());
        let (queue, source) = (names.log(), source.to_owned());
        let writer = EventWriter { entries, awaited: awaited.clone(), publisher, queue, source, seq: 1, last: 0 };
        (writer, Self { entries: sender, awaited })
    }

    /// Writes an event and returns when the log has confirmed it.
    pub async fn record(&self, event: &Event) -> Result<(), Closed> {
        let (done, confirmed) = oneshot::channel();
        self.push(Content::Encoded(encode(event)), Then::Tell(done)).await?;
        confirmed.await.map_err(|_| Closed)
    }

    /// Writes an event and returns when it has left this process: the broker gets it even if the process dies at once, unless
    /// the broker or the way to it fails as well.
    pub async fn send(&self, event: &Event) -> Result<(), Closed> {
        let (done, sent) = oneshot::channel();
        self.push(Content::Encoded(encode(event)), Then::TellSent(done)).await?;
        sent.await.map_err(|_| Closed)
    }

    /// Hands an event over to be written now, and returns at once unless too many are waiting already. `then` is called when
    /// the log has confirmed it, and dropped where it never does; it must not block.
    pub async fn record_then(&self, event: &Event, then: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        self.push(Content::Encoded(encode(event)), Then::Call(Box::new(then))).await
    }

    /// Hands an event over to be written soon. Waits only while too many are waiting already.
    pub async fn note(&self, event: &Event) -> Result<(), Closed> {
        self.push(Content::Encoded(encode(event)), Then::Nothing).await
    }

    /// The same for an event that may be taken back.
    pub async fn note_tentatively(&self, event: Event) -> Result<Tentative, Closed> {
        let tentative = Tentative(Arc::new(Mutex::new(Some(Box::new(event)))));
        self.push(Content::Tentative(tentative.clone()), Then::Nothing).await?;
        Ok(tentative)
    }

    /// Hands an event over to be written soon, unless too many are waiting already.
    pub fn offer(&self, event: &Event) -> bool {
        self.entries.try_send(Entry { content: Content::Encoded(encode(event)), then: Then::Nothing }).is_ok()
    }

    /// Asks the writer to write what was handed over and to end, and waits until it has.
    pub async fn close(&self, stop: &CancellationToken) {
        stop.cancel();
        self.entries.closed().await;
    }

    async fn push(&self, content: Content, then: Then) -> Result<(), Closed> {
        let is_awaited = !matches!(then, Then::Nothing);
        match self.entries.try_send(Entry { content, then }) {
            Ok(()) => {}
            Err(TrySendError::Full(entry)) => self.entries.send(entry).await.map_err(|_| Closed)?,
            Err(TrySendError::Closed(_)) => return Err(Closed),
        }
        if is_awaited {
            self.awaited.notify_one();
        }
        Ok(())
    }
}

fn encode(event: &Event) -> String {
    // Most events are somewhat shorter: one allocation.
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, event).expect("events hold no map with keys other than text");
    String::from_utf8(text).expect("JSON is text")
}

impl EventWriter {
    /// Writes until every handle is gone or `stop` is cancelled; what was handed over before that is still written, for
    /// a few seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut entries = Vec::new();
        loop {
            self.gather(&mut entries, &stop).await;
            if entries.is_empty() {
                return;
            }
            self.last = entries.len();
            let mut written: Vec<_> = entries.drain(..).filter_map(Written::of).collect();
            while !written.is_empty() {
                let batch = first_of(&mut written);
                if !self.write(batch, &stop).await {
                    return;
                }
            }
        }
    }

    // Nothing where no more will come.
    async fn gather(&mut self, entries: &mut Vec<Entry>, stop: &CancellationToken) {
        // Whoever said so until now has handed over already what is waited for.
        let _: Option<()> = self.awaited.notified().now_or_never();
        let waited = stop.run_until_cancelled(self.entries.recv_many(entries, EVENTS_IN_A_BATCH)).await;
        let since = Instant::now();
        if waited.is_some() && entries.iter().all(|entry| matches!(entry.then, Then::Nothing)) {
            let company = tokio::time::timeout(LINGER, self.awaited.notified());
            let _: Option<Result<(), Elapsed>> = stop.run_until_cancelled(company).await;
        }
        self.take(entries);
        let enough = if self.last < BUSY { 0 } else { self.last / 2 };
        while entries.len() < enough && since.elapsed() < LINGER && !entries.iter().any(Entry::is_urgent) {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            self.take(entries);
        }
    }

    // What is there.
    fn take(&mut self, entries: &mut Vec<Entry>) {
        while entries.len() < EVENTS_IN_A_BATCH {
            let Ok(entry) = self.entries.try_recv() else { break };
            entries.push(entry);
        }
    }

    async fn write(&mut self, batch: Vec<Written>, stop: &CancellationToken) -> bool {
        let events: Vec<_> = batch.iter().map(|written| written.event.as_str()).collect();
        let properties = lapin::BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = event::assemble(&self.source, self.seq, &events);
        let message = Outgoing::to_queue(&self.queue, properties, body);
        let last_words = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let events = batch.len();
        let (when_sent, when_confirmed): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|written| written.then).partition(|then| matches!(then, Then::TellSent(_)));
        tokio::select! {
            () = self.insist(&message, when_sent) => {}
            () = last_words => {
                warn!(events, "the broker is away: the last events are lost");
                return false;
            }
        }
        self.seq += 1;
        when_confirmed.into_iter().for_each(Then::come);
        true
    }

    async fn insist(&self, message: &Outgoing, mut when_sent: Vec<Then>) {
        let (mut wait, mut patience) = (Duration::from_millis(50), CONFIRMED_WITHIN);
        while let Err(error) =
            self.publisher.publish_within(patience, message, || when_sent.drain(..).for_each(Then::come)).await
        {
            patience = match error {
                PublishError::TimedOut(_) => patience.saturating_mul(2),
                _ => CONFIRMED_WITHIN,
            };
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

// An event as it is written.
struct Written {
    event: String,
    then: Then,
}

impl Written {
    fn of(Entry { content, then }: Entry) -> Option<Self> {
        let event = match content {
            Content::Encoded(event) => event,
            Content::Tentative(tentative) => encode(tentative.take()?.as_ref()),
        };
        Some(Self { event, then })
    }
}

// Takes as many from the front as fit into one message, at least one.
fn first_of(written: &mut Vec<Written>) -> Vec<Written> {
    let mut bytes = 0;
    let mut fits = |written: &Written| {
        bytes += written.event.len();
        bytes <= BYTES_IN_A_BATCH
    };
    let count = written.iter().take_while(|written| fits(written)).count().max(1);
    written.drain(..count).collect()
}

#[cfg(test)]
mod tests;
