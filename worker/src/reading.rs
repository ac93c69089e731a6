//! What a delivery turns out to be.

use std::collections::HashMap;

use lapin::message::Delivery;
use tracing::{Span, debug_span, info_span};
use warren_core::{
    Attempt, Kind, QueueName, Reason, TaskId, Timestamp,
    event::About,
    message::{self, Task},
    retry::Policy,
};
use warren_runtime::{
    amqp::message::{Copy, incoming},
    clock,
};

use crate::handler::SharedHandler;

/// How the tasks of a kind are run.
#[derive(Clone)]
pub struct Assignment {
    /// By what.
    pub handler: SharedHandler,
    /// How often and how long.
    pub policy: Policy,
    /// How many slots an attempt takes.
    pub slots: u32,
}

/// What this worker can run.
#[derive(Clone, Default)]
pub struct Assignments {
    /// By kind.
    pub kinds: HashMap<Kind, Assignment>,
    /// The kind of a message that names none, by queue.
    pub defaults: HashMap<QueueName, Kind>,
}

/// A task that this worker can run.
#[derive(Clone)]
pub struct Work {
    /// Its id, perhaps given just now.
    pub id: TaskId,
    /// Its kind.
    pub kind: Kind,
    /// What the message asks for.
    pub task: Task,
    /// How it is run: the kind's policy with what the message changes of it.
    pub assignment: Assignment,
}

/// A delivery that this worker cannot run, and nobody should.
#[derive(Debug)]
pub struct Refusal {
    /// Its id, perhaps given just now.
    pub id: TaskId,
    /// What is known of it.
    pub about: About,
    /// The attempt that will not be made.
    pub attempt: Attempt,
    /// Why.
    pub reason: Reason,
    /// What is wrong, for people.
    pub error: String,
}

impl Work {
    /// What it is, for events.
    pub fn about(&self) -> About {
        About { kind: Some(self.kind.clone()), queue: self.task.queue.clone(), priority: self.task.priority }
    }

    /// A copy of its delivery, with the id and the kind that it has by now.
    pub fn copy(&self, delivery: &Delivery) -> Copy {
        Copy::of(delivery).id(self.id.as_str()).kind(self.kind.as_str())
    }

    /// Whether it can kill its worker, or may have a twin that is begun at this moment.
    pub fn is_delicate(&self) -> bool {
        !self.assignment.handler.is_isolated() || self.task.twin
    }

    /// Whether it is too late for it to start.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.task.deadline.is_some_and(|deadline| deadline < now)
    }

    /// The span of its attempt. That costs about as much as the rest of an attempt which does nothing, and such a one has
    /// nothing to say.
    pub fn span(&self) -> Span {
        macro_rules! attempt {
            ($make:ident) => {
                $make!("attempt", task.id = %self.id, task.kind = %self.kind, queue = %self.task.queue, attempt = %self.task.attempt)
            };
        }
        if self.assignment.handler.is_light() { attempt!(debug_span) } else { attempt!(info_span) }
    }
}

impl Assignments {
    /// Reads a delivery from `queue`. A message without an id gets one here.
    pub fn read(&self, delivery: &Delivery, queue: &QueueName, now: Timestamp) -> Result<Work, Box<Refusal>> {
        let incoming = incoming(delivery);
        let priority = incoming.priority.unwrap_or(0).into();
        let refusal = |id: Option<TaskId>, kind: Option<Kind>, attempt: Attempt, reason: Reason, error: String| {
            let about = About { kind, queue: queue.clone(), priority };
            Box::new(Refusal { id: id.unwrap_or_else(clock::task_id), about, attempt, reason, error })
        };
        let task = message::parse(&incoming, queue, now).map_err(|invalid| {
            let error = invalid.to_string();
            refusal(invalid.id, invalid.kind, invalid.attempt, Reason::Invalid, error)
        })?;
        let Some(kind) = task.kind.clone().or_else(|| self.defaults.get(queue).cloned()) else {
            let error = format!("type: expected a kind, and queue {queue} has no default kind");
            return Err(refusal(task.id, None, task.attempt, Reason::Invalid, error));
        };
        if let Some(Err(detail)) = task.cut.map(|cut| cut.measure(&delivery.data)) {
            let error = format!("payload: {detail}, for it is to be cut into chunks");
            return Err(refusal(task.id, Some(kind), task.attempt, Reason::Invalid, error));
        }
        let Some(assignment) = self.kinds.get(&kind) else {
            let error = format!("no handler for kind {kind} in the worker that took it");
            return Err(refusal(task.id, Some(kind), task.attempt, Reason::UnknownKind, error));
        };
        let assignment = Assignment { policy: assignment.policy.with(&task.overrides), ..assignment.clone() };
        Ok(Work { id: task.id.clone().unwrap_or_else(clock::task_id), kind, task, assignment })
    }
}
