//! A dead letter, read from its queue.

use lapin::message::Delivery;
use warren_core::{
    Attempt, Fingerprint, QueueName, Reason, TaskId, Timestamp,
    event::About,
    header::{self, Headers, Value},
    message,
    record::TaskRecord,
};
use warren_runtime::amqp::message::incoming;

use crate::tap::copy::death;

/// What a letter says of itself.
#[derive(Debug)]
pub struct Letter {
    /// Its task.
    pub task: TaskId,
    /// What it is.
    pub about: About,
    /// The attempt as which it is dead.
    pub attempt: Attempt,
    /// Why it is.
    pub reason: Reason,
    /// What went wrong.
    pub error: String,
    /// When its first attempt failed.
    pub first_failure: Option<Timestamp>,
    /// When its last attempt failed.
    pub last_failure: Option<Timestamp>,
    /// The message.
    pub delivery: Delivery,
}

impl Letter {
    /// Reads a delivery from the dead letters of `queue`; `None` where it names no task, and so is nobody's.
    pub fn read(delivery: Delivery, queue: &QueueName, now: Timestamp) -> Option<Self> {
        let incoming = incoming(&delivery);
        let priority = incoming.priority.unwrap_or_default().into();
        // One whose fields cannot be read lies here for that very reason.
        let (task, kind, attempt) = match message::parse(&incoming, queue, now) {
            Ok(task) => (task.id, task.kind, task.attempt),
            Err(invalid) => (invalid.id, invalid.kind, invalid.attempt),
        };
        let headers = &incoming.headers;
        let said = text(headers, header::REASON).and_then(|name| Reason::named(&name));
        let by_broker = || death(&delivery);
        let (reason, error) = match said {
            Some(reason) => (reason, text(headers, header::ERROR).unwrap_or_default()),
            None => by_broker().unwrap_or((Reason::Permanent, "nobody knows why it lies here".to_owned())),
        };
        Some(Self {
            task: task?,
            about: About { kind, queue: queue.clone(), priority },
            attempt,
            reason,
            error,
            first_failure: time(headers, header::FIRST_FAILURE),
            last_failure: time(headers, header::LAST_FAILURE),
            delivery,
        })
    }

    /// The group that it belongs to: by the record's word where there is one, for that knows the whole error.
    pub fn group(&self, record: Option<&TaskRecord>) -> Option<Fingerprint> {
        match record {
            Some(record) => Fingerprint::of(record),
            None => Some(Fingerprint::new(&self.about.queue, self.about.kind.as_ref(), self.reason, &self.error)),
        }
    }

    /// Since when it is dead.
    pub fn died(&self, record: Option<&TaskRecord>) -> Timestamp {
        record.map(TaskRecord::since).or(self.last_failure).unwrap_or_default()
    }
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    match headers.get(name)? {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(_) | Value::Texts(_) | Value::Flag(_) | Value::Other(_) => None,
    }
}

fn time(headers: &Headers, name: &str) -> Option<Timestamp> {
    match headers.get(name)? {
        Value::Integer(millis) => u64::try_from(*millis).ok().map(Timestamp::from_millis),
        Value::Text(_) | Value::Texts(_) | Value::Flag(_) | Value::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties,
        types::{AMQPValue, FieldArray, FieldTable},
    };

    use super::*;

    fn read(id: Option<&str>, entries: Vec<(&str, AMQPValue)>) -> Option<Letter> {
        let mut headers = FieldTable::default();
        for (name, value) in entries {
            headers.insert(name.into(), value);
        }
        let mut properties = BasicProperties::default().with_type("resize".into()).with_headers(headers);
        if let Some(id) = id {
            properties = properties.with_message_id(id.into());
        }
        let mut delivery = Delivery::mock(1, "".into(), "warren.dead.default".into(), false, b"x".to_vec());
        delivery.properties = properties;
        Letter::read(delivery, &QueueName::default(), Timestamp::from_millis(9))
    }

    fn said(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    #[test]
    fn a_letter_of_a_worker_says_why_it_is_dead() {
        let letter = read(
            Some("t"),
            vec![
                ("warren-reason", said("permanent")),
                ("warren-error", said("no route to 7")),
                ("warren-attempt", AMQPValue::LongLongInt(4)),
                ("warren-last-failure", AMQPValue::LongLongInt(70)),
                // What made it invalid hides nothing else.
                ("delay", said("soon")),
            ],
        )
        .unwrap();
        assert_eq!((letter.attempt.get(), letter.reason, letter.died(None).as_millis()), (4, Reason::Permanent, 70));
        let sibling =
            Fingerprint::new(&QueueName::default(), letter.about.kind.as_ref(), letter.reason, "no route to 8");
        assert_eq!(letter.group(None), Some(sibling));
    }

    #[test]
    fn a_letter_of_the_broker_is_read_from_its_death() {
        let mut death = FieldTable::default();
        death.insert("reason".into(), said("expired"));
        let deaths = AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)]));
        let letter = read(Some("t"), vec![("x-death", deaths)]).unwrap();
        assert_eq!((letter.reason, letter.attempt), (Reason::Expired, Attempt::FIRST));
    }

    #[test]
    fn what_names_no_task_is_nobodys() {
        assert!(read(None, vec![]).is_none());
        assert!(read(Some("a b"), vec![]).is_none());
    }
}
