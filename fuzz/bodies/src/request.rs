//! The JSON form of a task, as the gateway and the command line take it, down to what a worker reads of it.

use lapin::message::Delivery;
use serde_json::Value;
use warren_core::{Attempt, QueueName, TaskId, message};
use warren_producer::{
    Error, Invalid, NewTask,
    encoders::compose,
    request::{Request, parse, parse_one},
};
use warren_runtime::amqp::{Names, message::incoming};

use crate::now;

/// One task, or an array of tasks.
pub fn request(bytes: &[u8]) {
    match parse(bytes) {
        Ok(Request::One(task)) => {
            let plain = serde_json::from_slice::<Value>(bytes).ok();
            arrives(&task, plain.as_ref());
        }
        Ok(Request::Many(tasks)) => {
            let plain = serde_json::from_slice::<Vec<Value>>(bytes).ok();
            assert!(plain.as_ref().is_none_or(|plain| plain.len() == tasks.len()));
            for (index, task) in tasks.iter().enumerate() {
                arrives(task, plain.as_ref().map(|plain| &plain[index]));
            }
        }
        Err(error) => names_a_field(&error),
    }
    // A line of a file is one task: what is no array means the same there.
    let is_array = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_array {
        assert_eq!(
            parse_one(bytes).map_err(|error| error.to_string()).err(),
            parse(bytes).map_err(|e| e.to_string()).err()
        );
    }
}

pub(crate) fn names_a_field(error: &Error) {
    match error {
        Error::Malformed(_) => {}
        Error::Invalid(invalid) => is_brief(invalid),
        other => panic!("reading cannot fail so: {other:?}"),
    }
}

fn is_brief(invalid: &Invalid) {
    let problems = invalid.problems();
    // A hundred, and as many more as the task has that made them full.
    assert!((1..=200).contains(&problems.len()), "{} problems", problems.len());
    for problem in problems {
        assert!(problem.field.len() <= 400, "a field of {} bytes", problem.field.len());
        assert!(!problem.detail.is_empty() && problem.detail.len() <= 1_000, "{problem}");
    }
}

fn arrives(task: &NewTask, plain: Option<&Value>) {
    let names = Names::new(&QueueName::parse("warren").expect("the literal is a valid name"));
    let made = TaskId::parse("made").expect("the literal is a valid id");
    let sent = match compose(task.clone(), &names, now(), made, 64) {
        Ok(sent) => sent,
        Err(invalid) => {
            // Only the clock can tell whether a time is too far ahead.
            assert!(invalid.problems().iter().all(|problem| problem.field == "eta"), "{invalid}");
            return;
        }
    };
    let mut delivery = Delivery::mock(1, sent.outgoing.exchange, sent.outgoing.key, false, sent.outgoing.body);
    delivery.properties = sent.outgoing.properties;
    let incoming = incoming(&delivery);
    let read = message::parse(&incoming, task.chosen_queue(), now()).expect("a worker reads what was accepted");
    assert_eq!((read.attempt, read.wait, read.check), (Attempt::FIRST, None, false));
    // To the millisecond, unless the id of this moment tells it.
    let made = sent.submitted.task.made().filter(|made| made.since(now()).max(now().since(*made)).as_secs() < 1);
    assert_eq!(read.submitted, made.or(Some(now())));
    assert_eq!((read.deadline, &read.kind), (sent.submitted.deadline, &sent.submitted.about.kind));
    assert_eq!(read.id.as_ref(), Some(&sent.submitted.task));
    if let Some(due) = sent.submitted.due {
        assert_eq!(message::parse_climb(&incoming.headers).map(|climb| climb.due), Ok(due));
    }
    let Some(plain) = plain else { return };
    assert_eq!(read.kind.as_ref().map(warren_core::Kind::as_str), plain["kind"].as_str());
    if let Some(id) = plain["id"].as_str() {
        assert_eq!(task.chosen_id().map(TaskId::as_str), Some(id));
    }
    if let Some(payload) = plain.get("payload") {
        assert_eq!(serde_json::from_slice::<Value>(&delivery.data).ok().as_ref(), Some(payload));
    }
    assert_eq!(task.chosen_reply_to(), plain["reply_to"].as_str());
    assert_eq!(task.chosen_queue().as_str(), plain["queue"].as_str().unwrap_or("default"));
}
