//! `/api/dead`: the dead letters.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{Fingerprint, Outcome, Standing, TaskId, TaskState, record::TaskRecord};

use super::{
    View,
    failure::Failure,
    filter::Filter,
    scan,
    task::{last_error, reason},
    time::Time,
    timeline::{DecisionView, counting},
};

// What expired lies in the same queues of the broker.
const STATES: [TaskState; 2] = [TaskState::Dead, TaskState::Expired];

/// Some dead letters, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetters {
    /// The dead letters.
    pub dead: Vec<DeadLetter>,
    /// The parameter `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// A task with which nothing more happens by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Option<String>,
    /// The queue that it came from.
    pub queue: Option<String>,
    /// dead or expired.
    pub state: String,
    /// Since when.
    pub since: Time,
    /// Why: `attempts_exhausted`, permanent, invalid, `unknown_kind`, poison or expired.
    pub reason: Option<String>,
    /// How many attempts were started.
    pub attempts: usize,
    /// The last thing that went wrong.
    pub error: Option<String>,
    /// When it failed first.
    pub first_failure: Option<Time>,
    /// When it failed last.
    pub last_failure: Option<Time>,
    /// Names the group of dead letters that it belongs to.
    pub fingerprint: Option<String>,
    /// Who replayed it last, before it died again.
    pub replayed: Option<DecisionView>,
}

/// The dead letters, newest first.
#[utoipa::path(
    get,
    path = "/api/dead",
    params(
        ("state" = Option<String>, Query, description = "dead, expired or both, separated by a comma"),
        ("queue" = Option<String>, Query, description = "The queue"),
        ("kind" = Option<String>, Query, description = "The kind"),
        ("worker" = Option<String>, Query, description = "A worker that has run it"),
        ("fingerprint" = Option<String>, Query, description = "Its group: see /api/dead/groups"),
        ("since" = Option<String>, Query, description = "Dead since this time or later: RFC 3339 or epoch ms"),
        ("until" = Option<String>, Query, description = "Dead since this time or earlier: RFC 3339 or epoch ms"),
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "What is known", body = DeadLetters),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn dead(
    State(view): State<View>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<DeadLetters>, Failure> {
    let filter = Filter::parse(&query?.0, &STATES)?;
    let page = scan::page(&view.store, &filter).await?;
    let dead = page.tasks.iter().map(|(task, record)| letter(task, record)).collect();
    Ok(Json(DeadLetters { dead, next: page.next.map(|position| position.encode()) }))
}

fn letter(task: &TaskId, record: &TaskRecord) -> DeadLetter {
    let about = record.about();
    let ends = record.attempts.values().filter_map(|attempt| attempt.leading()?.end.as_ref());
    let mut failures = ends.filter(|end| !matches!(end.outcome, Outcome::Success { .. })).map(|end| end.at);
    let buried = match record.standing() {
        Standing::Buried { burial, .. } => Some(burial.at),
        Standing::Queued { .. }
        | Standing::Delayed { .. }
        | Standing::Running { .. }
        | Standing::Ended { .. }
        | Standing::Withdrawn { .. }
        | Standing::Discarded { .. } => None,
    };
    let first = failures.next();
    DeadLetter {
        id: task.to_string(),
        kind: about.and_then(|about| about.kind.as_ref()).map(ToString::to_string),
        queue: about.map(|about| about.queue.to_string()),
        state: record.state().name().to_owned(),
        since: record.since().into(),
        reason: reason(record).map(str::to_owned),
        attempts: record.attempts.values().filter_map(|attempt| counting(attempt)).count(),
        error: last_error(record),
        first_failure: first.or(buried).map(Time::from),
        last_failure: buried.or(failures.next_back()).or(first).map(Time::from),
        fingerprint: Fingerprint::of(record).map(|fingerprint| fingerprint.to_string()),
        replayed: record.attempts.values().rev().find_map(|attempt| attempt.replayed.as_ref()).map(DecisionView::from),
    }
}
