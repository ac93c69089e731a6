//! What to do with a delivery that may not be the first of its attempt.
//!
//! The broker's `redelivered` flag proves nothing: after a restart a classic queue flags its whole backlog. Only a record
//! of what happened to this attempt counts, and no record proves nothing either, for the monitor may lag.

use crate::{
    Attempt, Verdict, WorkerId,
    event::Run,
    record::{End, TaskRecord},
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
    /// It has ended in this way, and the attempt that its verdict asked for is on record, or it was withdrawn because the
    /// task is cancelled: nothing is left to do.
    Over,
    /// Other workers began it and did not end it: it may have killed them.
    Suspect {
        /// Their runs, in the order of their starts.
        runs: Vec<Run>,
    },
}

/// Reads the record of a task for the worker `me`, which holds a delivery of `attempt`.
pub fn consider(record: &TaskRecord, attempt: Attempt, me: &WorkerId) -> Redelivery {
    let Some(known) = record.attempts.get(&attempt) else {
        return Redelivery::Run;
    };
    if let Some(run) = known.leading() {
        let end = run.end.clone().expect("a leading run has ended");
        if matches!(end.verdict, Verdict::Retry { .. }) && record.attempts.contains_key(&attempt.next()) {
            return Redelivery::Over;
        }
        return Redelivery::CarryOut { run: run.run.clone(), end };
    }
    if known.withdrawn.is_some() {
        return Redelivery::Over;
    }
    let open = known.runs.iter().filter(|run| run.returned.is_none() && run.run.worker != *me);
    let runs: Vec<_> = open.map(|run| run.run.clone()).collect();
    if runs.is_empty() { Redelivery::Run } else { Redelivery::Suspect { runs } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Outcome, QueueName, TaskId, Timestamp,
        event::{About, Ended, Event, Returned, Started},
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
            assert_eq!(consider(&record(&events), Attempt::FIRST, &id(B)), decision, "{events:?}");
        }
    }

    #[test]
    fn a_retry_is_asked_for_until_it_is_on_record() {
        let mut record = record(&[ended_with(A, Verdict::Retry { due: Timestamp::from_millis(9) })]);
        assert!(matches!(consider(&record, Attempt::FIRST, &id(B)), Redelivery::CarryOut { .. }));
        record.attempts.entry(Attempt::FIRST.next()).or_default();
        assert_eq!(consider(&record, Attempt::FIRST, &id(B)), Redelivery::Over);
    }

    #[test]
    fn what_has_ended_is_carried_out_and_not_run() {
        let record = record(&[started(A), ended(A)]);
        assert!(matches!(consider(&record, Attempt::FIRST, &id(B)), Redelivery::CarryOut { .. }));
        assert_eq!(consider(&record, Attempt::FIRST.next(), &id(B)), Redelivery::Run);
    }
}
