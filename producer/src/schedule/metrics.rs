//! What is measured of schedules.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use warren_runtime::http::Metrics;

/// Ticks by what became of them, how late their tasks were handed in, and who leads.
#[derive(Debug, Clone)]
pub struct Measured {
    ticks: Family<Labels, Counter>,
    late: Histogram,
    pub(super) leader: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

impl Measured {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        // From 10 ms to 160 s, by twos.
        let late = Histogram::new(exponential_buckets(0.01, 2.0, 15));
        let measured = Self { ticks: Family::default(), late, leader: Gauge::default() };
        metrics.register(|registry| {
            registry.register("schedule_ticks", "Ticks of schedules, by what became of them", measured.ticks.clone());
            registry.register(
                "schedule_late_seconds",
                "Time from a tick until the broker had its task",
                measured.late.clone(),
            );
            registry.register("schedule_leader", "Whether this process runs the schedules", measured.leader.clone());
        });
        measured
    }

    pub(super) fn published(&self, late: Duration) {
        self.count("published", 1);
        self.late.observe(late.as_secs_f64());
    }

    pub(super) fn missed(&self, ticks: u32) {
        self.count("missed", u64::from(ticks));
    }

    pub(super) fn overlapped(&self) {
        self.count("overlapped", 1);
    }

    pub(super) fn refused(&self) {
        self.count("refused", 1);
    }

    fn count(&self, outcome: &'static str, ticks: u64) {
        self.ticks.get_or_create(&Labels { outcome }).inc_by(ticks);
    }
}
