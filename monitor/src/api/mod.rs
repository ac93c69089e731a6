//! What everybody may ask: a JSON API over the projection, described at `/api/openapi.json`.
//!
//! Every monitor answers, the leader or not, and from Redis alone. Orders go to the command log and to the event log, and
//! are known here when they come back from there.

mod actions;
mod bulk;
mod dead;
mod description;
mod failure;
pub(crate) mod filter;
mod findings;
mod groups;
mod jobs;
mod letter;
mod live;
mod order;
mod overview;
pub(crate) mod position;
mod queues;
mod rates;
mod replay;
mod scan;
mod schedules;
mod series;
mod steer;
mod task;
mod tasks;
mod time;
mod timeline;
mod waiting;
mod wish;
mod workers;
mod workflows;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use utoipa::OpenApi;
use warren_core::QueueName;
use warren_runtime::{command_log::CommandLog, event_log::EventLog, http::Problem, redis::Store};

use description::Door;
pub use findings::FindingView;
pub use live::{Listening, Live};
pub use time::Time;

use crate::{config::Config, letters::desk::Desk};

// The largest payload, in base64, with room for headers.
const LARGEST_EDIT: usize = 24 << 20;

/// Where orders go; cheap to clone.
#[derive(Debug, Clone)]
pub struct Steering {
    /// For the workers.
    pub commands: CommandLog,
    /// For the projection.
    pub log: EventLog,
}

/// What the answers are made from; cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    store: Store,
    namespace: QueueName,
    process: String,
    lost_after: Duration,
    steering: Steering,
    desk: Desk,
    door: Door,
}

impl View {
    /// For the process of this name.
    pub fn new(config: &Config, process: &str, store: Store, steering: Steering) -> Self {
        let Config { namespace, lost_after, http, .. } = config;
        let (namespace, process, desk) = (namespace.clone(), process.to_owned(), Desk::new(store.clone()));
        let door = if matches!(http.secret(), Ok(None)) { Door::Open } else { Door::Locked };
        Self { store, namespace, process, lost_after: *lost_after, steering, desk, door }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Warren monitor",
        description = "Every task, worker and queue of a Warren pool. Times are RFC 3339 in UTC."
    ),
    paths(
        overview::overview,
        queues::queues,
        workers::workers,
        workers::worker,
        tasks::tasks,
        task::task,
        dead::dead,
        groups::groups,
        findings::findings,
        series::series,
        live::live,
        actions::actions,
        bulk::bulk,
        steer::cancel,
        steer::run_now,
        steer::pause,
        steer::resume,
        steer::drain,
        steer::resume_worker,
        waiting::waiting,
        letter::letter,
        replay::replay,
        replay::discard,
        replay::retry,
        replay::replay_group,
        replay::discard_group,
        jobs::jobs,
        jobs::stop,
        jobs::go_on,
        schedules::schedules,
        workflows::workflows,
        workflows::workflow,
        workflows::cancel,
        workflows::retry,
    )
)]
struct Description;

/// All routes; they belong behind the guard, as the page does.
pub fn routes(view: View, listening: Listening) -> Router {
    let description = description::document(&Description::openapi(), view.door);
    Router::new()
        .route("/api/openapi.json", get(async move || Json(description)))
        .route("/api/overview", get(overview::overview))
        .route("/api/queues", get(queues::queues))
        .route("/api/workers", get(workers::workers))
        .route("/api/workers/{id}", get(workers::worker))
        .route("/api/tasks", get(tasks::tasks))
        .route("/api/tasks/{id}", get(task::task))
        .route("/api/tasks/{id}/waiting", get(waiting::waiting))
        .route("/api/dead", get(dead::dead))
        .route("/api/dead/groups", get(groups::groups))
        .route("/api/findings", get(findings::findings))
        .route("/api/series", get(series::series))
        .route("/api/live", get(live::live).with_state(listening))
        .route("/api/schedules", get(schedules::schedules))
        .route("/api/workflows", get(workflows::workflows))
        .route("/api/workflows/{id}", get(workflows::workflow))
        .route("/api/workflows/{id}/cancel", post(workflows::cancel))
        .route("/api/workflows/{id}/retry", post(workflows::retry))
        .route("/api/actions", get(actions::actions))
        .route("/api/tasks/actions", post(bulk::bulk))
        .route("/api/tasks/{id}/cancel", post(steer::cancel))
        .route("/api/tasks/{id}/run-now", post(steer::run_now))
        .route("/api/queues/{queue}/pause", post(steer::pause))
        .route("/api/queues/{queue}/resume", post(steer::resume))
        .route("/api/workers/{id}/drain", post(steer::drain))
        .route("/api/workers/{id}/resume", post(steer::resume_worker))
        .route("/api/dead/{id}", get(letter::letter))
        .route("/api/dead/{id}/replay", post(replay::replay).layer(DefaultBodyLimit::max(LARGEST_EDIT)))
        .route("/api/dead/{id}/discard", post(replay::discard))
        .route("/api/dead/groups/{fingerprint}/replay", post(replay::replay_group))
        .route("/api/dead/groups/{fingerprint}/discard", post(replay::discard_group))
        .route("/api/tasks/{id}/retry", post(replay::retry))
        .route("/api/jobs", get(jobs::jobs))
        .route("/api/jobs/{id}/stop", post(jobs::stop))
        .route("/api/jobs/{id}/continue", post(jobs::go_on))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is done by another method: see /api/openapi.json")
        })
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here: see /api/openapi.json"))
        .with_state(view)
}
