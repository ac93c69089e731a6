//! The JSON form of a task, as the command line reads it from lines and the gateway from requests.
//!
//! Every error names its field and says what was expected; all errors of a task come together.

use std::collections::HashSet;

use serde_json::{Value, value::RawValue};

pub use crate::json::parse_duration;
use crate::{
    Error, HeaderValue, NewTask,
    field::{Invalid, Problem},
    json::{Fields, cut, expected, expected_of, flag, short, span, text, time, whole},
};

// Enough for a person; a machine that gets everything wrong learns nothing from a thousand more.
const PROBLEMS: usize = 100;

const FIELDS: &str = "kind, queue, payload, id, once, order_key, priority, delay, eta, expiration, deadline, max_attempts, timeout, \
                      backoff, reply_to, correlation_id, headers, traceparent";

/// One task, or several.
#[derive(Debug)]
pub enum Request {
    /// An object.
    One(Box<NewTask>),
    /// An array of objects.
    Many(Vec<NewTask>),
}

/// Reads a task, or an array of tasks of which every one has to be sound.
pub fn parse(json: &[u8]) -> Result<Request, Error> {
    let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'[') {
        return parse_one(json).map(|task| Request::One(Box::new(task)));
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(json).map_err(Error::Malformed)?;
    let (mut tasks, mut problems) = (Vec::with_capacity(elements.len()), Vec::new());
    for (index, element) in elements.into_iter().enumerate() {
        match read(element) {
            Ok(task) => tasks.push(task),
            Err(invalid) => problems.extend(invalid.inside(&format!("[{index}]"))),
        }
        if problems.len() >= PROBLEMS {
            break;
        }
    }
    Invalid::of(problems).map_or(Ok(Request::Many(tasks)), |invalid| Err(invalid.into()))
}

/// Reads one task.
pub fn parse_one(json: &[u8]) -> Result<NewTask, Error> {
    let task: &RawValue = serde_json::from_slice(json).map_err(Error::Malformed)?;
    Ok(read(task)?)
}

// The task, all of whose fields could be read and are sound by themselves.
pub(crate) fn read(json: &RawValue) -> Result<NewTask, Invalid> {
    let Ok(Fields(fields)) = serde_json::from_str(json.get()) else {
        return Err(Problem::new("", expected("a task as a JSON object", short(json))).into());
    };
    let mut task = NewTask::blank();
    let mut seen = HashSet::new();
    for (name, value) in fields {
        if task.refused() >= PROBLEMS {
            return task.sound();
        }
        let first = seen.insert(name.clone());
        if !first {
            task.refuse(&cut(&name), "expected once, got twice");
        } else if value.get() == "null" && name == "kind" {
            task.refuse("kind", "expected the name of a handler, got null");
        } else if value.get() != "null" || name == "payload" {
            task = apply(task, &name, value);
        }
    }
    if !seen.contains("kind") {
        task.refuse("kind", "expected the name of a handler, got nothing");
    }
    task.sound()
}

fn apply(mut task: NewTask, name: &str, value: &RawValue) -> NewTask {
    match name {
        "kind" => with(task, name, text(value), NewTask::kind),
        "queue" => with(task, name, text(value), NewTask::queue),
        "payload" => task.payload(value.get()).content_type("application/json"),
        "id" => with(task, name, text(value), NewTask::id),
        "once" => match flag(value) {
            Ok(true) => task.once(),
            Ok(false) => task,
            Err(detail) => {
                task.refuse(name, detail);
                task
            }
        },
        "order_key" => with(task, name, text(value), NewTask::order_key),
        "priority" => with(task, name, whole(value, 9), NewTask::priority),
        "delay" => with(task, name, span(value), NewTask::delay),
        "eta" => with(task, name, time(value), NewTask::eta),
        "expiration" => with(task, name, span(value), NewTask::expiration),
        "deadline" => with(task, name, time(value), NewTask::deadline),
        "max_attempts" => with(task, name, whole(value, u32::MAX), NewTask::max_attempts),
        "timeout" => with(task, name, span(value), NewTask::timeout),
        "backoff" => {
            let backoff = text(value).and_then(|text| text.parse().map_err(|error| expected_of(error, value)));
            with(task, name, backoff, NewTask::backoff)
        }
        "reply_to" => with(task, name, text(value), NewTask::reply_to),
        "correlation_id" => with(task, name, text(value), NewTask::correlation_id),
        "traceparent" => with(task, name, text(value), NewTask::traceparent),
        "headers" => headers(task, value),
        _ => {
            task.refuse(&cut(name), format_args!("there is no such field; there are {FIELDS}"));
            task
        }
    }
}

fn with<T>(
    mut task: NewTask,
    field: &str,
    value: Result<T, String>,
    set: impl FnOnce(NewTask, T) -> NewTask,
) -> NewTask {
    match value {
        Ok(value) => set(task, value),
        Err(detail) => {
            task.refuse(field, detail);
            task
        }
    }
}

fn headers(mut task: NewTask, json: &RawValue) -> NewTask {
    let Ok(Fields(headers)) = serde_json::from_str(json.get()) else {
        task.refuse("headers", expected("an object", short(json)));
        return task;
    };
    for (name, value) in headers {
        if task.refused() >= PROBLEMS {
            break;
        }
        let field = format!("headers.{}", cut(&name));
        task = with(task, &field, header(value), |task, value| task.header(name, value));
    }
    task
}

fn header(json: &RawValue) -> Result<HeaderValue, String> {
    let value = match serde_json::from_str(json.get()) {
        Ok(Value::String(text)) => Some(HeaderValue::Text(text)),
        Ok(Value::Bool(flag)) => Some(HeaderValue::Flag(flag)),
        Ok(Value::Number(number)) => {
            number.as_i64().map(HeaderValue::Integer).or(number.as_f64().map(HeaderValue::Fraction))
        }
        Ok(Value::Null | Value::Array(_) | Value::Object(_)) | Err(_) => None,
    };
    value.ok_or_else(|| expected("text, a number, true or false", short(json)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(json: &str) -> String {
        match parse(json.as_bytes()).unwrap_err() {
            Error::Invalid(invalid) => invalid.to_string().replace("; ", "\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_is_read() {
        let json = r#"{"kind":"resize","queue":"images","payload":{"n":1.10},"id":"a","once":true,"order_key":"customer 42","priority":9,"delay":"30s",
            "expiration":60000,"deadline":"2030-01-01T00:00:00Z","max_attempts":2,"timeout":"1500","backoff":"fixed:250","reply_to":"answers",
            "correlation_id":"c","headers":{"tenant":"acme","n":7,"share":0.5,"vip":true},
            "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
        let task = parse_one(json.as_bytes()).unwrap();
        insta::assert_debug_snapshot!(task);
    }

    #[test]
    fn what_is_null_is_absent_and_a_payload_may_be_null() {
        let task = parse_one(br#"{"kind":"a","id":null,"delay":null,"payload":null}"#).unwrap();
        assert_eq!((task.id, task.wait, task.payload.as_slice()), (None, None, b"null".as_slice()));
    }

    #[test]
    fn a_kind_that_is_null_is_refused_before_anything_is_sent() {
        assert_eq!(refused(r#"[{"kind":"a"},{"kind":null}]"#), "[1].kind: expected the name of a handler, got null");
    }

    #[test]
    fn a_task_that_is_wrong_a_thousand_times_is_told_so_briefly() {
        let members: Vec<_> = (0..1_000).map(|n| format!("\"{n}{}\":1", "x".repeat(500))).collect();
        let text = refused(&format!("{{{}}}", members.join(",")));
        assert_eq!(text.matches("there is no such field").count(), PROBLEMS);
        assert!(text.len() < PROBLEMS * 400, "{}", text.len());
    }

    #[test]
    fn a_payload_arrives_as_it_was_written() {
        let task = parse_one(br#" {"kind":"a","payload": {"big": 12345678901234567890123, "b":[ 1 ]} } "#).unwrap();
        assert_eq!(task.payload, br#"{"big": 12345678901234567890123, "b":[ 1 ]}"#);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let json = r#"{"queue":"Big Queue","id":7,"priority":10,"delay":"soon","eta":"tomorrow","expiration":1.5,
            "max_attempts":0,"timeout":-1,"backoff":"linear","reply_to":"","correlation_id":[],
            "headers":{"delay":1,"list":[1]},"traceparent":"00","colour":"red","id":"again"}"#;
        insta::assert_snapshot!(refused(json));
    }

    #[test]
    fn an_array_names_the_place() {
        let json = r#"[{"kind":"a"},{"kind":"b","delay":"soon"},5,{}]"#;
        insta::assert_snapshot!(refused(json));
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for json in ["", "{", "[{]", "kind=a", "{\"kind\":\"a\"} x"] {
            assert!(matches!(parse(json.as_bytes()), Err(Error::Malformed(_))), "{json}");
        }
        assert!(matches!(parse(b"{\"kind\":\"\xff\"}"), Err(Error::Malformed(_))));
        assert_eq!(refused("5"), "expected a task as a JSON object, got 5");
    }

    #[test]
    fn durations_by_table() {
        for (text, millis) in [("0", 0), ("1500", 1_500), ("250ms", 250), (" 30s ", 30_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-1", "1.5s", "5 s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(json in ".{0,200}") {
            drop(parse(json.as_bytes()));
        }
    }
}
