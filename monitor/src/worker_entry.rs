//! What is stored of a worker: its record, and when this side last heard of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use warren_core::{
    Timestamp,
    event::Event,
    worker::{Health, WorkerRecord},
};

/// A worker in the projection.
///
/// Silence is measured on the monitor's clock alone, for a worker's own may be wrong by hours. Only what is read long
/// after it was written counts by the time that the worker gave it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// What it said.
    #[serde(flatten)]
    pub record: WorkerRecord,
    /// When it was last heard of, by the monitor's clock.
    #[serde(default)]
    pub received: Timestamp,
}

/// How the time at which a fact is read relates to the time at which it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The projection is at the end of the log: what is read was written just now.
    Live,
    /// The projection is catching up.
    Behind,
}

impl WorkerEntry {
    /// Takes a fact in; those about tasks change nothing.
    pub fn apply(&mut self, event: &Event, now: Timestamp, reading: Reading) {
        let at = match event {
            Event::WorkerStarted(hello) => {
                self.record.hello(hello);
                hello.at
            }
            Event::Heartbeat(heartbeat) => {
                self.record.heartbeat(heartbeat);
                heartbeat.at
            }
            Event::WorkerStopped(goodbye) => {
                self.record.goodbye(goodbye);
                goodbye.at
            }
            Event::Submitted(_)
            | Event::Deferred(_)
            | Event::Released(_)
            | Event::Started(_)
            | Event::Progressed(_)
            | Event::Returned(_)
            | Event::Ended(_)
            | Event::Buried(_)
            | Event::Withdrawn(_)
            | Event::Replayed(_)
            | Event::Discarded(_)
            | Event::Unrouted(_)
            | Event::Ordered(_)
            | Event::Declined(_)
            | Event::Undertaken(_)
            | Event::ScheduleChanged(_)
            | Event::Held(_)
            | Event::WorkflowSubmitted(_)
            | Event::WorkflowSteered(_)
            | Event::Unknown => return,
        };
        self.received = match reading {
            // Nothing is later than now, and what says so is from before our clock was set back.
            Reading::Live => now,
            Reading::Behind => self.received.min(now).max(at.min(now)),
        };
    }

    /// How it is at `now`.
    pub fn health(&self, now: Timestamp, lost_after: Duration) -> Health {
        self.record.health(self.on_its_clock(now), lost_after)
    }

    /// Whether it was last heard of at a time that has not come yet: then our clock was set back, or is behind that of the
    /// monitor which led before.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.received > now
    }

    /// The worker's own time when it is `now` here, as far as that can be told.
    pub fn on_its_clock(&self, now: Timestamp) -> Timestamp {
        self.record.seen().plus(now.since(self.received))
    }
}

#[cfg(test)]
mod tests {
    use warren_core::{WorkerId, worker::Heartbeat};

    use super::*;

    const LOST_AFTER: Duration = Duration::from_secs(20);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn beat(millis: u64) -> Event {
        Event::Heartbeat(Heartbeat {
            worker: WorkerId::parse("w").unwrap(),
            at: at(millis),
            busy: 0,
            ended: 0,
            consuming: true,
            paused: vec![],
            draining: false,
            load: None,
            memory: None,
            running: vec![],
        })
    }

    #[test]
    fn a_wrong_clock_makes_no_worker_lost_and_hides_no_loss() {
        for said in [1_000, 500_000, 9_000_000] {
            let mut entry = WorkerEntry::default();
            entry.apply(&beat(said), at(500_000), Reading::Live);
            assert_eq!(entry.health(at(519_000), LOST_AFTER), Health::Alive, "{said}");
            assert_eq!(entry.health(at(521_000), LOST_AFTER), Health::Lost, "{said}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_loss_of_who_is_heard_of_again() {
        let mut entry = WorkerEntry::default();
        entry.apply(&beat(1_000), at(4_000_000), Reading::Live);
        assert!(entry.is_ahead(at(400_000)));
        entry.apply(&beat(2_000), at(400_000), Reading::Live);
        assert_eq!(entry.health(at(419_000), LOST_AFTER), Health::Alive);
        assert_eq!(entry.health(at(421_000), LOST_AFTER), Health::Lost);
        assert!(!entry.is_ahead(at(421_000)));
    }

    #[test]
    fn what_is_read_late_counts_by_when_it_was_written() {
        let mut entry = WorkerEntry::default();
        entry.apply(&beat(1_000), at(500_000), Reading::Behind);
        assert_eq!(entry.health(at(500_000), LOST_AFTER), Health::Lost);
    }

    #[test]
    fn reads_back_what_it_stores() {
        let mut entry = WorkerEntry::default();
        entry.apply(&beat(1_000), at(2_000), Reading::Live);
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<WorkerEntry>(&text).unwrap(), entry);
    }
}
