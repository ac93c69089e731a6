//! What was measured, against what is aimed at.

use std::fmt;

use serde_json::{Value, json};
use warren_runtime::amqp::Profile;

use crate::{
    chart::{Chart, Who},
    heartbeats::Heartbeats,
    latency::Latency,
    pace::{Pace, median},
    round::Round,
    scaling::Scale,
};

// Where even a quick run on a busy machine says that something has broken; docs/performance.md says why there.
const BROKEN_ENQUEUE: f64 = 0.4;
const BROKEN_DRAIN: f64 = 0.3;

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    /// Of the task queues.
    pub profile: Profile,
    /// Tasks in each measurement of a rate.
    pub tasks: usize,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// A worker's and a monitor's resident size with nothing to do, in MiB.
    pub idle_mib: Option<(f64, f64)>,
    /// By rate.
    pub latencies: Vec<Latency>,
    /// By number of workers.
    pub scales: Vec<Scale>,
    /// Of a thousand workers.
    pub heartbeats: Option<Heartbeats>,
    /// What other projects' workers came to, as their scripts say it.
    pub peers: Vec<Value>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            profile: Profile::Classic,
            tasks: 0,
            rounds: Vec::new(),
            idle_mib: None,
            latencies: Vec::new(),
            scales: Vec::new(),
            heartbeats: None,
            peers: Vec::new(),
        }
    }
}

impl Report {
    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    /// Enqueue through the library, to the raw publisher: of each round, then the median.
    pub fn enqueue_ratio(&self) -> f64 {
        self.median(|round| round.enqueue.per_second / round.raw_publish.per_second)
    }

    /// Drain with no monitor, to the raw consumer.
    pub fn drain_ratio(&self) -> f64 {
        self.median(|round| round.drain.worker.per_second / round.raw_consume.per_second)
    }

    /// Drain while a monitor projects, to the raw consumer.
    pub fn watched_ratio(&self) -> f64 {
        self.median(|round| round.watched.worker.per_second / round.raw_consume.per_second)
    }

    /// A worker's processor time a task, to the raw consumer's.
    pub fn cost_ratio(&self) -> f64 {
        self.median(|round| round.drain.worker.processor_seconds / round.raw_consume.processor_seconds)
    }

    /// The ratios that no noise explains, of those that were measured.
    pub fn broken(&self) -> Vec<String> {
        if self.rounds.is_empty() {
            return Vec::new();
        }
        let limits = [
            ("enqueue_ratio", self.enqueue_ratio(), BROKEN_ENQUEUE),
            ("drain_ratio", self.drain_ratio(), BROKEN_DRAIN),
        ];
        let broken = limits.into_iter().filter(|(_, ratio, limit)| ratio < limit || ratio.is_nan());
        broken.map(|(name, ratio, limit)| format!("{name} is {ratio:.2}, at least {limit} is expected")).collect()
    }

    /// The charts of what was measured, by the name of their file.
    pub fn charts(&self) -> Vec<(&'static str, Chart)> {
        let mut charts = Vec::new();
        let bars = |figure: fn(&Pace) -> f64| {
            let bar = |label: &str, who, pace: fn(&Round) -> Pace| {
                (label.to_owned(), who, self.median(|round| figure(&pace(round))))
            };
            vec![
                bar("raw publisher", Who::Limit, |round| round.raw_publish),
                bar("enqueue through the library", Who::Warren, |round| round.enqueue),
                bar("raw consumer", Who::Limit, |round| round.raw_consume),
                bar("drain, no monitor", Who::Warren, |round| round.drain.worker),
                bar("drain, a monitor projecting", Who::Warren, |round| round.watched.worker),
            ]
        };
        if !self.rounds.is_empty() {
            let (title, unit) = ("Tasks a second", "the median of the rounds of one run; more is better");
            charts.push(("rates", Chart { title, unit, digits: 0, bars: bars(|pace| pace.per_second) }));
            let (title, unit) = ("Processor seconds of the client for 100,000 tasks", "less is better");
            charts.push(("cost", Chart { title, unit, digits: 2, bars: bars(|pace| pace.processor_seconds) }));
        }
        let latency = |Latency { rate, raw, start, result }: &Latency| {
            [
                (format!("{rate}/s, raw, to the arrival, 99 %"), Who::Limit, raw.p99_ms),
                (format!("{rate}/s, to the start, half"), Who::Warren, start.p50_ms),
                (format!("{rate}/s, to the start, 99 %"), Who::Warren, start.p99_ms),
                (format!("{rate}/s, to the result, half"), Who::Warren, result.p50_ms),
                (format!("{rate}/s, to the result, 99 %"), Who::Warren, result.p99_ms),
            ]
        };
        let bars: Vec<_> = self.latencies.iter().flat_map(latency).collect();
        if !bars.is_empty() {
            let (title, unit) = ("From handing a task in", "milliseconds; less is better");
            charts.push(("latency", Chart { title, unit, digits: 2, bars }));
        }
        if let Some(first) = self.scales.first() {
            let bar = |scale: &Scale| {
                (format!("{} workers", scale.workers), Who::Warren, scale.per_second / first.per_second)
            };
            let bars = self.scales.iter().map(bar).collect();
            let (title, unit) = ("Tasks of 20 ms, four at once in each worker", "times what one worker does");
            charts.push(("scaling", Chart { title, unit, digits: 2, bars }));
        }
        charts
    }

    /// One JSON object.
    pub fn as_json(&self) -> String {
        let pace = |figure: fn(&Round) -> Pace| {
            json!({
                "per_second": self.median(|round| figure(round).per_second),
                "processor_seconds_per_100k": self.median(|round| figure(round).processor_seconds),
            })
        };
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| {
                json!({
                    "raw_publish": round.raw_publish, "enqueue": round.enqueue, "raw_consume": round.raw_consume,
                    "drain": round.drain, "watched": round.watched, "at_once_per_second": round.at_once,
                })
            })
            .collect();
        let report = json!({
            "profile": match self.profile { Profile::Classic => "classic", Profile::Quorum => "quorum" },
            "tasks": self.tasks,
            "enqueue_ratio": self.enqueue_ratio(),
            "drain_ratio": self.drain_ratio(),
            "watched_drain_ratio": self.watched_ratio(),
            "worker_processor_ratio": self.cost_ratio(),
            "raw_publish": pace(|round| round.raw_publish),
            "enqueue": pace(|round| round.enqueue),
            "raw_consume": pace(|round| round.raw_consume),
            "drain": pace(|round| round.drain.worker),
            "watched_drain": pace(|round| round.watched.worker),
            "at_once_per_second": self.median(|round| round.at_once),
            "idle_mib": self.idle_mib.map(|(worker, monitor)| json!({"worker": worker, "monitor": monitor})),
            "latency": self.latencies,
            "scaling": self.scales,
            "heartbeats": self.heartbeats,
            "peers": self.peers,
            "rounds": rounds,
        });
        format!("{report:#}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rounds.is_empty() {
            self.rates(f)?;
        }
        if let Some((worker, monitor)) = self.idle_mib {
            writeln!(f, "resident at rest: worker {worker:.0} MiB, monitor {monitor:.0} MiB (goal ≤ 20 each)")?;
        }
        for Latency { rate, raw, start, result } in &self.latencies {
            writeln!(
                f,
                "at {rate} tasks a second: raw, to the arrival, p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}; to the start p50 {:.2}, p99 {:.2}, p99.9 {:.2}; to the result p50 {:.2}, p99 {:.2}, p99.9 {:.2}",
                raw.p50_ms,
                raw.p99_ms,
                raw.p999_ms,
                start.p50_ms,
                start.p99_ms,
                start.p999_ms,
                result.p50_ms,
                result.p99_ms,
                result.p999_ms
            )?;
        }
        if let Some(first) = self.scales.first() {
            for Scale { workers, per_second } in &self.scales {
                let factor = per_second / first.per_second;
                writeln!(
                    f,
                    "{workers} workers, tasks of 20 ms: {per_second:.0} a second, {factor:.2} times one worker"
                )?;
            }
        }
        if let Some(beats) = &self.heartbeats {
            writeln!(
                f,
                "{} workers' heartbeats: {:.3} of a core, lag at most {:.2} s, peak {:.0} MiB",
                beats.workers, beats.monitor_cores, beats.largest_lag, beats.peak_mib
            )?;
        }
        for peer in &self.peers {
            writeln!(f, "a peer, for comparison: {peer}")?;
        }
        Ok(())
    }
}

impl Report {
    fn rates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} tasks a measurement, the median of {} rounds\n", self.tasks, self.rounds.len())?;
        writeln!(f, "| what | a second | processor s / 100,000 | ratio to raw | goal |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        let mut row = |name: &str, pace: fn(&Round) -> Pace, ratio: Option<f64>, goal: &str| {
            let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let per_second = self.median(|round| pace(round).per_second);
            let cost = self.median(|round| pace(round).processor_seconds);
            writeln!(f, "| {name} | {per_second:.0} | {cost:.2} | {ratio} | {goal} |")
        };
        row("raw publisher", |round| round.raw_publish, None, "")?;
        row("enqueue through the library", |round| round.enqueue, Some(self.enqueue_ratio()), "≥ 0.9")?;
        row("raw consumer", |round| round.raw_consume, None, "")?;
        row("drain, no monitor", |round| round.drain.worker, Some(self.drain_ratio()), "≥ 0.9 (3.10), ≥ 0.8 (4.0)")?;
        row("drain, watched", |round| round.watched.worker, Some(self.watched_ratio()), "≥ 0.8 (3.10), ≥ 0.6 (4.0)")?;
        writeln!(
            f,
            "\nproducer, worker and monitor at once: {:.0} tasks a second",
            self.median(|round| round.at_once)
        )?;
        writeln!(f, "a worker's processor time a task, to the raw consumer's: {:.2} (goal ≤ 1.5)", self.cost_ratio())?;
        let watched = |figure: fn(&crate::drain::Watched) -> f64| {
            median(self.rounds.iter().filter_map(|round| round.watched.monitor.as_ref().map(figure)))
        };
        writeln!(
            f,
            "watching 100,000 tasks costs the monitor {:.2} and Redis {:.2} processor seconds; lag at most {:.2} s, complete {:.2} s after the end; {:.0} bytes in Redis for each",
            watched(|w| w.monitor_seconds),
            watched(|w| w.redis_seconds),
            watched(|w| w.largest_lag),
            watched(|w| w.complete_after),
            watched(|w| w.redis_bytes)
        )
    }
}
