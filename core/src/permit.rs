//! Whether an order makes sense, judged by what is known when it is given.

use crate::{
    Operator, Standing, TaskState, Timestamp,
    command::{Command, Order},
    record::TaskRecord,
    worker::Health,
};

/// Why an order makes no sense now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task is over.
    #[error("the task is {0} already")]
    Over(TaskState),
    /// The same was ordered before.
    #[error("{by} has ordered the same already, at {at}")]
    Ordered {
        /// Who.
        by: Operator,
        /// When.
        at: Timestamp,
    },
    /// The task does not wait for a time.
    #[error("the task is {0}: only a delayed task can run sooner")]
    NotDelayed(TaskState),
    /// The queue is not paused.
    #[error("the queue is not paused")]
    NotPaused,
    /// The worker was not told to drain.
    #[error("nobody has told the worker to drain")]
    NotDrained,
    /// The worker is not there any more.
    #[error("the worker is {0}")]
    Gone(&'static str),
}

/// Whether a task can be cancelled.
pub fn cancel(record: &TaskRecord) -> Result<(), Refusal> {
    match (record.state(), &record.cancel) {
        (TaskState::Queued | TaskState::Delayed, _) | (TaskState::Running, None) => Ok(()),
        (TaskState::Running | TaskState::Cancelled, Some(order)) => Err(ordered(order)),
        (state @ (TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired), _) => {
            Err(Refusal::Over(state))
        }
    }
}

/// Whether a task can run sooner than it would.
pub fn run_now(record: &TaskRecord) -> Result<(), Refusal> {
    match record.state() {
        TaskState::Delayed => Ok(()),
        state @ (TaskState::Queued | TaskState::Running) => Err(Refusal::NotDelayed(state)),
        state @ (TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired) => {
            Err(Refusal::Over(state))
        }
    }
}

/// Whether a queue can be paused; `latest` is the latest order about it.
pub fn pause(latest: Option<&Order>) -> Result<(), Refusal> {
    match latest {
        Some(order) if matches!(order.command, Command::Pause { .. }) => Err(ordered(order)),
        Some(_) | None => Ok(()),
    }
}

/// Whether a queue can be resumed.
pub fn resume(latest: Option<&Order>) -> Result<(), Refusal> {
    match latest {
        Some(order) if matches!(order.command, Command::Pause { .. }) => Ok(()),
        Some(_) | None => Err(Refusal::NotPaused),
    }
}

/// Whether a worker can be drained.
pub fn drain(health: Health, latest: Option<&Order>) -> Result<(), Refusal> {
    match (health, latest) {
        (Health::Stopped, _) => Err(Refusal::Gone("stopped")),
        (Health::Lost, _) => Err(Refusal::Gone("lost")),
        (Health::Alive | Health::Draining | Health::NotConsuming, Some(order))
            if matches!(order.command, Command::Drain { .. }) =>
        {
            Err(ordered(order))
        }
        (Health::Alive | Health::Draining | Health::NotConsuming, _) => Ok(()),
    }
}

/// Whether a worker can be told to take tasks again.
pub fn resume_worker(health: Health, latest: Option<&Order>) -> Result<(), Refusal> {
    match (health, latest) {
        (Health::Stopped, _) => Err(Refusal::Gone("stopped")),
        (Health::Lost, _) => Err(Refusal::Gone("lost")),
        (Health::Alive | Health::Draining | Health::NotConsuming, Some(order))
            if matches!(order.command, Command::Drain { .. }) =>
        {
            Ok(())
        }
        (Health::Alive | Health::Draining | Health::NotConsuming, _) => Err(Refusal::NotDrained),
    }
}

/// When an order counts as given: now, but after the one that it follows, whatever the clock of the monitor says that gave
/// that one.
pub fn moment(now: Timestamp, latest: Option<&Order>) -> Timestamp {
    let after = latest.map(|order| Timestamp::from_millis(order.at.as_millis() + 1));
    after.map_or(now, |after| after.max(now))
}

/// Until when an order to cancel a task holds: long enough to meet it when it comes off the ladder.
pub fn cancel_until(record: &TaskRecord, now: Timestamp) -> Timestamp {
    let due = match record.standing() {
        Standing::Delayed { due, .. } => due,
        Standing::Queued { .. }
        | Standing::Running { .. }
        | Standing::Ended { .. }
        | Standing::Buried { .. }
        | Standing::Withdrawn { .. }
        | Standing::Discarded { .. } => now,
    };
    due.max(now).plus(crate::command::HOLDS)
}

/// What becomes of an order about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// It stays in force.
    Keep,
    /// It has had its effect, or can have none any more.
    Lapse,
    /// The task was not found.
    Decline,
}

/// Reviews an order about a task, whose record is everything that is known.
pub fn review(order: &Order, record: Option<&TaskRecord>, now: Timestamp) -> Review {
    let over = if order.holds(now) { Review::Keep } else { Review::Lapse };
    match (&order.command, record) {
        (Command::Cancel { .. }, Some(record)) if record.is_settled() => Review::Lapse,
        (Command::RunNow { .. }, Some(record)) if !matches!(record.standing(), Standing::Delayed { .. }) => {
            Review::Lapse
        }
        (Command::RunNow { .. }, _) if now > order.at.plus(crate::command::SEARCH) => Review::Decline,
        (
            Command::Cancel { .. }
            | Command::RunNow { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Drain { .. }
            | Command::ResumeWorker { .. }
            | Command::Unknown,
            _,
        ) => over,
    }
}

fn ordered(order: &Order) -> Refusal {
    Refusal::Ordered { by: order.by.clone(), at: order.at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attempt, OrderId, Priority, QueueName, TaskId, WorkerId,
        event::{About, Event, Released, Started, Submitted, Withdrawn},
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn task() -> TaskId {
        TaskId::parse("t").unwrap()
    }

    fn about() -> About {
        About { kind: None, queue: QueueName::default(), priority: Priority::default() }
    }

    fn order(millis: u64, command: Command) -> Order {
        let (id, by) = (OrderId::parse("o").unwrap(), Operator::parse("ann").unwrap());
        Order { id, at: at(millis), by, reason: None, command }
    }

    fn cancelled(millis: u64) -> Order {
        order(millis, Command::Cancel { task: task(), until: at(millis + 1_000_000) })
    }

    fn submitted(due: Option<u64>) -> Event {
        let (due, deadline, app) = (due.map(at), None, None);
        Event::Submitted(Submitted {
            task: task(),
            at: at(1),
            about: about(),
            size: 3,
            due,
            deadline,
            app,
            order_key: None,
            transient: false,
            preview: None,
        })
    }

    fn started() -> Event {
        Event::Started(Started {
            task: task(),
            at: at(2),
            about: about(),
            attempt: Attempt::FIRST,
            worker: WorkerId::parse("w").unwrap(),
            limit: at(300),
            traceparent: None,
            transient: false,
        })
    }

    fn withdrawn() -> Event {
        Event::Withdrawn(Withdrawn { task: task(), at: at(9), about: about(), attempt: Attempt::FIRST })
    }

    fn record(events: &[Event]) -> TaskRecord {
        let mut record = TaskRecord::default();
        for event in events {
            record.apply(event);
        }
        record
    }

    #[test]
    fn only_what_is_not_over_can_be_cancelled_and_only_once() {
        let (queued, delayed) = (record(&[submitted(None)]), record(&[submitted(Some(90))]));
        let running = record(&[submitted(None), started()]);
        for open in [&queued, &delayed, &running] {
            assert_eq!(cancel(open), Ok(()));
        }
        let again = Refusal::Ordered { by: Operator::parse("ann").unwrap(), at: at(5) };
        for event in [submitted(None), started()] {
            assert_eq!(cancel(&record(&[event, Event::Ordered(cancelled(5))])), Err(again.clone()));
        }
        assert_eq!(cancel(&record(&[withdrawn()])), Err(Refusal::Over(TaskState::Cancelled)));
        assert_eq!(run_now(&delayed), Ok(()));
        assert_eq!(run_now(&queued), Err(Refusal::NotDelayed(TaskState::Queued)));
        assert_eq!(run_now(&record(&[withdrawn()])), Err(Refusal::Over(TaskState::Cancelled)));
        assert_eq!(cancel_until(&delayed, at(50)), at(90).plus(crate::command::HOLDS));
        assert_eq!(cancel_until(&queued, at(50)), at(50).plus(crate::command::HOLDS));
    }

    #[test]
    fn queues_and_workers_by_table() {
        let queue = QueueName::default();
        let paused = order(5, Command::Pause { queue: queue.clone() });
        let resumed = order(6, Command::Resume { queue });
        assert!(pause(None).is_ok() && pause(Some(&resumed)).is_ok() && pause(Some(&paused)).is_err());
        assert!(resume(None).is_err() && resume(Some(&resumed)).is_err() && resume(Some(&paused)).is_ok());

        let drained = order(5, Command::Drain { worker: WorkerId::parse("w").unwrap() });
        assert!(drain(Health::Alive, None).is_ok() && drain(Health::Draining, Some(&drained)).is_err());
        assert_eq!(drain(Health::Lost, None), Err(Refusal::Gone("lost")));
        assert!(resume_worker(Health::Draining, Some(&drained)).is_ok());
        assert_eq!(resume_worker(Health::Alive, None), Err(Refusal::NotDrained));
    }

    #[test]
    fn an_order_counts_after_the_one_that_it_follows_whatever_the_clocks_say() {
        assert_eq!(moment(at(50), None), at(50));
        assert_eq!(moment(at(50), Some(&cancelled(5))), at(50));
        assert_eq!(moment(at(50), Some(&cancelled(70))), at(71));
    }

    #[test]
    fn an_order_lapses_when_it_has_had_its_effect() {
        let haste = order(100, Command::RunNow { task: task() });
        let (waiting, late) = (
            record(&[submitted(Some(90_000))]),
            at(100).plus(crate::command::SEARCH).plus(std::time::Duration::from_millis(1)),
        );
        let released = Event::Released(Released { task: task(), at: at(120), attempt: Attempt::FIRST });
        let free = record(&[submitted(Some(90_000)), released]);
        for (order, record, now, expected) in [
            (&cancelled(5), Some(&record(&[submitted(None)])), at(10), Review::Keep),
            (&cancelled(5), None, at(10), Review::Keep),
            (&cancelled(5), None, at(1_000_005), Review::Lapse),
            (&cancelled(5), Some(&record(&[withdrawn()])), at(10), Review::Lapse),
            (&haste, Some(&waiting), at(110), Review::Keep),
            (&haste, Some(&waiting), late, Review::Decline),
            (&haste, None, late, Review::Decline),
            (&haste, Some(&free), at(130), Review::Lapse),
        ] {
            assert_eq!(review(order, record, now), expected, "{order:?}");
        }
    }
}
