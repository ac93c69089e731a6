//! What to do with a delivery that may not be the first of its attempt.
//!
//! The broker's `redelivered` flag proves nothing: after a restart a classic queue flags its whole backlog. Only a record
//! of what happened to this attempt counts, and no record proves nothing either, for the monitor may lag.

use crate::{
    Attempt, Verdict,
    event::Run,
    record::{AttemptRecord, End, TaskRecord},
};

/// What the record says about a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Redelivery {
    /// Run it: nothing speaks against that.
    Run,
    /// It has ended already, in this run: do what its verdict asks for, once more, and do not run it again.
    CarryOut {
        /// The run that ended.
        run: Run,
        /// Its end.
        end: End,
    },
    /// A later attempt has brought the task to its end or is safe in its queue, or it was withdrawn because the task is
    /// cancelled, or somebody threw its dead letter away: nothing is left to do.
    Over,
    /// It was begun and has not ended, as far as is known: it may have killed those workers.
    Suspect {
        /// Their runs, in the order of their starts.
        runs: Vec<Run>,
    },
}

/// Reads the record of a task for whoever holds a delivery of `attempt`, and may have announced a run of its `own` for it.
pub fn consider(record: &TaskRecord, attempt: Attempt, own: Option<&Run>) -> Redelivery {
    let Some(known) = record.attempts.get(&attempt) else {
        return Redelivery::Run;
    };
    if let Some(run) = known.leading() {
        let end = run.end.clone().expect("a leading run has ended");
        // That the next attempt is on record does not mean that its copy is safe: a broker hands a message out before it is
        // on disk, and one that is killed then takes it along, begun as it is.
        if known.discarded.is_some() || is_carried_on(record, attempt) {
            return Redelivery::Over;
        }
        return Redelivery::CarryOut { run: run.run.clone(), end };
    }
    if known.withdrawn.is_some() {
        return Redelivery::Over;
    }
    let open = known.runs.iter().filter(|run| run.returned.is_none() && Some(&run.run) != own);
    let runs: Vec<_> = open.map(|run| run.run.clone()).collect();
    if runs.is_empty() { Redelivery::Run } else { Redelivery::Suspect { runs } }
}

/// Whether an attempt later than this one has ended the task, or is safe in its queue.
pub(crate) fn is_carried_on(record: &TaskRecord, attempt: Attempt) -> bool {
    let is_safe = |later: &AttemptRecord| is_done_with(later) || later.replayed.is_some();
    record.attempts.range(attempt.next()..).any(|(_, later)| is_safe(later))
}

// Whether it has brought the task to its end without a copy that somebody has to make.
fn is_done_with(attempt: &AttemptRecord) -> bool {
    let end = attempt.leading().and_then(|run| run.end.as_ref());
    let is_final = end.is_some_and(|end| matches!(end.verdict, Verdict::Complete | Verdict::Cancel));
    is_final || attempt.withdrawn.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Operator, Outcome, QueueName, Reason, TaskId, Timestamp, WorkerId,
        event::{About, Ended, Event, Returned, Started, Wish},
        record::Decision,
    };

    const A: &str = "worker-a";
    const B: &str = "worker-b";

    fn id(name: &str) -> WorkerId {
        WorkerId::parse(name).unwrap()
    }

    fn run(worker: &str) -> Run {
        Run { started: Timestamp::from_millis(5), worker: id(worker) }
    }

    fn about() -> About {
        About { kind: None, queue: QueueName::default(), priority: crate::Priority::default() }
    }

    fn record(events: &[Event]) -> TaskRecord {
        let mut record = TaskRecord::default();
        for event in events {
            record.apply(event);
        }
        record
    }

    fn started(worker: &str) -> Event {
        let run = run(worker);
        let task = TaskId::parse("t").unwrap();
        let limit = Timestamp::from_millis(99);
        Event::Started(Started {
            task,
            at: run.started,
            about: about(),
            attempt: Attempt::FIRST,
            worker: run.worker,
            limit,
            traceparent: None,
            transient: false,
        })
    }

    fn returned(worker: &str) -> Event {
        let task = TaskId::parse("t").unwrap();
        Event::Returned(Returned { task, at: Timestamp::from_millis(7), attempt: Attempt::FIRST, run: run(worker) })
    }

    fn ended(worker: &str) -> Event {
        ended_with(worker, Verdict::Complete)
    }

    fn ended_with(worker: &str, verdict: Verdict) -> Event {
        let task = TaskId::parse("t").unwrap();
        let at = Timestamp::from_millis(8);
        Event::Ended(Ended {
            task,
            at,
            about: about(),
            attempt: Attempt::FIRST,
            run: run(worker),
            outcome: Outcome::success(None),
            verdict,
        })
    }

    #[test]
    fn considers_by_table() {
        let suspect = Redelivery::Suspect { runs: vec![run(A)] };
        for (events, decision) in [
            (vec![], Redelivery::Run),
            (vec![started(A)], suspect.clone()),
            (vec![started(B)], Redelivery::Run),
            (vec![started(A), returned(A)], Redelivery::Run),
            (vec![started(A), started(B)], suspect),
        ] {
            assert_eq!(consider(&record(&events), Attempt::FIRST, Some(&run(B))), decision, "{events:?}");
        }
    }

    // The copy of an attempt that has begun may be lost with the broker: then only the holder of this one can make it again.
    #[test]
    fn a_retry_is_asked_for_until_a_later_attempt_has_ended_the_task() {
        let retry = Verdict::Retry { due: Timestamp::from_millis(9) };
        let dead = Verdict::DeadLetter { reason: crate::Reason::Permanent };
        for (later, is_over) in [
            (None, false),
            (Some(retry), false),
            (Some(dead), false),
            (Some(Verdict::Cancel), true),
            (Some(Verdict::Complete), true),
        ] {
            let mut record = record(&[ended_with(A, retry)]);
            let next = record.attempts.entry(Attempt::FIRST.next()).or_default();
            if let Some(verdict) = later {
                *next = self::record(&[ended_with(B, verdict)]).attempts[&Attempt::FIRST].clone();
            }
            let decision = consider(&record, Attempt::FIRST, Some(&run(B)));
            assert_eq!(decision == Redelivery::Over, is_over, "{later:?}: {decision:?}");
            assert!(is_over || matches!(decision, Redelivery::CarryOut { .. }), "{later:?}: {decision:?}");
        }
    }

    #[test]
    fn a_dead_letter_is_asked_for_until_somebody_has_decided_about_it() {
        let dead = || record(&[ended_with(A, Verdict::DeadLetter { reason: Reason::Permanent })]);
        assert!(matches!(consider(&dead(), Attempt::FIRST, Some(&run(B))), Redelivery::CarryOut { .. }));
        let (at, wish) = (Timestamp::from_millis(9), Wish { by: Operator::parse("jo").unwrap(), reason: None });
        let decision = Some(Decision { at, wish });
        let mut replayed = dead();
        replayed.attempts.entry(Attempt::FIRST.next()).or_default().replayed = decision.clone();
        let mut discarded = dead();
        discarded.attempts.entry(Attempt::FIRST).or_default().discarded = decision;
        for decided in [replayed, discarded] {
            assert_eq!(consider(&decided, Attempt::FIRST, Some(&run(B))), Redelivery::Over);
        }
    }

    #[test]
    fn what_has_ended_is_carried_out_and_not_run() {
        let record = record(&[started(A), ended(A)]);
        assert!(matches!(consider(&record, Attempt::FIRST, Some(&run(B))), Redelivery::CarryOut { .. }));
        assert_eq!(consider(&record, Attempt::FIRST.next(), Some(&run(B))), Redelivery::Run);
    }
}
