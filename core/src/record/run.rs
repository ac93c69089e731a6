//! What is known of one run of an attempt, and how that is stored.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Outcome, Timestamp, Verdict, WorkerId, event::Run};

/// What is known of one run of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "RunFields")]
pub struct RunRecord {
    /// Which one.
    #[serde(flatten, with = "StoredRun")]
    pub run: Run,
    /// While it runs: when it will be ended if it has not ended by itself. `None` if its start was not seen.
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    pub limit: Option<Timestamp>,
    /// While it runs: where in the log its start lies, if that is known.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How far it was, and when it said so.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub progress: Option<(Timestamp, Value)>,
    /// When the worker gave it back unfinished.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    pub returned: Option<Timestamp>,
    /// How it ended.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// How; what most tasks come to is not written out.
    #[serde(rename = "o", default = "plain_success", skip_serializing_if = "is_plain_success")]
    pub outcome: Outcome,
    /// What follows.
    #[serde(rename = "v", default = "complete", skip_serializing_if = "is_complete")]
    pub verdict: Verdict,
}

// A run by its stored names.
#[derive(Serialize)]
#[serde(remote = "Run")]
struct StoredRun {
    #[serde(rename = "s")]
    started: Timestamp,
    #[serde(rename = "w")]
    worker: WorkerId,
}

// What is flattened goes through an intermediate form of serde's when it is read; each task's record has a run.
#[derive(Deserialize)]
struct RunFields {
    s: Timestamp,
    w: WorkerId,
    l: Option<Timestamp>,
    o: Option<u64>,
    p: Option<(Timestamp, Value)>,
    g: Option<Timestamp>,
    e: Option<End>,
}

impl From<RunFields> for RunRecord {
    fn from(RunFields { s, w, l, o, p, g, e }: RunFields) -> Self {
        Self { run: Run { started: s, worker: w }, limit: l, offset: o, progress: p, returned: g, end: e }
    }
}

impl RunRecord {
    pub(crate) fn of(run: Run) -> Self {
        Self { run, limit: None, offset: None, progress: None, returned: None, end: None }
    }
}

fn plain_success() -> Outcome {
    Outcome::success(None)
}

fn is_plain_success(outcome: &Outcome) -> bool {
    *outcome == plain_success()
}

fn complete() -> Verdict {
    Verdict::Complete
}

fn is_complete(verdict: &Verdict) -> bool {
    *verdict == complete()
}

impl End {
    // The first end counts. At the same millisecond the text decides, which is arbitrary and the same everywhere.
    pub(super) fn counts_before(&self, other: &Self) -> Ordering {
        let text = |end: &Self| format!("{:?}{:?}", end.outcome, end.verdict);
        self.at.cmp(&other.at).then_with(|| text(self).cmp(&text(other)))
    }
}
