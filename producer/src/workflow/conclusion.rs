//! Saying how a task ended that waited for others or was split, where no worker says it: it was never started, or its chunks
//! were.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use warren_core::{
    Attempt, Outcome, Output, Reason, TaskId, Verdict, WorkerId, WorkflowId,
    event::{Buried, Ended, Event, Run},
    header,
    workflow::{Conclusion, Job, Kept, Status},
};
use warren_runtime::amqp::Outgoing;

use super::{
    Error,
    held::{self, Letter, STEP},
    input::{Found, Inputs},
    release::Means,
};

// As workers keep results, unless configured.
const LONGEST_RESULT: usize = 64 << 10;

/// Tells the log, and whoever asked for a reply. To be told twice does no harm.
pub async fn tell(workflow: &WorkflowId, kept: &Kept, means: Means<'_>) -> Result<(), Error> {
    if let (Some(task), Some((at, _))) = (&kept.head.task, &kept.head.ended)
        && let Some(place) = kept.graph.place(STEP)
        && let Job::Task(template) | Job::Split { task: template, .. } = &kept.graph.node(place).job
        && let Some(letter) = held::template(template)
    {
        let is_split = matches!(kept.graph.node(place).job, Job::Split { .. });
        let outcome = match kept.flow.status(place) {
            Status::Ended { conclusion: Conclusion::Succeeded, .. } if is_split => {
                let found = Inputs::new(means.cabinet, means.as_of).found(workflow, kept, place).await?;
                Some(match &*found {
                    Found::Result(value) => Outcome::success(Some(Output::Json(value.clone()))),
                    Found::TooLong(_) | Found::Failed(_) => Outcome::success(None),
                })
            }
            Status::Ended { conclusion: Conclusion::Failed { why }, .. } if is_split => {
                Some(Outcome::permanent(why.clone()))
            }
            Status::Ended { conclusion: Conclusion::Skipped | Conclusion::Stopped, .. } => {
                Some(Outcome::permanent(before(kept)))
            }
            Status::Ended { conclusion: Conclusion::Cancelled, parts } if parts.is_empty() || is_split => {
                Some(Outcome::Cancelled)
            }
            // Whoever ran it has said it.
            Status::Ended { .. } | Status::Waiting | Status::Running { .. } => None,
        };
        if let Some(outcome) = outcome {
            record(task, &letter, *at, &outcome, means).await?;
            reply(task, &letter, &outcome, means).await;
        }
    }
    means.cabinet.told(workflow).await
}

// What it was after, and what became of that.
fn before(kept: &Kept) -> String {
    let failed = kept.graph.places().find_map(|place| {
        match (&kept.graph.node(place).job, kept.flow.status(place).conclusion()) {
            (Job::Awaited(task), Some(Conclusion::Failed { why })) => {
                Some(format!("task {task}, which it was after, did not succeed: {why}"))
            }
            (Job::Awaited(_) | Job::Task(_) | Job::Split { .. } | Job::Workflow, _) => None,
        }
    });
    failed.unwrap_or_else(|| "a task that it was after did not succeed".to_owned())
}

async fn record(
    task: &TaskId,
    letter: &Letter,
    at: warren_core::Timestamp,
    outcome: &Outcome,
    means: Means<'_>,
) -> Result<(), Error> {
    let (task, about, attempt) = (task.clone(), letter.about.clone(), Attempt::FIRST);
    let event = match outcome {
        Outcome::Permanent { error } => {
            Event::Buried(Buried { task, at, about, attempt, reason: Reason::Permanent, error: error.clone() })
        }
        Outcome::Success { .. }
        | Outcome::Cancelled
        | Outcome::Retryable { .. }
        | Outcome::Timeout { .. }
        | Outcome::Crashed { .. } => {
            let verdict = if matches!(outcome, Outcome::Success { .. }) { Verdict::Complete } else { Verdict::Cancel };
            let run = Run { started: at, worker: WorkerId::parse("workflows").expect("the literal is a valid name") };
            let outcome = outcome.clone().bounded(LONGEST_RESULT);
            Event::Ended(Ended { task, at, about, attempt, run, outcome, verdict })
        }
    };
    means.producer.log().record(&event).await.map_err(|_| Error::Log)
}

// At best effort, as workers reply.
async fn reply(task: &TaskId, letter: &Letter, outcome: &Outcome, means: Means<'_>) {
    let Some(to) = letter.properties.get("reply_to") else { return };
    let mut headers = FieldTable::default();
    headers.insert(header::REPLY_OUTCOME.into(), AMQPValue::LongString(outcome.name().into()));
    if let Some(error) = outcome.error() {
        let end = error.floor_char_boundary(2_000);
        headers.insert(header::REPLY_ERROR.into(), AMQPValue::LongString(error[..end].into()));
    }
    let mut properties = BasicProperties::default().with_headers(headers).with_message_id(task.as_str().into());
    if let Some(correlation) = letter.properties.get("correlation_id") {
        properties = properties.with_correlation_id(correlation.as_str().into());
    }
    let body = match outcome {
        Outcome::Success { output: Some(output) } => output.to_bytes(),
        Outcome::Success { output: None } => Value::Null.to_string().into_bytes(),
        Outcome::Permanent { .. }
        | Outcome::Cancelled
        | Outcome::Retryable { .. }
        | Outcome::Timeout { .. }
        | Outcome::Crashed { .. } => Vec::new(),
    };
    if let Err(error) = means.producer.publisher().publish(&Outgoing::to_queue(to, properties, body)).await {
        tracing::debug!(%error, task.id = %task, "a result was not delivered to whoever asked for it");
    }
}
