//! The message contract: what a worker reads of a delivery, what its copies say, and what the tap makes of it.

use lapin::{BasicProperties, message::Delivery, types::FieldTable};
use warren_core::{
    Attempt, QueueName, Timestamp,
    event::{Batch, Event, VERSION},
    header,
    ladder::MAX_DELAY,
    message::{self, Invalid, Problem, Task, Wait},
};
use warren_monitor::decoders::copy::{Meaning, meaning};
use warren_runtime::amqp::{
    Names, Outgoing, Route,
    message::{Copy, incoming},
};

use crate::{now, workflow, written};

/// A delivery, written as `written` says.
pub fn message(bytes: &[u8]) {
    check(&written::delivery(bytes));
}

/// What must hold of any delivery.
pub fn check(delivery: &Delivery) {
    let queue = QueueName::default();
    let read = message::parse(&incoming(delivery), &queue, now());
    match &read {
        Ok(task) => is_in_bounds(task),
        Err(invalid) => names_its_fields(&invalid.problems),
    }
    a_copy_keeps_what_the_client_wrote(delivery, &read);
    if let Ok(task) = &read {
        for due in [None, Some(now().plus(std::time::Duration::from_secs(7))), task.wait.map(|wait| wait.due(now()))] {
            says_the_same_on_its_way(delivery, task, due);
        }
    }
    a_climb_is_read_or_refused(delivery);
    if let Some(task) = read.as_ref().ok().filter(|task| task.is_held()) {
        workflow::waits(delivery, task);
    }
    match meaning(delivery, &names(), now(), 16) {
        Meaning::Nothing(why) => assert!(!why.is_empty()),
        Meaning::Fact(event) => comes_back(*event),
        Meaning::Submission { event, .. } => event.into_iter().for_each(|event| comes_back(*event)),
    }
}

/// Everything that is wrong is named by its field, briefly.
pub fn names_its_fields(problems: &[Problem]) {
    const FIELDS: [&str; 25] = [
        "message_id",
        "type",
        header::TASK,
        header::DELAY,
        header::ETA,
        header::MAX_ATTEMPTS,
        header::TIMEOUT,
        header::BACKOFF,
        header::ATTEMPT,
        header::QUEUE,
        header::DUE,
        header::LEAVE,
        header::DEADLINE,
        header::EXPIRES,
        header::SUBMITTED,
        header::CHECK,
        header::ONCE,
        header::ORDER_KEY,
        header::CRASHED,
        header::CRASHES,
        header::FIRST_FAILURE,
        header::AFTER,
        header::ON_FAILURE,
        header::CHUNK_SIZE,
        header::CHUNKS,
    ];
    assert!(!problems.is_empty(), "refused without a reason");
    assert!(problems.len() <= FIELDS.len() + 1, "{problems:?}");
    for problem in problems {
        assert!(FIELDS.contains(&problem.field), "{problem}");
        assert!(!problem.detail.is_empty() && problem.detail.len() <= 1_000, "{problem}");
        assert!(!problem.detail.contains(char::is_control), "{problem:?}");
    }
}

fn names() -> Names {
    Names::new(&QueueName::parse("warren").expect("the literal is a valid name"))
}

fn is_in_bounds(task: &Task) {
    let moments = [task.deadline, task.submitted, task.first_failure, task.wait.map(|wait| wait.due(now()))];
    for moment in moments.into_iter().flatten() {
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
    }
    match task.wait {
        Some(Wait::For(delay)) => assert!(delay <= MAX_DELAY),
        Some(Wait::Until(eta)) => assert!(eta.since(now()) <= MAX_DELAY),
        None => {}
    }
    assert!(task.overrides.timeout.is_none_or(|timeout| !timeout.is_zero() && timeout <= MAX_DELAY));
    assert!(task.traceparent.as_ref().is_none_or(|trace| trace.len() <= 128));
}

fn a_copy_keeps_what_the_client_wrote(delivery: &Delivery, read: &Result<Task, Invalid>) {
    let sent = Copy::of(delivery).to_queue("warren.q.default");
    let (before, after) = (&delivery.properties, &sent.properties);
    assert_eq!(sent.body, delivery.data);
    assert_eq!(after.user_id(), &None);
    let rest = |from: &BasicProperties| {
        let texts = [
            from.content_type(),
            from.content_encoding(),
            from.correlation_id(),
            from.reply_to(),
            from.expiration(),
            from.message_id(),
            from.kind(),
            from.app_id(),
            from.cluster_id(),
        ];
        (texts.map(Clone::clone), *from.delivery_mode(), *from.priority(), *from.timestamp())
    };
    assert_eq!(rest(before), rest(after));
    let (kept, given) = (table(after), table(before));
    for (name, value) in kept.inner() {
        assert!(!header::is_brokers_own(name.as_str()), "{name} travels on");
        // As text, for a fraction that is no number is not equal to itself.
        assert_eq!(format!("{:?}", given.inner().get(name)), format!("{:?}", Some(value)));
    }
    for name in given.inner().keys() {
        assert!(kept.contains_key(name.as_str()) || header::is_brokers_own(name.as_str()), "{name} is lost");
    }
    let again = message::parse(&incoming(&received(sent)), &QueueName::default(), now());
    assert_eq!(again, *read, "a copy reads differently");
}

fn says_the_same_on_its_way(delivery: &Delivery, task: &Task, due: Option<Timestamp>) {
    let route = Route { queue: &task.queue, attempt: task.attempt.next(), due, deadline: task.deadline };
    let sent = route.address(Copy::of(delivery), &names(), now());
    let (place, expiration) = (sent.key.clone(), sent.properties.expiration().clone());
    let delivery = received(sent);
    let incoming = incoming(&delivery);
    let copy = message::parse(&incoming, &task.queue, now()).expect("what was readable stays so");
    let expected = Task { attempt: task.attempt.next(), wait: None, ..task.clone() };
    assert_eq!(copy, expected);
    if let Some(due) = due.filter(|due| *due > now()) {
        let climb = message::parse_climb(&incoming.headers).expect("a copy on the ladder knows its way");
        assert_eq!((&climb.queue, climb.due), (&task.queue, due));
        assert!(now() < climb.leave && climb.leave <= due, "{climb:?}");
        assert!(place.as_str().starts_with("warren.delay.") && expiration.is_none());
    } else {
        assert_eq!(place.as_str(), "warren.q.default");
        let left = task.deadline.map(|deadline| deadline.since(now()).as_millis().to_string());
        assert_eq!(expiration.map(|text| text.to_string()), left);
    }
}

fn a_climb_is_read_or_refused(delivery: &Delivery) {
    let incoming = incoming(delivery);
    match message::parse_climb(&incoming.headers) {
        Ok(climb) => {
            let copy = Copy::of(delivery).text(header::QUEUE, climb.queue.as_str());
            let copy = copy.time(header::DUE, climb.due).time(header::LEAVE, climb.leave);
            let again = self::incoming(&received(copy.to_queue("warren.delay.00")));
            assert_eq!(message::parse_climb(&again.headers), Ok(climb));
        }
        Err(problems) => names_its_fields(&problems),
    }
    let long = "é".repeat(3_000);
    let buried = Copy::of(delivery).number(header::ATTEMPT, Attempt::FIRST.get().into()).text(header::ERROR, &long);
    let kept = self::incoming(&received(buried.to_queue("warren.dead.default")));
    let error = kept.headers.get(header::ERROR);
    assert!(matches!(error, Some(header::Value::Text(text)) if text.len() <= 2_000 && long.starts_with(text)));
}

fn comes_back(event: Event) {
    let batch = Batch { version: VERSION, source: "monitor".to_owned(), seq: 1, events: vec![event] };
    let text = serde_json::to_vec(&batch).expect("events are JSON");
    assert_eq!(Batch::decode(&text).expect("what the tap writes is readable"), batch);
}

fn table(properties: &BasicProperties) -> FieldTable {
    properties.headers().clone().unwrap_or_default()
}

pub(crate) fn received(sent: Outgoing) -> Delivery {
    let mut delivery = Delivery::mock(1, sent.exchange, sent.key, false, sent.body);
    delivery.properties = sent.properties;
    delivery
}
