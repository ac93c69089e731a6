//! From handing a task in to its start, and to its result, at a steady rate that is far from the limit.
//!
//! The rate is kept whatever the answers do (an open loop): a slow answer does not slow down the questions, which would
//! hide it.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use lapin::{
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use warren_producer::NewTask;

use crate::{
    ground::{Ground, payload},
    pace::{median, number, percentile},
    raw,
};

const PATIENCE: Duration = Duration::from_secs(30);
// Connections, pages and caches.
const WARM_UP: usize = 20;

/// Latencies at one rate, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Tasks a second.
    pub rate: u32,
    /// Of the raw client: from before a message is published to its arrival.
    pub raw: Percentiles,
    /// From before the library is called to the start of the handler.
    pub start: Percentiles,
    /// From the same moment to the arrival of the result.
    pub result: Percentiles,
}

/// Half, 99 % and 99.9 % are faster.
#[expect(clippy::struct_field_names, reason = "the fields are what the report calls them")]
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    /// Half.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
}

impl Latency {
    /// Each figure the median of so many measurements.
    pub fn median(rate: u32, all: &[Self]) -> Self {
        let median = |of: fn(&Self) -> Percentiles| {
            let one = |figure: fn(Percentiles) -> f64| median(all.iter().map(of).map(figure));
            Percentiles { p50_ms: one(|p| p.p50_ms), p99_ms: one(|p| p.p99_ms), p999_ms: one(|p| p.p999_ms) }
        };
        Self { rate, raw: median(|l| l.raw), start: median(|l| l.start), result: median(|l| l.result) }
    }
}

/// Hands in `rate` tasks a second for that many seconds, and waits for every result.
///
/// Before that the raw client does as much on the same queue.
pub async fn measure(ground: &Ground, rate: u32, seconds: u32) -> anyhow::Result<Latency> {
    let raw = raw::arrivals(ground, rate, seconds).await?;
    let worker = ground.start("bench-worker", "slots = 8\nprefetch = 32\n").await;
    let link = ground.link().await?;
    let channel = link.channel().await?;
    let replies = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let reply_to = channel.queue_declare("".into(), replies, FieldTable::default()).await?.name().to_string();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut answers =
        channel.basic_consume(reply_to.as_str().into(), "".into(), options, FieldTable::default()).await?;
    let producer = ground.producer().await?;
    let (gap, count) = (Duration::from_secs(1) / rate, (rate * seconds) as usize);
    let mut on_their_way = FuturesUnordered::new();
    let (mut to_start, mut to_result) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut sent, mut next, mut last_word) = (0, Instant::now(), Instant::now());
    while to_result.len() < count {
        anyhow::ensure!(last_word.elapsed() < PATIENCE, "{} of {count} results came", to_result.len());
        tokio::select! {
            biased;
            answer = answers.next() => {
                let (answer, now) = (answer.ok_or_else(|| anyhow::anyhow!("the replies have ended"))??, monotonic());
                let asked = answer.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
                let asked = Duration::from_nanos(asked.ok_or_else(|| anyhow::anyhow!("a reply without its time"))?);
                let started: u64 = serde_json::from_slice(&answer.data)?;
                to_start.push(Duration::from_nanos(started).saturating_sub(asked));
                to_result.push(now.saturating_sub(asked));
                last_word = Instant::now();
            }
            Some(result) = on_their_way.next() => { let _: warren_core::TaskId = result?; }
            () = sleep_until(next), if sent < count => {
                let asked = monotonic().as_nanos().to_string();
                let task = NewTask::new("stamp").payload(payload()).reply_to(&reply_to).correlation_id(asked);
                on_their_way.push(producer.enqueue(task).boxed());
                sent += 1;
                next += gap;
            }
            () = sleep_until(last_word + PATIENCE) => {}
        }
    }
    producer.close().await;
    link.close().await;
    drop(worker);
    Ok(Latency {
        rate,
        raw: percentiles(raw, count),
        start: percentiles(to_start, count),
        result: percentiles(to_result, count),
    })
}

/// A clock that all processes of this machine share and nobody sets.
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn percentiles(mut all: Vec<Duration>, count: usize) -> Percentiles {
    let mut measured = all.split_off(count / WARM_UP);
    measured.sort();
    let at = |share: f64| percentile(&measured, share).as_secs_f64() * 1_000.0;
    debug_assert!(number(measured.len()) > 0.0, "something was measured");
    Percentiles { p50_ms: at(0.5), p99_ms: at(0.99), p999_ms: at(0.999) }
}
