//! `/api/dead/{id}`: a dead letter itself, read from its queue.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warren_core::{Fingerprint, QueueName, TaskId, record::TaskRecord};
use warren_runtime::http::Problem;

use super::{View, failure::Failure, time::Time};
use crate::letters::question::{self, Answer, Said};

/// A dead letter as it lies in its queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterView {
    /// The id of its task.
    pub id: String,
    /// The queue that it came from.
    pub queue: String,
    /// Its kind.
    pub kind: Option<String>,
    /// Why it is dead: `attempts_exhausted`, permanent, invalid, `unknown_kind`, poison or expired.
    pub reason: String,
    /// What went wrong last.
    pub error: String,
    /// Names the group of dead letters that it belongs to.
    pub fingerprint: Option<String>,
    /// The attempt as which it is dead.
    pub attempts: u32,
    /// When it failed first.
    pub first_failure: Option<Time>,
    /// When it failed last.
    pub last_failure: Option<Time>,
    /// The properties of the message that are set, by their names in AMQP 0-9-1.
    #[schema(value_type = Object)]
    pub properties: Map<String, Value>,
    /// Its headers, Warren's own notes included.
    #[schema(value_type = Object)]
    pub headers: Map<String, Value>,
    /// Its payload.
    pub payload: LetterPayload,
    /// The payload is here as a whole, so that it may be edited; headers may always be.
    pub editable: bool,
}

/// A payload: text where it is text, else base64.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterPayload {
    /// As text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// Only the first MiB of it is here.
    pub truncated: bool,
}

/// A dead letter itself: it is looked for in its queue, and left there.
///
/// A queue can only be read from its head. So a letter that lies behind very many others may not be reached in time; then
/// the answer says how many were looked at.
#[utoipa::path(
    get,
    path = "/api/dead/{id}",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    responses(
        (status = 200, description = "What the letter says", body = LetterView),
        (status = 404, description = "It is no dead letter, or was not found; the problem says which"),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer, or no monitor leads"),
    )
)]
pub async fn letter(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<LetterView>, Failure> {
    let (task, queue, record) = view.dead_task(id).await??;
    let answer = view.ask_leader(&task, &queue, None).await?;
    let Answer::Found(said) = answer else {
        return Err(missed(&answer, &queue).into());
    };
    Ok(Json(describe(&task, &queue, &record, *said)))
}

/// A task that is no dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no dead letter: it is {0}")]
pub struct NotDead(&'static str);

impl From<NotDead> for Failure {
    fn from(error: NotDead) -> Self {
        Problem::new(StatusCode::NOT_FOUND, error.to_string()).into()
    }
}

/// A task that is a dead letter, and its queue.
pub type Dead = (TaskId, QueueName, TaskRecord);

impl View {
    /// The task of this id, if it is a dead letter.
    pub(super) async fn dead_task(
        &self,
        id: Result<Path<String>, PathRejection>,
    ) -> Result<Result<Dead, NotDead>, Failure> {
        let Path(id) = id?;
        let task = TaskId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
        let record = self.store.task(&task).await?.ok_or_else(|| Failure::unknown("task", &id))?;
        Ok(dead(task, record))
    }

    /// Asks the leader about a letter.
    pub(super) async fn ask_leader(
        &self,
        task: &TaskId,
        queue: &QueueName,
        edit: Option<crate::letters::edit::Edit>,
    ) -> Result<Answer, Failure> {
        let answer = question::ask(&self.store, task, queue, edit).await?;
        answer.ok_or_else(|| {
            let detail = "no monitor has looked for it in time: is one of them leading, and the broker there?";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into()
        })
    }
}

/// The task, if it is a dead letter.
pub fn dead(task: TaskId, record: TaskRecord) -> Result<Dead, NotDead> {
    match (Fingerprint::of(&record), record.about()) {
        (Some(_), Some(about)) => Ok((task, about.queue.clone(), record)),
        (None, _) | (_, None) => Err(NotDead(record.state().name())),
    }
}

/// Why a letter was not found.
pub fn missed(answer: &Answer, queue: &QueueName) -> Problem {
    let detail = match answer {
        Answer::Missed { looked_at, all: true } => format!(
            "it is not among the {looked_at} dead letters of queue {queue}: somebody has taken it out, or it is on its way"
        ),
        Answer::Missed { looked_at, all: false } => format!(
            "it is not among the first {looked_at} dead letters of queue {queue}, and no more can be looked at in time"
        ),
        Answer::Found(_) | Answer::Tried(_) => "the leader answered something else".to_owned(),
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
}

fn describe(task: &TaskId, queue: &QueueName, record: &TaskRecord, said: Said) -> LetterView {
    LetterView {
        id: task.to_string(),
        queue: queue.to_string(),
        kind: said.kind,
        reason: said.reason,
        error: said.error,
        fingerprint: Fingerprint::of(record).map(|fingerprint| fingerprint.to_string()),
        attempts: said.attempt.get(),
        first_failure: said.first_failure.map(Time::from),
        last_failure: said.last_failure.map(Time::from),
        properties: said.properties,
        headers: said.headers,
        editable: !said.truncated,
        payload: LetterPayload { text: said.text, base64: said.base64, bytes: said.bytes, truncated: said.truncated },
    }
}
