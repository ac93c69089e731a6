//! What runs in this worker right now.
//!
//! When a connection breaks, the broker hands out again what was not acknowledged, perhaps to this very worker, which
//! still runs it. Such a delivery is not run beside itself: the running attempt takes it over, and acknowledges it
//! together with the one that died. A second copy of the same attempt is treated alike.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio_util::sync::CancellationToken;
use tracing::debug;
use warren_core::{Attempt, Kind, TaskId, Timestamp, worker::Running};

use crate::receipt::Receipt;

/// The running attempts; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<Key, Entry>>>);

type Key = (TaskId, Attempt);

#[derive(Debug)]
struct Entry {
    kind: Kind,
    since: Timestamp,
    receipts: Vec<Receipt>,
    wish: CancellationToken,
}

/// A place on the board, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    board: Board,
    // Taken when the place is left: from then on the board may hold another attempt of the same key.
    key: Option<Key>,
    /// Cancelled when somebody wishes the attempt to end.
    pub wish: CancellationToken,
}

impl Board {
    /// Puts an attempt on the board; `None` if it is running already, and has taken this delivery over.
    pub fn enter(
        &self,
        task: &TaskId,
        attempt: Attempt,
        kind: &Kind,
        since: Timestamp,
        receipt: &Receipt,
    ) -> Option<Place> {
        let key = (task.clone(), attempt);
        let mut entries = self.lock();
        if take_over(&mut entries, &key, receipt) {
            return None;
        }
        let (kind, receipts, wish) = (kind.clone(), vec![receipt.clone()], CancellationToken::new());
        entries.insert(key.clone(), Entry { kind, since, receipts, wish: wish.clone() });
        Some(Place { board: self.clone(), key: Some(key), wish })
    }

    /// Has this delivery taken over by its attempt, if that is running.
    pub fn join(&self, task: &TaskId, attempt: Attempt, receipt: &Receipt) -> bool {
        take_over(&mut self.lock(), &(task.clone(), attempt), receipt)
    }

    /// Asks every running attempt to end whose task is meant.
    pub fn cancel(&self, is_meant: impl Fn(&TaskId) -> bool) {
        let entries = self.lock();
        entries.iter().filter(|((task, _), _)| is_meant(task)).for_each(|(_, entry)| entry.wish.cancel());
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

fn take_over(entries: &mut HashMap<Key, Entry>, key: &Key, receipt: &Receipt) -> bool {
    let Some(entry) = entries.get_mut(key) else { return false };
    debug!("it runs here already, and takes this delivery over");
    entry.receipts.push(receipt.clone());
    true
}

impl Place {
    /// Whether the broker still counts a delivery of this attempt as this worker's.
    pub fn is_held(&self) -> bool {
        let entries = self.board.lock();
        let entry = self.key.as_ref().and_then(|key| entries.get(key));
        entry.is_some_and(|entry| entry.receipts.iter().any(|receipt| !receipt.is_lost()))
    }

    /// Leaves the board, with all the deliveries that came for this attempt.
    pub fn leave(mut self) -> Vec<Receipt> {
        let entry = self.key.take().and_then(|key| self.board.lock().remove(&key));
        entry.map(|entry| entry.receipts).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.board.lock().remove(&key);
        }
    }
}
