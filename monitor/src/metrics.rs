//! What the monitor measures of itself and of the pool.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use warren_runtime::http;

type Seconds = Gauge<f64, AtomicU64>;

/// Handles to the metrics; cheap to clone. Those of the pool are kept by the leader, and empty elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Whether this monitor leads.
    pub leader: Gauge,
    /// How far the projection is behind the log.
    pub lag: Seconds,
    /// Events applied.
    pub events: Counter,
    /// Messages of the log that could not be read.
    pub unreadable: Counter,
    /// Batches that are missing in the log.
    pub gaps: Counter,
    /// Tasks thrown away because their time was over.
    pub reaped: Counter,
    /// Copies of foreign submissions taken in.
    pub tapped: Counter,
    /// Foreign messages whose queue was gone.
    pub unrouted: Counter,
    /// Dead letters put back into their queues.
    pub replayed: Counter,
    /// Dead letters thrown away.
    pub discarded: Counter,
    /// What is wrong, by what it is.
    pub findings: Family<FindingLabel, Gauge>,
    /// Alerts that the webhook has taken.
    pub alerts_sent: Counter,
    /// Alerts that were dropped.
    pub alerts_dropped: Counter,
    /// Tasks by state.
    pub tasks: Family<StateLabel, Gauge>,
    /// Messages ready in a queue of the broker.
    pub ready: Family<QueueLabel, Gauge>,
    /// Consumers of a queue of the broker.
    pub consumers: Family<QueueLabel, Gauge>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FindingLabel {
    /// Its name.
    pub finding: &'static str,
}

/// A state of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// Its name.
    pub state: &'static str,
}

/// A queue of the broker, without the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueueLabel {
    /// Its name.
    pub queue: String,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(metrics: &http::Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register("monitor_leader", "Whether this monitor leads", own.leader.clone());
            registry.register("monitor_lag_seconds", "How far the projection is behind the log", own.lag.clone());
            registry.register("monitor_events", "Events applied", own.events.clone());
            registry.register(
                "monitor_unreadable",
                "Messages of the log that could not be read",
                own.unreadable.clone(),
            );
            registry.register("monitor_log_gaps", "Batches that are missing in the log", own.gaps.clone());
            registry.register("monitor_reaped_tasks", "Tasks whose time in Redis was over", own.reaped.clone());
            registry.register("monitor_tapped", "Copies of foreign submissions taken in", own.tapped.clone());
            registry.register("monitor_unrouted", "Foreign messages whose queue was gone", own.unrouted.clone());
            registry.register("dead_letters_replayed", "Dead letters put back", own.replayed.clone());
            registry.register("dead_letters_discarded", "Dead letters thrown away", own.discarded.clone());
            registry.register("findings", "What is wrong", own.findings.clone());
            registry.register("monitor_alerts_sent", "Alerts that the webhook has taken", own.alerts_sent.clone());
            registry.register("monitor_alerts_dropped", "Alerts that were dropped", own.alerts_dropped.clone());
            registry.register("tasks", "Tasks by state", own.tasks.clone());
            registry.register("queue_ready_messages", "Messages ready in a queue of the broker", own.ready.clone());
            registry.register("queue_consumers", "Consumers of a queue of the broker", own.consumers.clone());
        });
        own
    }

    /// Forgets what only a leader knows.
    pub fn clear(&self) {
        self.lag.set(0.0);
        self.findings.clear();
        self.tasks.clear();
        self.ready.clear();
        self.consumers.clear();
    }
}
