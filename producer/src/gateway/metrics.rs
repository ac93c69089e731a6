//! What the gateway measures.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
};
use warren_core::QueueName;
use warren_producer::Error;
use warren_runtime::http::Metrics;

/// Tasks by what became of them, and how long the answers took.
#[derive(Debug, Clone)]
pub struct Measured {
    tasks: Family<Labels, Counter>,
    seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    // Empty unless the broker has the queue: else every caller could add a label.
    queue: String,
    outcome: &'static str,
}

impl Measured {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        // From 1 ms to 16 s, by twos.
        let seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let measured = Self { tasks: Family::default(), seconds };
        metrics.register(|registry| {
            registry.register(
                "producer_tasks",
                "Tasks handed to the gateway, by what became of them",
                measured.tasks.clone(),
            );
            registry.register(
                "producer_request_seconds",
                "Time until a request was answered",
                measured.seconds.clone(),
            );
        });
        measured
    }

    /// The broker has confirmed a task.
    pub fn confirmed(&self, queue: &QueueName) {
        self.count(queue.to_string(), "confirmed");
    }

    /// A task, or a request that holds tasks, was refused.
    pub fn refused(&self, error: &Error) {
        self.count(String::new(), error.name());
    }

    /// A request was answered.
    pub fn answered(&self, after: Duration) {
        self.seconds.observe(after.as_secs_f64());
    }

    fn count(&self, queue: String, outcome: &'static str) {
        self.tasks.get_or_create(&Labels { queue, outcome }).inc();
    }
}
