//! Why a task is not running: what holds it, what is before it, and who could take it.
//!
//! A judgement from what is known at one moment. Whoever asks gathers the facts; nothing here looks anything up.

use std::{fmt, time::Duration};

use crate::{
    Kind, Operator, OrderKey, QueueName, Standing, TaskId, TaskState, Timestamp, WorkerId,
    worker::{Health, Running},
};

// What leaves the delay ladder may be so late without anything being wrong.
const LATE: Duration = Duration::from_secs(10);
// Of many tasks that are waited for, so many are named.
const NAMED: usize = 5;

/// What is known around a task that may be waiting.
#[derive(Debug)]
pub struct Situation<'a> {
    /// When this is judged.
    pub now: Timestamp,
    /// Where the task stands.
    pub standing: Standing<'a>,
    /// Its state.
    pub state: TaskState,
    /// Its queue; `None` while only scraps of it are known.
    pub queue: Option<&'a QueueName>,
    /// Its kind; `None` if its message names none.
    pub kind: Option<&'a Kind>,
    /// Where it waits for other tasks: those that are not over.
    pub after: Option<Vec<TaskId>>,
    /// Those of its queue with the same key run one at a time.
    pub order_key: Option<&'a OrderKey>,
    /// It starts no later.
    pub deadline: Option<Timestamp>,
    /// Tasks that its queue gives out before it.
    pub ahead: Option<u64>,
    /// Tasks a second that are taken from its queue.
    pub service_rate: f64,
    /// Tasks of its queue that may start, by the log's word.
    pub queued: u64,
    /// Messages ready in its queue, by the broker's word.
    pub ready: Option<u32>,
    /// Consumers of its queue, by the broker's word.
    pub consumers: Option<u32>,
    /// Who has paused its queue.
    pub pause: Option<Pause<'a>>,
    /// The workers that are known and have not ended in good order.
    pub workers: Vec<Candidate<'a>>,
}

/// A queue is paused.
#[derive(Debug, Clone, Copy)]
pub struct Pause<'a> {
    /// By whom.
    pub by: &'a Operator,
    /// Since when.
    pub at: Timestamp,
}

/// A worker that might take the task.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Who.
    pub worker: &'a WorkerId,
    /// How it is.
    pub health: Health,
    /// When it was last heard of.
    pub seen: Timestamp,
    /// It takes from the task's queue.
    pub serves: bool,
    /// It can run the task's kind, or the task names none.
    pub knows: bool,
    /// Room for attempts.
    pub slots: u32,
    /// Of that, in use.
    pub busy: u32,
    /// What it runs.
    pub running: &'a [Running],
}

/// The judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Whether the task waits at all.
    pub waits: bool,
    /// All of it in one sentence.
    pub summary: String,
    /// How long until it starts, if all goes on as it does; `None` where that cannot be told.
    pub estimate: Option<Duration>,
    /// What holds it, the most important first.
    pub reasons: Vec<Reason>,
    /// Each worker, and whether it could run the task.
    pub workers: Vec<Able>,
}

/// Something that holds a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What.
    pub code: Code,
    /// The same for people.
    pub text: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
}

/// What may hold a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It waits for other tasks.
    After,
    /// Its time has not come.
    Delayed,
    /// Its time has come, and nobody has moved it into its queue.
    Overdue,
    /// Its queue is paused.
    Paused,
    /// There is no worker.
    NoWorker,
    /// No worker takes from its queue.
    NoWorkerForQueue,
    /// No worker that takes from its queue can run its kind.
    NoWorkerForKind,
    /// Nobody consumes its queue.
    NoConsumer,
    /// All slots of those who could run it are in use.
    NoFreeSlot,
    /// Others of its order key come first.
    InTurn,
    /// Other tasks come first.
    Ahead,
    /// The broker holds messages of which the log does not know.
    BrokerBacklog,
    /// It is put aside soon.
    Expires,
}

/// Whether a worker could run the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Able {
    /// Who.
    pub worker: WorkerId,
    /// Whether it takes such tasks at present, be it with a free slot or without.
    pub can_run: bool,
    /// Why, or what it is doing.
    pub because: String,
}

impl Code {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Delayed => "delayed",
            Self::Overdue => "overdue",
            Self::Paused => "paused",
            Self::NoWorker => "no_worker",
            Self::NoWorkerForQueue => "no_worker_for_queue",
            Self::NoWorkerForKind => "no_worker_for_kind",
            Self::NoConsumer => "no_consumer",
            Self::NoFreeSlot => "no_free_slot",
            Self::InTurn => "in_turn",
            Self::Ahead => "ahead",
            Self::BrokerBacklog => "broker_backlog",
            Self::Expires => "expires",
        }
    }

    // Whether waiting alone does not help.
    fn blocks(self) -> bool {
        match self {
            Self::Overdue
            | Self::Paused
            | Self::NoWorker
            | Self::NoWorkerForQueue
            | Self::NoWorkerForKind
            | Self::NoConsumer => true,
            Self::After
            | Self::Delayed
            | Self::NoFreeSlot
            | Self::InTurn
            | Self::Ahead
            | Self::BrokerBacklog
            | Self::Expires => false,
        }
    }
}

/// Judges why a task waits.
pub fn judge(situation: &Situation<'_>) -> Waiting {
    let since = match situation.state {
        TaskState::Queued | TaskState::Delayed => None,
        TaskState::Running => Some("it runs"),
        TaskState::Succeeded => Some("it has succeeded"),
        TaskState::Dead => Some("it is a dead letter: nothing more happens to it by itself"),
        TaskState::Cancelled => Some("it was cancelled"),
        TaskState::Expired => Some("it was not started within its time"),
    };
    if let Some(why) = since {
        let summary = format!("It does not wait: {why}.");
        return Waiting { waits: false, summary, estimate: None, reasons: vec![], workers: vec![] };
    }
    if let Some(after) = &situation.after {
        let named: Vec<_> = after.iter().take(NAMED).map(TaskId::as_str).collect();
        let others = after.len().saturating_sub(NAMED);
        let text = match (named.as_slice(), others) {
            ([], _) => "what it waited for is over, and it is about to be handed in".to_owned(),
            (named, 0) => format!("it waits for {} to end", named.join(", ")),
            (named, others) => format!("it waits for {} and {others} others to end", named.join(", ")),
        };
        let reasons = vec![Reason { code: Code::After, text: text.clone(), since: None }];
        return Waiting {
            waits: true,
            summary: format!("It waits: {text}."),
            estimate: None,
            reasons,
            workers: vec![],
        };
    }
    let workers: Vec<_> = situation.workers.iter().map(|candidate| situation.able(candidate)).collect();
    let reasons = situation.reasons(&workers);
    let estimate = situation.estimate(&reasons);
    let summary = situation.summary(&reasons, estimate);
    Waiting { waits: true, summary, estimate, reasons, workers }
}

impl Situation<'_> {
    fn able(&self, candidate: &Candidate<'_>) -> Able {
        let (can_run, because) = match candidate.health {
            Health::Stopped => (false, "it has ended".to_owned()),
            Health::Lost => (false, format!("it is lost: not heard of for {}", Span(self.now.since(candidate.seen)))),
            Health::Draining => (false, "it takes nothing more".to_owned()),
            Health::NotConsuming => (false, "it lives, but does not consume".to_owned()),
            Health::Alive if !candidate.serves => (false, "it does not take from this queue".to_owned()),
            Health::Alive if !candidate.knows => {
                let kind = self.kind.map(Kind::as_str).unwrap_or_default();
                (false, format!("it has no handler for {kind}"))
            }
            Health::Alive => (true, self.load(candidate)),
        };
        Able { worker: candidate.worker.clone(), can_run, because }
    }

    fn load(&self, candidate: &Candidate<'_>) -> String {
        let free = candidate.slots.saturating_sub(candidate.busy);
        if free > 0 {
            return format!("{free} of its {} slots are free", candidate.slots);
        }
        let longest = candidate.running.iter().min_by_key(|running| running.since);
        let running = longest
            .map(|running| format!(", by {} for {} among others", running.kind, Span(self.now.since(running.since))));
        format!("all of its {} slots are in use{}", candidate.slots, running.unwrap_or_default())
    }

    fn reasons(&self, workers: &[Able]) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut reason = |code, text: String, since| reasons.push(Reason { code, text, since });
        if let Some(pause) = self.pause {
            let text = format!("its queue was paused by {} {} ago", pause.by, Span(self.now.since(pause.at)));
            reason(Code::Paused, text, Some(pause.at));
        }
        let delay = match self.standing {
            Standing::Delayed { due, since, .. } => Some((due, since)),
            _ => None,
        };
        let alive = |candidate: &&Candidate<'_>| matches!(candidate.health, Health::Alive | Health::NotConsuming);
        let there: Vec<_> = self.workers.iter().filter(alive).collect();
        if there.is_empty() {
            reason(Code::NoWorker, "no worker is there".to_owned(), None);
        } else if !there.iter().any(|candidate| candidate.serves) {
            let queue = self.queue.map(QueueName::as_str).unwrap_or_default();
            reason(
                Code::NoWorkerForQueue,
                format!("none of the {} workers takes from queue {queue}", there.len()),
                None,
            );
        } else if !there.iter().any(|candidate| candidate.serves && candidate.knows) {
            let kind = self.kind.map(Kind::as_str).unwrap_or_default();
            let text = format!("no worker that takes from its queue has a handler for {kind}: it will be put aside");
            reason(Code::NoWorkerForKind, text, None);
        } else if self.consumers == Some(0) && self.pause.is_none() {
            reason(Code::NoConsumer, "nobody consumes its queue, by the broker's word".to_owned(), None);
        }
        if let Some((due, since)) = delay {
            if self.now > due.plus(LATE) {
                let text =
                    format!("its time came {} ago, and it was not moved into its queue", Span(self.now.since(due)));
                reason(Code::Overdue, text, Some(due));
            } else {
                let text = format!("it waits for its time, {due}, which comes in {}", Span(due.since(self.now)));
                reason(Code::Delayed, text, Some(since));
            }
        } else {
            let able: Vec<_> = workers.iter().zip(&self.workers).filter(|(able, _)| able.can_run).collect();
            if !able.is_empty() && able.iter().all(|(_, candidate)| candidate.busy >= candidate.slots) {
                let slots: u32 = able.iter().map(|(_, candidate)| candidate.slots).sum();
                let text = format!("all {slots} slots of the {} workers that could run it are in use", able.len());
                reason(Code::NoFreeSlot, text, None);
            }
            if let Some(key) = self.order_key {
                let text = format!("of the tasks of order key {key} one runs at a time, in the order of their coming");
                reason(Code::InTurn, text, None);
            }
            if let Some(ahead) = self.ahead.filter(|ahead| *ahead > 0) {
                reason(Code::Ahead, format!("{ahead} tasks of its queue come before it"), None);
            }
            if let Some(ready) = self.ready.filter(|ready| u64::from(*ready) > self.queued.saturating_add(1)) {
                let text =
                    format!("the broker holds {ready} messages in its queue, {} of them in the log", self.queued);
                reason(Code::BrokerBacklog, text, None);
            }
        }
        if let Some(deadline) = self.deadline {
            let text = if deadline > self.now {
                format!("it is put aside unless it starts within {}", Span(deadline.since(self.now)))
            } else {
                "its time is over: whoever takes it will put it aside".to_owned()
            };
            reason(Code::Expires, text, None);
        }
        reasons.sort_by_key(|reason| !reason.code.blocks());
        reasons
    }

    fn estimate(&self, reasons: &[Reason]) -> Option<Duration> {
        if reasons.iter().any(|reason| reason.code.blocks()) {
            return None;
        }
        if let Standing::Delayed { due, .. } = self.standing {
            return Some(due.since(self.now));
        }
        let turn = self.ahead?.saturating_add(1);
        // Less than one in ten minutes tells nothing of the next.
        let rate = Some(self.service_rate).filter(|rate| *rate > 1.0 / 600.0)?;
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2⁵² tasks")]
        Duration::try_from_secs_f64(turn as f64 / rate).ok()
    }

    fn summary(&self, reasons: &[Reason], estimate: Option<Duration>) -> String {
        let told: Vec<_> = reasons.iter().filter(|reason| reason.code != Code::Expires).take(2).collect();
        let why = match told.as_slice() {
            [] => "It waits for a worker to take it".to_owned(),
            [first] => format!("It waits: {}", first.text),
            [first, rest @ ..] => {
                let rest: Vec<_> = rest.iter().map(|reason| reason.text.as_str()).collect();
                format!("It waits: {}; {}", first.text, rest.join("; "))
            }
        };
        let delayed = matches!(self.standing, Standing::Delayed { .. });
        match estimate.filter(|_| !delayed) {
            Some(estimate) => {
                format!("{why}. At {:.1} tasks a second it starts in about {}.", self.service_rate, Span(estimate))
            }
            None => format!("{why}."),
        }
    }
}

// A time span for people.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => f.write_str("less than a second"),
            1..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min", seconds / 60),
            7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
