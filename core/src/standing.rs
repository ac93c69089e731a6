//! Where a task stands, read off the facts that are known of it.

use crate::{
    Attempt, Reason, TaskState, Timestamp, Verdict,
    command::Order,
    record::{Burial, Decision, End, RunRecord, TaskRecord},
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
    /// It was a dead letter, and somebody threw it away.
    Discarded {
        /// The attempt as which it was dead.
        attempt: Attempt,
        /// Whose wish that was.
        decision: &'a Decision,
    },
}

impl TaskRecord {
    /// Where the task stands. An order to cancel it holds from the moment of the order: what waits will not start.
    pub fn standing(&self) -> Standing<'_> {
        let standing = self.standing_by_attempts();
        match (standing, self.cancel_in_force()) {
            (Standing::Queued { attempt, .. } | Standing::Delayed { attempt, .. }, Some(cancel)) => {
                Standing::Withdrawn { attempt, since: cancel.at }
            }
            (standing, _) => standing,
        }
    }

    // Who replays a task after it was cancelled wants it to run.
    fn cancel_in_force(&self) -> Option<&Order> {
        let replays = self.attempts.values().filter_map(|attempt| attempt.replayed.as_ref());
        let replayed = replays.map(|decision| decision.at).max();
        self.cancel.as_ref().filter(|cancel| Some(cancel.at) > replayed)
    }

    /// Whether nothing is left in the broker that an order to cancel the task could stop.
    pub fn is_settled(&self) -> bool {
        match self.standing_by_attempts() {
            Standing::Queued { .. } | Standing::Delayed { .. } | Standing::Running { .. } => false,
            Standing::Ended { .. }
            | Standing::Buried { .. }
            | Standing::Withdrawn { .. }
            | Standing::Discarded { .. } => true,
        }
    }

    fn standing_by_attempts(&self) -> Standing<'_> {
        let Some((&attempt, last)) = self.attempts.last_key_value() else {
            return Standing::Queued { attempt: Attempt::FIRST, since: self.submission.as_ref().map(|s| s.at) };
        };
        if let Some(run) = last.leading() {
            let end = run.end.as_ref().expect("a leading run has ended");
            return match (end.verdict, &last.discarded) {
                (Verdict::Retry { due }, _) => Standing::Delayed { attempt: attempt.next(), since: end.at, due },
                (Verdict::DeadLetter { .. }, Some(decision)) => Standing::Discarded { attempt, decision },
                (Verdict::Complete | Verdict::DeadLetter { .. } | Verdict::Cancel, _) => {
                    Standing::Ended { attempt, end }
                }
            };
        }
        if let Some(decision) = &last.discarded {
            return Standing::Discarded { attempt, decision };
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
        let replayed = last.replayed.as_ref().map(|decision| decision.at);
        match last.deferred {
            Some((since, due)) if last.released.max(given_back) < Some(since) => {
                Standing::Delayed { attempt, since, due }
            }
            _ => Standing::Queued {
                attempt,
                since: given_back.max(last.released).max(replayed).or(self.submission_time()),
            },
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
            // Somebody wished that nothing more comes of it. A letter that was thrown away must not count among those that
            // still ask for a decision.
            Standing::Withdrawn { .. } | Standing::Discarded { .. } => TaskState::Cancelled,
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
            Standing::Discarded { decision, .. } => Some(decision.at),
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
