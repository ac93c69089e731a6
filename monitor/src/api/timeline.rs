//! A task's attempts, as the API tells them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warren_core::{
    Attempt, Verdict,
    record::{AttemptRecord, Decision, RunRecord, TaskRecord},
};

use super::time::Time;

/// One attempt. Its own fields tell of the run that counts: the one whose end decided, or else the one that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// Its number, from 1.
    pub number: u32,
    /// The time before which it may not start.
    pub due: Option<Time>,
    /// When it came to its queue after a wait.
    pub queued: Option<Time>,
    /// What is known of the run that counts.
    #[serde(flatten)]
    pub run: RunView,
    /// Other runs of the same attempt, where a worker was lost or cut off.
    pub other_runs: Vec<RunView>,
}

/// One run of an attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// Where it ran.
    #[schema(value_type = String)]
    pub worker: String,
    /// When it started.
    pub start: Time,
    /// When it ended.
    pub end: Option<Time>,
    /// How: success, retryable, permanent, timeout, cancelled or crashed.
    pub outcome: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// What followed: complete, retry, `dead_letter` or cancel.
    pub verdict: Option<String>,
    /// Where the verdict is retry: when the next attempt may start.
    pub retry_due: Option<Time>,
    /// What the handler last said of how far it is.
    pub progress: Option<Value>,
    /// While it runs: when it will be ended by force.
    pub limit: Option<Time>,
    /// When its worker gave it back unfinished, at a shutdown.
    pub returned: Option<Time>,
    /// It ended when another run had already decided the attempt: its outcome counts for nothing.
    pub stale: bool,
}

/// What somebody decided about a dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionView {
    /// Who.
    pub by: String,
    /// When.
    pub at: Time,
    /// Why, if a reason was given.
    pub reason: Option<String>,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        let Decision { at, wish } = decision;
        Self { by: wish.by.to_string(), at: (*at).into(), reason: wish.reason.clone() }
    }
}

/// A replay from the dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    /// The attempt that it led to.
    pub attempt: u32,
    /// Whose wish it was.
    #[serde(flatten)]
    pub decision: DecisionView,
}

/// Its replays from the dead letters, earliest first.
pub fn replays(record: &TaskRecord) -> Vec<ReplayView> {
    let replayed = record.attempts.iter().filter_map(|(attempt, known)| Some((attempt, known.replayed.as_ref()?)));
    replayed.map(|(attempt, decision)| ReplayView { attempt: attempt.get(), decision: decision.into() }).collect()
}

/// The attempts that were made.
pub fn timeline(record: &TaskRecord) -> Vec<AttemptView> {
    let made = record.attempts.iter().filter_map(|(number, attempt)| Some((*number, attempt, counting(attempt)?)));
    made.map(|(number, attempt, run)| view(record, number, attempt, run)).collect()
}

/// The run of an attempt that counts; `None` if it was never started.
pub fn counting(attempt: &AttemptRecord) -> Option<&RunRecord> {
    let going_on = || attempt.runs.iter().rev().find(|run| run.returned.is_none());
    attempt.leading().or_else(going_on).or(attempt.runs.last())
}

fn view(record: &TaskRecord, number: Attempt, attempt: &AttemptRecord, run: &RunRecord) -> AttemptView {
    let retried = || {
        let before = Attempt::new(number.get() - 1)?;
        match record.attempts.get(&before)?.leading()?.end.as_ref()?.verdict {
            Verdict::Retry { due } => Some(due),
            Verdict::Complete | Verdict::DeadLetter { .. } | Verdict::Cancel => None,
        }
    };
    let stale = |other: &RunRecord| attempt.leading().is_some() && other.end.is_some();
    let others = attempt.runs.iter().filter(|other| other.run != run.run);
    AttemptView {
        number: number.get(),
        due: attempt.deferred.map(|(_, due)| due).or_else(retried).map(Time::from),
        queued: attempt.released.map(Time::from),
        run: run_view(run, false),
        other_runs: others.map(|other| run_view(other, stale(other))).collect(),
    }
}

fn run_view(run: &RunRecord, stale: bool) -> RunView {
    let end = run.end.as_ref();
    let (verdict, retry_due) = match end.map(|end| end.verdict) {
        None => (None, None),
        Some(Verdict::Complete) => (Some("complete"), None),
        Some(Verdict::Retry { due }) => (Some("retry"), Some(due)),
        Some(Verdict::DeadLetter { .. }) => (Some("dead_letter"), None),
        Some(Verdict::Cancel) => (Some("cancel"), None),
    };
    RunView {
        worker: run.run.worker.to_string(),
        start: run.run.started.into(),
        end: end.map(|end| end.at.into()),
        outcome: end.map(|end| end.outcome.name().to_owned()),
        error: end.and_then(|end| end.outcome.error()),
        verdict: verdict.map(str::to_owned),
        retry_due: retry_due.map(Time::from),
        progress: run.progress.as_ref().map(|(_, progress)| progress.clone()),
        limit: run.limit.map(Time::from),
        returned: run.returned.map(Time::from),
        stale,
    }
}
