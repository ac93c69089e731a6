//! `/api/findings`: what is wrong at present.

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::finding::Finding;

use super::{View, failure::Failure, time::Time, workers::RunningView};
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
    /// `lost_worker`, `not_consuming` or `stuck_attempt`.
    pub finding: String,
    /// When it was first seen.
    pub since: Option<Time>,
    /// The worker.
    pub worker: String,
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
            ..Self::default()
        };
        match &found.finding {
            Finding::LostWorker { worker, seen, running } => Self {
                worker: worker.to_string(),
                seen: Some((*seen).into()),
                running: running.iter().map(RunningView::from).collect(),
                ..named
            },
            Finding::NotConsuming { worker, seen } => {
                Self { worker: worker.to_string(), seen: Some((*seen).into()), ..named }
            }
            Finding::StuckAttempt { task, attempt, worker, started, limit } => Self {
                worker: worker.to_string(),
                task: Some(task.to_string()),
                attempt: Some(attempt.get()),
                started: Some((*started).into()),
                limit: Some((*limit).into()),
                ..named
            },
        }
    }
}
