//! Where a task goes: to its queue, with an order key to a lane of that, or first up the delay ladder.

use warren_core::{Attempt, QueueName, Timestamp, header, ladder, order};

use super::{Names, Outgoing, message::Copy};

/// A task on its way, with what its next holder must know.
#[derive(Debug, Clone)]
pub struct Route<'a> {
    /// The queue in which it will run.
    pub queue: &'a QueueName,
    /// The attempt as which it will run.
    pub attempt: Attempt,
    /// Not before this time; `None` for at once.
    pub due: Option<Timestamp>,
    /// Not after this time.
    pub deadline: Option<Timestamp>,
}

impl Route<'_> {
    /// Addresses the copy.
    ///
    /// On the ladder `expiration` would end a stay early, so there the deadline travels as a header; in the queue both
    /// hold, since a message expires at the head of a queue only, and the worker checks the deadline again.
    pub fn address(&self, copy: Copy, names: &Names, now: Timestamp) -> Outgoing {
        let mut copy = copy.without(&[
            header::DELAY,
            header::ETA,
            header::DUE,
            header::LEAVE,
            header::QUEUE,
            header::EXPIRES,
            header::ATTEMPT,
        ]);
        // Without a number it is the first, as most are.
        if self.attempt != Attempt::FIRST {
            copy = copy.number(header::ATTEMPT, self.attempt.get().into());
        }
        if let Some(deadline) = self.deadline {
            copy = copy.time(header::EXPIRES, deadline);
        }
        match self.due.and_then(|due| Some((due, ladder::next_stay(now, due)?))) {
            Some((due, stay)) => copy
                .expiration(None)
                .text(header::QUEUE, self.queue.as_str())
                .time(header::DUE, due)
                .time(header::LEAVE, stay.leave)
                .to_queue(&names.delay(stay.level)),
            None => {
                let left =
                    self.deadline.map(|deadline| u64::try_from(deadline.since(now).as_millis()).unwrap_or(u64::MAX));
                let destination = match copy.order_key() {
                    Some(key) => names.lane(self.queue, order::lane(&key)),
                    None => names.queue(self.queue),
                };
                copy.expiration(left).to_queue(&destination)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn address(due: Option<u64>) -> Outgoing {
        let queue = QueueName::default();
        let copy = Copy::from_parts(BasicProperties::default().with_expiration("9".into()), Vec::new());
        let route = Route { queue: &queue, attempt: Attempt::FIRST, due: due.map(at), deadline: Some(at(9_000)) };
        route.address(copy, &Names::new(&QueueName::parse("pool").unwrap()), at(1_000))
    }

    #[test]
    fn what_is_due_goes_to_its_queue_with_the_time_it_has_left() {
        for due in [None, Some(500), Some(1_000)] {
            let message = address(due);
            assert_eq!(message.key.as_str(), "pool.q.default");
            assert_eq!(message.properties.expiration().as_ref().unwrap().as_str(), "8000");
        }
    }

    #[test]
    fn what_is_not_due_goes_up_the_ladder_without_expiration() {
        let message = address(Some(1_500));
        assert_eq!(message.key.as_str(), "pool.delay.02");
        assert_eq!(message.properties.expiration(), &None);
    }
}
