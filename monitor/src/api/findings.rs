//! `/api/findings`: what is wrong at present.

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::finding::Finding;

use super::{View, failure::Failure, rates::round, time::Time, workers::RunningView};
use crate::found::{self, Found};

/// What is wrong at present.
#[derive(Debug, Serialize, ToSchema)]
pub struct Findings {
    /// The findings.
    pub findings: Vec<FindingView>,
}

/// Something that somebody should look at, with its evidence.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct FindingView {
    /// `lost_worker`, `not_consuming`, `stuck_attempt`, `no_consumer`, `growing_queue`, `failure_rate` or `slow_kind`.
    pub finding: String,
    /// When it was first seen.
    pub since: Option<Time>,
    /// All of it in a sentence.
    pub text: String,
    /// The worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When the worker was last heard of, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Time>,
    /// What a lost worker was running.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningView>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When the attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When the attempt should have been ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Time>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Tasks that wait in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// How many they were before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Tasks a second that came into it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival_rate: Option<f64>,
    /// Tasks a second that were taken from it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_rate: Option<f64>,
    /// How long that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_seconds: Option<u64>,
    /// The kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Attempts that failed of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Attempts that ended of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// The share of them that failed, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The share that failed in the hours before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_share: Option<f64>,
    /// What 95 of a hundred attempts did not exceed of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// What 95 of a hundred did not exceed in the hours before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_p95_ms: Option<f64>,
}

/// What is wrong at present.
#[utoipa::path(
    get,
    path = "/api/findings",
    responses((status = 200, description = "What is known", body = Findings), (status = 503, description = "Redis does not answer"))
)]
pub async fn findings(State(view): State<View>) -> Result<Json<Findings>, Failure> {
    Ok(Json(Findings { findings: view.findings().await? }))
}

impl View {
    /// What the leader found in its last round.
    pub(super) async fn findings(&self) -> Result<Vec<FindingView>, Failure> {
        let stored: Option<Vec<u8>> = self.store.shared().get(self.store.keys().findings()).await?;
        let Some(stored) = stored else { return Ok(Vec::new()) };
        let found: Vec<Found> =
            serde_json::from_slice(&stored).map_err(|error| Failure::unreadable("what was found", &error))?;
        Ok(found.iter().map(FindingView::from).collect())
    }
}

impl From<&Found> for FindingView {
    fn from(found: &Found) -> Self {
        let named = Self {
            finding: found::name(&found.finding).to_owned(),
            since: Some(found.since.into()),
            text: text(&found.finding),
            ..Self::default()
        };
        match &found.finding {
            Finding::LostWorker { worker, seen, running } => Self {
                worker: Some(worker.to_string()),
                seen: Some((*seen).into()),
                running: running.iter().map(RunningView::from).collect(),
                ..named
            },
            Finding::NotConsuming { worker, seen } => {
                Self { worker: Some(worker.to_string()), seen: Some((*seen).into()), ..named }
            }
            Finding::StuckAttempt { task, attempt, worker, started, limit } => Self {
                worker: Some(worker.to_string()),
                task: Some(task.to_string()),
                attempt: Some(attempt.get()),
                started: Some((*started).into()),
                limit: Some((*limit).into()),
                ..named
            },
            Finding::NoConsumer { queue, waiting } => {
                Self { queue: Some(queue.to_string()), waiting: Some(*waiting), ..named }
            }
            Finding::GrowingQueue { queue, waiting, before, arrival_rate, service_rate, over_seconds } => Self {
                queue: Some(queue.to_string()),
                waiting: Some(*waiting),
                before: Some(*before),
                arrival_rate: Some(round(*arrival_rate)),
                service_rate: Some(round(*service_rate)),
                over_seconds: Some(*over_seconds),
                ..named
            },
            Finding::FailureRate { kind, failed, ended, share, usual_share } => Self {
                kind: Some(kind.to_string()),
                failed: Some(*failed),
                ended: Some(*ended),
                share: Some(round(*share)),
                usual_share: Some(round(*usual_share)),
                ..named
            },
            Finding::SlowKind { kind, ended, p95_ms, usual_p95_ms } => Self {
                kind: Some(kind.to_string()),
                ended: Some(*ended),
                p95_ms: Some(round(*p95_ms)),
                usual_p95_ms: Some(round(*usual_p95_ms)),
                ..named
            },
        }
    }
}

fn text(finding: &Finding) -> String {
    match finding {
        Finding::LostWorker { worker, running, .. } => {
            format!("worker {worker} fell silent without a goodbye; it was running {} tasks", running.len())
        }
        Finding::NotConsuming { worker, .. } => format!("worker {worker} lives, but takes no tasks"),
        Finding::StuckAttempt { task, attempt, worker, .. } => {
            format!("attempt {attempt} of task {task} goes on past its limit; worker {worker} should have ended it")
        }
        Finding::NoConsumer { queue, waiting } => {
            format!("{waiting} tasks wait in queue {queue}, and nobody consumes it")
        }
        Finding::GrowingQueue { queue, waiting, before, arrival_rate, service_rate, over_seconds } => format!(
            "queue {queue} has grown from {before} to {waiting} tasks within {over_seconds} s: {arrival_rate:.1} a second \
             come, {service_rate:.1} are taken"
        ),
        Finding::FailureRate { kind, failed, ended, share, usual_share } => format!(
            "{failed} of the last {ended} attempts of {kind} failed: {:.0} %, usually {:.1} %",
            share * 100.0,
            usual_share * 100.0
        ),
        Finding::SlowKind { kind, p95_ms, usual_p95_ms, .. } => {
            format!("95 of 100 attempts of {kind} take up to {p95_ms:.0} ms, usually {usual_p95_ms:.0} ms")
        }
    }
}
