//! The audit trail: who did what, and when. It is read off the event log like everything else, so it survives a flush of
//! Redis as far as the log reaches.

use serde::{Deserialize, Serialize};
use warren_core::{
    Operator, OrderId, Timestamp,
    command::{Order, Target},
    event::{Event, Steering, Undertaking, WorkflowSteered},
};

/// How many entries are kept.
pub const KEPT: isize = 10_000;

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which deed.
    pub id: OrderId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Operator,
    /// What: its name in the API.
    pub what: String,
    /// To what: the name of a task, a queue, a worker, or what else it is about.
    pub target: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Entry {
    /// What an event says of somebody's deed.
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Ordered(order) => Self::of_order(order),
            Event::Undertaken(undertaking) => Some(Self::of_undertaking(undertaking)),
            Event::WorkflowSteered(steered) => Some(Self::of_steered(steered)),
            Event::Submitted(_)
            | Event::Deferred(_)
            | Event::Released(_)
            | Event::Started(_)
            | Event::Progressed(_)
            | Event::Returned(_)
            | Event::Ended(_)
            | Event::Buried(_)
            | Event::Withdrawn(_)
            | Event::Replayed(_)
            | Event::Discarded(_)
            | Event::Unrouted(_)
            | Event::Declined(_)
            | Event::ScheduleChanged(_)
            | Event::Held(_)
            | Event::WorkflowSubmitted(_)
            | Event::WorkerStarted(_)
            | Event::Heartbeat(_)
            | Event::WorkerStopped(_)
            | Event::Unknown => None,
        }
    }

    /// The same for an order; `None` if a newer version gave it.
    pub fn of_order(order: &Order) -> Option<Self> {
        let target = order.command.target()?;
        Some(Self {
            id: order.id.clone(),
            at: order.at,
            by: order.by.clone(),
            what: order.command.name().to_owned(),
            target: target.as_str().to_owned(),
            reason: order.reason.clone(),
        })
    }

    /// The same for what is to be done with dead letters.
    pub fn of_undertaking(undertaking: &Undertaking) -> Self {
        let Undertaking { order, at, what, target, wish } = undertaking.clone();
        Self { id: order, at, by: wish.by, what, target, reason: wish.reason }
    }

    fn of_steered(steered: &WorkflowSteered) -> Self {
        let WorkflowSteered { order, workflow, at, wished, wish } = steered.clone();
        let what = match wished {
            Steering::Cancel => "cancel_workflow",
            Steering::Retry => "retry_workflow",
        };
        Self { id: order, at, by: wish.by, what: what.to_owned(), target: workflow.to_string(), reason: wish.reason }
    }

    /// Its place in the trail: text that sorts by time.
    pub fn place(&self) -> String {
        place(self.at, &self.id)
    }
}

/// A place in the trail.
pub fn place(at: Timestamp, id: &OrderId) -> String {
    format!("{:015}.{id}", at.as_millis())
}

/// The id in a place of the trail.
pub fn id_of(place: &str) -> Option<&str> {
    place.split_once('.').map(|(_, id)| id)
}

/// Whether an order is shown for as long as it is the latest about its target.
pub fn is_standing(order: &Order) -> bool {
    match order.command.target() {
        Some(Target::Queue(_) | Target::Worker(_)) => true,
        Some(Target::Task(_)) | None => false,
    }
}
