//! `/workflows`: steps that wait for each other.

use std::str::FromStr;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use warren_core::WorkflowId;
use warren_producer::workflow::{self, View, Workflows};
use warren_runtime::http::Problem;

use super::{answer::Refusal, operator, routes::read};

const DEFAULT_LIMIT: u16 = 50;
const LARGEST_LIMIT: u16 = 1_000;

// What the routes work with.
#[derive(Debug, Clone)]
struct Desk {
    workflows: Workflows,
    limit: usize,
}

/// The routes of workflows, for requests of at most `limit` bytes.
pub fn routes(workflows: Workflows, limit: usize) -> Router {
    Router::new()
        .route("/workflows", get(list).post(submit))
        .route("/workflows/{id}", get(show))
        .route("/workflows/{id}/results/{*step}", get(result))
        .route("/workflows/{id}/cancel", post(cancel))
        .route("/workflows/{id}/retry", post(retry))
        .method_not_allowed_fallback(async || {
            let detail = "expected POST /workflows, GET of a workflow, GET …/results/STEP, or POST …/cancel or …/retry";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .with_state(Desk { workflows, limit })
}

// In JSON, or in YAML if its content type says so.
async fn submit(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let body = read(body, desk.limit).await?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let workflow = if content_type.contains("yaml") { workflow::read_yaml(&body) } else { workflow::read(&body) };
    let id = desk.workflows.submit(workflow?).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response())
}

async fn list(
    State(desk): State<Desk>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let Query(parameters) = query.map_err(|rejection| Problem::field("query", rejection.body_text()))?;
    let mut limit = DEFAULT_LIMIT;
    for (name, value) in &parameters {
        if name != "limit" {
            return Err(Problem::field(name, "unknown parameter: expected limit").into());
        }
        limit = u16::from_str(value)
            .ok()
            .filter(|limit| (1..=LARGEST_LIMIT).contains(limit))
            .ok_or_else(|| Problem::field("limit", format!("expected a whole number from 1 to {LARGEST_LIMIT}")))?;
    }
    Ok(Json(json!({ "workflows": desk.workflows.list(limit).await? })))
}

async fn show(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Json<View>, Refusal> {
    Ok(Json(desk.workflows.show(&parse(&id)?).await?))
}

async fn result(State(desk): State<Desk>, Path((id, step)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    Ok(Json(desk.workflows.result(&parse(&id)?, &step).await?))
}

async fn cancel(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let view = desk.workflows.cancel(&parse(&id)?, operator()).await?;
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

async fn retry(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let view = desk.workflows.retry(&parse(&id)?, operator()).await?;
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

fn parse(id: &str) -> Result<WorkflowId, Refusal> {
    WorkflowId::parse(id).map_err(|error| Problem::field("id", error.to_string()).into())
}
