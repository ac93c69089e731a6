//! What everybody may ask: a JSON API over the projection, described at `/api/openapi.json`.
//!
//! Every monitor answers, the leader or not, and from Redis alone.

mod dead;
mod failure;
pub(crate) mod filter;
mod findings;
mod live;
mod overview;
pub(crate) mod position;
mod queues;
mod rates;
mod scan;
mod series;
mod task;
mod tasks;
mod time;
mod timeline;
mod workers;

use std::time::Duration;

use axum::{Json, Router, http::StatusCode, routing::get};
use utoipa::OpenApi;
use warren_core::QueueName;
use warren_runtime::{http::Problem, redis::Store};

pub use live::{Listening, Live};

use crate::config::Config;

/// What the answers are made from; cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    store: Store,
    namespace: QueueName,
    process: String,
    lost_after: Duration,
}

impl View {
    /// For the process of this name.
    pub fn new(config: &Config, process: &str, store: Store) -> Self {
        let Config { namespace, lost_after, .. } = config;
        Self { store, namespace: namespace.clone(), process: process.to_owned(), lost_after: *lost_after }
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
        findings::findings,
        series::series,
        live::live,
    )
)]
struct Description;

/// All routes; they belong behind the guard, as the page does.
pub fn routes(view: View, listening: Listening) -> Router {
    Router::new()
        .route("/api/openapi.json", get(async || Json(Description::openapi())))
        .route("/api/overview", get(overview::overview))
        .route("/api/queues", get(queues::queues))
        .route("/api/workers", get(workers::workers))
        .route("/api/workers/{id}", get(workers::worker))
        .route("/api/tasks", get(tasks::tasks))
        .route("/api/tasks/{id}", get(task::task))
        .route("/api/dead", get(dead::dead))
        .route("/api/findings", get(findings::findings))
        .route("/api/series", get(series::series))
        .route("/api/live", get(live::live).with_state(listening))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here: see /api/openapi.json"))
        .with_state(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_whole() {
        let description = serde_json::to_value(Description::openapi()).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 10);
        for (path, operations) in paths {
            for (status, response) in operations["get"]["responses"].as_object().unwrap() {
                // OpenAPI demands it, and readers refuse the whole document without it.
                assert!(response["description"].is_string(), "{path} {status}");
            }
        }
    }
}
