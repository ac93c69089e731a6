//! Which tasks are asked for.

use std::fmt::Display;

use warren_core::{Fingerprint, Kind, Priority, QueueName, TaskId, TaskState, Timestamp, WorkerId, record::TaskRecord};
use warren_runtime::http::Problem;

use super::{position::Position, task::last_error};

const DEFAULT_LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 500;
const LONGEST_TEXT: usize = 200;

/// What a caller wants to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Tasks in these states.
    pub states: Vec<TaskState>,
    /// Of this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// That this worker has run.
    pub worker: Option<WorkerId>,
    /// Dead letters of this group.
    pub fingerprint: Option<Fingerprint>,
    /// With this priority.
    pub priority: Option<Priority>,
    /// With this in their id, or in their last error.
    pub text: Option<String>,
    /// That came into their state at this time or later.
    pub since: Option<Timestamp>,
    /// That came into their state at this time or earlier.
    pub until: Option<Timestamp>,
    /// This many at most.
    pub limit: usize,
    /// After this one.
    pub after: Option<Position>,
}

impl Filter {
    /// From the parameters of a request. What is not named lets everything pass; `states` are those that are possible.
    pub fn parse(parameters: &[(String, String)], states: &[TaskState]) -> Result<Self, Problem> {
        let mut filter = Self::everything(states);
        for (name, value) in parameters {
            match name.as_str() {
                "state" => filter.states = read_states(value, states)?,
                "queue" => filter.queue = Some(read(name, value)?),
                "kind" => filter.kind = Some(read(name, value)?),
                "worker" => filter.worker = Some(read(name, value)?),
                "fingerprint" => filter.fingerprint = Some(read(name, value)?),
                "priority" => filter.priority = Some(read_priority(value)?),
                "q" => filter.text = Some(read_text(value)?),
                "since" => filter.since = Some(read_time(name, value)?),
                "until" => filter.until = Some(read_time(name, value)?),
                "limit" => filter.limit = read_limit(value)?,
                "cursor" => filter.after = Some(Position::decode(value)?),
                unknown => {
                    let known = "state, queue, kind, worker, fingerprint, priority, q, since, until, limit or cursor";
                    return Err(Problem::field(unknown, format!("unknown parameter: expected {known}")));
                }
            }
        }
        Ok(filter)
    }

    /// Of groups of dead letters, which have a queue and a kind alone.
    pub fn of_groups(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut filter = Self::everything(&TaskState::ALL);
        for (name, value) in parameters {
            match name.as_str() {
                "queue" => filter.queue = Some(read(name, value)?),
                "kind" => filter.kind = Some(read(name, value)?),
                unknown => return Err(Problem::field(unknown, "unknown parameter: expected queue or kind")),
            }
        }
        Ok(filter)
    }

    fn everything(states: &[TaskState]) -> Self {
        Self {
            states: states.to_vec(),
            queue: None,
            kind: None,
            worker: None,
            fingerprint: None,
            priority: None,
            text: None,
            since: None,
            until: None,
            limit: DEFAULT_LIMIT,
            after: None,
        }
    }

    /// Whether the indexes alone cannot tell which tasks pass.
    pub fn looks_inside(&self) -> bool {
        let queued = self.states == [TaskState::Queued];
        let priority = self.priority.is_some() && !queued;
        priority || self.worker.is_some() || self.text.is_some() || self.fingerprint.is_some()
    }

    /// Whether what is searched for is in a task's id or in its last error.
    pub fn finds(&self, task: &TaskId, record: &TaskRecord) -> bool {
        let Some(text) = &self.text else { return true };
        task.as_str().contains(text.as_str()) || last_error(record).is_some_and(|error| error.contains(text))
    }

    /// Whether a task with this record passes, as far as the indexes do not say so.
    pub fn admits(&self, record: &TaskRecord) -> bool {
        let about = record.about();
        let ran_on = |worker: &WorkerId| {
            record.attempts.values().flat_map(|attempt| &attempt.runs).any(|run| run.run.worker == *worker)
        };
        self.queue.as_ref().is_none_or(|queue| about.is_some_and(|about| about.queue == *queue))
            && self.kind.as_ref().is_none_or(|kind| about.is_some_and(|about| about.kind.as_ref() == Some(kind)))
            && self.worker.as_ref().is_none_or(ran_on)
            && self.priority.is_none_or(|priority| about.is_some_and(|about| about.priority == priority))
            // The index of a group holds its letters of every state.
            && self.fingerprint.is_none_or(|group| {
                self.states.contains(&record.state()) && Fingerprint::of(record) == Some(group)
            })
    }
}

fn read<T: std::str::FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|error: T::Err| Problem::field(name, error.to_string()))
}

fn read_time(name: &str, value: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(value).map_err(|error| Problem::field(name, error.to_string()))
}

fn read_priority(value: &str) -> Result<Priority, Problem> {
    let number = value.parse::<u8>().ok().filter(|number| *number <= Priority::MAX.get());
    number.map(Priority::from).ok_or_else(|| Problem::field("priority", "expected a whole number from 0 to 9"))
}

fn read_text(value: &str) -> Result<String, Problem> {
    let length = value.chars().count();
    if (1..=LONGEST_TEXT).contains(&length) {
        return Ok(value.to_owned());
    }
    Err(Problem::field("q", format!("expected 1 to {LONGEST_TEXT} characters, got {length}")))
}

pub(super) fn read_limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::field("limit", format!("expected a whole number from 1 to {LARGEST_LIMIT}")))
}

fn read_states(value: &str, possible: &[TaskState]) -> Result<Vec<TaskState>, Problem> {
    let names = || possible.iter().map(|state| state.name()).collect::<Vec<_>>().join(", ");
    let find = |name: &str| possible.iter().copied().find(|state| state.name() == name.trim());
    let states: Option<Vec<_>> = value.split(',').map(find).collect();
    let mut states = states.ok_or_else(|| Problem::field("state", format!("expected some of {}", names())))?;
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Filter, Problem> {
        let parameters: Vec<_> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Filter::parse(&parameters, &TaskState::ALL)
    }

    #[test]
    fn reads_what_is_named_and_lets_the_rest_pass() {
        let filter =
            parse(&[("state", "dead,queued,dead"), ("since", "1970-01-01T00:00:01Z"), ("limit", "7")]).unwrap();
        assert_eq!(filter.states, [TaskState::Queued, TaskState::Dead]);
        assert_eq!((filter.since, filter.limit), (Some(Timestamp::from_millis(1_000)), 7));
        assert!(!filter.looks_inside() && parse(&[("q", "echo")]).unwrap().looks_inside());
        let urgent = parse(&[("priority", "9"), ("state", "queued")]).unwrap();
        assert!(urgent.priority == Some(Priority::MAX) && !urgent.looks_inside());
        let longest = "ü".repeat(LONGEST_TEXT);
        assert_eq!(parse(&[("q", &longest)]).unwrap().text, Some(longest));
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let too_long = "ü".repeat(LONGEST_TEXT + 1);
        for (name, value) in [
            ("state", "sleeping"),
            ("state", ""),
            ("queue", "A B"),
            ("kind", ""),
            ("worker", "a b"),
            ("fingerprint", "12"),
            ("priority", "10"),
            ("q", ""),
            ("q", &too_long),
            ("since", "yesterday"),
            ("until", "-1"),
            ("limit", "0"),
            ("limit", "501"),
            ("cursor", "x"),
            ("colour", "red"),
        ] {
            let problem = parse(&[(name, value)]).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(name)), "{value}");
        }
    }
}
