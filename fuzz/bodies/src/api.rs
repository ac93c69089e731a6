//! Small texts from outside: the parameters of the API, positions, times, time spans, back-offs, `Retry-After`.

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use warren_core::{Kind, QueueName, TaskId, TaskState, Timestamp, WorkerId, ladder::MAX_DELAY, retry::Backoff};
use warren_monitor::decoders::{Filter, Position, Source};
use warren_producer::request::parse_duration;
use warren_runtime::config::duration;
use warren_worker::decoders::retry_after;

use crate::now;

/// One text, or parameters as `name=value` with a line for each.
pub fn api(bytes: &[u8]) {
    waits_within_bounds(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    selects(text);
    comes_back(text);
    names_come_back(text);
    match (duration::parse(text), parse_duration(text)) {
        (Ok(strict), lenient) => assert_eq!(lenient, Ok(strict)),
        (Err(error), Err(detail)) => assert!(detail.len() <= 1_000 && !error.to_string().is_empty()),
        (Err(_), Ok(_)) => {}
    }
}

fn waits_within_bounds(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let wait = retry_after::read(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now());
    assert!(wait.is_none_or(|millis| u128::from(millis) <= MAX_DELAY.as_millis()));
}

fn selects(text: &str) {
    let parameters: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let parameters: Vec<_> = parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match Filter::parse(&parameters, &TaskState::ALL) {
        Ok(filter) => {
            assert!((1..=500).contains(&filter.limit) && !filter.states.is_empty());
            assert!(filter.states.is_sorted() && filter.states.len() <= TaskState::ALL.len());
        }
        Err(problem) => {
            let field = problem.field.expect("a refusal names its parameter");
            assert!(parameters.iter().any(|(name, _)| *name == field), "{field} was not given");
            assert_eq!(problem.status, 422);
            assert!(!problem.detail.is_empty() && problem.detail.len() <= 1_000, "{}", problem.detail);
        }
    }
}

fn comes_back(text: &str) {
    if let Ok(position) = Position::decode(text) {
        assert_eq!(Position::decode(&position.encode()), Ok(position));
    }
    if let Some(source) = Source::decode(text) {
        assert_eq!(Source::decode(&source.encode()), Some(source));
    }
    if let Ok(backoff) = text.parse::<Backoff>() {
        assert_eq!(backoff.to_string().parse(), Ok(backoff));
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        assert_eq!(Timestamp::parse(&time.as_millis().to_string()), Ok(time));
    }
    if let Ok(time) = serde_json::from_str::<Timestamp>(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "a time that cannot be written");
    }
}

fn names_come_back(text: &str) {
    assert!(TaskId::parse(text).is_ok_and(|id| id.as_str() == text) || TaskId::parse(text).is_err());
    let errors =
        [TaskId::parse(text).err(), Kind::parse(text).err(), QueueName::parse(text).err(), WorkerId::parse(text).err()];
    for error in errors.into_iter().flatten().map(|error| error.to_string()) {
        assert!(error.len() <= 1_000 && !error.contains(char::is_control), "{error:?}");
    }
}
