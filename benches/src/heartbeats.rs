//! A thousand workers' heartbeats into one monitor: what watching a large pool costs.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use warren_core::{
    Kind, QueueName, WorkerId,
    event::Event,
    worker::{Heartbeat, Hello},
};
use warren_runtime::{Uplink, amqp::Connector, clock};

use crate::{cost, drain::mebibytes, ground::Ground};

const WORKERS: usize = 1_000;
const EVERY: Duration = Duration::from_secs(5);
const TICKS: u32 = 50;

/// What a monitor makes of them.
#[derive(Debug, Clone, Serialize)]
pub struct Heartbeats {
    /// How many workers spoke, each every five seconds.
    pub workers: usize,
    /// How many of them the monitor shows as alive at the end.
    pub alive: u64,
    /// The share of one core that the monitor took.
    pub monitor_cores: f64,
    /// The largest lag that was seen, in seconds.
    pub largest_lag: f64,
    /// The monitor's resident size at its peak, in MiB.
    pub peak_mib: f64,
}

/// Speaks for a thousand workers for a while.
pub async fn measure(ground: &Ground, rounds: u32) -> anyhow::Result<Heartbeats> {
    let monitor = ground.start("warren-monitor", "").await;
    let uplink = Uplink::start(Connector::new(ground.config.amqp.clone(), "bench"), &ground.names(), "bench", None);
    let names = (0..WORKERS).map(|n| WorkerId::parse(&format!("simulated-{n}"))).collect::<Result<Vec<_>, _>>()?;
    for worker in &names {
        uplink.log.note(&Event::WorkerStarted(hello(worker)?)).await?;
    }
    let (begun, busy) = (Instant::now(), cost::of(monitor.process.id()).unwrap_or_default());
    let mut ticks = interval(EVERY / TICKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut largest_lag = 0.0_f64;
    for tick in 0..rounds * TICKS {
        ticks.tick().await;
        for worker in names.iter().skip(tick as usize % TICKS as usize).step_by(TICKS as usize) {
            uplink.log.note(&Event::Heartbeat(heartbeat(worker))).await?;
        }
        if tick % TICKS == 0 {
            let overview = monitor.get("/api/overview").await.unwrap_or_default();
            largest_lag = largest_lag.max(overview["lag_seconds"].as_f64().unwrap_or(0.0));
        }
    }
    let used = cost::of(monitor.process.id()).unwrap_or_default().saturating_sub(busy);
    let took = begun.elapsed();
    let overview = monitor.get("/api/overview").await.map_err(anyhow::Error::msg)?;
    uplink.close().await;
    Ok(Heartbeats {
        workers: WORKERS,
        alive: overview["workers"]["alive"].as_u64().unwrap_or(0),
        monitor_cores: used.as_secs_f64() / took.as_secs_f64(),
        largest_lag,
        peak_mib: mebibytes(monitor.process.peak()),
    })
}

fn hello(worker: &WorkerId) -> anyhow::Result<Hello> {
    Ok(Hello {
        worker: worker.clone(),
        at: clock::now(),
        host: "simulated".to_owned(),
        pid: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: 4,
        queues: [(QueueName::default(), 1)].into(),
        kinds: vec![Kind::parse("echo")?],
        heartbeat_ms: u64::try_from(EVERY.as_millis())?,
    })
}

fn heartbeat(worker: &WorkerId) -> Heartbeat {
    Heartbeat {
        worker: worker.clone(),
        at: clock::now(),
        busy: 0,
        ended: 0,
        consuming: true,
        draining: false,
        load: Some(0.5),
        memory: Some(20 << 20),
        running: Vec::new(),
        paused: Vec::new(),
    }
}
