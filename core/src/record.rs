//! What the projection knows of a task: facts merged so that their order and repetition do not matter.
//!
//! Every fact has a place that depends on the fact alone: its attempt, and for a run the worker and the time it started.
//! Where two facts compete for one place, a rule that looks only at the two decides. So any two monitors that have seen
//! the same facts hold the same record, whatever came first.
//!
//! The names of the fields are short where they are stored: there are millions of these.

mod run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use run::{End, RunRecord};

use crate::{
    Attempt, OrderKey, Reason, TaskId, Timestamp,
    command::{Command, Order},
    event::{
        About, Buried, Deferred, Discarded, Ended, Event, Held, Progressed, Released, Replayed, Returned, Run, Started,
        Submitted, Wish, Withdrawn,
    },
    preview::Preview,
};

// A task may have a million attempts; the first and the latest hundred are kept.
const ATTEMPTS_KEPT: usize = 100;
// Every lost connection may add a run; the first and the latest ten are kept.
const RUNS_KEPT: usize = 10;
// The latest so many orders are kept.
const ORDERS_KEPT: usize = 20;

/// Everything known of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// What it is, with the time of the fact that says so: the earliest word counts.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub about: Option<(Timestamp, About)>,
    /// How it was handed in.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<Submission>,
    /// W3C trace context.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The message is not persistent.
    #[serde(rename = "v", default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// Its attempts. Boxed, for the map makes room for eleven at a time, and most tasks have one.
    #[serde(rename = "a", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attempts: BTreeMap<Attempt, Box<AttemptRecord>>,
    /// The latest order to cancel it.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Order>,
    /// The tasks that it waited for before its first attempt.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What operators ordered, the oldest first.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
}

/// How a task was handed in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Submission {
    /// When.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// Bytes of payload.
    #[serde(rename = "z")]
    pub size: u64,
    /// It starts no later.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Who handed it in.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Those of its queue with the same key run one at a time, in order.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<OrderKey>,
    /// The first bytes of the payload.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// What is known of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// When it was put on the delay ladder, and when it may start: the latest word counts.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<(Timestamp, Timestamp)>,
    /// When it left the delay ladder: the latest word counts.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Timestamp>,
    /// Its runs by time of start: more than one if a worker was lost or cut off.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// Why it was never made.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub buried: Option<Burial>,
    /// When it was taken off its queue or the ladder, for the task was cancelled: the earliest word counts.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
    /// It is made because the task was replayed from the dead letters: the earliest word counts.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Decision>,
    /// After it the task was thrown away from the dead letters: the earliest word counts.
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<Decision>,
}

/// Why an attempt was never made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Burial {
    /// When.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// Why.
    #[serde(rename = "r")]
    pub reason: Reason,
    /// What is wrong, for people.
    #[serde(rename = "m")]
    pub error: String,
}

/// What became of a dead letter, and at whose wish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

impl TaskRecord {
    /// Takes a fact in. Facts about workers, and about other tasks, must not be given to it.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted(e) => self.submitted(e),
            Event::Deferred(e) => self.deferred(e),
            Event::Released(e) => self.released(e),
            Event::Started(e) => self.started(e),
            Event::Progressed(e) => self.progressed(e),
            Event::Returned(e) => self.returned(e),
            Event::Ended(e) => self.ended(e),
            Event::Buried(e) => self.buried(e),
            Event::Withdrawn(e) => self.withdrawn(e),
            Event::Ordered(order) => self.ordered(order),
            Event::Replayed(e) => self.replayed(e),
            Event::Discarded(e) => self.discarded(e),
            Event::Held(e) => self.held(e),
            Event::Declined(_)
            | Event::Undertaken(_)
            | Event::Unrouted(_)
            | Event::ScheduleChanged(_)
            | Event::WorkflowSubmitted(_)
            | Event::WorkflowSteered(_)
            | Event::WorkerStarted(_)
            | Event::Heartbeat(_)
            | Event::WorkerStopped(_)
            | Event::Unknown => {}
        }
        self.forget_the_middle();
    }

    /// Takes in where in the log a fact lies, if that is ever asked: see [`AttemptRecord::is_behind`].
    pub fn locate(&mut self, event: &Event, offset: u64) {
        let Event::Started(e) = event else { return };
        let Some(attempt) = self.attempts.get_mut(&e.attempt) else { return };
        let run = attempt.runs.iter_mut().find(|run| run.run.started == e.at && run.run.worker == e.worker);
        if let Some(run) = run.filter(|run| run.end.is_none()) {
            run.offset = Some(run.offset.map_or(offset, |known| known.min(offset)));
        }
    }

    /// What it is.
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref().map(|(_, about)| about)
    }

    /// Forgets the first bytes of the payload: of a task that has succeeded nobody asks for them, and there are many.
    pub fn forget_preview(&mut self) {
        if let Some(submission) = &mut self.submission {
            submission.preview = None;
        }
    }

    pub(crate) fn submission_time(&self) -> Option<Timestamp> {
        self.submission.as_ref().map(|submission| submission.at)
    }

    fn describe(&mut self, at: Timestamp, about: &About) {
        if self.about.as_ref().is_none_or(|(since, known)| (at, about) < (*since, known)) {
            self.about = Some((at, about.clone()));
        }
    }

    fn attempt(&mut self, attempt: Attempt) -> &mut AttemptRecord {
        self.attempts.entry(attempt).or_default()
    }

    fn submitted(&mut self, e: &Submitted) {
        self.describe(e.at, &e.about);
        self.transient |= e.transient;
        let submission = Submission {
            at: e.at,
            size: e.size,
            deadline: e.deadline,
            app: e.app.clone(),
            order_key: e.order_key.clone(),
            preview: e.preview.clone(),
        };
        if self.submission.as_ref().is_none_or(|known| submission < *known) {
            self.submission = Some(submission);
        }
        if let Some(due) = e.due {
            self.attempt(Attempt::FIRST).wait(e.at, due);
        }
    }

    fn deferred(&mut self, e: &Deferred) {
        self.describe(e.at, &e.about);
        self.attempt(e.attempt).wait(e.at, e.due);
    }

    fn released(&mut self, e: &Released) {
        let attempt = self.attempt(e.attempt);
        attempt.released = attempt.released.max(Some(e.at));
    }

    fn started(&mut self, e: &Started) {
        self.describe(e.at, &e.about);
        self.transient |= e.transient;
        if e.traceparent.is_some() && (self.traceparent.is_none() || e.traceparent < self.traceparent) {
            self.traceparent.clone_from(&e.traceparent);
        }
        let run = Run { started: e.at, worker: e.worker.clone() };
        let run = self.attempt(e.attempt).run(&run);
        if run.end.is_none() {
            run.limit = run.limit.max(Some(e.limit));
        }
    }

    fn progressed(&mut self, e: &Progressed) {
        let run = self.attempt(e.attempt).run(&e.run);
        let newer = match &run.progress {
            None => true,
            Some((at, known)) => (*at, known.to_string()) < (e.at, e.progress.to_string()),
        };
        if newer {
            run.progress = Some((e.at, e.progress.clone()));
        }
    }

    fn returned(&mut self, e: &Returned) {
        let run = self.attempt(e.attempt).run(&e.run);
        run.returned = run.returned.max(Some(e.at));
    }

    fn ended(&mut self, e: &Ended) {
        self.describe(e.at, &e.about);
        let end = End { at: e.at, outcome: e.outcome.clone(), verdict: e.verdict };
        let run = self.attempt(e.attempt).run(&e.run);
        (run.limit, run.offset) = (None, None);
        if run.end.as_ref().is_none_or(|known| end.counts_before(known).is_lt()) {
            run.end = Some(end);
        }
    }

    fn buried(&mut self, e: &Buried) {
        self.describe(e.at, &e.about);
        let burial = Burial { at: e.at, reason: e.reason, error: e.error.clone() };
        earlier(&mut self.attempt(e.attempt).buried, burial);
    }

    fn replayed(&mut self, e: &Replayed) {
        self.describe(e.at, &e.about);
        earlier(&mut self.attempt(e.attempt).replayed, Decision { at: e.at, wish: e.wish.clone() });
    }

    fn discarded(&mut self, e: &Discarded) {
        self.describe(e.at, &e.about);
        earlier(&mut self.attempt(e.attempt).discarded, Decision { at: e.at, wish: e.wish.clone() });
    }

    fn held(&mut self, e: &Held) {
        self.describe(e.at, &e.about);
        if !e.after.is_empty() {
            self.after.clone_from(&e.after);
        }
    }

    fn withdrawn(&mut self, e: &Withdrawn) {
        self.describe(e.at, &e.about);
        let attempt = self.attempt(e.attempt);
        attempt.withdrawn = Some(attempt.withdrawn.map_or(e.at, |known| known.min(e.at)));
    }

    fn ordered(&mut self, order: &Order) {
        let place = |order: &Order| (order.at, order.id.clone());
        if matches!(order.command, Command::Cancel { .. })
            && self.cancel.as_ref().is_none_or(|known| place(known) < place(order))
        {
            self.cancel = Some(order.clone());
        }
        if let Err(index) = self.orders.binary_search_by_key(&place(order), place) {
            self.orders.insert(index, order.clone());
            let surplus = self.orders.len().saturating_sub(ORDERS_KEPT);
            self.orders.drain(..surplus);
        }
    }

    // Both cuts keep what is first and last in an order that does not depend on arrival, so what is left does not either.
    fn forget_the_middle(&mut self) {
        while self.attempts.len() > ATTEMPTS_KEPT {
            let oldest_but_first = self.attempts.keys().nth(1).copied().expect("there are more than two attempts");
            self.attempts.remove(&oldest_but_first);
        }
    }
}

fn earlier<T: Ord>(known: &mut Option<T>, word: T) {
    if known.as_ref().is_none_or(|known| word < *known) {
        *known = Some(word);
    }
}

impl AttemptRecord {
    /// The run whose end counts: the one that ended first. Any other end is stale.
    pub fn leading(&self) -> Option<&RunRecord> {
        let ended = self.runs.iter().filter_map(|run| run.end.as_ref().map(|end| (end, run)));
        let first = ended.min_by(|(a, run_a), (b, run_b)| a.counts_before(b).then_with(|| run_a.run.cmp(&run_b.run)));
        first.map(|(_, run)| run)
    }

    /// Whether a run was begun later than another one, by the order of the log: no two clocks are the same.
    pub fn is_behind(&self, run: &Run, other: &Run) -> bool {
        let offset = |run: &Run| self.runs.iter().find(|known| known.run == *run)?.offset;
        offset(other).zip(offset(run)).is_some_and(|(other, own)| other < own)
    }

    fn wait(&mut self, at: Timestamp, due: Timestamp) {
        self.deferred = self.deferred.max(Some((at, due)));
    }

    fn run(&mut self, run: &Run) -> &mut RunRecord {
        let place = match self.runs.binary_search_by(|known| known.run.cmp(run)) {
            Ok(place) => place,
            Err(place) => {
                // Most attempts are run once, and a vector makes room for four.
                self.runs.reserve_exact(1);
                self.runs.insert(place, RunRecord::of(run.clone()));
                self.forget_the_middle(place)
            }
        };
        &mut self.runs[place]
    }

    // Returns where the run that was just put in stands now. The middle one goes, unless it is the one just put in: that
    // one is still to be filled, and goes when the next comes.
    fn forget_the_middle(&mut self, place: usize) -> usize {
        if self.runs.len() <= 2 * RUNS_KEPT + 1 {
            return place;
        }
        let middle = if place == RUNS_KEPT { RUNS_KEPT + 1 } else { RUNS_KEPT };
        self.runs.remove(middle);
        if place > middle { place - 1 } else { place }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
