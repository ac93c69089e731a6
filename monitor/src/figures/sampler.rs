//! Looks at what waits and runs, every ten seconds.

use std::{collections::BTreeMap, time::Duration};

use redis::AsyncCommands;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use warren_core::{Span, TaskState, Timestamp, worker::Health};
use warren_runtime::{
    clock,
    redis::{Error, Store},
};

use super::{Gauge, SAMPLES, Subject, WORKERS, add};
use crate::{index::Counts, worker_entry::WorkerEntry};

/// The component, for one term of leadership.
#[derive(Debug)]
pub struct Sampler {
    /// Where the projection lies.
    pub store: Store,
    /// A worker that is silent for longer is lost.
    pub lost_after: Duration,
}

impl Sampler {
    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = interval(Span::Minutes15.step());
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        while stop.run_until_cancelled(rounds.tick()).await.is_some() {
            match self.round(clock::now()).await {
                Ok(()) => away = false,
                Err(error) => {
                    if !away {
                        warn!(%error, "cannot look at what waits and runs");
                    }
                    away = true;
                }
            }
        }
    }

    async fn round(&self, now: Timestamp) -> Result<(), Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let counts = Counts::load(&self.store).await?;
        let workers: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.workers()).await?;
        let entries = workers.values().filter_map(|entry| serde_json::from_slice::<WorkerEntry>(entry).ok());
        let there = entries.filter(|entry| match entry.health(now, self.lost_after) {
            Health::Alive | Health::Draining | Health::NotConsuming => true,
            Health::Stopped | Health::Lost => false,
        });
        let fields = fields(&counts, i64::try_from(there.count()).unwrap_or(i64::MAX));
        let mut writing = redis::pipe();
        for span in Span::ALL {
            let step = span.step_of(now);
            add(&mut writing, &keys.figures(span, step), span.forgotten(step), fields.clone());
        }
        Ok(writing.exec_async(&mut connection).await?)
    }
}

fn fields(counts: &Counts, workers: i64) -> Vec<(String, i64)> {
    let mut fields = vec![(SAMPLES.to_owned(), 1), (WORKERS.to_owned(), workers)];
    for ((queue, state), number) in counts.queues() {
        if let Some(gauge) = gauge(state) {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            fields.push((format!("{}/{}", Subject::Queue(queue), gauge.name()), number));
        }
    }
    fields
}

fn gauge(state: TaskState) -> Option<Gauge> {
    match state {
        TaskState::Queued => Some(Gauge::Queued),
        TaskState::Delayed => Some(Gauge::Delayed),
        TaskState::Running => Some(Gauge::Running),
        TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired => None,
    }
}
