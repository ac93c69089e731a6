//! Looks at the figures for what is out of line, every few seconds.
//!
//! A finding that comes and goes with every look helps nobody: what was found stays for a minute after it was last seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use redis::AsyncCommands;
use tokio::time::Instant;
use warren_core::{
    QueueName, Span, TaskState, Timestamp,
    command::{Command, Order, Target},
    finding::Finding,
    trend::{self, Attempts, Course},
};
use warren_runtime::redis::{Error, Keys, Store};

use crate::{
    figures::{self, Bucket, Figures, Gauge},
    found,
    index::Counts,
    queues::{Depth, fields},
};

const INTERVAL: Duration = Duration::from_secs(5);
const LINGERS: Duration = Duration::from_mins(1);
// What the broker said longer ago says nothing of now.
const FRESH: Duration = Duration::from_secs(10);

/// What was found, and when it was last seen.
#[derive(Debug)]
pub struct Trends {
    store: Store,
    // What is called of late.
    window: Duration,
    looked: Option<Instant>,
    // Queues that nobody consumed at the last look.
    deserted: BTreeSet<QueueName>,
    found: Vec<(Instant, Finding)>,
}

impl Trends {
    /// With nothing found yet.
    pub fn new(store: Store, window: Duration) -> Self {
        Self { store, window, looked: None, deserted: BTreeSet::new(), found: Vec::new() }
    }

    /// What is out of line at `now`.
    pub async fn look(&mut self, now: Timestamp) -> Result<Vec<Finding>, Error> {
        let moment = Instant::now();
        if self.looked.is_none_or(|looked| moment.duration_since(looked) >= INTERVAL) {
            let mut findings = self.queues(now).await?;
            findings.extend(self.kinds(now).await?);
            self.keep(findings, moment);
            self.looked = Some(moment);
        }
        Ok(self.found.iter().map(|(_, finding)| finding.clone()).collect())
    }

    fn keep(&mut self, findings: Vec<Finding>, moment: Instant) {
        let again = |old: &Finding| findings.iter().any(|new| found::subject(new) == found::subject(old));
        self.found.retain(|(seen, old)| !again(old) && lingers(old) && moment.duration_since(*seen) < LINGERS);
        self.found.extend(findings.into_iter().map(|finding| (moment, finding)));
    }

    async fn queues(&mut self, now: Timestamp) -> Result<Vec<Finding>, Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let stored: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.queues()).await?;
        let orders: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.orders()).await?;
        let counts = Counts::load(&self.store).await?.queues();
        let steps = Span::Minutes15.last(now, self.window);
        let buckets = figures::read(&self.store, Span::Minutes15, &steps).await?;
        let total = Bucket::total(&buckets);
        let mut findings = Vec::new();
        let mut deserted = BTreeSet::new();
        let queues: BTreeSet<_> = counts.keys().map(|(queue, _)| queue.clone()).collect();
        for queue in queues {
            let [tasks, ..] = fields(&queue);
            let depth: Option<Depth> = stored.get(&tasks).and_then(|depth| serde_json::from_slice(depth).ok());
            let depth = depth.filter(|depth| now.since(depth.at) < FRESH);
            if let Some(depth) =
                depth.filter(|depth| depth.consumers == 0 && depth.ready > 0 && !is_paused(&orders, &queue))
            {
                // A worker that is just being replaced is no finding.
                if self.deserted.contains(&queue) {
                    findings.push(Finding::NoConsumer { queue: queue.clone(), waiting: depth.ready.into() });
                }
                deserted.insert(queue.clone());
            }
            let waiting = counts.get(&(queue.clone(), TaskState::Queued)).copied().unwrap_or_default();
            let figures = total.of(Some(&queue));
            let begun = Timestamp::from_millis(steps[0] * 1_000);
            if let Some(before) = first(&buckets, &queue) {
                let Figures { arrived, started, .. } = figures;
                let course = Course { before, waiting, arrived, taken: started, over: now.since(begun) };
                findings.extend(trend::of_queue(&queue, &course));
            }
        }
        self.deserted = deserted;
        Ok(findings)
    }

    async fn kinds(&self, now: Timestamp) -> Result<Vec<Finding>, Error> {
        let late = self.total(Span::Minutes15, &Span::Minutes15.last(now, self.window)).await?;
        if late.kinds.is_empty() {
            return Ok(Vec::new());
        }
        let mut past = Span::Hours6.steps(now);
        // The steps that hold what is called of late.
        let shared = Span::Hours6.last(now, self.window).len();
        past.truncate(past.len() - shared);
        let past = self.total(Span::Hours6, &past).await?;
        let attempts = |figures: &Figures| Attempts { failed: figures.failed, run: figures.run.clone() };
        let judge = |(kind, figures)| {
            let before = past.kinds.get(kind).map(attempts).unwrap_or_default();
            trend::of_kind(kind, &attempts(figures), &before)
        };
        Ok(late.kinds.iter().flat_map(judge).collect())
    }

    async fn total(&self, span: Span, steps: &[u64]) -> Result<Bucket, Error> {
        Ok(Bucket::total(&figures::read(&self.store, span, steps).await?))
    }
}

// Nobody takes from a queue that somebody has paused, and that is as it should be.
fn is_paused(orders: &BTreeMap<String, Vec<u8>>, queue: &QueueName) -> bool {
    let order = orders.get(&Keys::order_field(&Target::Queue(queue.clone())));
    let order = order.and_then(|order| serde_json::from_slice::<Order>(order).ok());
    order.is_some_and(|order| matches!(order.command, Command::Pause { .. }))
}

// Whether a consumer is there is known at once; figures waver.
fn lingers(finding: &Finding) -> bool {
    match finding {
        Finding::GrowingQueue { .. } | Finding::FailureRate { .. } | Finding::SlowKind { .. } => true,
        Finding::NoConsumer { .. }
        | Finding::LostWorker { .. }
        | Finding::NotConsuming { .. }
        | Finding::StuckAttempt { .. } => false,
    }
}

// How many tasks waited when the time that is looked at began; `None` if nobody looked then.
fn first(buckets: &[Bucket], queue: &QueueName) -> Option<u64> {
    let bucket = buckets.iter().take(2).find(|bucket| bucket.samples > 0)?;
    let number = bucket.gauge(&bucket.of(Some(queue)), Gauge::Queued)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of tasks")]
    Some(number.max(0.0) as u64)
}
