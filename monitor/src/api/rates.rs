//! How fast tasks come and go at present, and how long they take.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{QueueName, Span, Timestamp, figure::Final, histogram::Histogram};

use super::{View, failure::Failure};
use crate::figures::{self, Bucket, Figures};

// What is called present: long enough that a rate does not jump with every batch.
const RATE: Duration = Duration::from_mins(1);
const LATENCY: Duration = Duration::from_mins(5);

/// Tasks a second, over the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    /// Tasks that were handed in.
    pub submitted: f64,
    /// Attempts that began.
    pub started: f64,
    /// Tasks that succeeded.
    pub succeeded: f64,
    /// Attempts that failed.
    pub failed: f64,
}

/// How long tasks took over the last five minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Latency {
    /// From when a task came into its queue to its start.
    pub wait: Percentiles,
    /// From the start of an attempt to its end.
    pub run: Percentiles,
}

/// What so many of a hundred did not exceed, in milliseconds, to an eighth; null where nothing was measured.
#[expect(clippy::struct_field_names, reason = "the fields are what the API calls them")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Percentiles {
    /// Half of them.
    pub p50_ms: Option<f64>,
    /// 95 of a hundred.
    pub p95_ms: Option<f64>,
    /// 99 of a hundred.
    pub p99_ms: Option<f64>,
}

/// What is known of the present.
#[derive(Debug, Default)]
pub struct Present {
    /// Of all queues.
    pub rates: Rates,
    /// Of all queues.
    pub latency: Latency,
    queues: BTreeMap<QueueName, Flow>,
}

/// How a queue fills and empties, in tasks a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flow {
    /// What comes into it, at first or after a wait.
    pub arrival: f64,
    /// What is taken from it.
    pub service: f64,
}

impl Present {
    /// Of a queue.
    pub fn flow(&self, queue: &QueueName) -> Flow {
        self.queues.get(queue).copied().unwrap_or_default()
    }

    fn new(minute: &Bucket, minutes: &Bucket, seconds: f64) -> Self {
        let (all, recent) = (minute.of(None), minutes.of(None));
        let flow = |figures: &Figures| Flow {
            arrival: rate(figures.arrived, seconds),
            service: rate(figures.started, seconds),
        };
        Self {
            rates: Rates {
                submitted: rate(all.submitted, seconds),
                started: rate(all.started, seconds),
                succeeded: rate(all.came(Final::Succeeded), seconds),
                failed: rate(all.failed, seconds),
            },
            latency: Latency { wait: Percentiles::of(&recent.wait), run: Percentiles::of(&recent.run) },
            queues: minute.queues.iter().map(|(queue, figures)| (queue.clone(), flow(figures))).collect(),
        }
    }
}

impl Flow {
    /// How long it takes until so many have been taken, if all goes on as it does; `None` where that never happens.
    pub fn drains(self, waiting: u64) -> Option<f64> {
        if waiting == 0 {
            return Some(0.0);
        }
        let surplus = self.service - self.arrival;
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2⁵² tasks")]
        let waiting = waiting as f64;
        // Less than one in ten minutes is no tendency.
        (surplus > 1.0 / 600.0).then(|| round(waiting / surplus))
    }
}

impl Percentiles {
    /// Of what was measured.
    pub fn of(histogram: &Histogram) -> Self {
        let read = |share| histogram.quantile(share).map(round);
        Self { p50_ms: read(0.5), p95_ms: read(0.95), p99_ms: read(0.99) }
    }
}

impl View {
    /// The present, as it is at `now`.
    pub(super) async fn present(&self, now: Timestamp) -> Result<Present, Failure> {
        let steps = Span::Minutes15.last(now, LATENCY);
        let buckets = figures::read(&self.store, Span::Minutes15, &steps).await?;
        let number = Span::Minutes15.last(now, RATE).len();
        let (minutes, minute) = (Bucket::total(&buckets), Bucket::total(&buckets[buckets.len() - number..]));
        // The last step is not over: what has passed of it counts.
        let begun = Timestamp::from_millis(steps[steps.len() - number] * 1_000);
        Ok(Present::new(&minute, &minutes, now.since(begun).as_secs_f64()))
    }
}

fn rate(number: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nobody counts more than 2⁵² tasks")]
    let number = number as f64;
    round(number / seconds.max(1.0))
}

/// To three digits after the point.
pub fn round(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_drain_by_table() {
        for (arrival, service, waiting, drains) in [
            (5.0, 5.0, 0, Some(0.0)),
            (5.0, 5.0, 10, None),
            (5.0, 7.0, 10, Some(5.0)),
            (7.0, 5.0, 10, None),
            (0.0, 0.5, 10, Some(20.0)),
            (0.0, 0.0, 10, None),
        ] {
            assert_eq!(Flow { arrival, service }.drains(waiting), drains, "{arrival} {service} {waiting}");
        }
    }

    #[test]
    fn rates_are_by_the_second() {
        let fields = [("q/default/submitted", 120), ("q/default/arrived", 60), ("q/mail/succeeded", 30)];
        let fields: Vec<_> = fields.iter().map(|(field, number)| ((*field).to_owned(), *number)).collect();
        let present = Present::new(&Bucket::read(&fields), &Bucket::default(), 60.0);
        assert_eq!((present.rates.submitted, present.rates.succeeded), (2.0, 0.5));
        assert_eq!(present.flow(&QueueName::default()), Flow { arrival: 1.0, service: 0.0 });
        assert_eq!(present.latency, Latency::default());
    }
}
