//! What the leader knows of the schedules, and how it comes to know of changes.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use tracing::error;
use warren_core::{ScheduleName, Timestamp, schedule::Kept};
use warren_runtime::amqp::session::chain;

use super::{
    Clockwork, Error,
    cabinet::Cabinet,
    registry::clockwork,
    sync::{self, File},
    turn::Turn,
};

const BETWEEN_RESTORATIONS: Duration = Duration::from_secs(10);
const WHILE_MISSED: Duration = Duration::from_secs(1);

/// What the leader knows of a schedule.
#[derive(Debug)]
pub struct Known {
    pub kept: Kept,
    pub clockwork: Clockwork,
    pub turn: Turn,
    /// When it is to be looked at again.
    pub look: Timestamp,
}

/// Every schedule, as it was read last.
#[derive(Debug, Default)]
pub struct Book {
    edition: Option<String>,
    restored: Option<Instant>,
    read: Option<Instant>,
    known: BTreeMap<ScheduleName, Known>,
    // What vanished without having been removed: Redis was flushed, and it may come back. It goes on where it was.
    lost: BTreeMap<ScheduleName, Known>,
}

impl Known {
    // Every tick up to here is decided, or none of its.
    fn reached(&self, now: Timestamp) -> Timestamp {
        if self.kept.definition.paused { now } else { self.turn.decided().max(self.kept.since) }
    }
}

impl Book {
    /// The schedules that are to be looked at.
    pub fn due(&mut self, now: Timestamp) -> impl Iterator<Item = (&ScheduleName, &mut Known)> {
        self.known.iter_mut().filter(move |(_, known)| known.look <= now)
    }

    /// When the next is to be looked at.
    pub fn next(&self) -> Option<Timestamp> {
        self.known.values().map(|known| known.look).min()
    }

    /// At the beginning of a term. A flush of Redis takes the lease along, and then this process knows better than Redis how
    /// far it was; but only if nobody else can have led in between.
    pub fn begin(&mut self, lease: Duration) {
        if self.read.is_none_or(|read| read.elapsed() >= lease) {
            *self = Self::default();
        }
        self.restored = None;
        for known in self.known.values_mut() {
            known.look = Timestamp::default();
        }
    }

    /// Reads the schedules anew if they have changed, and from time to time brings them together with the file and with
    /// what the log knows.
    pub async fn refresh(&mut self, cabinet: &Cabinet, file: &File, now: Timestamp) -> Result<(), Error> {
        let edition = cabinet.edition().await?;
        let is_old = edition.is_none() || self.edition != edition;
        let patience = if self.lost.is_empty() { BETWEEN_RESTORATIONS } else { WHILE_MISSED };
        let restoring = self.restored.is_none_or(|restored| restored.elapsed() > patience);
        if !is_old && !restoring {
            self.read = Some(Instant::now());
            return Ok(());
        }
        let (mut entries, unreadable) = cabinet.entries().await?;
        for error in &unreadable {
            error!(error = chain(error), "a schedule does not run");
        }
        // Where a schedule begins that is not stored: where this process left it, or now.
        let begins = |name: &ScheduleName| {
            self.known.get(name).or_else(|| self.lost.get(name)).map_or(now, |known| known.reached(now))
        };
        if restoring && sync::restore(cabinet, &entries, begins).await? {
            entries = cabinet.entries().await?.0;
        }
        if sync::follow(cabinet, &entries, file, now, begins).await? {
            entries = cabinet.entries().await?.0;
        }
        if restoring {
            self.restored = Some(Instant::now());
        }
        let mut before = std::mem::take(&mut self.lost);
        before.append(&mut self.known);
        for (name, stored) in entries {
            let known = before.remove(&name);
            let Some(kept) = stored.value.kept else { continue };
            match Known::renewed(&name, kept, known) {
                Ok(known) => drop(self.known.insert(name, known)),
                Err(error) => error!(error = chain(&error), "a schedule does not run"),
            }
        }
        self.lost = before;
        // What was put in the meantime is read in the next round.
        self.edition = edition;
        self.read = Some(Instant::now());
        Ok(())
    }
}

impl Known {
    fn renewed(name: &ScheduleName, kept: Kept, known: Option<Self>) -> Result<Self, Error> {
        match known {
            Some(known) if known.kept == kept => Ok(known),
            changed => {
                let clockwork = clockwork(name, &kept.definition)?;
                let turn = changed.map(|known| known.turn).unwrap_or_default();
                Ok(Self { kept, clockwork, turn, look: Timestamp::default() })
            }
        }
    }
}
