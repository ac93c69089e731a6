//! Reading the fields of a message one by one; whatever cannot be read is written down with its field's name.

use std::{fmt, num::NonZeroU32, time::Duration};

use super::{Problem, Wait};
use crate::{
    Attempt, OrderKey, TaskId, Timestamp, WorkerId,
    header::{self, Headers, Value},
    ladder,
    retry::Overrides,
    workflow::{Cut, OnFailure},
};

// All headers together share one frame.
const MOST_BEFORE: usize = 1_000;

/// The headers that are still to be read, and what is wrong with those that were.
pub(super) struct Fields<'a> {
    headers: &'a Headers,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(headers: &'a Headers) -> Self {
        Self { headers, problems: Vec::new() }
    }

    pub(super) fn refuse(&mut self, field: &'static str, detail: impl Into<String>) {
        self.problems.push(Problem { field, detail: detail.into() });
    }

    pub(super) fn checked<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match text.map(parse)? {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(field, error.to_string());
                None
            }
        }
    }

    pub(super) fn text<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.headers.get(field)? {
            Value::Text(text) => self.checked(field, Some(text), parse),
            other => {
                self.refuse(field, format!("expected text, got {}", shape(other)));
                None
            }
        }
    }

    pub(super) fn number(&mut self, field: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.headers.get(field)?;
        let number = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Texts(_) | Value::Flag(_) | Value::Other(_) => None,
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.refuse(field, format!("expected a whole number from {min} to {max}, got {}", shape(value)));
        }
        number
    }

    pub(super) fn attempt(&mut self, field: &'static str) -> Option<Attempt> {
        let number = self.number(field, 1, u64::from(u32::MAX))?;
        Attempt::new(u32::try_from(number).ok()?)
    }

    fn duration(&mut self, field: &'static str, min: u64, max: Duration) -> Option<Duration> {
        let max = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        self.number(field, min, max).map(Duration::from_millis)
    }

    pub(super) fn time(&mut self, field: &'static str) -> Option<Timestamp> {
        match self.headers.get(field)? {
            Value::Integer(number) => {
                let number = number.to_string();
                self.checked(field, Some(&number), Timestamp::parse)
            }
            Value::Text(text) => self.checked(field, Some(text), Timestamp::parse),
            other => {
                self.refuse(field, format!("{}, got {}", crate::InvalidTimestamp, shape(other)));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, field: &'static str) -> bool {
        match self.headers.get(field) {
            None => false,
            Some(Value::Flag(flag)) => *flag,
            Some(Value::Text(text)) if text == "true" || text == "false" => text == "true",
            Some(other) => {
                self.refuse(field, format!("expected true or false, got {}", shape(other)));
                false
            }
        }
    }

    pub(super) fn wait(&mut self, now: Timestamp) -> Option<Wait> {
        let delay = self.duration(header::DELAY, 0, ladder::MAX_DELAY);
        let eta = self.time(header::ETA);
        if delay.is_some() && eta.is_some() {
            self.refuse(header::ETA, "expected either delay or eta, got both");
        }
        if eta.is_some_and(|eta| eta.since(now) > ladder::MAX_DELAY) {
            self.refuse(header::ETA, "expected a time at most 310 days ahead");
        }
        delay.map(Wait::For).or(eta.map(Wait::Until))
    }

    // What the client wrote and what is left of its expiration both hold: the earlier.
    pub(super) fn deadline(&mut self) -> Option<Timestamp> {
        let (written, left) = (self.time(header::DEADLINE), self.time(header::EXPIRES));
        written.into_iter().chain(left).min()
    }

    pub(super) fn overrides(&mut self) -> Overrides {
        Overrides {
            max_attempts: self
                .number(header::MAX_ATTEMPTS, 1, 1_000_000)
                .and_then(|number| NonZeroU32::new(u32::try_from(number).ok()?)),
            timeout: self.duration(header::TIMEOUT, 1, ladder::MAX_DELAY),
            backoff: self.text(header::BACKOFF, str::parse),
        }
    }

    pub(super) fn after(&mut self) -> Vec<TaskId> {
        let names: Vec<&str> = match self.headers.get(header::AFTER) {
            None => return Vec::new(),
            Some(Value::Text(text)) => text.split(',').map(str::trim).collect(),
            Some(Value::Texts(texts)) => texts.iter().map(String::as_str).collect(),
            Some(other) => {
                let detail =
                    format!("expected the ids of tasks, as an array or separated by commas, got {}", shape(other));
                self.refuse(header::AFTER, detail);
                return Vec::new();
            }
        };
        if names.len() > MOST_BEFORE {
            self.refuse(header::AFTER, format!("expected at most {MOST_BEFORE} ids, got {}", names.len()));
            return Vec::new();
        }
        let mut after: Vec<_> =
            names.into_iter().filter_map(|id| self.checked(header::AFTER, Some(id), TaskId::parse)).collect();
        after.sort_unstable();
        after.dedup();
        after
    }

    pub(super) fn order_key(&mut self) -> Option<OrderKey> {
        let value = self.headers.get(header::ORDER_KEY)?;
        match value.as_text() {
            Some(text) => self.checked(header::ORDER_KEY, Some(&text), OrderKey::parse),
            None => {
                self.refuse(header::ORDER_KEY, format!("expected text or a whole number, got {}", shape(value)));
                None
            }
        }
    }

    pub(super) fn on_failure(&mut self) -> OnFailure {
        let named = |text: &str| {
            let found = [OnFailure::Stop, OnFailure::GoOn].into_iter().find(|one| one.name() == text);
            found.ok_or("expected stop or go_on")
        };
        self.text(header::ON_FAILURE, named).unwrap_or_default()
    }

    pub(super) fn cut(&mut self) -> Option<Cut> {
        let number =
            |fields: &mut Self, name| fields.number(name, 1, 1_000_000).and_then(|number| u32::try_from(number).ok());
        let (size, count) = (number(self, header::CHUNK_SIZE), number(self, header::CHUNKS));
        if size.is_some() && count.is_some() {
            self.refuse(header::CHUNKS, "expected either chunk_size or chunks, got both");
        }
        size.map(Cut::Size).or(count.map(Cut::Count))
    }

    pub(super) fn crashed(&mut self) -> Vec<WorkerId> {
        let parse = |list: &str| list.split(',').map(WorkerId::parse).collect::<Result<Vec<_>, _>>();
        self.text(header::CRASHED, parse).unwrap_or_default()
    }
}

pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(_) | Value::Texts(_) | Value::Flag(_) | Value::Other(_) => None,
    }
}

fn shape(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{:?}", text.chars().take(64).collect::<String>()),
        Value::Integer(number) => number.to_string(),
        Value::Texts(texts) => format!("an array of {}", texts.len()),
        Value::Flag(flag) => flag.to_string(),
        Value::Other(name) => (*name).to_owned(),
    }
}
