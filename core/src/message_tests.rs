use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::{header::Value, retry::Backoff};

const NOW: u64 = 1_769_860_800_000;

fn read(headers: &[(&str, Value)]) -> Result<Task, Invalid> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let incoming = Incoming { kind: Some("echo".into()), headers, ..Incoming::default() };
    parse(&incoming, &QueueName::default(), Timestamp::from_millis(NOW))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn a_plain_message_is_a_task() {
    let task = parse(&Incoming::default(), &QueueName::default(), Timestamp::from_millis(NOW)).unwrap();
    assert_eq!((task.id, task.kind, task.attempt), (None, None, Attempt::FIRST));
}

#[test]
fn a_replayed_task_has_all_its_attempts_anew() {
    for (attempt, from, granted) in [(1, None, 1), (4, None, 4), (4, Some(4), 1), (6, Some(4), 3), (3, Some(4), 1)] {
        let mut headers = vec![("warren-attempt", Value::Integer(attempt))];
        headers.extend(from.map(|from| ("warren-counted-from", Value::Integer(from))));
        assert_eq!(read(&headers).unwrap().granted().get(), granted, "{attempt} {from:?}");
    }
}

#[test]
fn the_property_wins_over_the_header() {
    let task = read(&[("task", text("other"))]).unwrap();
    assert_eq!(task.kind.unwrap().as_str(), "echo");
}

#[test]
fn numbers_may_be_text() {
    for value in [Value::Integer(1500), text("1500"), text(" 1500 ")] {
        let task = read(&[("delay", value.clone()), ("timeout", value.clone()), ("max_attempts", value)]).unwrap();
        assert_eq!(task.wait, Some(Wait::For(Duration::from_millis(1500))));
        assert_eq!(task.overrides.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(task.overrides.max_attempts.map(NonZeroU32::get), Some(1500));
    }
}

#[test]
fn eta_comes_in_both_shapes() {
    let eta = Some(Wait::Until(Timestamp::from_millis(NOW + 1_000)));
    assert_eq!(read(&[("eta", text("2026-01-31T12:00:01Z"))]).unwrap().wait, eta);
    assert_eq!(read(&[("eta", Value::Integer(1_769_860_801_000))]).unwrap().wait, eta);
}

#[test]
fn a_deadline_comes_in_both_shapes_and_the_earlier_of_two_holds() {
    let deadline = |headers: &[(&str, Value)]| read(headers).unwrap().deadline.map(Timestamp::as_millis);
    assert_eq!(deadline(&[("deadline", text("2026-01-31T12:00:01Z"))]), Some(NOW + 1_000));
    assert_eq!(deadline(&[("deadline", text("5")), ("warren-deadline", Value::Integer(7))]), Some(5));
    assert_eq!(deadline(&[("deadline", text("9")), ("warren-deadline", Value::Integer(7))]), Some(7));
    assert!(
        read(&[("deadline", text("tomorrow"))]).unwrap_err().to_string().starts_with("deadline: expected RFC 3339")
    );
}

#[test]
fn what_may_come_twice_is_checked() {
    for (header, value, check) in [
        ("once", Value::Flag(true), true),
        ("once", text("true"), true),
        ("once", Value::Flag(false), false),
        ("warren-check", Value::Flag(true), true),
    ] {
        assert_eq!(read(&[(header, value)]).unwrap().check, check, "{header}");
    }
    assert!(read(&[("once", text("yes"))]).unwrap_err().to_string().starts_with("once: expected true or false"));
}

#[test]
fn an_order_key_is_text_or_a_number() {
    let key = |value| read(&[("order_key", value)]).map(|task| task.order_key.map(|key| key.to_string()));
    assert_eq!(key(text("customer 42")).unwrap().as_deref(), Some("customer 42"));
    assert_eq!(key(Value::Integer(42)).unwrap().as_deref(), Some("42"));
    for (value, said) in [
        (text(""), "order_key: order key must be 1 to 200 characters without control characters, got \"\""),
        (Value::Flag(true), "order_key: expected text or a whole number, got true"),
    ] {
        assert_eq!(key(value).unwrap_err().to_string(), said);
    }
}

#[test]
fn a_backoff_is_read() {
    let task = read(&[("backoff", text("fixed:250"))]).unwrap();
    assert_eq!(task.overrides.backoff, Some(Backoff::Fixed(Duration::from_millis(250))));
}

#[test]
fn every_problem_is_named_at_once() {
    let invalid = read(&[
        ("delay", text("soon")),
        ("eta", text("tomorrow")),
        ("max_attempts", Value::Integer(0)),
        ("timeout", Value::Integer(-1)),
        ("backoff", Value::Other("decimal")),
        ("warren-attempt", Value::Integer(0)),
        ("warren-counted-from", text("two")),
    ])
    .unwrap_err();
    insta::assert_snapshot!(invalid.to_string().replace("; ", "\n"));
}

#[test]
fn what_is_readable_of_a_bad_message_is_kept() {
    let invalid = read(&[("delay", text("soon"))]).unwrap_err();
    assert_eq!(invalid.kind.unwrap().as_str(), "echo");
}

#[test]
fn both_waits_or_one_too_far_ahead_are_refused() {
    assert!(read(&[("delay", Value::Integer(5)), ("eta", Value::Integer(5))]).is_err());
    assert!(read(&[("eta", text("2028-01-01T00:00:00Z"))]).is_err());
    assert!(read(&[("delay", Value::Integer(i64::MAX))]).is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,40}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Flag),
        Just(Value::Other("table")),
    ]
}

proptest! {
    #[test]
    fn no_message_makes_it_panic_and_bad_ones_name_a_field(
        kind in proptest::option::of(".{0,120}"),
        message_id in proptest::option::of(".{0,220}"),
        priority in proptest::option::of(any::<u8>()),
        values in proptest::collection::vec(any_value(), 18),
    ) {
        let names = [
            header::TASK, header::DELAY, header::ETA, header::MAX_ATTEMPTS, header::TIMEOUT, header::BACKOFF,
            header::DEADLINE, header::ONCE, header::ATTEMPT, header::EXPIRES, header::SUBMITTED, header::CHECK,
            header::CRASHED, header::CRASHES, header::TRACEPARENT, header::COUNTED_FROM, header::TWIN,
            header::ORDER_KEY,
        ];
        let headers = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        let incoming = Incoming { kind, message_id, priority, headers };
        if let Err(invalid) = parse(&incoming, &QueueName::default(), Timestamp::from_millis(NOW)) {
            prop_assert!(!invalid.problems.is_empty());
            prop_assert!(invalid.to_string().len() < 4096);
        }
    }
}
