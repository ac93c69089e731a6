//! Where a task stands, read off the facts that are known of it.

use crate::{
    Attempt, Reason, TaskState, Timestamp, Verdict,
    record::{Burial, End, RunRecord, TaskRecord},
};

/// Where a task stands, with what belongs to that state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing<'a> {
    /// It may start since then.
    Queued {
        /// The attempt that it waits for.
        attempt: Attempt,
        /// Since when, if that is known.
        since: Option<Timestamp>,
    },
    /// It waits for its time.
    Delayed {
        /// The attempt that it waits for.
        attempt: Attempt,
        /// Since when.
        since: Timestamp,
        /// When it may start.
        due: Timestamp,
    },
    /// A worker runs it.
    Running {
        /// The attempt.
        attempt: Attempt,
        /// The run that began last.
        run: &'a RunRecord,
    },
    /// An attempt ended it.
    Ended {
        /// The attempt.
        attempt: Attempt,
        /// Its end.
        end: &'a End,
    },
    /// It was put aside without an attempt.
    Buried {
        /// The attempt that was not made.
        attempt: Attempt,
        /// Why.
        burial: &'a Burial,
    },
    /// Somebody wished that it does not start, and it will not.
    Withdrawn {
        /// The attempt that will not be made.
        attempt: Attempt,
        /// Since when.
        since: Timestamp,
    },
}

impl TaskRecord {
    /// Where the task stands. An order to cancel it holds from the moment of the order: what waits will not start.
    pub fn standing(&self) -> Standing<'_> {
        let standing = self.standing_by_attempts();
        match (standing, self.cancel.as_ref()) {
            (Standing::Queued { attempt, .. } | Standing::Delayed { attempt, .. }, Some(cancel)) => {
                Standing::Withdrawn { attempt, since: cancel.at }
            }
            (standing, _) => standing,
        }
    }

    /// Whether nothing is left in the broker that an order to cancel the task could stop.
    pub fn is_settled(&self) -> bool {
        match self.standing_by_attempts() {
            Standing::Queued { .. } | Standing::Delayed { .. } | Standing::Running { .. } => false,
            Standing::Ended { .. } | Standing::Buried { .. } | Standing::Withdrawn { .. } => true,
        }
    }

    fn standing_by_attempts(&self) -> Standing<'_> {
        let Some((&attempt, last)) = self.attempts.last_key_value() else {
            return Standing::Queued { attempt: Attempt::FIRST, since: self.submission.as_ref().map(|s| s.at) };
        };
        if let Some(run) = last.leading() {
            let end = run.end.as_ref().expect("a leading run has ended");
            return match end.verdict {
                Verdict::Retry { due } => Standing::Delayed { attempt: attempt.next(), since: end.at, due },
                Verdict::Complete | Verdict::DeadLetter { .. } | Verdict::Cancel => Standing::Ended { attempt, end },
            };
        }
        if let Some(burial) = &last.buried {
            return Standing::Buried { attempt, burial };
        }
        if let Some(withdrawn) = last.withdrawn {
            let since = self.cancel.as_ref().map_or(withdrawn, |cancel| cancel.at);
            return Standing::Withdrawn { attempt, since };
        }
        if let Some(run) = last.runs.iter().rev().find(|run| run.returned.is_none()) {
            return Standing::Running { attempt, run };
        }
        let given_back = last.runs.iter().filter_map(|run| run.returned).max();
        match last.deferred {
            Some((since, due)) if last.released.max(given_back) < Some(since) => {
                Standing::Delayed { attempt, since, due }
            }
            _ => Standing::Queued { attempt, since: given_back.max(last.released).or(self.submission_time()) },
        }
    }

    /// The state that this amounts to.
    pub fn state(&self) -> TaskState {
        match self.standing() {
            Standing::Queued { .. } => TaskState::Queued,
            Standing::Delayed { .. } => TaskState::Delayed,
            Standing::Running { .. } => TaskState::Running,
            Standing::Ended { end, .. } => match end.verdict {
                Verdict::Complete => TaskState::Succeeded,
                Verdict::Cancel => TaskState::Cancelled,
                Verdict::DeadLetter { .. } | Verdict::Retry { .. } => TaskState::Dead,
            },
            Standing::Buried { burial, .. } if burial.reason == Reason::Expired => TaskState::Expired,
            Standing::Buried { .. } => TaskState::Dead,
            Standing::Withdrawn { .. } => TaskState::Cancelled,
        }
    }

    /// Since when it is in this state, as far as that is known.
    pub fn since(&self) -> Timestamp {
        let since = match self.standing() {
            Standing::Queued { since, .. } => since,
            Standing::Delayed { since, .. } | Standing::Withdrawn { since, .. } => Some(since),
            Standing::Running { run, .. } => Some(run.run.started),
            Standing::Ended { end, .. } => Some(end.at),
            Standing::Buried { burial, .. } => Some(burial.at),
        };
        since.or(self.about.as_ref().map(|(at, _)| *at)).unwrap_or_default()
    }

    /// When a running attempt will be ended by force; `None` if nothing runs.
    pub fn limit(&self) -> Option<Timestamp> {
        match self.standing() {
            Standing::Running { run, .. } => run.limit,
            _ => None,
        }
    }
}
