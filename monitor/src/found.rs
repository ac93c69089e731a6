//! What is wrong at present, and since when that is known.

use serde::{Deserialize, Serialize};
use warren_core::{Timestamp, finding::Finding};

/// A finding that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// When it was first seen.
    pub since: Timestamp,
    /// What is wrong.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What one round of looking changes.
#[derive(Debug, Default, PartialEq)]
pub struct Round {
    /// Everything that stands now.
    pub standing: Vec<Found>,
    /// Of that, what was not there before.
    pub new: Vec<Found>,
    /// What was there before and is not any more.
    pub gone: Vec<Found>,
}

/// Compares what is wrong now with what was.
pub fn compare(before: Vec<Found>, now: Vec<Finding>, at: Timestamp) -> Round {
    let mut round = Round::default();
    for finding in now {
        let known = before.iter().find(|found| subject(&found.finding) == subject(&finding));
        let found = Found { since: known.map_or(at, |found| found.since), finding };
        if known.is_none() {
            round.new.push(found.clone());
        }
        round.standing.push(found);
    }
    let stands = |found: &Found| round.standing.iter().any(|still| subject(&still.finding) == subject(&found.finding));
    round.gone = before.into_iter().filter(|found| !stands(found)).collect();
    round
}

/// The names of all findings that are looked for.
pub const NAMES: [&str; 7] =
    ["lost_worker", "not_consuming", "stuck_attempt", "no_consumer", "growing_queue", "failure_rate", "slow_kind"];

/// Its name in the API and the metrics.
pub fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::LostWorker { .. } => NAMES[0],
        Finding::NotConsuming { .. } => NAMES[1],
        Finding::StuckAttempt { .. } => NAMES[2],
        Finding::NoConsumer { .. } => NAMES[3],
        Finding::GrowingQueue { .. } => NAMES[4],
        Finding::FailureRate { .. } => NAMES[5],
        Finding::SlowKind { .. } => NAMES[6],
    }
}

/// What makes it the same finding from one round to the next, whatever its evidence becomes.
pub fn subject(finding: &Finding) -> (&'static str, &str, Option<u32>) {
    match finding {
        Finding::LostWorker { worker, .. } | Finding::NotConsuming { worker, .. } => {
            (name(finding), worker.as_str(), None)
        }
        Finding::StuckAttempt { task, attempt, .. } => (name(finding), task.as_str(), Some(attempt.get())),
        Finding::NoConsumer { queue, .. } | Finding::GrowingQueue { queue, .. } => {
            (name(finding), queue.as_str(), None)
        }
        Finding::FailureRate { kind, .. } | Finding::SlowKind { kind, .. } => (name(finding), kind.as_str(), None),
    }
}

#[cfg(test)]
mod tests {
    use warren_core::WorkerId;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn silent(worker: &str, seen: u64) -> Finding {
        Finding::NotConsuming { worker: WorkerId::parse(worker).unwrap(), seen: at(seen) }
    }

    #[test]
    fn a_finding_keeps_the_time_at_which_it_appeared() {
        let first = compare(vec![], vec![silent("a", 1)], at(10));
        assert_eq!((first.new.len(), first.standing[0].since), (1, at(10)));
        let second = compare(first.standing, vec![silent("a", 2), silent("b", 2)], at(20));
        assert_eq!((second.new.len(), second.gone.len(), second.standing[0].since), (1, 0, at(10)));
        assert_eq!(second.standing[0].finding, silent("a", 2));
        let third = compare(second.standing, vec![silent("b", 3)], at(30));
        assert_eq!((third.new.len(), third.gone.len(), third.standing.len()), (0, 1, 1));
    }

    #[test]
    fn a_name_is_the_one_that_is_written() {
        let written = serde_json::to_value(silent("a", 1)).unwrap();
        assert_eq!(written["finding"], name(&silent("a", 1)));
    }
}
