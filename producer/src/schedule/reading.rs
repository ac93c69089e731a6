//! The JSON form of a schedule, as the API takes it and as a table `[schedules.<name>]` is turned into.

use std::{num::NonZeroU32, time::Duration};

use serde_json::value::RawValue;
use warren_core::{
    ScheduleName, Timestamp,
    message::Wait,
    schedule::{Definition, Misfire, Overlap, Timing},
};

use super::Clockwork;
use crate::{
    Error,
    field::{Invalid, Problem},
    json::{Fields, cut, expected, flag, short, span, text, time, whole},
    request,
};

/// How large a schedule may be, in bytes: all of them are read together.
pub const LARGEST: usize = 64 << 10;

const FIELDS: &str = "cron, zone, every, jitter, task, misfire, misfire_after, catch_up, overlap, paused, start, end";
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(366 * 24);
const DAY: Duration = Duration::from_hours(24);
const MOST: u32 = 1_000;

/// Reads a schedule. Everything that is wrong with it is reported together.
pub fn read(name: &ScheduleName, json: &[u8]) -> Result<Definition, Error> {
    if json.len() > LARGEST {
        let problem = Problem::new("", format_args!("expected at most {LARGEST} bytes, got {}", json.len()));
        return Err(Invalid::from(problem).into());
    }
    let json: &RawValue = serde_json::from_slice(json).map_err(Error::Malformed)?;
    let Ok(Fields(fields)) = serde_json::from_str(json.get()) else {
        return Err(Invalid::from(Problem::new("", expected("a schedule as a JSON object", short(json)))).into());
    };
    let mut form = Form::default();
    for (name, value) in fields {
        form.take(&name, value);
    }
    Ok(form.definition(name)?)
}

// The members, each read by itself.
#[derive(Debug, Default)]
struct Form {
    seen: Vec<String>,
    cron: Option<String>,
    zone: Option<String>,
    every: Option<Duration>,
    jitter: Option<Duration>,
    task: Option<String>,
    misfire: Option<Policy>,
    misfire_after: Option<Duration>,
    catch_up: Option<NonZeroU32>,
    overlap: Option<Overlap>,
    paused: Option<bool>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    problems: Vec<Problem>,
}

// A misfire policy without its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Skip,
    Once,
    All,
}

impl Form {
    fn take(&mut self, name: &str, value: &RawValue) {
        if self.seen.iter().any(|seen| seen == name) {
            return self.refuse(&cut(name), "expected once, got twice");
        }
        self.seen.push(name.to_owned());
        if value.get() == "null" {
            return;
        }
        match name {
            "cron" => self.cron = self.keep(name, text(value)),
            "zone" => self.zone = self.keep(name, text(value)),
            "every" => self.every = self.keep(name, bounded(value, SHORTEST, LONGEST)),
            "jitter" => self.jitter = self.keep(name, bounded(value, Duration::ZERO, DAY)),
            "task" => self.task = self.read_task(value),
            "misfire" => {
                let policies = [("skip", Policy::Skip), ("once", Policy::Once), ("all", Policy::All)];
                self.misfire = self.keep(name, one_of(value, &policies));
            }
            "misfire_after" => self.misfire_after = self.keep(name, bounded(value, Duration::ZERO, DAY)),
            "catch_up" => {
                let most = whole(value, MOST).and_then(|most| {
                    NonZeroU32::new(most).ok_or_else(|| expected(&format!("1 to {MOST}"), short(value)))
                });
                self.catch_up = self.keep(name, most);
            }
            "overlap" => {
                let policies = [Overlap::Allow, Overlap::Skip, Overlap::CancelPrevious];
                self.overlap = self.keep(name, one_of(value, &policies.map(|policy| (policy.name(), policy))));
            }
            "paused" => self.paused = self.keep(name, flag(value)),
            "start" => self.start = self.keep(name, time(value)),
            "end" => self.end = self.keep(name, time(value)),
            _ => self.refuse(&cut(name), format_args!("there is no such field; there are {FIELDS}")),
        }
    }

    fn definition(mut self, name: &ScheduleName) -> Result<Definition, Invalid> {
        let timing = self.timing();
        let misfire = self.misfire();
        let jitter = self.jitter.unwrap_or_default();
        if let Some(Timing::Every { every }) = &timing
            && jitter > *every
        {
            self.refuse("jitter", "expected at most the interval (every)");
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            self.refuse("end", "expected a time after start");
        }
        if !self.seen.iter().any(|seen| seen == "task") {
            self.refuse("task", "expected a task as a JSON object, got nothing");
        }
        let Some(timing) = timing else {
            return Err(Invalid::of(self.problems).expect("what is missing was refused"));
        };
        let definition = Definition {
            timing,
            jitter,
            // Where there is none, that was refused.
            task: self.task.take().unwrap_or_default(),
            misfire,
            misfire_after: self.misfire_after.unwrap_or(Duration::from_mins(1)),
            overlap: self.overlap.unwrap_or(Overlap::Allow),
            paused: self.paused.unwrap_or(false),
            start: self.start,
            end: self.end,
        };
        if let Err(unusable) = Clockwork::new(name, &definition) {
            self.refuse(unusable.field(), &unusable);
        }
        Invalid::of(self.problems).map_or(Ok(definition), Err)
    }

    fn timing(&mut self) -> Option<Timing> {
        let asked = |name: &str| self.seen.iter().any(|seen| seen == name);
        let (by_cron, by_interval) = (asked("cron"), asked("every"));
        if by_cron == by_interval {
            let got = if by_cron { "both" } else { "neither" };
            self.refuse("cron", format_args!("expected either cron or every, got {got}"));
        }
        if self.zone.is_some() && !by_cron {
            self.refuse("zone", "expected it beside cron only");
        }
        match (self.cron.take(), self.every) {
            (Some(cron), _) => Some(Timing::Cron { cron, zone: self.zone.take().unwrap_or_else(|| "UTC".to_owned()) }),
            (None, Some(every)) => Some(Timing::Every { every }),
            (None, None) => None,
        }
    }

    fn misfire(&mut self) -> Misfire {
        let policy = self.misfire.unwrap_or(Policy::Once);
        if self.catch_up.is_some() && policy != Policy::All {
            self.refuse("catch_up", "expected it beside misfire = all only");
        }
        match policy {
            Policy::Skip => Misfire::Skip,
            Policy::Once => Misfire::Once,
            Policy::All => Misfire::All { most: self.catch_up.unwrap_or(NonZeroU32::new(100).expect("100 is not 0")) },
        }
    }

    fn read_task(&mut self, value: &RawValue) -> Option<String> {
        let task = match request::read(value) {
            Ok(task) => task,
            Err(invalid) => {
                self.problems.extend(invalid.inside("task"));
                return None;
            }
        };
        if task.chosen_id().is_some() {
            self.refuse("task.id", "expected none, for each tick's name is the id of its task");
        }
        if let Some(Wait::Until(_)) = task.wait {
            self.refuse("task.eta", "expected delay instead, for a schedule has many ticks");
        }
        Some(value.get().to_owned())
    }

    fn keep<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.refuse(field, detail)).ok()
    }

    fn refuse(&mut self, field: &str, detail: impl std::fmt::Display) {
        self.problems.push(Problem::new(field, detail));
    }
}

fn bounded(json: &RawValue, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = span(json)?;
    if (least..=most).contains(&span) {
        Ok(span)
    } else {
        Err(expected(&format!("{} s to {} s", least.as_secs(), most.as_secs()), short(json)))
    }
}

fn one_of<T: Copy>(json: &RawValue, values: &[(&str, T)]) -> Result<T, String> {
    let found = text(json).ok().and_then(|text| values.iter().find(|(name, _)| *name == text).map(|(_, value)| *value));
    found.ok_or_else(|| {
        let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
        expected(&format!("one of {}", names.join(", ")), short(json))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ScheduleName {
        ScheduleName::parse("a").unwrap()
    }

    fn refused(json: &str) -> String {
        match read(&name(), json.as_bytes()).unwrap_err() {
            Error::Invalid(invalid) => invalid.to_string().replace("; ", "\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_is_read() {
        let json = r#"{"cron":"0 3 * * *","zone":"Europe/Berlin","jitter":"5m","misfire":"all","misfire_after":"10m",
            "catch_up":7,"overlap":"skip","paused":"true","start":"2026-01-31T12:00:00Z","end":1893456000000,
            "task":{"kind":"report","queue":"mail","payload":{"n":1.10},"priority":3,"delay":"5s"}}"#;
        insta::assert_debug_snapshot!(read(&name(), json.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let definition = read(&name(), br#"{"every":"30s","task":{"kind":"echo"}}"#).unwrap();
        assert_eq!(definition.timing, Timing::Every { every: Duration::from_secs(30) });
        assert_eq!((definition.misfire, definition.overlap), (Misfire::Once, Overlap::Allow));
        assert_eq!(definition.misfire_after, Duration::from_mins(1));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let json = r#"{"cron":"61 * * * *","jitter":"2d","task":{"kind":"a b","delay":"soon"},"misfire":"never",
            "misfire_after":-1,"catch_up":0,"overlap":"queue","paused":1,"start":"tomorrow","colour":"red","zone":"Mars"}"#;
        insta::assert_snapshot!(refused(json));
        let json = r#"{"every":"1ms","cron":"* * * * *","task":{"kind":"a","id":"x","eta":5},"start":9,"end":7,
            "catch_up":5,"catch_up":6}"#;
        insta::assert_snapshot!(refused(json));
        assert!(refused("{}").contains("expected either cron or every, got neither\ntask: expected a task"));
        assert_eq!(refused("5"), "expected a schedule as a JSON object, got 5");
        assert!(refused(&format!(r#"{{"pad":"{}"}}"#, "x".repeat(LARGEST))).contains("expected at most 65536 bytes"));
    }
}
