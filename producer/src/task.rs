//! A task that is about to be handed in.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use serde::Serialize;
use warren_core::{
    Kind, OrderKey, Priority, QueueName, TaskId, Timestamp,
    ladder::MAX_DELAY,
    message::Wait,
    retry::{Backoff, Overrides},
};

use crate::{
    field::{self, Invalid, Problem},
    header::{self, HeaderValue},
};

const MAX_ATTEMPTS: u32 = 1_000_000;
// They share one frame with the properties (131,072 bytes unless configured smaller), and Warren adds its own notes.
const HEADER_BYTES: usize = 16 << 10;

/// A task that is about to be handed in: what is to be done, and what holds for it.
///
/// Every value is checked when it is set. What is wrong is kept and reported together by
/// [`check`](crate::Producer::check) or [`enqueue`](crate::Producer::enqueue), before anything is sent.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub(crate) kind: Option<Kind>,
    pub(crate) queue: QueueName,
    pub(crate) id: Option<TaskId>,
    pub(crate) priority: Priority,
    pub(crate) wait: Option<Wait>,
    pub(crate) expiration: Option<Duration>,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) once: bool,
    pub(crate) order_key: Option<OrderKey>,
    pub(crate) overrides: Overrides,
    pub(crate) reply_to: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) app_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) headers: BTreeMap<String, HeaderValue>,
    pub(crate) content_type: Option<String>,
    pub(crate) payload: Vec<u8>,
    problems: Vec<Problem>,
}

impl NewTask {
    /// For the handler of this kind, in the queue `default`, with an empty payload.
    pub fn new(kind: impl AsRef<str>) -> Self {
        Self::blank().kind(kind)
    }

    pub(crate) fn blank() -> Self {
        Self {
            kind: None,
            queue: QueueName::default(),
            id: None,
            priority: Priority::default(),
            wait: None,
            expiration: None,
            deadline: None,
            once: false,
            order_key: None,
            overrides: Overrides::default(),
            reply_to: None,
            correlation_id: None,
            app_id: None,
            traceparent: None,
            headers: BTreeMap::new(),
            content_type: None,
            payload: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn kind(mut self, kind: impl AsRef<str>) -> Self {
        self.kind = self.take("kind", Kind::parse(kind.as_ref()));
        self
    }

    /// A payload of any bytes.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// A payload in JSON, which is the convention; sets the content type too.
    #[must_use]
    pub fn json(mut self, payload: &impl Serialize) -> Self {
        if let Some(payload) = self.take("payload", serde_json::to_vec(payload)) {
            self.payload = payload;
        }
        self.content_type("application/json")
    }

    /// What the payload is, as a MIME type.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = self.take("content_type", field::short_text(content_type.into()));
        self
    }

    /// The queue, instead of `default`.
    #[must_use]
    pub fn queue(mut self, queue: impl AsRef<str>) -> Self {
        if let Some(queue) = self.take("queue", QueueName::parse(queue.as_ref())) {
            self.queue = queue;
        }
        self
    }

    /// An id of one's own, by which a second try of an uncertain submission can be recognised. Without one it gets a
    /// UUID of version 7.
    #[must_use]
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = self.take("id", TaskId::parse(id.as_ref()));
        self
    }

    /// How urgent it is in its queue, from 0 (the default) to 9; above 9 counts as 9.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Priority::from(priority);
        self
    }

    /// Not started before this much time has passed: at most 310 days.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.wait_once("delay");
        if delay > MAX_DELAY {
            self.refuse("delay", "expected at most 310 days");
        }
        self.wait = Some(Wait::For(delay));
        self
    }

    /// Not started before this time: at most 310 days ahead.
    #[must_use]
    pub fn eta(mut self, eta: Timestamp) -> Self {
        self.wait_once("eta");
        self.wait = Some(Wait::Until(eta));
        self
    }

    /// Given up unless it has started within this time, counted from its submission: 1 ms to 310 days.
    #[must_use]
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = self.span("expiration", expiration);
        self
    }

    /// No attempt starts after this time, the first or a later one.
    #[must_use]
    pub fn deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// It may be handed in twice under its id, and is to run once: whoever takes it asks the record first. That holds
    /// as far as the monitor follows the log (docs/protocol.md).
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Tasks of its queue with the same key run one at a time, in the order in which they were handed in; the priority counts
    /// for nothing among them. Of two whose confirms are waited for together either may be the first.
    #[must_use]
    pub fn order_key(mut self, key: impl AsRef<str>) -> Self {
        self.order_key = self.take("order_key", OrderKey::parse(key.as_ref()));
        self
    }

    /// How many attempts it has, the first included, instead of what its kind has.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.overrides.max_attempts = NonZeroU32::new(attempts).filter(|attempts| attempts.get() <= MAX_ATTEMPTS);
        if self.overrides.max_attempts.is_none() {
            self.refuse(
                "max_attempts",
                format_args!("expected a whole number from 1 to {MAX_ATTEMPTS}, got {attempts}"),
            );
        }
        self
    }

    /// How long an attempt may take, instead of what its kind may: 1 ms to 310 days.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.overrides.timeout = self.span("timeout", timeout);
        self
    }

    /// How long to wait between attempts, instead of what its kind waits.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        // Its text form is what travels, so that is what has to be sound.
        self.overrides.backoff = self.take("backoff", backoff.to_string().parse());
        self
    }

    /// The queue to which its final result is published.
    #[must_use]
    pub fn reply_to(mut self, queue: impl Into<String>) -> Self {
        self.reply_to = self.take("reply_to", field::short_text(queue.into()));
        self
    }

    /// What the reply carries to be recognised by.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = self.take("correlation_id", field::short_text(id.into()));
        self
    }

    /// Who hands it in, instead of what the producer is configured to say.
    #[must_use]
    pub fn app_id(mut self, app: impl Into<String>) -> Self {
        self.app_id = self.take("app_id", field::short_text(app.into()));
        self
    }

    /// The W3C trace context that it belongs to.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = self.take("traceparent", field::traceparent(traceparent.into()));
        self
    }

    /// Joins the trace of the request that it came with, unless it names one itself or that one is malformed.
    #[must_use]
    pub fn traced_by(mut self, traceparent: &str) -> Self {
        self.traceparent = self.traceparent.or_else(|| field::traceparent(traceparent.to_owned()).ok());
        self
    }

    /// A header of one's own, which travels with the task and is shown to its handler.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        let name = name.into();
        match header::check(&name) {
            Ok(()) => {
                self.headers.insert(name, value.into());
            }
            Err(detail) => {
                // Of a name that is too long, the beginning says enough.
                let name: String = name.chars().take(64).collect();
                self.refuse(&format!("headers.{name}"), detail);
            }
        }
        self
    }

    /// The id, if it has one already.
    pub fn chosen_id(&self) -> Option<&TaskId> {
        self.id.as_ref()
    }

    /// The kind, if it has one.
    pub fn chosen_kind(&self) -> Option<&Kind> {
        self.kind.as_ref()
    }

    /// How urgent it is.
    pub fn chosen_priority(&self) -> Priority {
        self.priority
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.payload
    }

    /// Its queue.
    pub fn chosen_queue(&self) -> &QueueName {
        &self.queue
    }

    /// Where its reply is wished to go, if anywhere.
    pub fn chosen_reply_to(&self) -> Option<&str> {
        self.reply_to.as_deref()
    }

    /// Bytes of payload.
    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// What is wrong with it, if anything is.
    pub fn check(&self, now: Timestamp) -> Result<(), Invalid> {
        let mut problems = self.problems.clone();
        if let Some(Wait::Until(eta)) = self.wait
            && eta.since(now) > MAX_DELAY
        {
            problems.push(Problem::new("eta", "expected a time at most 310 days ahead"));
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.size()).sum();
        if bytes > HEADER_BYTES {
            problems.push(Problem::new(
                "headers",
                format_args!("expected at most {HEADER_BYTES} bytes together, got {bytes}"),
            ));
        }
        Invalid::of(problems).map_or(Ok(()), Err)
    }

    // Itself, if nothing is wrong that can be told without a clock.
    pub(crate) fn sound(self) -> Result<Self, Invalid> {
        self.check(Timestamp::from_millis(u64::MAX)).map(|()| self)
    }

    pub(crate) fn refuse(&mut self, field: &str, detail: impl std::fmt::Display) {
        self.problems.push(Problem::new(field, detail));
    }

    // How much is wrong with it by now.
    pub(crate) fn refused(&self) -> usize {
        self.problems.len()
    }

    pub(crate) fn take<T, E: std::fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.refuse(field, error)).ok()
    }

    fn span(&mut self, field: &str, span: Duration) -> Option<Duration> {
        let sound = span.as_millis() >= 1 && span <= MAX_DELAY;
        if !sound {
            self.refuse(field, format_args!("expected 1 ms to 310 days, got {span:?}"));
        }
        sound.then_some(span)
    }

    fn wait_once(&mut self, field: &str) {
        if self.wait.is_some() {
            self.refuse(field, "expected either delay or eta, once");
        }
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
