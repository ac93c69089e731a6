//! What a death, a cut and a flush cost: work twice at worst, and never a task.

use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{close_connections, message},
    pool::PATIENCE,
    until,
};

// Appends a line to a file when it starts, and sleeps; so the file counts executions.
const COUNTED: &str = r#"
import json, sys, time
job = json.load(sys.stdin)
with open(job["file"], "a") as f: f.write("x\n")
time.sleep(job.get("seconds", 0))
"#;

fn worker(pool: &Pool, head: &str) -> String {
    let script = pool.file("counted.py", COUNTED);
    format!("heartbeat = '500ms'\n{head}\n[handlers.counted]\ntype = 'command'\ncommand = ['python3', '{script}']\n")
}

fn payload(pool: &Pool, name: &str, seconds: f64) -> Vec<u8> {
    json!({"file": pool.folder().join(name), "seconds": seconds}).to_string().into_bytes()
}

fn executions(pool: &Pool, name: &str) -> usize {
    std::fs::read_to_string(pool.folder().join(name)).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn redelivers_after_worker_is_killed_and_finds_the_lost_worker() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_LOST_AFTER", "2s".into())]).await;
    let mut first = pool.worker(&worker(&pool, "")).await;
    broker.publish("", &pool.queue(), message("counted", "survivor"), &payload(&pool, "runs", 2.0)).await;
    monitor.task("survivor", TaskState::Running).await;
    // Its program dies with it, and must have begun to count.
    until("the program has begun", PATIENCE, async || match executions(&pool, "runs") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    first.process.kill();
    let _second = pool.worker(&worker(&pool, "")).await;
    let task = monitor.task("survivor", TaskState::Succeeded).await;
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "a lost worker costs no attempt: {task}");
    assert_eq!(executions(&pool, "runs"), 2);
    until("the lost worker is found", PATIENCE, async || {
        let findings = monitor.get("/api/findings").await?.to_string();
        if findings.contains("lost_worker") { Ok(()) } else { Err(findings) }
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_lets_what_runs_finish_and_gives_the_rest_back() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let mut worker_process = pool.worker(&worker(&pool, "slots = 1")).await;
    broker.publish("", &pool.queue(), message("counted", "running"), &payload(&pool, "running", 1.5)).await;
    broker.publish("", &pool.queue(), message("counted", "waiting"), &payload(&pool, "waiting", 0.0)).await;
    monitor.task("running", TaskState::Running).await;
    worker_process.process.terminate();
    until("it is not ready any more", PATIENCE, async || match worker_process.get("/ready").await {
        Ok(ready) => Err(ready),
        Err(_) => Ok(()),
    })
    .await;
    assert!(worker_process.process.ended(PATIENCE).await.success());
    monitor.task("running", TaskState::Succeeded).await;
    assert_eq!((executions(&pool, "running"), executions(&pool, "waiting")), (1, 0));
    assert_eq!(broker.depth(&pool.queue()).await, Some(1));
    let _next = pool.worker(&worker(&pool, "")).await;
    monitor.task("waiting", TaskState::Succeeded).await;
}

#[tokio::test]
async fn an_attempt_that_outlasts_the_grace_goes_back_and_costs_nothing() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let mut first = pool.worker(&worker(&pool, "grace = '500ms'")).await;
    broker.publish("", &pool.queue(), message("counted", "long"), &payload(&pool, "long", 4.0)).await;
    monitor.task("long", TaskState::Running).await;
    first.process.terminate();
    assert!(first.process.ended(PATIENCE).await.success());
    monitor.task("long", TaskState::Queued).await;
    let _second = pool.worker(&worker(&pool, "")).await;
    let task = monitor.task("long", TaskState::Succeeded).await;
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "{task}");
}

#[tokio::test]
async fn a_worker_whose_connections_are_closed_runs_nothing_twice_and_comes_back() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let worker_process = pool.worker(&worker(&pool, "")).await;
    let id = monitor.get("/api/workers").await.unwrap()["workers"][0]["id"].as_str().unwrap().to_owned();
    broker.publish("", &pool.queue(), message("counted", "cut"), &payload(&pool, "cut", 8.0)).await;
    monitor.task("cut", TaskState::Running).await;
    close_connections(&id).await;
    monitor.task("cut", TaskState::Succeeded).await;
    assert_eq!(executions(&pool, "cut"), 1, "the running attempt takes the redelivery over");
    worker_process.ready().await;
    broker.publish("", &pool.queue(), message("echo", "after"), b"1").await;
    monitor.task("after", TaskState::Succeeded).await;
    broker.holds(&pool.queue(), 0).await;
}

#[tokio::test]
async fn tasks_run_without_redis() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let nowhere = ("WARREN_REDIS__URL", "redis://127.0.0.1:1/0".to_owned());
    let _worker = pool.start("warren-worker", &[], &[nowhere]).await;
    let (reply_to, mut replies) = broker.reply_queue().await;
    broker.publish("", &pool.queue(), message("echo", "t").with_reply_to(reply_to.as_str().into()), b"7").await;
    assert_eq!(Broker::reply(&mut replies).await.data, b"7");
    // A monitor that comes later catches up from the log.
    let monitor = pool.monitor().await;
    monitor.task("t", TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_flushed_projection_is_rebuilt_from_the_log() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    for n in 0..200 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("t{n}")), b"1").await;
    }
    broker.publish("", &pool.queue(), message("nobody", "dead"), b"1").await;
    monitor.count(TaskState::Succeeded, 200).await;
    monitor.task("dead", TaskState::Dead).await;
    let before = monitor.get("/api/tasks?limit=500").await.unwrap();

    let client = redis::Client::open(warren_tests::servers::redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{{{}}}:*", pool.names().namespace()))
        .query_async(&mut connection)
        .await
        .unwrap();
    let _: () = redis::cmd("DEL").arg(&keys).query_async(&mut connection).await.unwrap();
    // The next event makes the monitor notice.
    broker.publish("", &pool.queue(), message("echo", "next"), b"1").await;
    monitor.count(TaskState::Succeeded, 201).await;
    let after = monitor.get("/api/tasks?limit=500").await.unwrap();
    let ended = |list: &serde_json::Value| -> Vec<String> {
        let mut items: Vec<_> =
            list["tasks"].as_array().unwrap().iter().filter(|t| t["id"] != "next").map(ToString::to_string).collect();
        items.sort();
        items
    };
    assert_eq!(ended(&before), ended(&after));
}

#[tokio::test]
async fn two_monitors_apply_everything_once_and_the_second_takes_over() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let mut first = pool.monitor().await;
    let second = pool.monitor().await;
    let _worker = pool.worker("").await;
    for n in 0..100 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("a{n}")), b"1").await;
    }
    first.count(TaskState::Succeeded, 100).await;
    second.count(TaskState::Succeeded, 100).await;
    first.process.kill();
    for n in 0..100 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("b{n}")), b"1").await;
    }
    second.count(TaskState::Succeeded, 200).await;
}

#[tokio::test]
async fn four_workers_share_the_work_and_are_all_shown() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(pool.worker("slots = 1").await);
    }
    for n in 0..40 {
        broker.publish("", &pool.queue(), message("sleep", &format!("s{n}")), br#"{"ms":50}"#).await;
    }
    monitor.count(TaskState::Succeeded, 40).await;
    let shown = monitor.get("/api/workers").await.unwrap();
    assert_eq!(shown["workers"].as_array().unwrap().len(), 4, "{shown}");
    let mut used = std::collections::BTreeSet::new();
    for n in 0..40 {
        let task = monitor.get(&format!("/api/tasks/s{n}")).await.unwrap();
        used.insert(task["attempts"][0]["worker"].as_str().unwrap().to_owned());
    }
    assert_eq!(used.len(), 4);
}

#[tokio::test]
async fn a_worker_that_starts_before_its_broker_is_not_ready_and_waits() {
    let pool = Pool::new();
    let nowhere = ("WARREN_AMQP__URL", "amqp://guest:guest@127.0.0.1:1/%2f".to_owned());
    let worker = pool.launch("warren-worker", &[], &[nowhere]);
    let not_ready = until("it answers", PATIENCE, async || match worker.get("/live").await {
        Ok(_) => Ok(worker.get("/ready").await),
        Err(error) => Err(error),
    })
    .await;
    assert!(not_ready.unwrap_err().starts_with("503"));
}
