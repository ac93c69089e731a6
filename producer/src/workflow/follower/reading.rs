//! One reading of the event log, from a cursor on: what it says of workflows, as it is written down.

use std::{collections::BTreeMap, time::Duration};

use lapin::message::Delivery;
use tokio::time::Instant;
use tracing::debug;
use warren_core::{TaskId, event::Event};
use warren_runtime::{
    clock,
    event_log::{
        cursor::Cursor,
        entry::{Entry, Passing},
    },
};

use super::{Interruption, TICK};
use crate::workflow::{
    Error,
    book::{Book, Changes},
    cabinet::Cabinet,
    engine::Trouble,
    ledger::Ledger,
    release::Errands,
};

const EVENTS_AT_ONCE: usize = 2_000;
// The log holds all events of the pool, and few of them are about workflows: how far it was read is written from time to time.
const BETWEEN_MARKS: Duration = Duration::from_secs(5);
const LOOKED_UP_AT_ONCE: usize = 256;
// A workflow that is over is kept for so long.
const KEPT: Duration = Duration::from_hours(7 * 24);
const BETWEEN_SWEEPS: Duration = Duration::from_mins(1);

/// How far it has come, and what is left to be done.
pub(super) struct Reading {
    cabinet: Cabinet,
    ledger: Ledger,
    pub(super) book: Book,
    pub(super) errands: Errands,
    pub(super) stored: Option<Cursor>,
    // How far it was read since, without anything that concerns us.
    passed: Option<Cursor>,
    marked: Instant,
    // What could not be done is not tried again before.
    pub(super) rests_until: Instant,
    pub(super) sweeps_at: Instant,
    // Tasks that are waited for and may have ended before that was so: asked for when the projection is as far as this.
    pub(super) lookups: BTreeMap<TaskId, u64>,
    pub(super) marker: String,
    pub(super) is_live: bool,
}

impl Reading {
    pub(super) async fn new(cabinet: Cabinet) -> Result<Self, Error> {
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

    // Takes in what has arrived.
    pub(super) async fn take(&mut self, arrived: &[Delivery], trouble: &Trouble) -> Result<(), Interruption> {
        let (mut events, mut last) = (Vec::new(), None);
        let (mut found, mut has_held) = (false, false);
        for delivery in arrived {
            // Few messages are about workflows: of the others the head is enough.
            let speaks = |text: &str| text.contains("flow") || text.contains(r#""held""#);
            let is_ours = self.book.is_concerned() || std::str::from_utf8(&delivery.data).is_ok_and(speaks);
            if is_ours {
                let entry = Entry::read(delivery)?;
                if let Some(batch) = entry.batch() {
                    found |= batch.source == self.marker;
                    let ours = batch.events.iter().filter(|event| {
                        // What a message of this stretch waits for may end in the same stretch.
                        !self.book.subjects(event).is_empty() || has_held && event.task().is_some()
                    });
                    events.extend(ours.cloned());
                    has_held |= events.iter().any(|event| matches!(event, Event::Held(_)));
                }
                last = Some(entry.cursor);
            } else {
                last = Some(Passing::read(delivery)?.cursor);
            }
            if events.len() >= EVENTS_AT_ONCE {
                self.commit(&mut events, last.take()).await?;
            }
        }
        if !events.is_empty() {
            trouble.concern();
        }
        if let Some(last) = last {
            if events.is_empty() && !self.is_stale() {
                self.passed = Some(last);
            } else {
                self.commit(&mut events, Some(last)).await?;
            }
        }
        if found && !self.is_live {
            self.go_live().await?;
            trouble.set(None);
        }
        Ok(())
    }

    // Forgets what was over long ago, here as well.
    pub(super) async fn sweep(&mut self) -> Result<(), Error> {
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
    pub(super) async fn look_back(&mut self) -> Result<(), Interruption> {
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
}
