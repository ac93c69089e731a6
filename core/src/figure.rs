//! What is counted of the facts of a task: each fact once, at its own time, whatever comes twice or late.
//!
//! Figures are read off the record, before a fact is taken in and after: the difference is what the fact adds. So what
//! changes nothing in the record counts nothing, and a word that corrects an earlier one moves its count.

use std::{fmt, str::FromStr};

use crate::{
    Attempt, Outcome, TaskState, Timestamp,
    event::{Event, Run},
    histogram::Slot,
    record::{AttemptRecord, RunRecord, TaskRecord},
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Tasks that were handed in.
    Submitted,
    /// Tasks that came into their queue, at first or after a wait.
    Arrived,
    /// Attempts that began.
    Started,
    /// Attempts that failed.
    Failed,
    /// Tasks that came into a state in which they stay.
    Came(Final),
    /// From when a task came into its queue to the start of its attempt.
    Wait(Slot),
    /// From the start of an attempt to its end.
    Run(Slot),
}

/// A state in which a task stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Final {
    /// See [`TaskState::Succeeded`].
    Succeeded,
    /// See [`TaskState::Dead`].
    Dead,
    /// See [`TaskState::Cancelled`].
    Cancelled,
    /// See [`TaskState::Expired`].
    Expired,
}

impl Final {
    /// Of a state; `None` if something more happens by itself.
    pub fn of(state: TaskState) -> Option<Self> {
        match state {
            TaskState::Succeeded => Some(Self::Succeeded),
            TaskState::Dead => Some(Self::Dead),
            TaskState::Cancelled => Some(Self::Cancelled),
            TaskState::Expired => Some(Self::Expired),
            TaskState::Queued | TaskState::Delayed | TaskState::Running => None,
        }
    }
}

/// How a count changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// What is counted.
    pub measure: Measure,
    /// When it happened.
    pub at: Timestamp,
    /// One more, or one less.
    pub by: i64,
}

impl Figure {
    /// One more.
    pub fn more(measure: Measure, at: Timestamp) -> Self {
        Self { measure, at, by: 1 }
    }

    /// One less.
    pub fn less(measure: Measure, at: Timestamp) -> Self {
        Self { measure, at, by: -1 }
    }
}

/// Takes a fact in, and says what that adds to the counts. Nothing is counted while the task's queue is unknown.
pub fn apply(record: &mut TaskRecord, event: &Event) -> Vec<Figure> {
    let Some(attempt) = attempt(event) else {
        record.apply(event);
        return Vec::new();
    };
    let known = record.about.is_some();
    let before = if known { Counted::of(record, &[attempt]) } else { Counted::default() };
    record.apply(event);
    if record.about.is_none() {
        return Vec::new();
    }
    let mut attempts = vec![attempt];
    if !known {
        attempts.extend(record.attempts.keys());
        attempts.push(Attempt::FIRST);
        attempts.sort_unstable();
        attempts.dedup();
    }
    before.changes(&Counted::of(record, &attempts))
}

// What is counted of a task's first word and of some of its attempts.
#[derive(Debug, Default)]
struct Counted {
    first_word: Option<Timestamp>,
    // `None`: not on record, or no longer.
    attempts: Vec<Option<Made>>,
}

#[derive(Debug, Default)]
struct Made {
    arrived: Option<Timestamp>,
    runs: Vec<Ran>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Ran {
    run: Run,
    wait: Option<Slot>,
    end: Option<(Timestamp, Slot, Success)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Success {
    Yes,
    No,
}

impl Counted {
    fn of(record: &TaskRecord, attempts: &[Attempt]) -> Self {
        let first_word = record.about.as_ref().map(|(at, _)| *at);
        Self { first_word, attempts: attempts.iter().map(|attempt| Made::of(record, *attempt)).collect() }
    }

    fn changes(&self, after: &Self) -> Vec<Figure> {
        let mut figures = Vec::new();
        move_one(&mut figures, Measure::Submitted, self.first_word, after.first_word);
        let none = Made::default();
        for (index, made) in after.attempts.iter().enumerate() {
            // What was forgotten stays counted.
            let Some(made) = made else { continue };
            let before = self.attempts.get(index).and_then(Option::as_ref).unwrap_or(&none);
            move_one(&mut figures, Measure::Arrived, before.arrived, made.arrived);
            for ran in &made.runs {
                let known = before.runs.iter().find(|before| before.run == ran.run);
                if known != Some(ran) {
                    figures.extend(known.into_iter().flat_map(Ran::counts).map(|(m, at)| Figure::less(m, at)));
                    figures.extend(ran.counts().map(|(measure, at)| Figure::more(measure, at)));
                }
            }
        }
        figures
    }
}

fn move_one(figures: &mut Vec<Figure>, measure: Measure, before: Option<Timestamp>, after: Option<Timestamp>) {
    if before != after {
        figures.extend(before.map(|at| Figure::less(measure, at)));
        figures.extend(after.map(|at| Figure::more(measure, at)));
    }
}

impl Made {
    fn of(record: &TaskRecord, attempt: Attempt) -> Option<Self> {
        let Some(made) = record.attempts.get(&attempt) else {
            let untouched = || Self { arrived: record.submission_time(), runs: Vec::new() };
            return (attempt == Attempt::FIRST).then(untouched);
        };
        let arrived = arrived(record, attempt, made);
        let ran = |(index, run): (usize, &RunRecord)| {
            let since = index.checked_sub(1).map_or(arrived, |before| made.runs[before].returned);
            Ran::of(run, since)
        };
        Some(Self { arrived, runs: made.runs.iter().enumerate().map(ran).collect() })
    }
}

impl Ran {
    fn of(record: &RunRecord, since: Option<Timestamp>) -> Self {
        let started = record.run.started;
        let end = record.end.as_ref().map(|end| {
            let success = match end.outcome {
                Outcome::Success { .. } | Outcome::Cancelled => Success::Yes,
                Outcome::Retryable { .. }
                | Outcome::Permanent { .. }
                | Outcome::Timeout { .. }
                | Outcome::Crashed { .. } => Success::No,
            };
            (end.at, Slot::of(end.at.since(started)), success)
        });
        Self { run: record.run.clone(), wait: since.map(|since| Slot::of(started.since(since))), end }
    }

    fn counts(&self) -> impl Iterator<Item = (Measure, Timestamp)> + use<> {
        let started = self.run.started;
        let ended = self.end.map(|(at, slot, _)| (Measure::Run(slot), at));
        let failed = self.end.filter(|(.., success)| *success == Success::No).map(|(at, ..)| (Measure::Failed, at));
        let wait = self.wait.map(|slot| (Measure::Wait(slot), started));
        [Some((Measure::Started, started)), wait, ended, failed].into_iter().flatten()
    }
}

// When an attempt came into its queue: from the ladder, from the dead letters, or when the task was handed in to start at once.
fn arrived(record: &TaskRecord, attempt: Attempt, made: &AttemptRecord) -> Option<Timestamp> {
    let at_once = || {
        let first = attempt == Attempt::FIRST && made.deferred.is_none();
        first.then(|| record.submission_time()).flatten()
    };
    let replayed = made.replayed.as_ref().map(|decision| decision.at);
    made.released.or(replayed).or_else(at_once)
}

fn attempt(event: &Event) -> Option<Attempt> {
    match event {
        Event::Submitted(_) => Some(Attempt::FIRST),
        Event::Deferred(e) => Some(e.attempt),
        Event::Released(e) => Some(e.attempt),
        Event::Started(e) => Some(e.attempt),
        Event::Returned(e) => Some(e.attempt),
        Event::Progressed(e) => Some(e.attempt),
        Event::Ended(e) => Some(e.attempt),
        Event::Buried(e) => Some(e.attempt),
        Event::Withdrawn(e) => Some(e.attempt),
        Event::Replayed(e) => Some(e.attempt),
        Event::Discarded(e) => Some(e.attempt),
        Event::Ordered(_)
        | Event::Declined(_)
        | Event::Undertaken(_)
        | Event::ScheduleChanged(_)
        | Event::Held(_)
        | Event::WorkflowSubmitted(_)
        | Event::WorkflowSteered(_)
        | Event::Unrouted(_)
        | Event::WorkerStarted(_)
        | Event::Heartbeat(_)
        | Event::WorkerStopped(_)
        | Event::Unknown => None,
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submitted => f.write_str("submitted"),
            Self::Arrived => f.write_str("arrived"),
            Self::Started => f.write_str("started"),
            Self::Failed => f.write_str("failed"),
            Self::Came(Final::Succeeded) => f.write_str("succeeded"),
            Self::Came(Final::Dead) => f.write_str("dead"),
            Self::Came(Final::Cancelled) => f.write_str("cancelled"),
            Self::Came(Final::Expired) => f.write_str("expired"),
            Self::Wait(slot) => write!(f, "wait.{}", slot.number()),
            Self::Run(slot) => write!(f, "run.{}", slot.number()),
        }
    }
}

/// Why a text is no measure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a measure that this version knows")]
pub struct UnknownMeasure;

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        let slot = |number: &str| number.parse().ok().and_then(Slot::new).ok_or(UnknownMeasure);
        if let Some((name, number)) = text.split_once('.') {
            return match name {
                "wait" => slot(number).map(Self::Wait),
                "run" => slot(number).map(Self::Run),
                _ => Err(UnknownMeasure),
            };
        }
        match text {
            "submitted" => Ok(Self::Submitted),
            "arrived" => Ok(Self::Arrived),
            "started" => Ok(Self::Started),
            "failed" => Ok(Self::Failed),
            "succeeded" => Ok(Self::Came(Final::Succeeded)),
            "dead" => Ok(Self::Came(Final::Dead)),
            "cancelled" => Ok(Self::Came(Final::Cancelled)),
            "expired" => Ok(Self::Came(Final::Expired)),
            _ => Err(UnknownMeasure),
        }
    }
}

#[cfg(test)]
#[path = "figure_tests.rs"]
mod tests;
