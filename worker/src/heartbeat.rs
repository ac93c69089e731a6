//! A worker tells that it is there, how loaded it is, and what it runs.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use warren_core::{
    event::{Event, Goodbye},
    worker::{Heartbeat, Hello},
};
use warren_runtime::{clock, command_log::Orders, event_log::EventLog, readiness::Readiness};

use crate::{board::Board, metrics::Metrics};

/// The component.
pub struct Heart {
    /// What is said once.
    pub hello: Hello,
    /// How often the rest is said.
    pub every: Duration,
    /// Where to.
    pub log: EventLog,
    /// What runs.
    pub board: Board,
    /// What has ended.
    pub metrics: Metrics,
    /// Whether the worker consumes.
    pub readiness: Readiness,
    /// What operators ordered.
    pub orders: Orders,
    /// Whether it is about to end.
    pub drain: CancellationToken,
}

impl Heart {
    /// Beats until `stop`, and then says goodbye.
    pub async fn run(self, stop: CancellationToken) {
        drop(self.log.note(&Event::WorkerStarted(self.hello.clone())).await);
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // An old heartbeat is worth nothing: where the log is full, it is dropped and not waited for.
            self.log.offer(&Event::Heartbeat(self.beat()));
        }
        let goodbye = Goodbye { worker: self.hello.worker.clone(), at: clock::now() };
        drop(self.log.note(&Event::WorkerStopped(goodbye)).await);
    }

    fn beat(&self) -> Heartbeat {
        let (running, now) = (self.board.running(), clock::now());
        let (paused, drained) = self.orders.look(|in_force| {
            let paused = self.hello.queues.keys().filter(|queue| in_force.pause_of(queue).is_some());
            (paused.cloned().collect(), in_force.drain_of(&self.hello.worker, now).is_some())
        });
        Heartbeat {
            worker: self.hello.worker.clone(),
            at: now,
            busy: u32::try_from(running.len()).unwrap_or(u32::MAX),
            ended: self.metrics.total(),
            consuming: self.readiness.missing().is_empty(),
            paused,
            draining: drained || self.drain.is_cancelled(),
            load: load(),
            memory: memory(),
            running,
        }
    }
}

// The first number of /proc/loadavg is the average of one minute (proc_loadavg(5)).
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

// VmRSS in /proc/self/status is in kB (proc_pid_status(5)).
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_memory_are_read_on_linux() {
        assert!(load().is_some_and(|load| load >= 0.0));
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
