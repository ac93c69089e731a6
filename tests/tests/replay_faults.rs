//! What interrupts a replay costs nothing: each letter is replayed once, whoever dies in the middle.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool, Stand,
    broker::message,
    http, ledger,
    pool::{PATIENCE, Service},
    until,
};

const LETTERS: usize = 1_000;
// So far it has come when it is interrupted.
const BEGUN: u64 = 100;
// A worker holds so many deliveries whose acknowledgement can die with the broker: its slots, and as many that wait for a
// confirm.
const IN_FLIGHT: usize = 2 * 4;

struct Scene {
    pool: Pool,
    broker: String,
    monitor: Service,
    _worker: Service,
}

impl Scene {
    // A thousand dead letters of one group.
    async fn set(pool: Pool, broker: &str) -> Self {
        let monitor = pool.monitor().await;
        let ledger = pool.folder().join("ledger").display().to_string();
        let config = pool.file("worker.toml", "slots = 4\n");
        let variables = [("WARREN_CONFIG", config), ("LEDGER", ledger)];
        let worker = pool.start("ledger-worker", &[], &variables).await;
        let client = Broker::at(broker).await;
        let (queue, ids) = (pool.queue(), (0..LETTERS).map(|n| format!("order-{n}")).collect::<Vec<_>>());
        join_all(ids.iter().map(|id| client.publish("", &queue, message("ledger", id), br#"{"hopeless":true}"#))).await;
        monitor.count(TaskState::Dead, LETTERS as u64).await;
        Self { pool, broker: broker.to_owned(), monitor, _worker: worker }
    }

    async fn post(&self, path: &str) -> Value {
        let request = http::client().post(format!("{}{path}", self.monitor.url)).json(&json!({}));
        let answer = request.send().await.expect("the monitor answers");
        assert_eq!(answer.status().as_u16(), 202, "{path}");
        answer.json().await.expect("JSON")
    }

    // Begins to replay all of them, and returns when that is well under way.
    async fn begin(&self) -> String {
        let groups = self.monitor.get("/api/dead/groups").await.expect("groups");
        let group = groups["groups"][0]["fingerprint"].as_str().expect("a group").to_owned();
        let job =
            self.post(&format!("/api/dead/groups/{group}/replay")).await["job"].as_str().expect("a job").to_owned();
        let done = until("the replay is under way", PATIENCE, async || {
            let done = self.job(&job).await?["done"].as_u64().unwrap_or_default();
            if done >= BEGUN { Ok(done) } else { Err(done.to_string()) }
        })
        .await;
        assert!(done < LETTERS as u64, "it was over before it could be interrupted");
        job
    }

    async fn job(&self, id: &str) -> Result<Value, String> {
        let jobs = self.monitor.get("/api/jobs").await?;
        let job = jobs["jobs"].as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == id));
        job.cloned().ok_or_else(|| jobs.to_string())
    }

    // Everything is over, and the job has counted each letter once.
    async fn is_done(&self, id: &str) {
        let job = until("the replay is over", PATIENCE * 3, async || {
            let job = self.job(id).await?;
            if job["state"] == "running" { Err(job.to_string()) } else { Ok(job) }
        })
        .await;
        let counted = (&job["state"], &job["done"], &job["failed"], &job["error"]);
        assert_eq!(counted, (&json!("done"), &json!(LETTERS), &json!(0), &Value::Null), "{job}");
    }

    // Each task has run once more and succeeded; nothing is left among the dead. Returns those that ran more often.
    async fn balance(&self) -> Vec<String> {
        self.monitor.count(TaskState::Succeeded, LETTERS as u64).await;
        let dead = self.pool.names().dead(&warren_core::QueueName::default());
        until("no letter is left", PATIENCE, async || {
            let depth = Broker::at(&self.broker).await.depth(&dead).await;
            if depth == Some(0) { Ok(()) } else { Err(depth) }
        })
        .await;
        let executions = ledger::executions(&self.pool.folder().join("ledger"));
        assert_eq!(executions.len(), LETTERS);
        let runs = |attempts: &BTreeMap<u32, Vec<_>>| attempts.get(&2).map_or(0, Vec::len);
        let lost: Vec<_> = executions.iter().filter(|(_, attempts)| runs(attempts) == 0).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let third: Vec<_> = executions.iter().filter(|(_, attempts)| attempts.contains_key(&3)).collect();
        assert!(third.is_empty(), "replayed twice: {third:?}");
        executions.iter().filter(|(_, attempts)| runs(attempts) > 1).map(|(task, _)| task.clone()).collect()
    }
}

#[tokio::test]
async fn a_monitor_that_dies_in_the_middle_leaves_the_rest_to_the_next_and_none_runs_twice() {
    let mut scene = Scene::set(Pool::new(), &warren_tests::servers::amqp()).await;
    let job = scene.begin().await;
    scene.monitor.process.kill();
    scene.monitor = scene.pool.monitor().await;
    scene.is_done(&job).await;
    assert_eq!(scene.balance().await, [""; 0]);
}

#[tokio::test]
async fn copies_that_wait_in_a_paused_queue_run_once_whoever_died_when_they_were_made() {
    let mut scene = Scene::set(Pool::new(), &warren_tests::servers::amqp()).await;
    scene.post("/api/queues/default/pause").await;
    let job = scene.begin().await;
    scene.monitor.process.kill();
    scene.monitor = scene.pool.monitor().await;
    scene.is_done(&job).await;
    scene.monitor.count(TaskState::Dead, 0).await;
    let executions = ledger::executions(&scene.pool.folder().join("ledger"));
    // What the workers took before they heard of the pause has run.
    assert!(executions.values().filter(|attempts| attempts.contains_key(&2)).count() < LETTERS / 2);
    scene.post("/api/queues/default/resume").await;
    assert_eq!(scene.balance().await, [""; 0]);
}

#[tokio::test]
async fn a_broker_that_is_killed_in_the_middle_loses_no_letter() {
    let stand = Stand::start().await;
    let scene = Scene::set(Pool::on(&stand), stand.amqp()).await;
    let job = scene.begin().await;
    stand.kill_broker().await;
    stand.restore_broker().await;
    scene.is_done(&job).await;
    let twice = scene.balance().await;
    eprintln!("{} of {LETTERS} ran twice", twice.len());
    assert!(twice.len() <= IN_FLIGHT, "more than were under way: {twice:?}");
}
