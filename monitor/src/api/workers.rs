//! `/api/workers`: who works, and how they are.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{
    Timestamp, WorkerId,
    command::{Command, Order, Target},
    worker::Health,
};
use warren_runtime::{clock, http::Problem, redis::Keys};

use super::{View, failure::Failure, order::Asked, time::Time};
use crate::worker_entry::WorkerEntry;

/// All workers that are known.
#[derive(Debug, Serialize, ToSchema)]
pub struct Workers {
    /// The workers, those that stopped or were lost within the last day included.
    pub workers: Vec<WorkerView>,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// Its id: another one after each start.
    pub id: String,
    /// alive, draining, `not_consuming`, stopped or lost.
    #[schema(value_type = String)]
    pub health: Health,
    /// The machine or container.
    pub host: Option<String>,
    /// The process id there.
    pub pid: Option<u32>,
    /// Warren's version.
    pub version: Option<String>,
    /// Room for attempts.
    pub slots: Option<u32>,
    /// Slots in use.
    pub busy: u32,
    /// Attempts ended since the start.
    pub ended: u64,
    /// Where it takes tasks from, with their weights.
    pub queues: BTreeMap<String, u32>,
    /// What it can run.
    pub kinds: Vec<String>,
    /// When it started, by its own clock.
    pub started: Option<Time>,
    /// Its last heartbeat, by its own clock.
    pub last_heartbeat: Option<Time>,
    /// When it was last heard of, by the monitor's clock.
    pub seen: Time,
    /// When it ended in good order.
    pub stopped: Option<Time>,
    /// The machine's load average over one minute.
    pub load: Option<f64>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
    /// What it runs, as its last heartbeat said.
    pub running: Vec<RunningView>,
    /// Who has told it to drain; null otherwise.
    pub draining_by: Option<Asked>,
    /// The queues that it does not take from at present, because they are paused.
    pub paused: Vec<String>,
}

/// An attempt that a worker runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunningView {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// Which attempt.
    pub attempt: u32,
    /// Since when.
    pub since: Time,
}

impl From<&warren_core::worker::Running> for RunningView {
    fn from(running: &warren_core::worker::Running) -> Self {
        Self {
            task: running.task.to_string(),
            kind: running.kind.to_string(),
            attempt: running.attempt.get(),
            since: running.since.into(),
        }
    }
}

/// All workers.
#[utoipa::path(
    get,
    path = "/api/workers",
    responses((status = 200, description = "What is known", body = Workers), (status = 503, description = "Redis does not answer"))
)]
pub async fn workers(State(view): State<View>) -> Result<Json<Workers>, Failure> {
    let (now, orders) = (clock::now(), view.orders().await?);
    let workers = view.workers().await?.iter().map(|(id, entry)| view.worker(id, entry, &orders, now)).collect();
    Ok(Json(Workers { workers }))
}

/// One worker.
#[utoipa::path(
    get,
    path = "/api/workers/{id}",
    params(("id" = String, Path, description = "The worker's id")),
    responses(
        (status = 200, description = "What is known", body = WorkerView),
        (status = 404, description = "Nothing is known of it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn worker(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<WorkerView>, Failure> {
    let Path(id) = id?;
    let worker = WorkerId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
    let stored: Option<Vec<u8>> = view.store.shared().hget(view.store.keys().workers(), worker.as_str()).await?;
    let stored = stored.ok_or_else(|| Failure::unknown("worker", &id))?;
    let entry = serde_json::from_slice(&stored).map_err(|error| Failure::unreadable("the worker", &error))?;
    Ok(Json(view.worker(&worker, &entry, &view.orders().await?, clock::now())))
}

impl View {
    /// All workers that can be read, by id.
    pub(super) async fn workers(&self) -> Result<BTreeMap<WorkerId, WorkerEntry>, Failure> {
        let stored: BTreeMap<String, Vec<u8>> = self.store.shared().hgetall(self.store.keys().workers()).await?;
        let read =
            |(id, entry): (String, Vec<u8>)| Some((WorkerId::parse(&id).ok()?, serde_json::from_slice(&entry).ok()?));
        Ok(stored.into_iter().filter_map(read).collect())
    }

    fn worker(
        &self,
        id: &WorkerId,
        entry: &WorkerEntry,
        orders: &BTreeMap<String, Order>,
        now: Timestamp,
    ) -> WorkerView {
        let drain = orders.get(&Keys::order_field(&Target::Worker(id.clone())));
        let hello = entry.record.hello.as_ref();
        let heartbeat = entry.record.heartbeat.as_ref();
        let queues = hello.iter().flat_map(|hello| &hello.queues);
        let running = heartbeat.map(|heartbeat| heartbeat.running.as_slice()).unwrap_or_default();
        WorkerView {
            id: id.to_string(),
            health: entry.health(now, self.lost_after),
            host: hello.map(|hello| hello.host.clone()),
            pid: hello.map(|hello| hello.pid),
            version: hello.map(|hello| hello.version.clone()),
            slots: hello.map(|hello| hello.slots),
            busy: heartbeat.map(|heartbeat| heartbeat.busy).unwrap_or_default(),
            ended: heartbeat.map(|heartbeat| heartbeat.ended).unwrap_or_default(),
            queues: queues.map(|(queue, weight)| (queue.to_string(), *weight)).collect(),
            kinds: hello.iter().flat_map(|hello| &hello.kinds).map(ToString::to_string).collect(),
            started: hello.map(|hello| hello.at.into()),
            last_heartbeat: heartbeat.map(|heartbeat| heartbeat.at.into()),
            seen: entry.received.into(),
            stopped: entry.record.stopped.map(Time::from),
            load: heartbeat.and_then(|heartbeat| heartbeat.load),
            memory: heartbeat.and_then(|heartbeat| heartbeat.memory),
            running: running.iter().map(RunningView::from).collect(),
            draining_by: drain.filter(|order| matches!(order.command, Command::Drain { .. })).map(Asked::from),
            paused: heartbeat.iter().flat_map(|heartbeat| &heartbeat.paused).map(ToString::to_string).collect(),
        }
    }
}
