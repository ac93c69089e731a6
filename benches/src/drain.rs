//! Working off a backlog of tasks that do nothing: what Warren adds to a bare consumer.

use std::{cell::Cell, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep};
use warren_core::TaskState;
use warren_tests::{Stand, pool::Service};

use crate::{
    cost,
    enqueue::hand_in,
    ground::{Ground, ended, reached},
    pace::{Pace, number},
    store,
};

// Until a worker has found its speed.
const WARM_UP: usize = 20;
const CAUGHT_UP: Duration = Duration::from_mins(2);
// The monitor says it anew once a second, and an overview costs as much as a hundred tasks.
const BETWEEN_LAGS: Duration = Duration::from_millis(500);
// What a worker of tasks that take microseconds is given: enough on their way to overlap the confirms of their outcomes.
const WORKER: &str = "slots = 64\nprefetch = 4000\n";

/// What working off a backlog came to.
#[derive(Debug, Clone, Serialize)]
pub struct Drain {
    /// The worker.
    pub worker: Pace,
    /// Where a monitor was projecting.
    pub monitor: Option<Watched>,
    /// Processor seconds of the broker, for 100,000 tasks; not known of a broker in a container.
    pub broker_seconds: Option<f64>,
    /// The worker's resident size at its peak, in MiB.
    pub worker_peak_mib: f64,
}

/// What the monitor made of it meanwhile.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// Processor seconds of the monitor, for 100,000 tasks.
    pub monitor_seconds: f64,
    /// Of Redis.
    pub redis_seconds: f64,
    /// The largest lag that was seen, in seconds.
    pub largest_lag: f64,
    /// What a task with a submission, one attempt and its result takes in Redis, in bytes.
    pub redis_bytes: f64,
    /// From the last outcome until every task was shown as succeeded, in seconds.
    pub complete_after: f64,
    /// Its resident size at its peak, in MiB.
    pub peak_mib: f64,
}

/// A backlog of so many tasks, with no monitor. It rests for a while before it is worked off.
pub async fn alone(ground: &Ground, stand: &Stand, count: usize, rest: Duration) -> anyhow::Result<Drain> {
    backlog(ground, count, rest).await?;
    Ok(work_off(ground, stand, count, async || {}).await?.drain)
}

/// The same while a monitor projects everything.
pub async fn watched(ground: &Ground, stand: &Stand, count: usize, rest: Duration) -> anyhow::Result<Drain> {
    let memory_before = store::memory(stand).await?;
    // From the beginning: a monitor that has to catch up first would give the queue a rest, and a queue that has rested is
    // two or three times as fast (docs/performance.md).
    let monitor = ground.start("warren-monitor", "").await;
    backlog(ground, count, rest).await?;
    let redis = cost::pid_in(&stand.folder().join("redis.pid"));
    let busy = || (cost::of(monitor.process.id()).unwrap_or_default(), redis.and_then(cost::of).unwrap_or_default());
    let before = busy();
    let (largest, looked) = (Cell::new(0.0_f64), Cell::new(Instant::now()));
    let look = async || {
        if looked.get().elapsed() < BETWEEN_LAGS {
            return;
        }
        looked.set(Instant::now());
        if let Ok(overview) = monitor.get("/api/overview").await {
            largest.set(largest.get().max(overview["lag_seconds"].as_f64().unwrap_or(0.0)));
        }
    };
    // A worker that is gone before its last outcomes are in the log leaves tasks that nobody takes.
    let Worked { mut drain, end, of, worker } = work_off(ground, stand, count, look).await?;
    shown(&monitor, TaskState::Succeeded, count).await?;
    let complete_after = end.elapsed().as_secs_f64();
    drop(worker);
    let after = busy();
    drain.monitor = Some(Watched {
        monitor_seconds: for_a_hundred_thousand(after.0.saturating_sub(before.0), of),
        redis_seconds: for_a_hundred_thousand(after.1.saturating_sub(before.1), of),
        largest_lag: largest.get(),
        redis_bytes: number(store::memory(stand).await?.saturating_sub(memory_before)) / number(count),
        complete_after,
        peak_mib: mebibytes(monitor.process.peak()),
    });
    Ok(drain)
}

/// Producer, worker and monitor at once: tasks a second from the first submission to the last one shown as succeeded.
pub async fn at_once(ground: &Ground, count: usize) -> anyhow::Result<f64> {
    let monitor = ground.start("warren-monitor", "").await;
    let worker = ground.start("warren-worker", WORKER).await;
    let producer = ground.producer().await?;
    let begun = Instant::now();
    hand_in(&producer, count).await?;
    reached(count, async || ended(&worker).await).await?;
    shown(&monitor, TaskState::Succeeded, count).await?;
    let took = begun.elapsed();
    producer.close().await;
    Ok(number(count) / took.as_secs_f64())
}

async fn backlog(ground: &Ground, count: usize, rest: Duration) -> anyhow::Result<()> {
    let producer = ground.producer().await?;
    hand_in(&producer, count).await?;
    producer.close().await;
    sleep(rest).await;
    Ok(())
}

struct Worked {
    drain: Drain,
    end: Instant,
    of: usize,
    worker: Service,
}

async fn work_off(ground: &Ground, stand: &Stand, count: usize, look: impl AsyncFn()) -> anyhow::Result<Worked> {
    let broker = cost::pid_in(&stand.folder().join("rabbitmq.pid"));
    let worker = ground.start("warren-worker", WORKER).await;
    let counting = async || {
        look().await;
        ended(&worker).await
    };
    let busy = || (cost::of(worker.process.id()).unwrap_or_default(), broker.and_then(cost::of));
    let (begun, before) = reached(count / WARM_UP, counting).await?;
    let (worker_before, broker_before) = busy();
    let (end, after) = reached(count, counting).await?;
    let (worker_after, broker_after) = busy();
    let of = after - before;
    let broker_seconds =
        broker_before.zip(broker_after).map(|(before, after)| for_a_hundred_thousand(after.saturating_sub(before), of));
    let worker_pace = Pace::of(of, end - begun, worker_after.saturating_sub(worker_before));
    let worker_peak_mib = mebibytes(worker.process.peak());
    Ok(Worked { drain: Drain { worker: worker_pace, monitor: None, broker_seconds, worker_peak_mib }, end, of, worker })
}

async fn shown(monitor: &Service, state: TaskState, count: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let overview = monitor.get("/api/overview").await.unwrap_or_default();
        if overview["states"][state.name()].as_u64().is_some_and(|shown| shown >= count as u64) {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < CAUGHT_UP, "not all are shown as {state}: {}", overview["states"]);
        sleep(Duration::from_millis(20)).await;
    }
}

fn for_a_hundred_thousand(busy: Duration, count: usize) -> f64 {
    busy.as_secs_f64() * 100_000.0 / number(count.max(1))
}

/// From KiB, as the kernel counts.
pub fn mebibytes(kibibytes: Option<u64>) -> f64 {
    kibibytes.and_then(|kibibytes| u32::try_from(kibibytes).ok()).map_or(0.0, f64::from) / 1_024.0
}
