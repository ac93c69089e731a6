//! What operators wish, and what of it is in force.
//!
//! An order is written once to the command log and never changed. Of the orders for one target the newest is in force,
//! and no order is needed to understand another: so orders may be read in any order and any number of times, what a
//! reader knew before may be mixed with what it reads anew, and whoever leads may state anew what is in force whenever it
//! likes.
//!
//! Only a cancel is never overtaken by another order for its task: of two operators who act at once, the one who wants
//! the task not to run is heard.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Operator, OrderId, QueueName, TaskId, Timestamp, WorkerId};

/// The version that this code writes.
pub const VERSION: u32 = 1;

/// How long an order about a task or a worker holds at most. A cancel counts this from the time at which its task is due.
pub const HOLDS: Duration = Duration::from_hours(7 * 24);

/// How long a task is looked for that shall run now.
pub const SEARCH: Duration = Duration::from_mins(1);

/// One message of the command log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The version of the writer.
    #[serde(rename = "v")]
    pub version: u32,
    /// The process that wrote it.
    pub source: String,
    /// New orders, or such as are stated anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// Orders that are in force no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lapsed: Vec<Lapse>,
    /// Means something to its writer alone: when it reads this back, it has read everything that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
}

impl Batch {
    /// An empty one.
    pub fn new(source: &str) -> Self {
        Self { version: VERSION, source: source.to_owned(), orders: vec![], lapsed: vec![], marker: None }
    }

    /// From the body of a message.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// As the body of a message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("orders hold no map with keys other than text")
    }
}

/// What an operator wishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which order.
    pub id: OrderId,
    /// When it was given.
    pub at: Timestamp,
    /// By whom.
    pub by: Operator,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What shall be done.
    #[serde(flatten)]
    pub command: Command,
}

/// What shall be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// A task shall end, or not start.
    Cancel {
        /// The task.
        task: TaskId,
        /// The order holds no longer than this.
        until: Timestamp,
    },
    /// A delayed task shall not wait any longer.
    RunNow {
        /// The task.
        task: TaskId,
    },
    /// No worker shall take from a queue.
    Pause {
        /// The queue.
        queue: QueueName,
    },
    /// Workers shall take from a queue again.
    Resume {
        /// The queue.
        queue: QueueName,
    },
    /// A worker shall take nothing more, and stay.
    Drain {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker shall take tasks again.
    ResumeWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What an order is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A task.
    Task(TaskId),
    /// A queue.
    Queue(QueueName),
    /// A worker.
    Worker(WorkerId),
}

/// An order is in force no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapse {
    /// Which order.
    pub order: OrderId,
    /// What it was about.
    pub target: Target,
}

impl Command {
    /// Its name in the API and in the audit trail.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::RunNow { .. } => "run_now",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Drain { .. } => "drain",
            Self::ResumeWorker { .. } => "resume_worker",
            Self::Unknown => "unknown",
        }
    }

    /// What it is about; `None` where a newer version knows.
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Cancel { task, .. } | Self::RunNow { task } => Some(Target::Task(task.clone())),
            Self::Pause { queue } | Self::Resume { queue } => Some(Target::Queue(queue.clone())),
            Self::Drain { worker } | Self::ResumeWorker { worker } => Some(Target::Worker(worker.clone())),
            Self::Unknown => None,
        }
    }
}

impl Target {
    /// The name of what is meant.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Task(task) => task.as_str(),
            Self::Queue(queue) => queue.as_str(),
            Self::Worker(worker) => worker.as_str(),
        }
    }
}

impl Order {
    /// The task that it is about.
    pub fn task(&self) -> Option<&TaskId> {
        match &self.command {
            Command::Cancel { task, .. } | Command::RunNow { task } => Some(task),
            Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Drain { .. }
            | Command::ResumeWorker { .. }
            | Command::Unknown => None,
        }
    }

    /// Whether it still has to be known at `now`. What takes another order back is known for as long as that one might
    /// come up again.
    pub fn holds(&self, now: Timestamp) -> bool {
        match &self.command {
            Command::Cancel { until, .. } => now < *until,
            // For as long again as it is searched for, so that whoever leads has the time to say that it was in vain.
            Command::RunNow { .. } => now < self.at.plus(2 * SEARCH),
            Command::Pause { .. } => true,
            Command::Resume { .. } | Command::Drain { .. } | Command::ResumeWorker { .. } => now < self.at.plus(HOLDS),
            Command::Unknown => false,
        }
    }

    /// Whether it is in force rather than `other`, for the same target.
    pub fn overrules(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(&self) -> (bool, Timestamp, &OrderId) {
        (matches!(self.command, Command::Cancel { .. }), self.at, &self.id)
    }
}

/// What is in force: of each target the one order that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InForce {
    orders: BTreeMap<Target, Order>,
}

impl InForce {
    /// Takes an order in; orders may come in any order and repeatedly. Says whether it changes anything.
    pub fn apply(&mut self, order: &Order) -> bool {
        let Some(target) = order.command.target() else { return false };
        match self.orders.get(&target) {
            Some(known) if !order.overrules(known) => false,
            Some(_) | None => {
                self.orders.insert(target, order.clone());
                true
            }
        }
    }

    /// Forgets an order. Should it come again it is in force again, until this comes again: in the log it always does.
    pub fn lapse(&mut self, lapse: &Lapse) -> bool {
        let is_it = self.orders.get(&lapse.target).is_some_and(|order| order.id == lapse.order);
        if is_it {
            self.orders.remove(&lapse.target);
        }
        is_it
    }

    /// Forgets what holds no longer.
    pub fn forget(&mut self, now: Timestamp) {
        self.orders.retain(|_, order| order.holds(now));
    }

    /// The order that keeps workers from taking from a queue.
    pub fn pause_of(&self, queue: &QueueName) -> Option<&Order> {
        let order = self.orders.get(&Target::Queue(queue.clone()))?;
        matches!(order.command, Command::Pause { .. }).then_some(order)
    }

    /// The order that keeps a worker from taking tasks.
    pub fn drain_of(&self, worker: &WorkerId, now: Timestamp) -> Option<&Order> {
        let order = self.orders.get(&Target::Worker(worker.clone()))?;
        (matches!(order.command, Command::Drain { .. }) && order.holds(now)).then_some(order)
    }

    /// The order that a task shall not run.
    pub fn cancel_of(&self, task: &TaskId, now: Timestamp) -> Option<&Order> {
        let order = self.orders.get(&Target::Task(task.clone()))?;
        (matches!(order.command, Command::Cancel { .. }) && order.holds(now)).then_some(order)
    }

    /// The order that a task shall not wait any longer.
    pub fn haste_of(&self, task: &TaskId, now: Timestamp) -> Option<&Order> {
        let order = self.orders.get(&Target::Task(task.clone()))?;
        (matches!(order.command, Command::RunNow { .. }) && order.holds(now)).then_some(order)
    }

    /// Every order that a task shall not wait any longer.
    pub fn hasty(&self, now: Timestamp) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(move |order| matches!(order.command, Command::RunNow { .. }) && order.holds(now))
    }

    /// Every order that counts.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
