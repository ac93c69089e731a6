//! What a worker counts.

use std::{
    fmt::{self, Display, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use warren_core::{Kind, Outcome, QueueName, Reason, Timestamp};

use crate::reading::Work;

// From a millisecond to an hour, in steps that tell a cache hit from a download.
const SECONDS: [f64; 14] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3600.0];

/// Counts of this process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    attempts: Family<AttemptLabels, Counter>,
    run_seconds: Family<KindLabels, Histogram>,
    wait_seconds: Family<QueueLabels, Histogram>,
    running: Gauge,
    refused: Family<RefusedLabels, Counter>,
    forwarded: Counter,
    ended: AtomicU64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    queue: Label<QueueName>,
    kind: Label<Kind>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Label<Kind>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: Label<QueueName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    queue: Label<QueueName>,
    reason: &'static str,
}

// A name as it is: its text is copied only when somebody asks for the metrics, and not for each task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label<T>(T);

impl<T: Display> EncodeLabelValue for Label<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

impl Default for Families {
    fn default() -> Self {
        let histogram = || Histogram::new(SECONDS);
        Self {
            attempts: Family::default(),
            run_seconds: Family::new_with_constructor(histogram),
            wait_seconds: Family::new_with_constructor(histogram),
            running: Gauge::default(),
            refused: Family::default(),
            forwarded: Counter::default(),
            ended: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Makes the counts visible at `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let Families { attempts, run_seconds, wait_seconds, running, refused, forwarded, ended: _ } = &*self.0;
        registry.register("worker_attempts", "Attempts ended, by how they ended", attempts.clone());
        registry.register("worker_run_seconds", "How long attempts ran", run_seconds.clone());
        registry.register("worker_wait_seconds", "From submission to the first start", wait_seconds.clone());
        registry.register("worker_running", "Attempts running now", running.clone());
        registry.register("worker_refused", "Tasks buried without an attempt", refused.clone());
        registry.register("worker_forwarded", "Messages moved on the delay ladder", forwarded.clone());
    }

    /// An attempt began.
    pub fn started(&self, work: &Work, at: Timestamp) {
        self.0.running.inc();
        if let Some(submitted) = work.task.submitted.filter(|_| work.task.attempt == warren_core::Attempt::FIRST) {
            let labels = QueueLabels { queue: Label(work.task.queue.clone()) };
            self.0.wait_seconds.get_or_create(&labels).observe(at.since(submitted).as_secs_f64());
        }
    }

    /// An attempt is over, whichever way.
    pub fn stopped(&self) {
        self.0.running.dec();
    }

    /// An attempt ended with an outcome.
    pub fn ended(&self, work: &Work, outcome: &Outcome, took: Duration) {
        let (queue, kind) = (Label(work.task.queue.clone()), Label(work.kind.clone()));
        self.0.run_seconds.get_or_create(&KindLabels { kind: kind.clone() }).observe(took.as_secs_f64());
        self.0.attempts.get_or_create(&AttemptLabels { queue, kind, outcome: outcome.name() }).inc();
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// A task was put among the dead letters without an attempt.
    pub fn buried(&self, queue: &QueueName, reason: Reason) {
        self.0.refused.get_or_create(&RefusedLabels { queue: Label(queue.clone()), reason: reason.name() }).inc();
    }

    /// Messages moved on the delay ladder.
    pub fn forwarded(&self, count: usize) {
        self.0.forwarded.inc_by(count as u64);
    }

    /// Attempts ended since the start.
    pub fn total(&self) -> u64 {
        self.0.ended.load(Ordering::Relaxed)
    }
}
