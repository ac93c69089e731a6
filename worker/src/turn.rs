//! Whose turn it is among the deliveries of the lanes for order keys.

use std::sync::{Arc, Mutex, MutexGuard};

use futures::task::AtomicWaker;
use lapin::message::Delivery;
use tokio::time::Instant;
use warren_core::{OrderKey, row::Row};

use crate::{lanes::Lane, receipt::Receipt};

/// A delivery in its lane.
#[derive(Debug)]
pub struct Entry {
    /// What it is to be run as.
    pub lane: Lane,
    /// The delivery, or what it has become.
    pub delivery: Delivery,
    /// By which it is let go.
    pub receipt: Receipt,
}

/// Of one lane, one key.
pub type Key = (u32, Option<OrderKey>);

/// The turns of all lanes; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Waited>);

#[derive(Debug, Default)]
struct Waited {
    row: Mutex<Row<Key, Entry, Instant>>,
    waker: AtomicWaker,
}

/// What is out keeps its key from the others until this is dropped.
#[derive(Debug)]
pub struct Turn {
    key: Key,
    turns: Turns,
}

impl Turns {
    /// What waits and what is out.
    pub fn lock(&self) -> MutexGuard<'_, Row<Key, Entry, Instant>> {
        self.0.row.lock().expect("no panic while a turn is decided")
    }

    /// Whom to wake when that changes.
    pub fn waker(&self) -> &AtomicWaker {
        &self.0.waker
    }

    /// For what was taken out: it is its turn.
    pub fn turn(&self, key: Key) -> Turn {
        Turn { key, turns: self.clone() }
    }
}

impl Turn {
    /// It is not over: the delivery keeps its place, and is taken again at that time.
    pub fn again(&self, entry: Entry, not_before: Instant) {
        let is_apart = entry.lane == Lane::Suspects;
        self.turns.lock().again(&self.key, entry, not_before, is_apart);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().over(&self.key);
        self.turns.waker().wake();
    }
}
