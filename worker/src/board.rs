//! What runs in this worker right now.
//!
//! When a connection breaks, the broker hands out again what was not acknowledged, perhaps to this very worker, which
//! still runs it. Such a delivery is not run beside itself: the running attempt takes it over, and acknowledges it
//! instead of the one that died.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use lapin::Acker;
use warren_core::{Attempt, Kind, TaskId, Timestamp, worker::Running};

/// The running attempts; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<Key, Entry>>>);

type Key = (TaskId, Attempt);

#[derive(Debug)]
struct Entry {
    kind: Kind,
    since: Timestamp,
    acker: Acker,
}

/// A place on the board, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    board: Board,
    key: Key,
}

impl Board {
    /// Puts an attempt on the board; `None` if it is running already, and has taken this delivery over.
    pub fn enter(&self, task: &TaskId, attempt: Attempt, kind: &Kind, since: Timestamp, acker: Acker) -> Option<Place> {
        let key = (task.clone(), attempt);
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&key) {
            entry.acker = acker;
            return None;
        }
        entries.insert(key.clone(), Entry { kind: kind.clone(), since, acker });
        Some(Place { board: self.clone(), key })
    }

    /// What runs, the oldest first.
    pub fn running(&self) -> Vec<Running> {
        let entries = self.lock();
        let running = entries.iter().map(|((task, attempt), entry)| Running {
            task: task.clone(),
            kind: entry.kind.clone(),
            attempt: *attempt,
            since: entry.since,
        });
        let mut running: Vec<_> = running.collect();
        running.sort_by(|a, b| (a.since, &a.task).cmp(&(b.since, &b.task)));
        running
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().expect("no panic while the board is locked")
    }
}

impl Place {
    /// The delivery to acknowledge: the latest that came for this attempt.
    pub fn acker(&self) -> Acker {
        self.board
            .lock()
            .get(&self.key)
            .map(|entry| entry.acker.clone())
            .expect("a place is on the board until dropped")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.lock().remove(&self.key);
    }
}
