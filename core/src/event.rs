//! Facts about tasks and workers, as the event log holds them.
//!
//! A fact is written once, by whoever caused it, and never changed. Readers ignore fields and kinds of event that they
//! do not know, so that neighbouring versions of Warren share one log.

mod batch;
mod usual;

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Kind, Operator, OrderId, OrderKey, Outcome, Priority, QueueName, Reason, ScheduleName, TaskId, Timestamp,
    Verdict, WorkerId, WorkflowId,
    command::Order,
    depth,
    preview::Preview,
    schedule::Entry,
    worker::{Heartbeat, Hello},
    workflow::{Cut, OnFailure},
};

pub use batch::{Batch, VERSION, assemble};

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A task was handed in and its queue has it.
    Submitted(Submitted),
    /// A task waits on the delay ladder for its next attempt.
    Deferred(Deferred),
    /// A task left the delay ladder for its queue.
    Released(Released),
    /// A worker began an attempt.
    Started(Started),
    /// An attempt said how far it is.
    Progressed(Progressed),
    /// A worker gave an attempt back unfinished, at its shutdown. It costs no attempt.
    Returned(Returned),
    /// An attempt ended.
    Ended(Ended),
    /// A task became a dead letter without (another) attempt.
    Buried(Buried),
    /// A cancelled task was taken off its queue or the ladder, and will not be started.
    Withdrawn(Withdrawn),
    /// A dead letter was put back into its queue.
    Replayed(Replayed),
    /// A dead letter was thrown away.
    Discarded(Discarded),
    /// Somebody did something that is no order to workers: with dead letters, of which a job is made, or with a schedule.
    Undertaken(Undertaking),
    /// A foreign message named a queue that does not exist.
    Unrouted(Unrouted),
    /// An operator gave an order, and the command log has it.
    Ordered(Order),
    /// An order could not be carried out.
    Declined(Declined),
    /// A schedule was put, removed, paused or resumed.
    ScheduleChanged(ScheduleChanged),
    /// A task waits for others, or for its chunks: whoever runs workflows has it.
    Held(Box<Held>),
    /// A workflow was handed in.
    WorkflowSubmitted(WorkflowSubmitted),
    /// Somebody cancelled a workflow, or lets what failed in it run again.
    WorkflowSteered(WorkflowSteered),
    /// A worker is there.
    WorkerStarted(Hello),
    /// A worker is still there.
    Heartbeat(Heartbeat),
    /// A worker has ended in good order.
    WorkerStopped(Goodbye),
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What is known of a task from its message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct About {
    /// The kind; `None` if the message named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The queue.
    pub queue: QueueName,
    /// How urgent.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
}

/// See [`Event::Submitted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// Bytes of payload.
    pub size: u64,
    /// It starts no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// It starts no later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Property `app_id`: who handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Those of its queue with the same key run one at a time, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<OrderKey>,
    /// The message is not persistent: a restart of the broker loses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// The first bytes of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// See [`Event::Deferred`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deferred {
    /// The task.
    pub task: TaskId,
    /// When it was put on the ladder.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The attempt that it waits for.
    pub attempt: Attempt,
    /// When it may start.
    pub due: Timestamp,
}

/// See [`Event::Released`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// The attempt that it may now make.
    pub attempt: Attempt,
}

/// See [`Event::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The task.
    pub task: TaskId,
    /// When. Together with the worker it names this run of the attempt.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// Which attempt.
    pub attempt: Attempt,
    /// Where.
    pub worker: WorkerId,
    /// When it will be ended if it has not ended by itself.
    pub limit: Timestamp,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The message is not persistent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

impl Started {
    /// Whether the [end](Ended) of the same run says all of it that is of any use by then.
    pub fn is_told_by_its_end(&self) -> bool {
        self.traceparent.is_none() && !self.transient
    }
}

/// One run of an attempt: usually the only one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// When it started.
    pub started: Timestamp,
    /// Where.
    pub worker: WorkerId,
}

/// See [`Event::Progressed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progressed {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// Which attempt.
    pub attempt: Attempt,
    /// Which run of it.
    #[serde(flatten)]
    pub run: Run,
    /// How far: whatever the handler says, by convention a number from 0 to 1 or an object.
    #[serde(deserialize_with = "depth::deserialize")]
    pub progress: serde_json::Value,
}

/// See [`Event::Returned`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Returned {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// Which attempt.
    pub attempt: Attempt,
    /// Which run of it.
    #[serde(flatten)]
    pub run: Run,
}

/// See [`Event::Ended`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is: an ended task is shown in full even if nothing else is known of it.
    #[serde(flatten)]
    pub about: About,
    /// Which attempt.
    pub attempt: Attempt,
    /// Which run of it.
    #[serde(flatten)]
    pub run: Run,
    /// How.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// See [`Event::Buried`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buried {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The attempt that will not be made.
    pub attempt: Attempt,
    /// Why.
    pub reason: Reason,
    /// What is wrong with it, for people.
    pub error: String,
}

/// See [`Event::Withdrawn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The attempt that will not be made.
    pub attempt: Attempt,
}

/// See [`Event::Replayed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The attempt that it may now make: the one after its last.
    pub attempt: Attempt,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

/// See [`Event::Discarded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discarded {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The attempt as which it was dead.
    pub attempt: Attempt,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

/// See [`Event::Undertaken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undertaking {
    /// Names the action, and its job where there is one.
    pub order: OrderId,
    /// When it was given.
    pub at: Timestamp,
    /// What is to be done.
    pub what: String,
    /// With which letters, for people, or with which schedule.
    pub target: String,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

/// Who wished for something, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wish {
    /// Who.
    pub by: Operator,
    /// Why, if a reason was given.
    #[serde(default, rename = "why", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// See [`Event::Declined`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declined {
    /// The order.
    pub order: OrderId,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, for people.
    pub why: String,
}

/// See [`Event::Unrouted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unrouted {
    /// When.
    pub at: Timestamp,
    /// The routing key.
    pub key: String,
    /// The task, if the message has a readable id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// See [`Event::ScheduleChanged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleChanged {
    /// Which.
    pub schedule: ScheduleName,
    /// What it is from now on, and since when.
    #[serde(flatten)]
    pub entry: Box<Entry>,
}

/// See [`Event::Held`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The task.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The tasks that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What follows if one of those fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Its payload is a list, whose chunks are tasks of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Its message, as whoever runs workflows writes it: nowhere else it is kept.
    pub message: String,
}

/// See [`Event::WorkflowSubmitted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowSubmitted {
    /// Which.
    pub workflow: WorkflowId,
    /// When.
    pub at: Timestamp,
    /// Who handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What it is: a [`Definition`](crate::workflow::Definition) as JSON. As text, for only who runs workflows reads it.
    pub definition: String,
}

/// See [`Event::WorkflowSteered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowSteered {
    /// Names the action.
    pub order: OrderId,
    /// Which workflow.
    pub workflow: WorkflowId,
    /// When.
    pub at: Timestamp,
    /// What is wished.
    pub wished: Steering,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What somebody wishes of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// That it ends.
    Cancel,
    /// That what failed in it runs again.
    Retry,
}

/// See [`Event::WorkerStopped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Who.
    pub worker: WorkerId,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// The task that it is about.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Submitted(e) => Some(&e.task),
            Self::Deferred(e) => Some(&e.task),
            Self::Released(e) => Some(&e.task),
            Self::Started(e) => Some(&e.task),
            Self::Progressed(e) => Some(&e.task),
            Self::Returned(e) => Some(&e.task),
            Self::Ended(e) => Some(&e.task),
            Self::Buried(e) => Some(&e.task),
            Self::Withdrawn(e) => Some(&e.task),
            Self::Ordered(order) => order.task(),
            Self::Replayed(e) => Some(&e.task),
            Self::Discarded(e) => Some(&e.task),
            Self::Held(e) => Some(&e.task),
            Self::Declined(_)
            | Self::Undertaken(_)
            | Self::Unrouted(_)
            | Self::ScheduleChanged(_)
            | Self::WorkflowSubmitted(_)
            | Self::WorkflowSteered(_)
            | Self::WorkerStarted(_)
            | Self::Heartbeat(_)
            | Self::WorkerStopped(_)
            | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
