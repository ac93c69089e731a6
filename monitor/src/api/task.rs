//! `/api/tasks/{id}`: everything known of one task.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warren_core::{
    Fingerprint, Outcome, Output, Standing, TaskId, Verdict,
    preview::{Content, Preview},
    record::TaskRecord,
};
use warren_runtime::http::Problem;

use super::{
    View,
    failure::Failure,
    order::{ActionView, Asked},
    time::Time,
    timeline::{AttemptView, DecisionView, ReplayView, replays, timeline},
};
use crate::audit::Entry;

/// A task with its timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// Its kind; null if its message named none.
    pub kind: Option<String>,
    /// Its queue; null while only scraps of it are known.
    pub queue: Option<String>,
    /// 0 to 9.
    pub priority: u8,
    /// queued, delayed, running, succeeded, dead, cancelled or expired.
    pub state: String,
    /// Since when it is in this state.
    pub since: Time,
    /// When it was handed in; null if nobody said so.
    pub submitted: Option<Time>,
    /// While it is delayed: when it may start.
    pub due: Option<Time>,
    /// It starts no later.
    pub deadline: Option<Time>,
    /// Bytes of payload.
    pub size: Option<u64>,
    /// The first bytes of the payload; null if they are not kept, or no longer.
    pub payload: Option<PayloadView>,
    /// Who handed it in.
    pub app: Option<String>,
    /// Those of its queue with the same key run one at a time, in order.
    pub order_key: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The attempts that were made.
    pub attempts: Vec<AttemptView>,
    /// What it gave back.
    pub result: Option<Value>,
    /// The size of a result that was too long to be kept.
    pub result_bytes: Option<u64>,
    /// Why it is a dead letter: `attempts_exhausted`, permanent, invalid, `unknown_kind`, poison or expired.
    pub reason: Option<String>,
    /// The last thing that went wrong with it.
    pub error: Option<String>,
    /// Names the group of dead letters that it belongs to.
    pub fingerprint: Option<String>,
    /// Its replays from the dead letters, earliest first.
    pub replays: Vec<ReplayView>,
    /// Who threw it away from the dead letters; its state is cancelled then.
    pub discarded: Option<DecisionView>,
    /// What its owner should know.
    pub warning: Option<String>,
    /// Who has cancelled it, whether it has ended by that or not; null if nobody has.
    pub cancel: Option<Asked>,
    /// What was done to it, newest first; the latest twenty.
    pub actions: Vec<ActionView>,
}

/// The first bytes of a payload: as text where they are text, else in base64.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayloadView {
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Bytes that are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The size of the whole payload.
    pub bytes: u64,
    /// This is not all of it.
    pub truncated: bool,
    /// What the payload says it is.
    pub content_type: Option<String>,
}

fn payload(preview: &Preview, bytes: u64) -> PayloadView {
    let (text, base64) = match &preview.content {
        Content::Text(text) => (Some(text.clone()), None),
        Content::Binary(base64) => (None, Some(base64.clone())),
    };
    let truncated = bytes > preview.bytes() as u64;
    PayloadView { text, base64, bytes, truncated, content_type: preview.content_type.clone() }
}

/// Everything known of a task.
#[utoipa::path(
    get,
    path = "/api/tasks/{id}",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    responses(
        (status = 200, description = "What is known", body = TaskView),
        (status = 404, description = "Nothing is known of it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn task(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<TaskView>, Failure> {
    let Path(id) = id?;
    let task = TaskId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
    let record = view.store.task(&task).await?.ok_or_else(|| Failure::unknown("task", &id))?;
    let mut told = describe(&task, &record);
    let ids: Vec<_> = told.actions.iter().map(|action| action.id.clone()).collect();
    let mut details = view.details(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for action in &mut told.actions {
        action.detail = details.remove(&action.id);
    }
    Ok(Json(told))
}

const TRANSIENT: &str = "the message is not persistent: a restart of the broker loses it (delivery_mode 2 keeps it)";

/// A task as the API tells it.
pub fn describe(task: &TaskId, record: &TaskRecord) -> TaskView {
    let about = record.about();
    let submission = record.submission.as_ref();
    let (result, result_bytes) = result(record);
    TaskView {
        id: task.to_string(),
        kind: about.and_then(|about| about.kind.as_ref()).map(ToString::to_string),
        queue: about.map(|about| about.queue.to_string()),
        priority: about.map(|about| about.priority.get()).unwrap_or_default(),
        state: record.state().name().to_owned(),
        since: record.since().into(),
        submitted: submission.map(|submission| submission.at.into()),
        due: match record.standing() {
            Standing::Delayed { due, .. } => Some(due.into()),
            Standing::Queued { .. }
            | Standing::Running { .. }
            | Standing::Ended { .. }
            | Standing::Buried { .. }
            | Standing::Withdrawn { .. }
            | Standing::Discarded { .. } => None,
        },
        deadline: submission.and_then(|submission| submission.deadline).map(Time::from),
        size: submission.map(|submission| submission.size),
        payload: submission.and_then(|submission| Some(payload(submission.preview.as_ref()?, submission.size))),
        app: submission.and_then(|submission| submission.app.clone()),
        order_key: submission.and_then(|submission| submission.order_key.as_ref()).map(ToString::to_string),
        traceparent: record.traceparent.clone(),
        attempts: timeline(record),
        result,
        result_bytes,
        reason: reason(record).map(str::to_owned),
        error: last_error(record),
        fingerprint: Fingerprint::of(record).map(|fingerprint| fingerprint.to_string()),
        replays: replays(record),
        discarded: match record.standing() {
            Standing::Discarded { decision, .. } => Some(decision.into()),
            Standing::Queued { .. }
            | Standing::Delayed { .. }
            | Standing::Running { .. }
            | Standing::Ended { .. }
            | Standing::Buried { .. }
            | Standing::Withdrawn { .. } => None,
        },
        warning: record.transient.then(|| TRANSIENT.to_owned()),
        cancel: record.cancel.as_ref().map(Asked::from),
        actions: record.orders.iter().rev().filter_map(Entry::of_order).map(|entry| ActionView::from(&entry)).collect(),
    }
}

/// Why a task is a dead letter, if it is one.
pub fn reason(record: &TaskRecord) -> Option<&'static str> {
    match record.standing() {
        Standing::Ended { end, .. } => match end.verdict {
            Verdict::DeadLetter { reason } => Some(reason.name()),
            Verdict::Complete | Verdict::Retry { .. } | Verdict::Cancel => None,
        },
        Standing::Buried { burial, .. } => Some(burial.reason.name()),
        Standing::Queued { .. }
        | Standing::Delayed { .. }
        | Standing::Running { .. }
        | Standing::Withdrawn { .. }
        | Standing::Discarded { .. } => None,
    }
}

/// The last thing that went wrong with a task; nothing once it has succeeded.
pub fn last_error(record: &TaskRecord) -> Option<String> {
    if let Some(burial) = record.attempts.values().next_back().and_then(|last| last.buried.as_ref())
        && matches!(record.standing(), Standing::Buried { .. } | Standing::Discarded { .. })
    {
        return Some(burial.error.clone());
    }
    let ends = record.attempts.values().rev().filter_map(|attempt| attempt.leading()?.end.as_ref());
    ends.map(|end| end.outcome.error()).next().flatten()
}

fn result(record: &TaskRecord) -> (Option<Value>, Option<u64>) {
    let Standing::Ended { end, .. } = record.standing() else { return (None, None) };
    match &end.outcome {
        Outcome::Success { output: Some(Output::Json(value)) } => (Some(value.clone()), None),
        Outcome::Success { output: Some(Output::Text(text)) } => (Some(Value::String(text.clone())), None),
        Outcome::Success { output: Some(Output::TooLong(bytes)) } => (None, Some(*bytes)),
        Outcome::Success { output: None }
        | Outcome::Retryable { .. }
        | Outcome::Permanent { .. }
        | Outcome::Timeout { .. }
        | Outcome::Cancelled
        | Outcome::Crashed { .. } => (None, None),
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
