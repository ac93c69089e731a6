//! What is measured of workflows.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use warren_runtime::http::Metrics;

/// Tasks handed in for workflows, and who leads.
#[derive(Debug, Clone)]
pub struct Measured {
    released: Counter,
    pub(super) leader: Gauge,
}

impl Measured {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        let measured = Self { released: Counter::default(), leader: Gauge::default() };
        metrics.register(|registry| {
            registry.register("workflow_tasks", "Tasks of workflows that were handed in", measured.released.clone());
            registry.register("workflow_leader", "Whether this process runs the workflows", measured.leader.clone());
        });
        measured
    }

    pub(super) fn released(&self) {
        self.released.inc();
    }
}
