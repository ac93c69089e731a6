//! What is wrong, with its evidence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Kind, QueueName, Standing, TaskId, Timestamp, WorkerId,
    record::TaskRecord,
    worker::{Health, Running, WorkerRecord},
};

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A worker fell silent without a goodbye.
    LostWorker {
        /// Who.
        worker: WorkerId,
        /// When it was last heard of.
        seen: Timestamp,
        /// What it said it was running then.
        running: Vec<Running>,
    },
    /// A worker sends heartbeats but takes no tasks.
    NotConsuming {
        /// Who.
        worker: WorkerId,
        /// When it last said so.
        seen: Timestamp,
    },
    /// An attempt goes on past the time at which its worker should have ended it.
    StuckAttempt {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: Attempt,
        /// Where.
        worker: WorkerId,
        /// Since when.
        started: Timestamp,
        /// When it should have been ended.
        limit: Timestamp,
    },
    /// Tasks lie in a queue, and nobody consumes it.
    NoConsumer {
        /// Which queue.
        queue: QueueName,
        /// Messages that wait, by the broker's word.
        waiting: u64,
    },
    /// A queue grows faster than it drains.
    GrowingQueue {
        /// Which queue.
        queue: QueueName,
        /// Tasks that wait.
        waiting: u64,
        /// How many they were at the beginning of the time that was looked at.
        before: u64,
        /// Tasks a second that came into it since then.
        arrival_rate: f64,
        /// Tasks a second that were taken from it since then.
        service_rate: f64,
        /// How long that time is.
        over_seconds: u64,
    },
    /// More attempts of a kind fail than did before.
    FailureRate {
        /// Which kind.
        kind: Kind,
        /// Attempts that failed of late.
        failed: u64,
        /// Of so many that ended.
        ended: u64,
        /// The share that failed, from 0 to 1.
        share: f64,
        /// The share that failed in the hours before.
        usual_share: f64,
    },
    /// Attempts of a kind take longer than they did before.
    SlowKind {
        /// Which kind.
        kind: Kind,
        /// Attempts that ended of late.
        ended: u64,
        /// What 95 of a hundred did not exceed, in milliseconds.
        p95_ms: f64,
        /// What 95 of a hundred did not exceed in the hours before.
        usual_p95_ms: f64,
    },
}

/// What is wrong with a worker, if anything.
pub fn of_worker(worker: &WorkerId, record: &WorkerRecord, now: Timestamp, lost_after: Duration) -> Option<Finding> {
    match record.health(now, lost_after) {
        Health::Lost => Some(Finding::LostWorker {
            worker: worker.clone(),
            seen: record.seen(),
            running: record.heartbeat.as_ref().map(|beat| beat.running.clone()).unwrap_or_default(),
        }),
        // Its first heartbeat tells of a worker that has only begun.
        Health::NotConsuming if record.has_just_begun() => None,
        Health::NotConsuming => Some(Finding::NotConsuming { worker: worker.clone(), seen: record.seen() }),
        Health::Alive | Health::Draining | Health::Stopped => None,
    }
}

/// What is wrong with a task, if anything. `patience` is what a worker may take to end an attempt by force.
pub fn of_task(task: &TaskId, record: &TaskRecord, now: Timestamp, patience: Duration) -> Option<Finding> {
    let Standing::Running { attempt, run } = record.standing() else {
        return None;
    };
    let limit = run.limit.filter(|limit| now > limit.plus(patience))?;
    Some(Finding::StuckAttempt {
        task: task.clone(),
        attempt,
        worker: run.run.worker.clone(),
        started: run.run.started,
        limit,
    })
}
