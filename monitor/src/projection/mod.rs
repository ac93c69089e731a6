//! The projection: the event log, added up in Redis.
//!
//! What must stay true: the stored cursor names the last message whose facts are in the stored state, and both change
//! in one transaction. Facts add up to the same whatever their order and however often they come, so building anew
//! means no more than reading from the beginning once more.

pub mod change;
mod ledger;
mod place;
mod probe;

use std::{convert::Infallible, mem, sync::Arc, time::Duration};

use lapin::message::Delivery;
use tokio::{
    select,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use warren_runtime::{
    amqp::{self, Connector, Link, Topology, session::Sessions},
    clock,
    event_log::{
        cursor::Cursor,
        entry::{Content, Entry, NoOffset},
        reader::{Reader, Start, done_with},
    },
    readiness::Latch,
    redis,
};

pub use change::Source;
pub use ledger::Ledger;
pub use probe::Probe;

use self::ledger::Written;
use crate::{metrics::Metrics, reaper::Reaper, worker_entry::Reading};

// What one transaction may hold: enough that its cost hardly counts, and no longer than a reader of Redis may wait.
const EVENTS_AT_ONCE: usize = 2_000;
const BYTES_AT_ONCE: usize = 4 << 20;
// A transaction of so many is one of a busy log: the next is begun no sooner than this after it, and holds more. Nobody sees
// it, and each costs Redis and the broker as much as many events.
const BUSY: usize = 100;
const REST: Duration = Duration::from_millis(50);
// How long the log may keep back a message of ours that it has confirmed.
const SILENCE: Duration = Duration::from_secs(5);
const HOUSEKEEPING: Duration = Duration::from_secs(1);
const REASON: usize = 200;
const REDIS_AWAY: Duration = Duration::from_secs(1);

/// Reads the log and keeps the projection, for one term of leadership.
#[derive(Debug)]
pub struct Projector {
    /// How to reach the broker.
    pub connector: Connector,
    /// What must exist there.
    pub topology: Topology,
    /// What is written.
    pub ledger: Ledger,
    /// Throws away what is too old.
    pub reaper: Reaper,
    /// Whether we are at the end of the log.
    pub probe: Arc<Probe>,
    /// Met while the projection follows the log.
    pub latch: Arc<Latch>,
    /// What is measured.
    pub metrics: Metrics,
}

/// Why reading ended. Where it begins again follows from that.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Broker(#[from] amqp::Error),
    #[error(transparent)]
    Redis(#[from] redis::Error),
    #[error(transparent)]
    NotAStream(#[from] NoOffset),
    #[error("the stored cursor is not where this monitor left it")]
    Overtaken,
    #[error("the log does not hold what the projection was built from")]
    Replaced,
    #[error("the log keeps back what was written to it")]
    Silent,
}

impl Projector {
    /// Projects until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "project");
        while let Some(link) = sessions.next(&stop).await {
            let ended = stop.run_until_cancelled(link.during(self.session(&link))).await;
            self.latch.missing("the event log is not being read");
            sessions.ended(link, ended.map_or(Ok(()), |Err(error)| Err(error))).await;
        }
    }

    // Every transaction holds or does not whatever becomes of us, so this may be dropped anywhere.
    async fn session(&mut self, link: &Link) -> Result<Infallible, amqp::Error> {
        self.topology.declare(link).await?;
        let mut from = From::Stored;
        let mut told = false;
        loop {
            let Err(interruption) = self.follow(link, &mut from).await;
            match interruption {
                Interruption::Broker(error) => return Err(error),
                Interruption::Overtaken => info!("the stored cursor has moved: starting over from there"),
                Interruption::Replaced => {
                    warn!("the event log is not the one that the projection was built from: reading all of it");
                    from = From::Beginning;
                }
                Interruption::Silent => warn!("the event log keeps back what was written to it: reading anew"),
                interruption @ (Interruption::Redis(_) | Interruption::NotAStream(_)) => {
                    // Redis names every command of a refused transaction.
                    let reason: String = amqp::session::chain(&interruption).chars().take(REASON).collect();
                    if !mem::replace(&mut told, true) {
                        warn!(error = reason, "cannot project");
                    }
                    self.latch.missing(reason);
                    sleep(REDIS_AWAY).await;
                    continue;
                }
            }
            told = false;
        }
    }

    async fn follow(&mut self, link: &Link, from: &mut From) -> Result<Infallible, Interruption> {
        let mut cursor = self.ledger.cursor().await?;
        // Before anything else: in a Redis that is full, this is all that can be done, and all that helps.
        self.reap(cursor.as_ref()).await?;
        let start = match (&cursor, &from) {
            (Some(cursor), From::Stored) => Start::At(cursor.offset),
            (Some(_), From::Beginning) | (None, _) => Start::First,
        };
        let mut reader = Reader::open(link, self.topology.names(), "projection", start).await?;
        info!(?start, "reading the event log");
        self.probe.restart();
        // An offset past the end, or in another log, is accepted without a word: so the first message must be the one
        // that is stored.
        let mut verified = start == Start::First;
        if verified {
            self.latch.met();
        }
        let mut next_round = Instant::now() + HOUSEKEEPING;
        let mut next_turn = Instant::now();
        loop {
            let arrived = async {
                sleep_until(next_turn).await;
                reader.next().await
            };
            select! {
                biased;
                arrived = arrived => {
                    let mut arrived = arrived?;
                    if !verified {
                        let first = arrived.remove(0);
                        if Some(Entry::read(&first)?.cursor) != cursor {
                            return Err(Interruption::Replaced);
                        }
                        done_with(&first).await?;
                        verified = true;
                        self.latch.met();
                    }
                    let now = Instant::now();
                    let events = self.apply(&mut cursor, arrived).await?;
                    if (BUSY..EVENTS_AT_ONCE).contains(&events) {
                        next_turn = now + REST;
                    }
                    if cursor.is_some() {
                        *from = From::Stored;
                    }
                }
                // Reached only while nothing is there to be read.
                () = sleep_until(next_round) => {
                    let since = self.probe.unanswered().filter(|since| since.elapsed() > SILENCE);
                    if since.is_some_and(|since| since > reader.arrival()) {
                        return Err(if verified { Interruption::Silent } else { Interruption::Replaced });
                    }
                }
            }
            if Instant::now() >= next_round {
                self.metrics.lag.set(self.probe.lag().unwrap_or_default().as_secs_f64());
                let more = verified && self.reap(cursor.as_ref()).await?;
                next_round = Instant::now() + if more { Duration::ZERO } else { HOUSEKEEPING };
            }
        }
    }

    // In transactions of bounded size. Says how many events there were.
    async fn apply(&mut self, cursor: &mut Option<Cursor>, arrived: Vec<Delivery>) -> Result<usize, Interruption> {
        let (mut stretch, mut events) = (Stretch::default(), 0);
        for delivery in arrived {
            let entry = Entry::read(&delivery)?;
            events += entry.events().len();
            if let Content::Unreadable(problem) = &entry.content {
                error!(
                    offset = entry.cursor.offset,
                    problem, "a message of the event log cannot be read and is passed over"
                );
                self.metrics.unreadable.inc();
            }
            stretch.add(entry, delivery);
            if stretch.is_full() {
                self.commit(cursor, mem::take(&mut stretch)).await?;
            }
        }
        self.commit(cursor, stretch).await?;
        Ok(events)
    }

    async fn commit(&mut self, cursor: &mut Option<Cursor>, stretch: Stretch) -> Result<(), Interruption> {
        let Some(last) = &stretch.last else { return Ok(()) };
        let reading = if self.probe.is_live() { Reading::Live } else { Reading::Behind };
        let written = self.ledger.apply(cursor.as_ref(), &stretch.entries, clock::now(), reading).await?;
        let Written::Done(changes) = written else { return Err(Interruption::Overtaken) };
        *cursor = stretch.entries.last().map(|entry| entry.cursor.clone());
        self.metrics.events.inc_by(stretch.events as u64);
        self.metrics.gaps.inc_by(changes.gaps);
        if changes.gaps > 0 {
            warn!(batches = changes.gaps, "something is missing in the event log");
        }
        for what in &changes.unreadable {
            error!(what, "a stored record could not be read and was made anew");
        }
        for batch in stretch.entries.iter().filter_map(Entry::batch) {
            self.probe.read(batch);
        }
        Ok(done_with(last).await?)
    }

    async fn reap(&mut self, cursor: Option<&Cursor>) -> Result<bool, Interruption> {
        let Some(cursor) = cursor else { return Ok(false) };
        let reaped = self.reaper.round(self.ledger.store(), cursor, clock::now()).await?;
        self.metrics.reaped.inc_by(reaped.tasks);
        Ok(reaped.more)
    }
}

// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Stored,
    Beginning,
}

// What goes into one transaction.
#[derive(Debug, Default)]
struct Stretch {
    entries: Vec<Entry>,
    last: Option<Delivery>,
    events: usize,
    bytes: usize,
}

impl Stretch {
    fn add(&mut self, entry: Entry, delivery: Delivery) {
        self.events += entry.events().len();
        self.bytes += delivery.data.len();
        self.entries.push(entry);
        self.last = Some(delivery);
    }

    fn is_full(&self) -> bool {
        self.events >= EVENTS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }
}
