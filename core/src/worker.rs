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
    /// Whether every one of its consumers is alive on the broker.
    pub consuming: bool,
    /// Whether it takes nothing more, because it is shutting down.
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

/// What a worker's record says of a run of its, whose end is not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is at it.
    Runs,
    /// It is not: it is gone, or says nothing more of it.
    Over,
    /// It has not been heard of since.
    Unknown,
}

impl WorkerRecord {
    /// What it says of this run to someone who asked first when the latest heartbeat was that of `asked`. The record of
    /// the task must be read after this one: a run leaves the heartbeats only when its end is in the log.
    pub fn sign(&self, task: &TaskId, attempt: Attempt, run: &Run, asked: Option<Timestamp>) -> Sign {
        match &self.heartbeat {
            _ if self.stopped.is_some() => Sign::Over,
            // Another one, and not a later one: a clock may be set back.
            Some(heartbeat) if Some(heartbeat.at) != asked => {
                let is_it = |one: &Running| one.task == *task && one.attempt == attempt && one.since == run.started;
                if heartbeat.running.iter().any(is_it) { Sign::Runs } else { Sign::Over }
            }
            Some(_) | None => Sign::Unknown,
        }
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
    fn a_newer_heartbeat_tells_whether_a_run_goes_on() {
        let (task, kind) = (TaskId::parse("t").unwrap(), Kind::parse("k").unwrap());
        let run = Run { started: at(500), worker: WorkerId::parse("w").unwrap() };
        let running = vec![Running { task: task.clone(), kind, attempt: Attempt::FIRST, since: at(500) }];
        let mut record = WorkerRecord::default();
        let sign = |record: &WorkerRecord, asked| record.sign(&task, Attempt::FIRST, &run, asked);
        assert_eq!(sign(&record, None), Sign::Unknown);
        record.heartbeat(&Heartbeat { running, ..beat(1_000, true, false) });
        assert_eq!(sign(&record, Some(at(1_000))), Sign::Unknown);
        assert_eq!(sign(&record, Some(at(900))), Sign::Runs);
        let another = Run { started: at(501), ..run.clone() };
        assert_eq!(record.sign(&task, Attempt::FIRST, &another, None), Sign::Over);
        record.heartbeat(&beat(2_000, true, false));
        assert_eq!(sign(&record, Some(at(1_000))), Sign::Over);
        record.goodbye(&Goodbye { worker: run.worker.clone(), at: at(2_100) });
        assert_eq!(sign(&record, Some(at(2_000))), Sign::Over);
    }

    #[test]
    fn the_last_heartbeat_counts_whatever_the_clock_says() {
        let mut record = WorkerRecord::default();
        record.heartbeat(&beat(2_000, false, false));
        record.heartbeat(&beat(1_000, true, false));
        assert_eq!(record.heartbeat, Some(beat(1_000, true, false)));
    }
}
