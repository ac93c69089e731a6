//! `/api/tasks`: lists of tasks.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{Standing, TaskId, TaskState, record::TaskRecord};

use super::{View, failure::Failure, filter::Filter, scan, task::last_error, time::Time, timeline::counting};

/// Some tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tasks {
    /// The tasks. There may be none on a page that has a next one: a request looks at a bounded number.
    pub tasks: Vec<TaskItem>,
    /// The parameter `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// A task in a list: without its result.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskItem {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Option<String>,
    /// Its queue.
    pub queue: Option<String>,
    /// 0 to 9.
    pub priority: u8,
    /// queued, delayed, running, succeeded, dead, cancelled or expired.
    pub state: String,
    /// Since when it is in this state.
    pub since: Time,
    /// When it was handed in.
    pub submitted: Option<Time>,
    /// While it is delayed: when it may start.
    pub due: Option<Time>,
    /// How many attempts were started.
    pub attempts: usize,
    /// The worker of the latest attempt.
    pub worker: Option<String>,
    /// What last went wrong.
    pub error: Option<String>,
    /// A restart of the broker loses it.
    pub transient: bool,
}

/// Tasks, newest first by the time at which they came into their state.
#[utoipa::path(
    get,
    path = "/api/tasks",
    params(
        ("state" = Option<String>, Query, description = "States, separated by commas"),
        ("queue" = Option<String>, Query, description = "The queue"),
        ("kind" = Option<String>, Query, description = "The kind"),
        ("worker" = Option<String>, Query, description = "A worker that has run it"),
        ("priority" = Option<u8>, Query, description = "0 to 9"),
        ("q" = Option<String>, Query, description = "A part of the id, or of the last error. A task whose whole id this is comes first, however old it is"),
        ("since" = Option<String>, Query, description = "In its state since this time or later: RFC 3339 or epoch ms"),
        ("until" = Option<String>, Query, description = "In its state since this time or earlier: RFC 3339 or epoch ms"),
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "What is known", body = Tasks),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn tasks(
    State(view): State<View>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Tasks>, Failure> {
    let filter = Filter::parse(&query?.0, &TaskState::ALL)?;
    let page = scan::page(&view.store, &filter).await?;
    let tasks = page.tasks.iter().map(|(task, record)| item(task, record)).collect();
    Ok(Json(Tasks { tasks, next: page.next.map(|position| position.encode()) }))
}

fn item(task: &TaskId, record: &TaskRecord) -> TaskItem {
    let about = record.about();
    let mut started = record.attempts.values().filter_map(|attempt| counting(attempt));
    TaskItem {
        id: task.to_string(),
        kind: about.and_then(|about| about.kind.as_ref()).map(ToString::to_string),
        queue: about.map(|about| about.queue.to_string()),
        priority: about.map(|about| about.priority.get()).unwrap_or_default(),
        state: record.state().name().to_owned(),
        since: record.since().into(),
        submitted: record.submission.as_ref().map(|submission| submission.at.into()),
        due: match record.standing() {
            Standing::Delayed { due, .. } => Some(due.into()),
            Standing::Queued { .. }
            | Standing::Running { .. }
            | Standing::Ended { .. }
            | Standing::Buried { .. }
            | Standing::Withdrawn { .. }
            | Standing::Discarded { .. } => None,
        },
        attempts: started.clone().count(),
        worker: started.next_back().map(|run| run.run.worker.to_string()),
        error: last_error(record),
        transient: record.transient,
    }
}
