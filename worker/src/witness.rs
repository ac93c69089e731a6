//! What is on record, as far as somebody answers.
//!
//! Redis is asked only here, and never waited for long. Who asks in vain is not kept waiting again for a while.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::AsyncCommands;
use tokio::time::{Instant, timeout};
use tracing::debug;
use warren_core::{TaskId, WorkerId, record::TaskRecord, worker::WorkerRecord};
use warren_runtime::{amqp::session::chain, redis::Store};

const PATIENCE: Duration = Duration::from_secs(1);
// After a question without an answer, or a record that was waited for in vain, nothing is held up for this long.
const FORBEARANCE: Duration = Duration::from_secs(3);
// Every worker's heartbeats pass through the log, so a monitor that reads it moves on by itself.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Whoever can be asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Witness {
    store: Store,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    silent: Option<Instant>,
    behind: Option<Instant>,
    // How far the projection was, and when that was seen first.
    cursor: Option<(u64, Instant)>,
}

impl Witness {
    /// Asks this store.
    pub fn new(store: Store) -> Self {
        Self { store, seen: Arc::default() }
    }

    /// The record of a task; `None` where nobody answers.
    pub async fn task(&self, task: &TaskId) -> Option<TaskRecord> {
        Some(self.ask(self.store.task(task)).await?.unwrap_or_default())
    }

    /// The records of workers, each if there is one; `None` where nobody answers.
    pub async fn workers(&self, workers: &[WorkerId]) -> Option<Vec<Option<WorkerRecord>>> {
        if workers.is_empty() {
            // HMGET without a field is an error.
            return Some(Vec::new());
        }
        let (mut store, key) = (self.store.shared(), self.store.keys().workers());
        let fields: Vec<_> = workers.iter().map(WorkerId::as_str).collect();
        let texts: Vec<Option<Vec<u8>>> = self.ask(store.hmget(key, &fields)).await?;
        Some(texts.into_iter().map(|text| serde_json::from_slice(&text?).ok()).collect())
    }

    /// Whether somebody answers and the projection moves on, so that what is in the log will be on record.
    pub async fn is_moving(&self) -> bool {
        if self.is_silent() {
            return false;
        }
        let (mut store, key) = (self.store.shared(), self.store.keys().cursor());
        let offset: Option<Option<u64>> = self.ask(store.hget(key, "offset")).await;
        // Before the first word of a projection that begins anew there is no offset.
        let Some(offset) = offset.map(Option::unwrap_or_default) else { return false };
        let cursor = &mut self.seen().cursor;
        match cursor {
            Some((known, since)) if *known == offset => since.elapsed() < STANDSTILL,
            _ => {
                *cursor = Some((offset, Instant::now()));
                true
            }
        }
    }

    /// Whether a question was not answered a moment ago.
    pub fn is_silent(&self) -> bool {
        self.seen().silent.is_some_and(|since| since.elapsed() < FORBEARANCE)
    }

    /// Whether a record was waited for in vain a moment ago.
    pub fn is_behind(&self) -> bool {
        self.seen().behind.is_some_and(|since| since.elapsed() < FORBEARANCE)
    }

    /// A record was waited for in vain.
    pub fn fell_behind(&self) {
        self.seen().behind = Some(Instant::now());
    }

    async fn ask<T, E: std::error::Error>(&self, question: impl Future<Output = Result<T, E>>) -> Option<T> {
        match timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                debug!(error = chain(&error), "no record to consult");
                None
            }
            Err(_) => {
                self.seen().silent = Some(Instant::now());
                None
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while looking at a clock")
    }
}
