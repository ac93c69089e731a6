//! Whether memory stays flat when nothing goes on: a great many tasks wait, the handler is slow, and Redis and the monitor
//! are stopped.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;
use warren_core::{QueueName, TaskState};
use warren_producer::{Config, NewTask, Producer};

use crate::{Pool, Stand, pool::Service};

/// How a process's resident size went, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// After a fifth of the time.
    pub early: u64,
    /// At the end.
    pub late: u64,
    /// The largest of its life.
    pub peak: u64,
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    /// Tasks that waited.
    pub tasks: u64,
    /// How long it was watched.
    pub watched: Duration,
    /// A worker whose handler is slow, without Redis.
    pub worker: Course,
    /// A monitor without Redis.
    pub monitor: Course,
    /// How long a monitor took to take all of it in afterwards.
    pub caught_up: Duration,
    /// Its largest resident size, in KiB.
    pub catching_up: u64,
}

impl Course {
    /// By how much it grew, as a share of the early size.
    pub fn growth(&self) -> f64 {
        let [early, late] = [self.early, self.late].map(|kib| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)));
        late / early - 1.0
    }
}

/// Watches for this long, with this many tasks waiting.
pub async fn watch(tasks: u64, time: Duration, mut show: impl FnMut(&str)) -> Report {
    let stand = Stand::start().await;
    let pool = Pool::on(&stand);
    show("handing the tasks in");
    hand_in(&pool, &stand, tasks).await;
    stand.kill_redis().await;
    let file = pool.file("worker.toml", "slots = 2\n");
    let worker = pool.start("warren-worker", &[], &[("WARREN_CONFIG", file)]).await;
    // It cannot become ready.
    let monitor = pool.launch("warren-monitor", &[], &[]);
    show("watching");
    let begun = Instant::now();
    tokio::time::sleep(time / 5).await;
    let early = [&worker, &monitor].map(resident);
    tokio::time::sleep_until(begun + time).await;
    let [worker_course, monitor_course] = [(&worker, early[0]), (&monitor, early[1])].map(|(service, early)| Course {
        early,
        late: resident(service),
        peak: service.process.peak().expect("it runs"),
    });
    drop(worker);
    show("catching up");
    let begun = Instant::now();
    stand.restore().await;
    caught_up(&monitor, tasks).await;
    Report {
        tasks,
        watched: time,
        worker: worker_course,
        monitor: monitor_course,
        caught_up: begun.elapsed(),
        catching_up: monitor.process.peak().expect("it runs"),
    }
}

fn resident(service: &Service) -> u64 {
    service.process.resident().expect("it runs")
}

async fn hand_in(pool: &Pool, stand: &Stand, tasks: u64) {
    let namespace = QueueName::parse(pool.names().namespace()).expect("the name of a pool");
    let config = Config { namespace, ..Config::at(stand.amqp()) };
    let producer = Producer::connect(&config).await.expect("the broker answers");
    producer.declare(&QueueName::default()).await.expect("a queue");
    let slow = NewTask::new("sleep").json(&json!({"ms": 2_000}));
    let tasks = stream::iter(0..tasks).map(|number| (number, Ok::<_, warren_producer::Error>(slow.clone())));
    let refused = producer.pipeline(tasks).filter(|(_, result)| std::future::ready(result.is_err()));
    assert_eq!(refused.count().await, 0, "all were confirmed");
    producer.close().await;
}

async fn caught_up(monitor: &Service, tasks: u64) {
    loop {
        let overview = monitor.get("/api/overview").await.unwrap_or_default();
        let known: u64 = TaskState::ALL.iter().filter_map(|state| overview["states"][state.name()].as_u64()).sum();
        if known >= tasks && overview["lag_seconds"].as_f64().is_some_and(|lag| lag < 1.0) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
