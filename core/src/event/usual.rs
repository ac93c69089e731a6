//! Reading the events that every task has, field by field.
//!
//! Events are tagged and flattened, so serde keeps all of one in an intermediate form until it knows what it is. Our own
//! writers put the tag first, and nearly all events are of three types: those need no such form.
//!
//! What must stay true: what is read here is what [`Event`] makes of the same text. Whatever is not as usual is an error here,
//! and left to `Event`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error, MapAccess, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer},
    },
};

use super::{About, Batch, Ended, Event, Run, Started, Submitted};
use crate::{
    Attempt, Kind, OrderKey, Outcome, Output, Priority, QueueName, Reason, TaskId, Timestamp, Verdict, WorkerId,
    preview::Preview,
};

/// The batch, if all of it is as usual.
pub(super) fn read(body: &[u8]) -> Option<Batch> {
    let Usual { version, source, seq, events } = serde_json::from_slice(body).ok()?;
    Some(Batch { version, source, seq, events: events.into_iter().map(|Read(event)| event).collect() })
}

#[derive(Deserialize)]
struct Usual {
    #[serde(rename = "v")]
    version: u32,
    source: String,
    seq: u64,
    events: Vec<Read>,
}

struct Read(Event);

#[derive(Deserialize)]
enum Tag {
    #[serde(rename = "type")]
    Type,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let Some(Tag::Type) = map.next_key()? else { return Err(A::Error::missing_field("type")) };
        match map.next_value()? {
            "submitted" => SubmittedFields::deserialize(MapAccessDeserializer::new(map)).map(SubmittedFields::event),
            "started" => StartedFields::deserialize(MapAccessDeserializer::new(map)).map(StartedFields::event),
            "ended" => EndedFields::deserialize(MapAccessDeserializer::new(map))?.event(),
            other => Event::deserialize(MapAccessDeserializer::new(Tagged { tag: Some(other), rest: map })),
        }
    }
}

// An event with its tag put back.
struct Tagged<'de, A> {
    tag: Option<&'de str>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Tagged<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.tag {
            Some(_) => seed.deserialize(BorrowedStrDeserializer::new("type")).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.tag.take() {
            Some(tag) => seed.deserialize(BorrowedStrDeserializer::new(tag)),
            None => self.rest.next_value_seed(seed),
        }
    }
}

#[derive(Deserialize)]
struct SubmittedFields {
    #[serde(default, rename = "type", deserialize_with = "refuse")]
    _again: (),
    task: TaskId,
    at: Timestamp,
    #[serde(default)]
    kind: Option<Kind>,
    queue: QueueName,
    #[serde(default)]
    priority: Priority,
    size: u64,
    #[serde(default)]
    due: Option<Timestamp>,
    #[serde(default)]
    deadline: Option<Timestamp>,
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    order_key: Option<OrderKey>,
    #[serde(default)]
    transient: bool,
    #[serde(default)]
    preview: Option<Preview>,
}

#[derive(Deserialize)]
struct StartedFields {
    #[serde(default, rename = "type", deserialize_with = "refuse")]
    _again: (),
    task: TaskId,
    at: Timestamp,
    #[serde(default)]
    kind: Option<Kind>,
    queue: QueueName,
    #[serde(default)]
    priority: Priority,
    attempt: Attempt,
    worker: WorkerId,
    limit: Timestamp,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default)]
    transient: bool,
}

#[derive(Deserialize)]
struct EndedFields {
    #[serde(default, rename = "type", deserialize_with = "refuse")]
    _again: (),
    task: TaskId,
    at: Timestamp,
    #[serde(default)]
    kind: Option<Kind>,
    queue: QueueName,
    #[serde(default)]
    priority: Priority,
    attempt: Attempt,
    started: Timestamp,
    worker: WorkerId,
    outcome: OutcomeName,
    #[serde(default)]
    output: Option<Output>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    after_ms: Option<u64>,
    #[serde(default)]
    limit_ms: Option<u64>,
    verdict: VerdictName,
    #[serde(default)]
    due: Option<Timestamp>,
    #[serde(default)]
    reason: Option<Reason>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeName {
    Success,
    Retryable,
    Permanent,
    Timeout,
    Cancelled,
    Crashed,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictName {
    Complete,
    Retry,
    DeadLetter,
    Cancel,
}

// A tag that comes twice.
fn refuse<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::duplicate_field("type"))
}

impl SubmittedFields {
    fn event(self) -> Event {
        let Self { task, at, kind, queue, priority, size, due, deadline, app, order_key, transient, preview, .. } =
            self;
        let about = About { kind, queue, priority };
        Event::Submitted(Submitted { task, at, about, size, due, deadline, app, order_key, transient, preview })
    }
}

impl StartedFields {
    fn event(self) -> Event {
        let Self { task, at, kind, queue, priority, attempt, worker, limit, traceparent, transient, .. } = self;
        let about = About { kind, queue, priority };
        Event::Started(Started { task, at, about, attempt, worker, limit, traceparent, transient })
    }
}

impl EndedFields {
    fn event<E: Error>(self) -> Result<Event, E> {
        let Self { task, at, kind, queue, priority, attempt, started, worker, .. } = self;
        let missing = E::missing_field;
        let error = || self.error.ok_or_else(|| missing("error"));
        let outcome = match self.outcome {
            OutcomeName::Success => Outcome::Success { output: self.output },
            OutcomeName::Retryable => Outcome::Retryable { error: error()?, after_ms: self.after_ms },
            OutcomeName::Permanent => Outcome::Permanent { error: error()? },
            OutcomeName::Timeout => Outcome::Timeout { limit_ms: self.limit_ms.ok_or_else(|| missing("limit_ms"))? },
            OutcomeName::Cancelled => Outcome::Cancelled,
            OutcomeName::Crashed => Outcome::Crashed { error: error()? },
        };
        let verdict = match self.verdict {
            VerdictName::Complete => Verdict::Complete,
            VerdictName::Retry => Verdict::Retry { due: self.due.ok_or_else(|| missing("due"))? },
            VerdictName::DeadLetter => Verdict::DeadLetter { reason: self.reason.ok_or_else(|| missing("reason"))? },
            VerdictName::Cancel => Verdict::Cancel,
        };
        let (about, run) = (About { kind, queue, priority }, Run { started, worker });
        Ok(Event::Ended(Ended { task, at, about, attempt, run, outcome, verdict }))
    }
}

#[cfg(test)]
#[path = "usual_tests.rs"]
mod tests;
