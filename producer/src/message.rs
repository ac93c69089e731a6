//! From a task to the message that is published and the fact that is told of it.

use std::time::Duration;

use lapin::{BasicProperties, types::AMQPValue};
use warren_core::{
    Attempt, TaskId, Timestamp,
    event::{About, Submitted},
    header as name,
    preview::Preview,
};
use warren_runtime::amqp::{
    Names, Outgoing, Route,
    message::{Copy, PERSISTENT},
};

use crate::{
    field::{Invalid, Problem},
    header::HeaderValue,
    task::NewTask,
};

// An id that tells the time says it for whoever reads. A message whose properties take more than 64 bytes costs RabbitMQ a
// third more (docs/performance.md).
const DATED_WITHIN: Duration = Duration::from_secs(1);

/// A task ready to be published.
#[derive(Debug)]
pub struct Message {
    /// Goes to the broker.
    pub outgoing: Outgoing,
    /// Goes to the event log once the broker has confirmed.
    pub submitted: Submitted,
}

/// Addresses a task, which has to be sound. A task without an id gets the one that is given. So many of the first bytes of
/// its payload are told to the event log.
pub fn compose(
    mut task: NewTask,
    names: &Names,
    now: Timestamp,
    id: TaskId,
    preview_bytes: usize,
) -> Result<Message, Invalid> {
    task.check(now)?;
    let Some(kind) = task.kind.clone() else {
        return Err(Problem::new("kind", "expected a kind, got nothing").into());
    };
    let id = task.id.clone().unwrap_or(id);
    let due = task.wait.map(|wait| wait.due(now)).filter(|due| *due > now);
    let expires = task.expiration.map(|expiration| now.plus(expiration));
    let deadline = task.deadline.into_iter().chain(expires).min();
    let submitted = Submitted {
        task: id.clone(),
        at: now,
        about: About { kind: Some(kind), queue: task.queue.clone(), priority: task.priority },
        size: task.payload.len() as u64,
        due,
        deadline,
        app: task.app_id.clone(),
        order_key: task.order_key.clone(),
        transient: false,
        preview: Preview::of(&task.payload, task.content_type.as_deref(), preview_bytes),
    };
    let properties = properties(&task, &id);
    let copy = if id.made().is_some_and(|made| made.since(now).max(now.since(made)) < DATED_WITHIN) {
        Copy::from_parts(properties, std::mem::take(&mut task.payload))
    } else {
        // AMQP counts whole seconds here; the exact time is in the header.
        let properties = properties.with_timestamp(now.as_millis() / 1_000);
        Copy::from_parts(properties, std::mem::take(&mut task.payload)).time(name::SUBMITTED, now)
    };
    let mut copy = with_policy(with_headers(&task, copy), &task.overrides);
    if let Some(deadline) = task.deadline {
        copy = copy.time(name::DEADLINE, deadline);
    }
    let queue = task.queue;
    let route = Route { queue: &queue, attempt: Attempt::FIRST, due, deadline };
    Ok(Message { outgoing: route.address(copy, names, now), submitted })
}

fn properties(task: &NewTask, id: &TaskId) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(id.as_str().into())
        .with_priority(task.priority.get());
    if let Some(kind) = &task.kind {
        properties = properties.with_type(kind.as_str().into());
    }
    macro_rules! copy {
        ($($field:ident => $set:ident),+ $(,)?) => {
            $(if let Some(value) = &task.$field { properties = properties.$set(value.as_str().into()); })+
        };
    }
    copy!(
        content_type => with_content_type,
        reply_to => with_reply_to,
        correlation_id => with_correlation_id,
        app_id => with_app_id,
    );
    properties
}

fn with_headers(task: &NewTask, mut copy: Copy) -> Copy {
    for (name, value) in &task.headers {
        let value = match value {
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            HeaderValue::Integer(number) => AMQPValue::LongLongInt(*number),
            HeaderValue::Fraction(number) => AMQPValue::Double(*number),
            HeaderValue::Flag(flag) => AMQPValue::Boolean(*flag),
        };
        copy = copy.header(name, value);
    }
    if task.once {
        copy = copy.header(name::ONCE, AMQPValue::Boolean(true));
    }
    if let Some(key) = &task.order_key {
        copy = copy.header(name::ORDER_KEY, AMQPValue::LongString(key.as_str().into()));
    }
    if let Some(traceparent) = &task.traceparent {
        copy = copy.header(name::TRACEPARENT, AMQPValue::LongString(traceparent.as_str().into()));
    }
    copy
}

fn with_policy(mut copy: Copy, overrides: &warren_core::retry::Overrides) -> Copy {
    if let Some(attempts) = overrides.max_attempts {
        copy = copy.number(name::MAX_ATTEMPTS, attempts.get().into());
    }
    if let Some(timeout) = overrides.timeout {
        copy = copy.number(name::TIMEOUT, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    }
    if let Some(backoff) = overrides.backoff {
        copy = copy.text(name::BACKOFF, &backoff.to_string());
    }
    copy
}

#[cfg(test)]
mod tests {
    use lapin::message::Delivery;
    use warren_core::{QueueName, message, retry::Backoff};
    use warren_runtime::amqp::message::incoming;

    use super::*;

    const NOW: u64 = 1_769_860_800_123;

    fn sent(task: NewTask) -> Message {
        sent_as("made", task)
    }

    fn sent_as(id: &str, task: NewTask) -> Message {
        let names = Names::new(&QueueName::parse("warren").unwrap());
        compose(task, &names, Timestamp::from_millis(NOW), TaskId::parse(id).unwrap(), 2).unwrap()
    }

    // As a worker would read it.
    fn received(message: &Message) -> message::Task {
        let mut delivery =
            Delivery::mock(1, "".into(), message.outgoing.key.clone(), false, message.outgoing.body.clone());
        delivery.properties = message.outgoing.properties.clone();
        message::parse(&incoming(&delivery), &QueueName::default(), Timestamp::from_millis(NOW)).unwrap()
    }

    #[test]
    fn a_worker_reads_what_was_asked_for() {
        let task = NewTask::new("resize")
            .priority(7)
            .max_attempts(3)
            .timeout(Duration::from_secs(2))
            .backoff(Backoff::Fixed(Duration::from_millis(40)))
            .expiration(Duration::from_secs(9))
            .once()
            .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let overrides = task.overrides.clone();
        let message = sent(task);
        let task = received(&message);
        assert_eq!(message.outgoing.key.as_str(), "warren.q.default");
        assert_eq!((task.id.unwrap().as_str(), task.kind.unwrap().as_str()), ("made", "resize"));
        assert_eq!((task.priority.get(), task.attempt), (7, Attempt::FIRST));
        assert_eq!(task.overrides, overrides);
        assert_eq!(task.submitted, Some(Timestamp::from_millis(NOW)));
        assert_eq!(task.deadline, Some(Timestamp::from_millis(NOW + 9_000)));
        assert_eq!(task.deadline, message.submitted.deadline);
        assert!(task.traceparent.is_some() && task.check);
        let properties = &message.outgoing.properties;
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.expiration().as_ref().unwrap().as_str(), "9000");
    }

    #[test]
    fn what_its_id_tells_is_not_told_again() {
        let id = "019c13ec-9e7c-7abc-8def-0123456789ab";
        let made = TaskId::parse(id).unwrap().made().unwrap();
        assert!(made.since(Timestamp::from_millis(NOW)) < DATED_WITHIN, "{made:?}");
        let message = sent_as(id, NewTask::new("resize").priority(7));
        let least = BasicProperties::default().with_delivery_mode(PERSISTENT).with_priority(7);
        assert_eq!(message.outgoing.properties, least.with_message_id(id.into()).with_type("resize".into()));
        assert_eq!(received(&message).submitted, Some(made));
        // An older id tells something else.
        let message = sent_as("019c13ec-0000-7abc-8def-0123456789ab", NewTask::new("resize"));
        assert_eq!(received(&message).submitted, Some(Timestamp::from_millis(NOW)));
    }

    #[test]
    fn what_has_an_order_key_goes_by_its_lane() {
        let message = sent(NewTask::new("a").order_key("customer-42"));
        assert_eq!(message.outgoing.key.as_str(), "warren.lane.default.6");
        assert_eq!(received(&message).order_key.unwrap().as_str(), "customer-42");
    }

    #[test]
    fn what_has_to_wait_goes_up_the_ladder() {
        for task in [
            NewTask::new("a").delay(Duration::from_millis(500)),
            NewTask::new("a").eta(Timestamp::from_millis(NOW + 500)),
        ] {
            let message = sent(task);
            assert_eq!(message.outgoing.key.as_str(), "warren.delay.02");
            assert_eq!(message.submitted.due, Some(Timestamp::from_millis(NOW + 500)));
        }
        let message = sent(NewTask::new("a").eta(Timestamp::from_millis(NOW)));
        assert_eq!((message.outgoing.key.as_str(), message.submitted.due), ("warren.q.default", None));
    }
}
