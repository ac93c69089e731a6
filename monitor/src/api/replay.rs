//! Replaying and throwing away dead letters: one, or a whole group. Each makes a job; see `/api/jobs`.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{info, warn};
use utoipa::ToSchema;
use warren_core::{
    Fingerprint, Kind, Operator, OrderId, QueueName, TaskId, base64,
    event::{Event, Undertaking, Wish as Facts},
};
use warren_runtime::{amqp::publisher::LARGEST_BODY, clock, http::Problem};

use super::{
    View,
    failure::Failure,
    letter::missed,
    order::ActionView,
    wish::{self, Wish},
};
use crate::{
    audit::Entry,
    letters::{
        edit::{Edit, Set, forbids},
        job::{Act, Job, Target},
        question::Answer,
    },
};

const TELLING: Duration = Duration::from_secs(5);
const FASTEST: f64 = 100_000.0;
const SLOWEST: f64 = 0.001;

type Named = Result<Path<String>, PathRejection>;
type Taken = Result<(StatusCode, Json<Undertaken>), Failure>;

/// A job that was taken on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Undertaken {
    /// The action, as the audit trail has it.
    pub action: ActionView,
    /// The job: see /api/jobs.
    pub job: String,
}

/// How a letter is replayed. An empty body replays it as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// Another payload: `{"text": …}` as it is, `{"base64": …}` as bytes, any other JSON as JSON.
    pub payload: Option<Value>,
    /// Headers to set (text, number, boolean), or to take off (null).
    #[schema(value_type = Option<Object>)]
    pub headers: Option<BTreeMap<String, Value>>,
    /// Another kind.
    pub kind: Option<String>,
    /// Why, for those who read it later; at most 500 characters.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// How a group is replayed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayGroup {
    /// One letter goes first, and the others wait until the job is told to go on.
    pub canary: bool,
    /// This many letters a second; as fast as they are confirmed if it is not given.
    #[schema(minimum = 0.001, maximum = 100_000)]
    pub rate_per_second: Option<f64>,
    /// Why, for those who read it later; at most 500 characters.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// Gives the task of a dead letter another attempt. The letter goes once its copy is safe in the task's queue.
#[utoipa::path(
    post,
    path = "/api/dead/{id}/replay",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    request_body = Replay,
    responses(
        (status = 202, description = "It is taken on", body = Undertaken),
        (status = 404, description = "Nothing is known of the task, or, with an edit, its letter was not found"),
        (status = 409, description = "It is no dead letter; the problem says what it is"),
        (status = 413, description = "The body is too large"),
        (status = 422, description = "A field cannot be read, or a worker could not read it; the problem names it"),
        (status = 503, description = "Redis does not answer, or no monitor leads"),
    )
)]
pub async fn replay(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Taken {
    let (task, queue, _) = view.dead_task(id).await?.map_err(conflict)?;
    let Replay { payload, headers, kind, reason } =
        if body.is_empty() { Replay::default() } else { wish::read(&body)? };
    let edit = edit(payload.as_ref(), headers, kind)?;
    let wish = Wish { reason: wish::reason(reason)? };
    if !edit.is_empty() {
        view.try_edit(&task, &queue, &edit).await?;
    }
    let edit = Some(edit).filter(|edit| !edit.is_empty()).map(Box::new);
    let act = Act::Replay { edit, rate: None, canary: false };
    view.undertake(act, Target::Task(task.clone()), vec![(task, queue)], &wish, &by).await
}

/// The same as replaying its dead letter as it is.
#[utoipa::path(
    post,
    path = "/api/tasks/{id}/retry",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is taken on", body = Undertaken),
        (status = 404, description = "Nothing is known of the task"),
        (status = 409, description = "It is no dead letter; the problem says what it is"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn retry(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Taken {
    let (task, queue, _) = view.dead_task(id).await?.map_err(conflict)?;
    view.undertake(as_it_is(), Target::Task(task.clone()), vec![(task, queue)], &Wish::read(&body)?, &by).await
}

/// Throws a dead letter away. Its task is shown as cancelled from then on.
#[utoipa::path(
    post,
    path = "/api/dead/{id}/discard",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is taken on", body = Undertaken),
        (status = 404, description = "Nothing is known of the task"),
        (status = 409, description = "It is no dead letter; the problem says what it is"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn discard(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Taken {
    let (task, queue, _) = view.dead_task(id).await?.map_err(conflict)?;
    view.undertake(Act::Discard, Target::Task(task.clone()), vec![(task, queue)], &Wish::read(&body)?, &by).await
}

/// Replays all dead letters of a group that are there now: at a pace, and after a canary if one is wanted.
#[utoipa::path(
    post,
    path = "/api/dead/groups/{fingerprint}/replay",
    params(("fingerprint" = String, Path, description = "The group: see /api/dead/groups")),
    request_body = ReplayGroup,
    responses(
        (status = 202, description = "It is taken on", body = Undertaken),
        (status = 404, description = "There is no dead letter in this group"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn replay_group(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    fingerprint: Named,
    body: Bytes,
) -> Taken {
    let ReplayGroup { canary, rate_per_second: rate, reason } =
        if body.is_empty() { ReplayGroup::default() } else { wish::read(&body)? };
    if rate.is_some_and(|rate| !(SLOWEST..=FASTEST).contains(&rate)) {
        let detail = format!("expected a number from {SLOWEST} to {FASTEST}");
        return Err(Problem::field("rate_per_second", detail).into());
    }
    let wish = Wish { reason: wish::reason(reason)? };
    view.undertake_group(Act::Replay { edit: None, rate, canary }, fingerprint, &wish, &by).await
}

/// Throws all dead letters of a group away that are there now.
#[utoipa::path(
    post,
    path = "/api/dead/groups/{fingerprint}/discard",
    params(("fingerprint" = String, Path, description = "The group: see /api/dead/groups")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is taken on", body = Undertaken),
        (status = 404, description = "There is no dead letter in this group"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn discard_group(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    fingerprint: Named,
    body: Bytes,
) -> Taken {
    view.undertake_group(Act::Discard, fingerprint, &Wish::read(&body)?, &by).await
}

/// A replay that changes nothing and does not wait.
pub(super) fn as_it_is() -> Act {
    Act::Replay { edit: None, rate: None, canary: false }
}

fn conflict(error: super::letter::NotDead) -> Problem {
    Problem::new(StatusCode::CONFLICT, error.to_string())
}

fn edit(
    payload: Option<&Value>,
    headers: Option<BTreeMap<String, Value>>,
    kind: Option<String>,
) -> Result<Edit, Problem> {
    let kind = kind.map(|kind| Kind::parse(&kind).map_err(|error| Problem::field("kind", error.to_string())));
    let headers = headers.unwrap_or_default().into_iter().map(|(name, value)| {
        let field = format!("headers.{name}");
        if let Some(why) = forbids(&name) {
            return Err(Problem::field(field, why));
        }
        let value = header(value).ok_or_else(|| Problem::field(field, "expected text, a number, a boolean or null"))?;
        Ok((name, value))
    });
    Ok(Edit {
        kind: kind.transpose()?,
        payload: payload.map(bytes).transpose()?,
        headers: headers.collect::<Result<_, _>>()?,
    })
}

// `None` for what no header can be; `Some(None)` for one that goes.
#[expect(clippy::option_option, reason = "the two mean different things")]
fn header(value: Value) -> Option<Option<Set>> {
    match value {
        Value::Null => Some(None),
        Value::Bool(flag) => Some(Some(Set::Flag(flag))),
        Value::String(text) => Some(Some(Set::Text(text))),
        Value::Number(number) => Some(match number.as_i64() {
            Some(number) => Some(Set::Integer(number)),
            None => Some(Set::Fraction(number.as_f64()?)),
        }),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn bytes(payload: &Value) -> Result<Vec<u8>, Problem> {
    let only = |name: &str| payload.as_object().filter(|object| object.len() == 1)?.get(name)?.as_str();
    let bytes = if let Some(text) = only("text") {
        text.as_bytes().to_vec()
    } else if let Some(text) = only("base64") {
        base64::decode(text).ok_or_else(|| Problem::field("payload.base64", "expected base64 with its padding"))?
    } else {
        serde_json::to_vec(payload).expect("JSON is always valid JSON")
    };
    if bytes.len() > LARGEST_BODY {
        return Err(Problem::field("payload", format!("expected at most {LARGEST_BODY} bytes, got {}", bytes.len())));
    }
    Ok(bytes)
}

impl View {
    // Whether a worker could read the edited copy.
    async fn try_edit(&self, task: &TaskId, queue: &QueueName, edit: &Edit) -> Result<(), Failure> {
        match self.ask_leader(task, queue, Some(edit.clone())).await? {
            Answer::Tried(problems) => match problems.into_iter().next() {
                None => Ok(()),
                Some((field, detail)) => Err(Problem::field(format!("headers.{field}"), detail).into()),
            },
            answer @ (Answer::Missed { .. } | Answer::Found(_)) => Err(missed(&answer, queue).into()),
        }
    }

    async fn undertake_group(&self, act: Act, fingerprint: Named, wish: &Wish, by: &Operator) -> Taken {
        let Path(name) = fingerprint?;
        let fingerprint: Fingerprint = name
            .parse()
            .map_err(|error: warren_core::InvalidFingerprint| Problem::field("fingerprint", error.to_string()))?;
        let (mut connection, key) = (self.store.shared(), self.store.keys().group(fingerprint));
        let total: u64 = connection.zcard(&key).await?;
        let sample: Vec<String> = connection.zrevrange(&key, 0, 0).await?;
        let sample = sample.first().and_then(|task| TaskId::parse(task).ok());
        let record = match &sample {
            Some(task) => self.store.task(task).await?,
            None => None,
        };
        let about = record.as_ref().and_then(|record| record.about());
        let queue = about.map(|about| about.queue.clone()).ok_or_else(|| Failure::unknown("group", &name))?;
        let job = job(act, Target::Group(fingerprint), vec![queue], total, wish, by);
        self.take_on(job, &[]).await
    }

    /// Makes a job for the letters of these tasks.
    pub(super) async fn undertake(
        &self,
        act: Act,
        target: Target,
        tasks: Vec<(TaskId, QueueName)>,
        wish: &Wish,
        by: &Operator,
    ) -> Taken {
        let (tasks, queues): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        let job = job(act, target, queues, tasks.len() as u64, wish, by);
        self.take_on(job, &tasks).await
    }

    async fn take_on(&self, job: Job, tasks: &[TaskId]) -> Taken {
        self.desk.hand_in(&job, tasks).await?;
        info!(job = %job.id, by = %job.by, what = job.act.name(), target = %job.target, "dead letters are to be dealt with");
        let undertaking = Undertaking {
            order: job.id.clone(),
            at: job.at,
            what: job.act.name().to_owned(),
            target: job.target.to_string(),
            wish: Facts { by: job.by.clone(), reason: job.reason.clone() },
        };
        let entry = Entry::of_undertaking(&undertaking);
        // The job counts all the same, and every letter's own fact says whose wish it was.
        match timeout(TELLING, self.steering.log.record(&Event::Undertaken(undertaking))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => warn!(job = %job.id, "the event log does not know of a job"),
        }
        let answer = Undertaken { action: ActionView::from(&entry), job: job.id.to_string() };
        Ok((StatusCode::ACCEPTED, Json(answer)))
    }
}

fn job(act: Act, target: Target, queues: Vec<QueueName>, total: u64, wish: &Wish, by: &Operator) -> Job {
    // Time-ordered, as the ids of orders are.
    let id = OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid order id");
    let queues = queues.into_iter().collect();
    Job { id, at: clock::now(), by: by.clone(), reason: wish.reason.clone(), act, target, queues, total }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_text_or_bytes_or_any_json() {
        for (payload, bytes) in [
            (json!({"text": "a b"}), &b"a b"[..]),
            (json!({"base64": "AP8="}), &[0, 255]),
            (json!({"x": 1}), br#"{"x":1}"#),
            (json!({"text": 5}), br#"{"text":5}"#),
            (json!("s"), br#""s""#),
        ] {
            assert_eq!(super::bytes(&payload).unwrap(), bytes, "{payload}");
        }
        assert_eq!(super::bytes(&json!({"base64": "?"})).unwrap_err().field.as_deref(), Some("payload.base64"));
    }

    #[test]
    fn a_header_is_set_or_taken_off_and_a_bad_one_is_named() {
        let headers = |headers: Value| edit(None, serde_json::from_value(headers).unwrap(), None);
        let good = headers(json!({"a": "x", "b": 5, "c": true, "d": null, "e": 0.5})).unwrap();
        assert_eq!(good.headers["b"], Some(Set::Integer(5)));
        assert_eq!(good.headers["d"], None);
        for (bad, field) in [
            (json!({"a": []}), "headers.a"),
            (json!({"warren-attempt": 1}), "headers.warren-attempt"),
            (json!({"x-death": null}), "headers.x-death"),
        ] {
            assert_eq!(headers(bad).unwrap_err().field.as_deref(), Some(field));
        }
        assert_eq!(edit(None, None, Some("a b".into())).unwrap_err().field.as_deref(), Some("kind"));
        assert!(edit(None, None, None).unwrap().is_empty());
    }
}
