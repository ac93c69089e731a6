//! Following the event log for one term of leadership: what it says of workflows is written down, and what follows is done.
//!
//! What must stay true: nothing is handed in before the log was read up to where the term began. So what the leader before
//! has handed in, and could tell the log, is not handed in again.

use std::{collections::BTreeMap, convert::Infallible, mem, time::Duration};

use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use tokio::{
    pin, select,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use warren_core::{
    TaskId,
    event::{Batch, Event, assemble},
};
use warren_runtime::{
    amqp::{self, Link, Outgoing, message::PERSISTENT, session::Sessions, session::chain},
    clock,
    event_log::{
        cursor::Cursor,
        entry::{Entry, Passing},
        reader::{Reader, Start, done_with},
    },
};

use super::{
    Error, Measured,
    book::{Book, Changes},
    cabinet::Cabinet,
    engine::Trouble,
    held,
    ledger::Ledger,
    release::{Errands, Means},
};
use crate::Producer;

const EVENTS_AT_ONCE: usize = 2_000;
// The log holds all events of the pool, and few of them are about workflows: how far it was read is written from time to time.
const BETWEEN_MARKS: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(50);
const HELD_AT_ONCE: u16 = 100;
// A workflow that is over is kept for so long.
const LOOKED_UP_AT_ONCE: usize = 256;
const KEPT: Duration = Duration::from_hours(7 * 24);
const BETWEEN_SWEEPS: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(1);
const MARK_AGAIN: Duration = Duration::from_secs(5);
// How long the log may keep back a message of ours that it has confirmed.
const SILENCE: Duration = Duration::from_secs(10);

/// What is done in a term.
#[derive(Debug)]
pub struct Follower {
    pub cabinet: Cabinet,
    pub producer: Producer,
    pub measured: Measured,
    pub trouble: Trouble,
}

enum Interruption {
    Failed(Error),
    // Somebody else writes.
    Overtaken,
    // The log does not hold what was read up to the stored cursor.
    Replaced,
}

impl<E: Into<Error>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

// One reading of the log, from a cursor on.
struct Reading {
    cabinet: Cabinet,
    ledger: Ledger,
    book: Book,
    errands: Errands,
    stored: Option<Cursor>,
    // How far it was read since, without anything that concerns us.
    passed: Option<Cursor>,
    marked: Instant,
    // What could not be done is not tried again before.
    rests_until: Instant,
    sweeps_at: Instant,
    // Tasks that are waited for and may have ended before that was so: asked for when the projection is as far as this.
    lookups: BTreeMap<TaskId, u64>,
    marker: String,
    is_live: bool,
}

impl Follower {
    /// Follows the log until `over`.
    pub async fn run(&self, over: &CancellationToken) {
        let mut sessions = Sessions::new(self.producer.connector().clone(), "workflows");
        while let Some(link) = sessions.next(over).await {
            let ended = over.run_until_cancelled(self.session(&link)).await;
            let ended = match ended {
                None => Ok(()),
                Some(Error::Broker(error)) => Err(error),
                Some(other) => {
                    self.say(&other);
                    over.run_until_cancelled(sleep(AGAIN)).await;
                    Ok(())
                }
            };
            sessions.ended(link, ended).await;
        }
    }

    fn say(&self, error: &Error) {
        let why = chain(error);
        warn!(error = why, "no workflow goes on");
        self.trouble.set(Some(&why));
    }

    // Every transaction holds or does not whatever becomes of us, so this may be dropped anywhere.
    async fn session(&self, link: &Link) -> Error {
        if let Err(error) = self.producer.topology().declare(link).await {
            return error.into();
        }
        let mut from_the_beginning = false;
        loop {
            let Err(interruption) = self.follow(link, from_the_beginning).await;
            match interruption {
                Interruption::Failed(error) => return error,
                Interruption::Overtaken => info!("workflows are written by another, or were: starting over"),
                Interruption::Replaced => {
                    if mem::replace(&mut from_the_beginning, true) {
                        sleep(AGAIN).await;
                    }
                    warn!("the event log is not the one that workflows were read from: reading all of it");
                }
            }
        }
    }

    async fn follow(&self, link: &Link, from_the_beginning: bool) -> Result<Infallible, Interruption> {
        let mut reading = Reading::new(self.cabinet.clone()).await?;
        let start = match &reading.stored {
            Some(cursor) if !from_the_beginning => Start::At(cursor.offset),
            Some(_) | None => Start::First,
        };
        let mut reader = Reader::open(link, self.producer.topology().names(), "workflows", start).await?;
        debug!(?start, "reading the event log for workflows");
        let mut verified = start == Start::First;
        let marker = reading.marker.clone();
        let (broken, marking, taking) = (link.broken(), self.mark(&marker), self.take_in(link));
        pin!(broken, marking, taking);
        let mut confirmed = None;
        let mut next = Instant::now();
        loop {
            select! {
                biased;
                error = &mut broken => return Err(error.into()),
                taken = &mut taking => {
                    let Err(error) = taken;
                    return Err(error.into());
                }
                arrived = reader.next() => {
                    let mut arrived = arrived?;
                    if !verified {
                        // An offset in another log is accepted without a word: the first message must be the stored one.
                        let first = arrived.remove(0);
                        if Some(Passing::read(&first)?.cursor) != reading.stored {
                            return Err(Interruption::Replaced);
                        }
                        done_with(&first).await?;
                        verified = true;
                    }
                    self.apply(&mut reading, &arrived).await?;
                    if let Some(last) = arrived.last() {
                        done_with(last).await?;
                    }
                }
                at = &mut marking, if confirmed.is_none() => confirmed = Some(at),
                () = sleep_until(next) => {
                    let waited = confirmed.filter(|at| at.elapsed() > SILENCE && *at > reader.arrival());
                    if !reading.is_live && waited.is_some() {
                        return Err(Interruption::Replaced);
                    }
                    next = Instant::now() + TICK;
                    if reading.is_live {
                        reading.look_back().await?;
                        if Instant::now() >= reading.sweeps_at {
                            reading.sweep().await?;
                        }
                    }
                    if !reading.lookups.is_empty() {
                        next = Instant::now() + SOON;
                    }
                }
            }
            if reading.is_live && !reading.errands.are_done() && Instant::now() >= reading.rests_until {
                next = self.errands(&mut reading).await?;
            }
        }
    }

    // Does what is to be done, and says when to come again.
    async fn errands(&self, reading: &mut Reading) -> Result<Instant, Interruption> {
        let as_of = reading.stored.as_ref().map_or(0, |cursor| cursor.offset);
        let means = Means { cabinet: &self.cabinet, producer: &self.producer, measured: &self.measured, as_of };
        match reading.errands.run(&mut reading.book, means).await {
            Ok(()) => {
                self.trouble.set(None);
                Ok(if reading.errands.are_done() { Instant::now() + TICK } else { Instant::now() })
            }
            Err(Error::Forgotten) => Err(Interruption::Overtaken),
            Err(error) => {
                self.say(&error);
                reading.rests_until = Instant::now() + AGAIN;
                Ok(reading.rests_until)
            }
        }
    }

    async fn apply(&self, reading: &mut Reading, arrived: &[Delivery]) -> Result<(), Interruption> {
        let (mut events, mut last) = (Vec::new(), None);
        let (mut found, mut has_held) = (false, false);
        for delivery in arrived {
            // Few messages are about workflows: of the others the head is enough.
            let speaks = |text: &str| text.contains("flow") || text.contains(r#""held""#);
            let is_ours = reading.book.is_concerned() || std::str::from_utf8(&delivery.data).is_ok_and(speaks);
            if is_ours {
                let entry = Entry::read(delivery)?;
                if let Some(batch) = entry.batch() {
                    found |= batch.source == reading.marker;
                    let ours = batch.events.iter().filter(|event| {
                        // What a message of this stretch waits for may end in the same stretch.
                        !reading.book.subjects(event).is_empty() || has_held && event.task().is_some()
                    });
                    events.extend(ours.cloned());
                    has_held |= events.iter().any(|event| matches!(event, Event::Held(_)));
                }
                last = Some(entry.cursor);
            } else {
                last = Some(Passing::read(delivery)?.cursor);
            }
            if events.len() >= EVENTS_AT_ONCE {
                reading.commit(&mut events, last.take()).await?;
            }
        }
        if !events.is_empty() {
            self.trouble.concern();
        }
        if let Some(last) = last {
            if events.is_empty() && !reading.is_stale() {
                reading.passed = Some(last);
            } else {
                reading.commit(&mut events, Some(last)).await?;
            }
        }
        if found && !reading.is_live {
            reading.go_live().await?;
            self.trouble.set(None);
        }
        Ok(())
    }

    // Takes in the messages that workers hand on: each is in the log before it is acknowledged.
    async fn take_in(&self, link: &Link) -> Result<Infallible, amqp::Error> {
        let queue = self.producer.topology().names().held();
        let channel = link.consuming_channel(HELD_AT_ONCE).await?;
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(queue.as_str().into(), "workflows".into(), options, FieldTable::default()).await;
        let failed = |what: &str| {
            let what = format!("{what} {queue}");
            |source| amqp::Error::Broker { what, source }
        };
        let mut arrived = consumer.map_err(failed("consume"))?.ready_chunks(HELD_AT_ONCE.into());
        while let Some(some) = arrived.next().await {
            let some: Vec<Delivery> = some.into_iter().collect::<Result<_, _>>().map_err(failed("read"))?;
            let now = clock::now();
            let held: Vec<_> = some
                .iter()
                .filter_map(|delivery| {
                    let held = held::read(delivery, now);
                    if held.is_none() {
                        warn!(queue, "a message among those that wait for others cannot be read, and is passed over");
                    }
                    held.map(|held| Event::Held(Box::new(held)))
                })
                .collect();
            let told = join_all(held.iter().map(|event| self.producer.log().record(event))).await;
            if told.iter().any(Result::is_err) {
                // The process ends: the broker keeps them.
                return Err(amqp::Error::ChannelClosed);
            }
            self.trouble.concern();
            if let Some(last) = some.last() {
                let done = last.acker.ack(BasicAckOptions { multiple: true }).await;
                done.map_err(failed("acknowledge a message of"))?;
            }
        }
        Err(amqp::Error::Cancelled { queue })
    }

    // Puts a message of ours into the log: when it is read back, so is everything that was there before. Returns when it is
    // confirmed.
    async fn mark(&self, marker: &str) -> Instant {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = assemble(marker, 1, &[]);
        debug_assert!(Batch::decode(&body).is_ok());
        let message = Outgoing::to_queue(&self.producer.topology().names().log(), properties, body);
        while let Err(error) = self.producer.publisher().publish(&message).await {
            debug!(%error, "the event log takes no marker yet");
            sleep(MARK_AGAIN).await;
        }
        Instant::now()
    }
}

impl Reading {
    async fn new(cabinet: Cabinet) -> Result<Self, Error> {
        let mut ledger = Ledger::new(cabinet.store().clone());
        let stored = ledger.cursor().await?;
        let book = Book::new(ledger.concerns().await?);
        Ok(Self {
            ledger,
            book,
            cabinet,
            lookups: BTreeMap::new(),
            errands: Errands::default(),
            passed: None,
            stored,
            marked: Instant::now(),
            rests_until: Instant::now(),
            sweeps_at: Instant::now(),
            marker: format!("workflows-{}", clock::task_id()),
            is_live: false,
        })
    }

    fn is_stale(&self) -> bool {
        self.stored.is_none() || self.passed.is_some() && self.marked.elapsed() > BETWEEN_MARKS
    }

    async fn commit(&mut self, events: &mut Vec<Event>, next: Option<Cursor>) -> Result<(), Interruption> {
        let Some(next) = next else { return Ok(()) };
        let done = self.ledger.apply(&mut self.book, self.stored.as_ref(), events, &next).await?;
        let Changes { workflows, due, seen, concerns, concluded, .. } = done.ok_or(Interruption::Overtaken)?;
        events.clear();
        if self.is_live {
            self.lookups.extend(concerns.into_iter().map(|task| (task, next.offset)));
            self.errands.conclude(concluded);
        }
        self.stored = Some(next);
        self.passed = None;
        self.marked = Instant::now();
        if self.is_live {
            self.errands.release(due.difference(&seen).cloned());
            let cancelled = workflows.into_iter().filter(|(_, changed)| changed.was_cancelled);
            self.errands.cancel(cancelled.map(|(id, _)| id));
        }
        self.book.trim();
        Ok(())
    }

    // Forgets what was over long ago, here as well.
    async fn sweep(&mut self) -> Result<(), Error> {
        let forgotten = self.ledger.forget(clock::now().minus(KEPT)).await?;
        self.sweeps_at = Instant::now() + if forgotten == 0 { BETWEEN_SWEEPS } else { TICK };
        if forgotten > 0 {
            self.book.forget();
        }
        Ok(())
    }

    async fn go_live(&mut self) -> Result<(), Error> {
        self.is_live = true;
        let (due, cancelled) = (self.ledger.due().await?, self.ledger.cancelled().await?);
        debug!(due = due.len(), "read up to the end of the event log");
        self.errands.release(due);
        self.errands.cancel(cancelled);
        self.errands.conclude(self.ledger.concluded().await?);
        let offset = self.stored.as_ref().map_or(0, |cursor| cursor.offset);
        self.lookups.extend(self.book.concerning().map(|task| (task.clone(), offset)));
        Ok(())
    }

    // What ended before it was waited for is on record, once the projection has come so far.
    async fn look_back(&mut self) -> Result<(), Interruption> {
        let Some(stored) = self.stored.clone().filter(|_| !self.lookups.is_empty()) else { return Ok(()) };
        let Some(projected) = self.ledger.projected().await? else { return Ok(()) };
        let due: Vec<_> =
            self.lookups.iter().filter(|(_, offset)| **offset <= projected).map(|(task, _)| task.clone()).collect();
        let mut events = Vec::new();
        for some in due.chunks(LOOKED_UP_AT_ONCE) {
            events.extend(self.cabinet.ends(some).await?);
        }
        self.lookups.retain(|_, offset| *offset > projected);
        if events.is_empty() { Ok(()) } else { self.commit(&mut events, Some(stored)).await }
    }
}
