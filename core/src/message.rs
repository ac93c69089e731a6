//! The message contract: what a delivery asks for, read once.
//!
//! No header is required. A value that cannot be read is never dropped and never guessed: all problems of a message are
//! named together, and the task becomes a dead letter that carries them.

mod fields;

use std::{fmt, time::Duration};

use self::fields::{Fields, text_of};
use crate::{
    Attempt, Kind, OrderKey, Priority, QueueName, TaskId, Timestamp, WorkerId,
    header::{self, Headers},
    retry::Overrides,
    workflow::{Cut, OnFailure},
};

/// What a delivery says of itself, as the client library gives it.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    /// Property `type`.
    pub kind: Option<String>,
    /// Property `message_id`.
    pub message_id: Option<String>,
    /// Property `priority`.
    pub priority: Option<u8>,
    /// The headers.
    pub headers: Headers,
}

/// A task as a worker meets it: what was asked for, and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// `None` for a message without an id: the worker that takes it gives it one.
    pub id: Option<TaskId>,
    /// `None` for a message without a kind: the queue's default kind, if it has one.
    pub kind: Option<Kind>,
    /// The queue it belongs to.
    pub queue: QueueName,
    /// How urgent it is.
    pub priority: Priority,
    /// The attempt that this copy runs as.
    pub attempt: Attempt,
    /// A wait that was asked for and has not begun.
    pub wait: Option<Wait>,
    /// Not started after this time.
    pub deadline: Option<Timestamp>,
    /// What it changes of its kind's policy.
    pub overrides: Overrides,
    /// When Warren saw it first, if that is known.
    pub submitted: Option<Timestamp>,
    /// The attempt from which its policy counts.
    pub counted_from: Attempt,
    /// Another copy of it may exist.
    pub check: bool,
    /// Nobody knows whether that other copy lies in the same queue.
    pub twin: bool,
    /// The workers that were lost while they ran this attempt.
    pub crashed: Vec<WorkerId>,
    /// How many they are at least: where there was no record, nobody knew their names.
    pub crashes: u32,
    /// Those of its queue with the same key run one at a time, in order.
    pub order_key: Option<OrderKey>,
    /// The tasks that must have ended before it starts.
    pub after: Vec<TaskId>,
    /// What follows if one of those fails.
    pub on_failure: OnFailure,
    /// Its payload is a list, whose chunks are tasks of their own.
    pub cut: Option<Cut>,
    /// When its first failed attempt ended.
    pub first_failure: Option<Timestamp>,
    /// W3C trace context, as it came.
    pub traceparent: Option<String>,
}

/// How a first start is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Header `delay`, from when the task is first taken.
    For(Duration),
    /// Header `eta`.
    Until(Timestamp),
}

impl Task {
    /// Whether it is for whoever runs workflows, and not to be run as it is.
    pub fn is_held(&self) -> bool {
        !self.after.is_empty() || self.cut.is_some()
    }

    /// Which of the attempts that its policy grants this is.
    pub fn granted(&self) -> Attempt {
        self.attempt.counted_from(self.counted_from)
    }
}

impl Wait {
    /// When the wait ends, if it begins now.
    pub fn due(self, now: Timestamp) -> Timestamp {
        match self {
            Self::For(delay) => now.plus(delay),
            Self::Until(eta) => eta,
        }
    }
}

/// One field of a message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The header or property.
    pub field: &'static str,
    /// What was expected, and what came.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

/// A message of which something cannot be read. What could be read is kept, so that it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", join(problems))]
pub struct Invalid {
    /// The id, if that could be read.
    pub id: Option<TaskId>,
    /// The kind, if that could be read.
    pub kind: Option<Kind>,
    /// The attempt, if that could be read.
    pub attempt: Attempt,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads a delivery from `queue`.
pub fn parse(incoming: &Incoming, queue: &QueueName, now: Timestamp) -> Result<Task, Invalid> {
    let mut fields = Fields::new(&incoming.headers);
    let id = fields.checked("message_id", incoming.message_id.as_deref(), TaskId::parse);
    let kind = match incoming.kind.as_deref().filter(|kind| !kind.is_empty()) {
        Some(kind) => fields.checked("type", Some(kind), Kind::parse),
        None => fields.text(header::TASK, Kind::parse),
    };
    let attempt = fields.attempt(header::ATTEMPT);
    // Whoever hands in twice may do so within a moment.
    let once = fields.flag(header::ONCE);
    let submitted = fields.time(header::SUBMITTED).or_else(|| id.as_ref().and_then(TaskId::made));
    let task = Task {
        id,
        kind,
        queue: queue.clone(),
        priority: Priority::from(incoming.priority.unwrap_or(0)),
        attempt: attempt.unwrap_or(Attempt::FIRST),
        wait: fields.wait(now),
        deadline: fields.deadline(),
        overrides: fields.overrides(),
        submitted,
        counted_from: fields.attempt(header::COUNTED_FROM).unwrap_or(Attempt::FIRST),
        // All are read, so that a mistake in any is named.
        check: fields.flag(header::CHECK) | once,
        twin: fields.flag(header::TWIN) | once,
        crashed: fields.crashed(),
        crashes: fields
            .number(header::CRASHES, 0, u64::from(u32::MAX))
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
        order_key: fields.order_key(),
        after: fields.after(),
        on_failure: fields.on_failure(),
        cut: fields.cut(),
        first_failure: fields.time(header::FIRST_FAILURE),
        // A malformed trace context is ignored, as W3C Trace Context asks for; it must never cost the task.
        traceparent: incoming.headers.get(header::TRACEPARENT).and_then(text_of).filter(|t| t.len() <= 128),
    };
    if fields.problems.is_empty() {
        Ok(task)
    } else {
        Err(Invalid { id: task.id, kind: task.kind, attempt: task.attempt, problems: fields.problems })
    }
}

/// What a message on the delay ladder says of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Climb {
    /// The queue in which it will run.
    pub queue: QueueName,
    /// When it may start.
    pub due: Timestamp,
    /// When it leaves its present level.
    pub leave: Timestamp,
}

/// Reads the way of a message on the delay ladder.
pub fn parse_climb(headers: &Headers) -> Result<Climb, Vec<Problem>> {
    let mut fields = Fields::new(headers);
    let queue = fields.text(header::QUEUE, QueueName::parse);
    let (due, leave) = (fields.time(header::DUE), fields.time(header::LEAVE));
    match (queue, due, leave) {
        (Some(queue), Some(due), Some(leave)) => Ok(Climb { queue, due, leave }),
        (queue, due, leave) => {
            let missing =
                [(header::QUEUE, queue.is_none()), (header::DUE, due.is_none()), (header::LEAVE, leave.is_none())];
            for (name, missing) in missing {
                if missing && !headers.contains_key(name) {
                    fields.refuse(name, "missing");
                }
            }
            Err(fields.problems)
        }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
