//! Workers, as the log tells of them and the projection keeps them.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Kind, QueueName, TaskId, Timestamp, WorkerId,
    event::{Goodbye, Run},
};

/// What a worker says of itself once, when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Who.
    pub worker: WorkerId,
    /// When.
    pub at: Timestamp,
    /// The machine or container.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// Warren's version.
    pub version: String,
    /// Room for attempts.
    pub slots: u32,
    /// Where it takes tasks from, with their weights.
    pub queues: BTreeMap<QueueName, u32>,
    /// What it can run.
    pub kinds: Vec<Kind>,
    /// How often it sends a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
}

/// What a worker says every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who.
    pub worker: WorkerId,
    /// When.
    pub at: Timestamp,
    /// Slots in use.
    pub busy: u32,
    /// Attempts ended since the start.
    pub ended: u64,
    /// Whether every consumer that it should have is alive on the broker. It has none for what is paused.
    pub consuming: bool,
    /// Its queues that it does not take from, because they are paused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<QueueName>,
    /// Whether it takes nothing more, because it is shutting down or was told to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// The machine's load average over one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Resident memory of the process in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<Running>,
}

/// One running attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The task.
    pub task: TaskId,
    /// Its kind.
    pub kind: Kind,
    /// Which attempt.
    pub attempt: Attempt,
    /// Since when.
    pub since: Timestamp,
}

/// What the projection knows of a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Its own description, if that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hello: Option<Hello>,
    /// Its latest heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// When it ended in good order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It sends heartbeats and consumes.
    Alive,
    /// It sends heartbeats, and takes nothing more.
    Draining,
    /// It sends heartbeats, but not all of its consumers are alive on the broker.
    NotConsuming,
    /// It ended in good order.
    Stopped,
    /// It fell silent.
    Lost,
}

impl WorkerRecord {
    /// Whether, by its last word, it may be at this run, whose end is not on record: it says so, or has begun it since. A
    /// word holds for `patience`. The record of the task must be read after this one: a run leaves the heartbeats only
    /// when its end is in the log.
    pub fn may_be_at(&self, task: &TaskId, attempt: Attempt, run: &Run, now: Timestamp, patience: Duration) -> bool {
        let Some(heartbeat) = self.heartbeat.as_ref().filter(|_| self.stopped.is_none()) else { return false };
        // Either way: a clock may have been set back since.
        let age = now.since(heartbeat.at).max(heartbeat.at.since(now));
        let is_it = |one: &Running| one.task == *task && one.attempt == attempt && one.since == run.started;
        age <= patience && (run.started >= heartbeat.at || heartbeat.running.iter().any(is_it))
    }

    /// Takes a fact in; facts may come in any order and repeatedly.
    pub fn hello(&mut self, hello: &Hello) {
        if self.hello.as_ref().is_none_or(|known| known.at < hello.at) {
            self.hello = Some(hello.clone());
        }
    }

    /// Takes a fact in: the last one counts. A worker's heartbeats lie in the log in the order in which it sent them, and
    /// its clock may have been set back between two of them.
    pub fn heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.heartbeat = Some(heartbeat.clone());
    }

    /// Takes a fact in; facts may come in any order and repeatedly.
    pub fn goodbye(&mut self, goodbye: &Goodbye) {
        self.stopped = Some(self.stopped.map_or(goodbye.at, |known| known.max(goodbye.at)));
    }

    /// When it was last heard of.
    pub fn seen(&self) -> Timestamp {
        let hello = self.hello.as_ref().map(|hello| hello.at);
        let heartbeat = self.heartbeat.as_ref().map(|heartbeat| heartbeat.at);
        hello.max(heartbeat).max(self.stopped).unwrap_or_default()
    }

    /// Whether its latest heartbeat is from before the second one was due.
    pub fn has_just_begun(&self) -> bool {
        let (Some(hello), Some(heartbeat)) = (&self.hello, &self.heartbeat) else { return false };
        heartbeat.at.since(hello.at) < Duration::from_millis(hello.heartbeat_ms)
    }

    /// How it is, judged at `now`.
    pub fn health(&self, now: Timestamp, lost_after: Duration) -> Health {
        if self.stopped.is_some() {
            return Health::Stopped;
        }
        if now.since(self.seen()) > lost_after {
            return Health::Lost;
        }
        match &self.heartbeat {
            Some(heartbeat) if heartbeat.draining => Health::Draining,
            Some(heartbeat) if !heartbeat.consuming => Health::NotConsuming,
            Some(_) | None => Health::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn beat(millis: u64, consuming: bool, draining: bool) -> Heartbeat {
        let worker = WorkerId::parse("w").unwrap();
        Heartbeat {
            worker,
            at: at(millis),
            busy: 0,
            ended: 0,
            consuming,
            paused: vec![],
            draining,
            load: None,
            memory: None,
            running: vec![],
        }
    }

    #[test]
    fn health_by_table() {
        let goodbye = Goodbye { worker: WorkerId::parse("w").unwrap(), at: at(2_000) };
        let after = Duration::from_secs(20);
        for (consuming, draining, stopped, now, health) in [
            (true, false, false, 5_000, Health::Alive),
            (false, false, false, 5_000, Health::NotConsuming),
            (false, true, false, 5_000, Health::Draining),
            (true, false, false, 21_000, Health::Alive),
            (true, false, false, 21_001, Health::Lost),
            (true, false, true, 99_000, Health::Stopped),
        ] {
            let mut record = WorkerRecord::default();
            record.heartbeat(&beat(1_000, consuming, draining));
            if stopped {
                record.goodbye(&goodbye);
            }
            assert_eq!(record.health(at(now), after), health);
        }
    }

    #[test]
    fn the_last_heartbeat_tells_whether_a_run_may_go_on() {
        let (task, kind) = (TaskId::parse("t").unwrap(), Kind::parse("k").unwrap());
        let run = Run { started: at(5_000), worker: WorkerId::parse("w").unwrap() };
        let running = vec![Running { task: task.clone(), kind, attempt: Attempt::FIRST, since: at(5_000) }];
        let says = |heartbeat: Option<Heartbeat>, stopped: Option<Timestamp>, now: u64| {
            let record = WorkerRecord { hello: None, heartbeat, stopped };
            record.may_be_at(&task, Attempt::FIRST, &run, at(now), Duration::from_secs(2))
        };
        assert!(!says(None, None, 5_000), "never heard of");
        let at_it = Some(Heartbeat { running, ..beat(6_000, true, false) });
        assert!(says(at_it.clone(), None, 8_000));
        assert!(!says(at_it.clone(), None, 8_001), "silent for too long");
        assert!(!says(at_it.clone(), None, 3_999), "from before a clock was set back");
        assert!(!says(at_it, Some(at(6_500)), 7_000), "stopped");
        assert!(says(Some(beat(4_500, true, false)), None, 5_500), "begun since");
        assert!(!says(Some(beat(6_000, true, false)), None, 6_500), "over");
    }

    #[test]
    fn the_last_heartbeat_counts_whatever_the_clock_says() {
        let mut record = WorkerRecord::default();
        record.heartbeat(&beat(2_000, false, false));
        record.heartbeat(&beat(1_000, true, false));
        assert_eq!(record.heartbeat, Some(beat(1_000, true, false)));
    }
}
