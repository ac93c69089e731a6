//! `/schedules`: what is to run when.

use std::str::FromStr;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use warren_core::ScheduleName;
use warren_producer::schedule::{self, Forecast, LARGEST, Schedules, View};
use warren_runtime::http::Problem;

use super::{answer::Refusal, operator, routes::read};

const DEFAULT_COUNT: usize = 10;
const LARGEST_COUNT: usize = 1_000;

/// The routes of schedules.
pub fn routes(schedules: Schedules) -> Router {
    Router::new()
        .route("/schedules", get(list))
        .route("/schedules/{name}", get(show).put(put).delete(remove))
        .route("/schedules/{name}/next", get(next))
        .route("/schedules/{name}/pause", post(pause))
        .route("/schedules/{name}/resume", post(resume))
        .route("/schedules/{name}/run-now", post(run_now))
        .method_not_allowed_fallback(async || {
            let detail =
                "expected GET, PUT or DELETE of a schedule, GET …/next, or POST …/pause, …/resume or …/run-now";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .with_state(schedules)
}

async fn list(State(schedules): State<Schedules>) -> Result<Response, Refusal> {
    Ok(Json(json!({ "schedules": schedules.list().await? })).into_response())
}

async fn show(State(schedules): State<Schedules>, Path(name): Path<String>) -> Result<Json<View>, Refusal> {
    Ok(Json(schedules.show(&parse(&name)?).await?))
}

async fn put(State(schedules): State<Schedules>, Path(name): Path<String>, body: Body) -> Result<Json<View>, Refusal> {
    let name = parse(&name)?;
    let body = read(body, LARGEST).await?;
    let definition = schedule::read(&name, &body).map_err(|error| Refusal::from(&error))?;
    Ok(Json(schedules.put(&name, definition, operator()).await?))
}

async fn remove(State(schedules): State<Schedules>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    schedules.remove(&parse(&name)?, operator()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(State(schedules): State<Schedules>, Path(name): Path<String>) -> Result<Json<View>, Refusal> {
    Ok(Json(schedules.pause(&parse(&name)?, operator()).await?))
}

async fn resume(State(schedules): State<Schedules>, Path(name): Path<String>) -> Result<Json<View>, Refusal> {
    Ok(Json(schedules.resume(&parse(&name)?, operator()).await?))
}

async fn run_now(State(schedules): State<Schedules>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let task = schedules.run_now(&parse(&name)?, operator()).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": task }))).into_response())
}

async fn next(
    State(schedules): State<Schedules>,
    Path(name): Path<String>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(parameters) = query.map_err(|rejection| Problem::field("query", rejection.body_text()))?;
    let mut count = DEFAULT_COUNT;
    for (name, value) in &parameters {
        if name != "count" {
            return Err(Problem::field(name, "unknown parameter: expected count").into());
        }
        count = usize::from_str(value)
            .ok()
            .filter(|count| (1..=LARGEST_COUNT).contains(count))
            .ok_or_else(|| Problem::field("count", format!("expected a whole number from 1 to {LARGEST_COUNT}")))?;
    }
    let next: Vec<Forecast> = schedules.next(&parse(&name)?, count).await?;
    Ok(Json(json!({ "next": next })).into_response())
}

fn parse(name: &str) -> Result<ScheduleName, Refusal> {
    ScheduleName::parse(name).map_err(|error| Problem::field("name", error.to_string()).into())
}
