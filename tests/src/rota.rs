//! A pool that runs schedules: some gateways of one configuration, and a worker that writes down what it runs.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use warren_core::TaskState;

use crate::{
    Pool, http,
    ledger::{self, Execution},
    pool::{PATIENCE, Service},
    until,
};

/// The pool and its gateways.
#[derive(Debug)]
pub struct Rota {
    /// Where its names and its files are.
    pub pool: Pool,
    /// The gateways, one of which runs the schedules.
    pub gateways: Vec<Service>,
    /// The worker, whose tasks of kind `ledger` write down when they begin and end.
    pub worker: Service,
    /// The monitor.
    pub monitor: Service,
    ledger: PathBuf,
    file: String,
}

impl Rota {
    /// With gateways of this configuration.
    pub async fn set(pool: Pool, gateways: usize, configuration: &str) -> Self {
        let ledger = pool.folder().join("executions");
        let worker = [("LEDGER", ledger.display().to_string()), ("WARREN_SLOTS", "8".into())];
        let worker = pool.start("ledger-worker", &[], &worker).await;
        let monitor = pool.monitor().await;
        let file = pool.file("gateway.toml", configuration);
        let mut rota = Self { pool, gateways: Vec::new(), worker, monitor, ledger, file };
        for _ in 0..gateways {
            rota.add_gateway();
        }
        for gateway in &rota.gateways {
            gateway.ready().await;
        }
        rota
    }

    /// Starts a gateway, and waits for nothing.
    pub fn add_gateway(&mut self) {
        let gateway = self.pool.launch("warren-producer", &["serve"], &[("WARREN_CONFIG", self.file.clone())]);
        self.gateways.push(gateway);
    }

    /// The place of the gateway that runs the schedules, once there is one.
    pub async fn leader(&self) -> usize {
        until("a gateway leads", PATIENCE, async || {
            for (place, gateway) in self.gateways.iter().enumerate() {
                let request = http::client().get(format!("{}/metrics", gateway.url)).timeout(Duration::from_secs(2));
                let Ok(answer) = request.send().await else { continue };
                if answer.text().await.unwrap_or_default().contains("warren_schedule_leader 1") {
                    return Ok(place);
                }
            }
            Err("nobody leads")
        })
        .await
    }

    /// What ran of a schedule, by tick.
    pub fn ran(&self, schedule: &str) -> BTreeMap<u64, Vec<Execution>> {
        let prefix = format!("schedule:{schedule}:");
        let tick = |(id, attempts): (String, BTreeMap<u32, Vec<Execution>>)| {
            let tick = id.strip_prefix(&prefix)?.parse().ok()?;
            Some((tick, attempts.into_values().flatten().collect()))
        };
        ledger::executions(&self.ledger).into_iter().filter_map(tick).collect()
    }

    /// Waits until so many ticks of a schedule have run.
    pub async fn runs(&self, schedule: &str, ticks: usize) -> BTreeMap<u64, Vec<Execution>> {
        until(&format!("{ticks} ticks of {schedule} have run"), PATIENCE, async || {
            let ran = self.ran(schedule);
            if ran.len() >= ticks { Ok(ran) } else { Err(ran.len()) }
        })
        .await
    }

    /// Waits until a tick later than this has run of a schedule of every second, and every one between the first and the
    /// last.
    pub async fn runs_without_a_gap(&self, schedule: &str, later_than: u64) -> BTreeMap<u64, Vec<Execution>> {
        until(&format!("{schedule} runs without a gap"), PATIENCE, async || {
            let ran = self.ran(schedule);
            let gap = missing(&ran, Duration::from_secs(1));
            if gap.is_empty() && ran.keys().any(|tick| *tick > later_than) { Ok(ran) } else { Err((ran.len(), gap)) }
        })
        .await
    }

    /// Waits until so many seconds have passed since `begun`: for a promise that is about a time.
    pub async fn reaches(&self, seconds: u64, begun: Instant) {
        tokio::time::sleep_until((begun + Duration::from_secs(seconds)).into()).await;
    }

    /// Sends a request about schedules to a gateway.
    pub async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = http::client().request(method, format!("{}/schedules{path}", self.gateways[0].url));
        let request = match body {
            Some(body) => request.json(&body),
            // Whoever changes something must say that it is no form of a foreign page.
            None => request.header("content-type", "application/json"),
        };
        let answer = request.send().await.expect("the gateway answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Puts a schedule of tasks of kind `ledger`, with these members beside.
    pub async fn put(&self, name: &str, mut schedule: Value) -> Value {
        if schedule.get("task").is_none() {
            schedule["task"] = json!({"kind": "ledger", "payload": {}});
        }
        let (status, view) = self.ask(reqwest::Method::PUT, &format!("/{name}"), Some(schedule)).await;
        assert_eq!(status, 200, "{view}");
        view
    }

    /// Waits until a task has succeeded.
    pub async fn succeeded(&self, task: &str) -> Value {
        self.monitor.task(task, TaskState::Succeeded).await
    }
}

/// The ticks that are missing between the first and the last, for a schedule that ticks this often.
pub fn missing<T>(ran: &BTreeMap<u64, T>, every: Duration) -> Vec<u64> {
    let every = u64::try_from(every.as_millis()).expect("an interval of a test is short");
    let (Some((first, _)), Some((last, _))) = (ran.first_key_value(), ran.last_key_value()) else { return Vec::new() };
    let ticks = (0..).map(|n| first + n * every).take_while(|tick| tick <= last);
    ticks.filter(|tick| !ran.contains_key(tick)).collect()
}
