//! Whether the task of the tick before is over, and what follows from that.

use std::time::Duration;

use super::{Overlap, Previous};
use crate::{TaskId, Timestamp, record::TaskRecord};

// Nobody knows of a task whose word has not reached the record. Most are over by then; and a schedule must not stand
// still for ever because a monitor is away.
const BENEFIT_OF_THE_DOUBT: Duration = Duration::from_mins(1);

/// What becomes of a tick in view of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// It runs.
    Run,
    /// It is dropped.
    Drop,
    /// It runs once this task is told to end.
    Replace(TaskId),
}

/// Decides about a tick; `going` is whether the task of the one before is not over.
pub fn meet(policy: Overlap, previous: Option<&Previous>, going: bool) -> Meeting {
    match (policy, previous) {
        (Overlap::Skip, Some(_)) if going => Meeting::Drop,
        (Overlap::CancelPrevious, Some(previous)) if going => Meeting::Replace(previous.task.clone()),
        (Overlap::Allow | Overlap::Skip | Overlap::CancelPrevious, _) => Meeting::Run,
    }
}

/// Whether a task that was handed in before is not over, as far as can be told. `followed` is whether the projection
/// follows the log: if not, a record may be old.
///
/// What is over on record is over. What is not, and is followed, is going. Otherwise it counts as going for a minute
/// from its submission, and while it runs until its attempt will be ended by force.
pub fn is_going(previous: &Previous, record: Option<&TaskRecord>, followed: bool, now: Timestamp) -> bool {
    let doubtful = now.since(previous.at) <= BENEFIT_OF_THE_DOUBT;
    match record {
        Some(record) if record.state().is_final() => false,
        Some(record) => followed || doubtful || record.limit().is_some_and(|limit| now <= limit),
        None => doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attempt, Outcome, Priority, QueueName, Verdict, WorkerId,
        event::{About, Ended, Event, Run, Started, Submitted},
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn task() -> TaskId {
        TaskId::parse("schedule:a:1000").unwrap()
    }

    fn about() -> About {
        About { kind: None, queue: QueueName::default(), priority: Priority::default() }
    }

    fn submitted() -> Event {
        let (task, about) = (task(), about());
        Event::Submitted(Submitted {
            task,
            at: at(1),
            about,
            size: 0,
            due: None,
            deadline: None,
            app: None,
            order_key: None,
            transient: false,
            preview: None,
        })
    }

    // Runs from the second second to the 300th at the longest.
    fn started() -> Event {
        let (task, about, worker) = (task(), about(), WorkerId::parse("w").unwrap());
        Event::Started(Started {
            task,
            at: at(2),
            about,
            attempt: Attempt::FIRST,
            worker,
            limit: at(300),
            traceparent: None,
            transient: false,
        })
    }

    fn ended() -> Event {
        let run = Run { started: at(2), worker: WorkerId::parse("w").unwrap() };
        Event::Ended(Ended {
            task: task(),
            at: at(3),
            about: about(),
            attempt: Attempt::FIRST,
            run,
            outcome: Outcome::success(None),
            verdict: Verdict::Complete,
        })
    }

    #[test]
    fn whether_the_one_before_is_going_by_table() {
        let previous = Previous { task: task(), at: at(1) };
        for (events, followed, now, going) in [
            // No word of it.
            (None, true, 10, true),
            (None, true, 100, false),
            (None, false, 10, true),
            (None, false, 100, false),
            // It waits in its queue, or did when the record was last written.
            (Some(vec![submitted()]), true, 10_000, true),
            (Some(vec![submitted()]), false, 10, true),
            (Some(vec![submitted()]), false, 100, false),
            // It runs, or did.
            (Some(vec![started()]), true, 10_000, true),
            (Some(vec![started()]), false, 290, true),
            (Some(vec![started()]), false, 301, false),
            // It is over.
            (Some(vec![started(), ended()]), true, 4, false),
            (Some(vec![started(), ended()]), false, 4, false),
        ] {
            let record = events.as_ref().map(|events| {
                let mut record = TaskRecord::default();
                for event in events {
                    record.apply(event);
                }
                record
            });
            assert_eq!(is_going(&previous, record.as_ref(), followed, at(now)), going, "{events:?} {followed} {now}");
        }
    }

    #[test]
    fn what_follows_by_table() {
        let previous = Previous { task: task(), at: at(1) };
        for (policy, going, meeting) in [
            (Overlap::Allow, true, Meeting::Run),
            (Overlap::Allow, false, Meeting::Run),
            (Overlap::Skip, true, Meeting::Drop),
            (Overlap::Skip, false, Meeting::Run),
            (Overlap::CancelPrevious, true, Meeting::Replace(task())),
            (Overlap::CancelPrevious, false, Meeting::Run),
        ] {
            assert_eq!(meet(policy, Some(&previous), going), meeting, "{policy:?} {going}");
            assert_eq!(meet(policy, None, false), Meeting::Run);
        }
    }
}
