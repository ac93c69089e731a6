//! What a copy in the tap means. Pure.

use lapin::{
    message::Delivery,
    types::{AMQPValue, ShortString},
};
use warren_core::{
    Attempt, QueueName, Reason, Timestamp,
    event::{About, Buried, Event, Submitted},
    message::{self, Task},
    preview::Preview,
};
use warren_runtime::amqp::{
    Names,
    message::{deadline, incoming, is_transient},
};

/// What a copy means.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// Nothing that must be written.
    Nothing(&'static str),
    /// A fact for the log.
    Fact(Box<Event>),
    /// A foreign client submitted a task to this queue, which may not exist any more.
    Submission {
        /// The queue.
        queue: QueueName,
        /// What is to be written, if the message says enough.
        event: Option<Box<Event>>,
    },
}

/// Reads a copy. So many of the first bytes of a payload are told.
pub fn meaning(delivery: &Delivery, names: &Names, now: Timestamp, preview_bytes: usize) -> Meaning {
    let Ok(queue) = QueueName::parse(delivery.routing_key.as_str()) else {
        return Meaning::Nothing("its routing key is no queue's name");
    };
    let exchange = delivery.exchange.as_str();
    if exchange == names.tasks() || exchange == names.ordered() {
        let event = submission(delivery, &queue, now, preview_bytes).map(Box::new);
        return Meaning::Submission { queue, event };
    }
    if exchange == names.dead_letters() {
        return burial(delivery, &queue, now);
    }
    Meaning::Nothing("it came through no exchange of ours")
}

// A message that cannot be read is buried by the worker that takes it, and one without an id gets one there.
fn submission(delivery: &Delivery, queue: &QueueName, now: Timestamp, preview_bytes: usize) -> Option<Event> {
    let task = message::parse(&incoming(delivery), queue, now).ok()?;
    let properties = &delivery.properties;
    let deadline = deadline(properties, task.deadline, now);
    let due = task.wait.map(|wait| wait.due(now)).filter(|due| *due > now);
    let Task { id, kind, priority, order_key, .. } = task;
    Some(Event::Submitted(Submitted {
        task: id?,
        at: now,
        about: About { kind, queue: queue.clone(), priority },
        size: delivery.data.len() as u64,
        due,
        deadline,
        app: properties.app_id().as_ref().map(|app| app.as_str().to_owned()),
        order_key,
        transient: is_transient(properties),
        preview: Preview::of(
            &delivery.data,
            properties.content_type().as_ref().map(ShortString::as_str),
            preview_bytes,
        ),
    }))
}

// It lies among the dead letters already, and no worker will see it: what can be read of it is shown.
fn burial(delivery: &Delivery, queue: &QueueName, now: Timestamp) -> Meaning {
    let Some((reason, error)) = death(delivery) else {
        return Meaning::Nothing("the broker did not put it aside");
    };
    let incoming = incoming(delivery);
    let priority = incoming.priority.unwrap_or_default().into();
    let (id, kind, attempt): (_, _, Attempt) = match message::parse(&incoming, queue, now) {
        Ok(task) => (task.id, task.kind, task.attempt),
        Err(invalid) => (invalid.id, invalid.kind, invalid.attempt),
    };
    let Some(task) = id else { return Meaning::Nothing("it was put aside without an id") };
    Meaning::Fact(Box::new(Event::Buried(Buried {
        task,
        at: now,
        about: About { kind, queue: queue.clone(), priority },
        attempt,
        reason,
        error,
    })))
}

/// Why the broker itself put a message aside, if it did.
pub fn death(delivery: &Delivery) -> Option<(Reason, String)> {
    match last_death(delivery)?.as_str() {
        "expired" => Some((Reason::Expired, "it was not started within its time".to_owned())),
        // We set no such limits; an operator's policy may.
        limit @ ("maxlen" | "delivery_limit") => {
            Some((Reason::Permanent, format!("the broker put it aside by a limit of its own: {limit}")))
        }
        _ => None,
    }
}

// The latest death is the first of the list (RabbitMQ documentation, "Dead Letter Exchanges").
fn last_death(delivery: &Delivery) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else { return None };
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    match death.inner().get("reason")? {
        AMQPValue::LongString(reason) => Some(String::from_utf8_lossy(reason.as_bytes()).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lapin::{
        BasicProperties,
        types::{FieldArray, FieldTable},
    };

    use super::*;

    fn names() -> Names {
        Names::new(&QueueName::parse("warren").unwrap())
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn delivery(exchange: &str, properties: BasicProperties) -> Delivery {
        let mut delivery = Delivery::mock(1, exchange.into(), "default".into(), false, b"abc".to_vec());
        delivery.properties = properties;
        delivery
    }

    fn foreign(id: &str, headers: &[(&str, i64)]) -> BasicProperties {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongLongInt(*value));
        }
        BasicProperties::default().with_message_id(id.into()).with_type("echo".into()).with_headers(table)
    }

    fn submitted(properties: BasicProperties) -> Option<Submitted> {
        match meaning(&delivery("warren.tasks", properties), &names(), now(), 2) {
            Meaning::Submission { event, .. } => match *event? {
                Event::Submitted(submitted) => Some(submitted),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_foreign_submission_is_told_with_all_that_it_says() {
        let properties = foreign("t1", &[("delay", 500)]).with_expiration("9000".into()).with_app_id("shop".into());
        let submitted = submitted(properties).unwrap();
        assert_eq!(submitted.preview.as_ref().map(Preview::bytes), Some(2));
        assert_eq!((submitted.size, submitted.transient, submitted.app.as_deref()), (3, true, Some("shop")));
        assert_eq!(
            (submitted.due, submitted.deadline),
            (Some(now().plus(Duration::from_millis(500))), Some(now().plus(Duration::from_secs(9))))
        );
    }

    #[test]
    fn what_the_worker_will_report_is_not_reported_here() {
        assert_eq!(submitted(BasicProperties::default()), None);
        assert_eq!(submitted(foreign("bad id", &[])), None);
        assert_eq!(submitted(foreign("t1", &[("max_attempts", 0)])), None);
        assert!(!submitted(foreign("t1", &[]).with_delivery_mode(2)).unwrap().transient);
    }

    #[test]
    fn only_what_the_broker_put_aside_is_buried() {
        let (expired, permanent) = (Some(Reason::Expired), Some(Reason::Permanent));
        for (reason, buried) in
            [("expired", expired), ("maxlen", permanent), ("delivery_limit", permanent), ("rejected", None)]
        {
            let mut death = FieldTable::default();
            death.insert("reason".into(), AMQPValue::LongString(reason.into()));
            let mut headers = FieldTable::default();
            headers
                .insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)])));
            headers.insert("warren-attempt".into(), AMQPValue::LongLongInt(3));
            // Even where another field cannot be read.
            headers.insert("timeout".into(), AMQPValue::LongLongInt(-1));
            let properties = BasicProperties::default().with_message_id("t1".into()).with_headers(headers);
            let meaning = meaning(&delivery("warren.dlx", properties), &names(), now(), 2);
            match meaning {
                Meaning::Fact(event) => {
                    let Event::Buried(event) = *event else { panic!("{event:?}") };
                    assert_eq!((event.attempt.get(), Some(event.reason)), (3, buried));
                }
                Meaning::Nothing(_) => assert_eq!(buried, None),
                Meaning::Submission { queue, .. } => panic!("{queue}"),
            }
        }
    }
}
