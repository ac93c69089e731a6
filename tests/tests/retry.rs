//! Failures: tried again with growing waits, and in the end among the dead letters.

use jiff::Timestamp;
use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{header, headers, message},
    timeline::{started, waits},
};

// Fails until a file has as many lines as the payload says, and then prints how many there were.
const FLAKY: &str = r#"
import json, os, sys
job = json.load(sys.stdin)
with open(job["file"], "a") as f: f.write("x\n")
tries = len(open(job["file"]).readlines())
if tries <= job["failures"]:
    print(f"failure number {tries}", file=sys.stderr)
    sys.exit(job.get("code", 1))
print(json.dumps({"tries": tries}))
"#;

fn worker(pool: &Pool) -> String {
    let script = pool.file("flaky.py", FLAKY);
    format!(
        "[handlers.flaky]\ntype = 'command'\ncommand = ['python3', '{script}']\nbackoff = 'exponential:200:5000'\njitter = 'none'\n"
    )
}

#[tokio::test]
async fn a_task_that_fails_twice_succeeds_at_its_third_attempt_after_growing_waits() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&worker(&pool)).await, pool.monitor().await);
    let payload = json!({"file": pool.folder().join("tries"), "failures": 2}).to_string();
    broker.publish("", &pool.queue(), message("flaky", "twice"), payload.as_bytes()).await;

    let task = monitor.task("twice", TaskState::Succeeded).await;
    let outcomes: Vec<_> = task["attempts"].as_array().unwrap().iter().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["retryable", "retryable", "success"]);
    assert_eq!(task["result"], json!({"tries": 3}));
    let waits = waits(&task);
    assert!(waits[0] >= 200 && waits[1] >= 400, "{waits:?}");
    assert!(task["attempts"][0]["error"].as_str().unwrap().contains("failure number 1"));
}

#[tokio::test]
async fn a_task_that_always_fails_is_a_dead_letter_with_its_last_error() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&worker(&pool)).await, pool.monitor().await);
    let (reply_to, mut replies) = broker.reply_queue().await;
    let payload = json!({"file": pool.folder().join("tries"), "failures": 99}).to_string();
    let policy = headers(&[("max_attempts", json!("3")), ("backoff", json!("fixed:100"))]);
    let properties = message("flaky", "never").with_headers(policy).with_reply_to(reply_to.as_str().into());
    broker.publish("", &pool.queue(), properties, payload.as_bytes()).await;

    let task = monitor.task("never", TaskState::Dead).await;
    assert_eq!((task["attempts"].as_array().unwrap().len(), &task["reason"]), (3, &json!("attempts_exhausted")));
    assert!(task["error"].as_str().unwrap().contains("failure number 3"), "{task}");
    let dead = monitor.get("/api/dead").await.unwrap();
    assert!(dead.to_string().contains("failure number 3"), "{dead}");

    let letter = broker.take(&pool.names().dead(&"default".parse().unwrap())).await;
    assert_eq!(letter.data, payload.as_bytes());
    assert_eq!(header(&letter, "warren-attempt").as_deref(), Some("3"));
    assert!(header(&letter, "warren-error").unwrap().contains("failure number 3"));
    assert!(header(&letter, "warren-first-failure") < header(&letter, "warren-last-failure"));
    let reply = Broker::reply(&mut replies).await;
    assert_eq!(header(&reply, "outcome").as_deref(), Some("retryable"));
    assert!(header(&reply, "error").unwrap().contains("failure number 3"));
}

#[tokio::test]
async fn exit_code_65_is_final() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&worker(&pool)).await, pool.monitor().await);
    let payload = json!({"file": pool.folder().join("tries"), "failures": 99, "code": 65}).to_string();
    broker.publish("", &pool.queue(), message("flaky", "final"), payload.as_bytes()).await;
    let task = monitor.task("final", TaskState::Dead).await;
    assert_eq!((task["attempts"].as_array().unwrap().len(), &task["reason"]), (1, &json!("permanent")));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_ended_with_its_children() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let marker = pool.folder().join("survived").display().to_string();
    let script = pool.file("slow.sh", &format!("(sleep 3; touch {marker}) & sleep 60"));
    let configuration = format!("[handlers.slow]\ntype = 'command'\ncommand = ['sh', '{script}']\nmax_attempts = 1\n");
    let (_worker, monitor) = (pool.worker(&configuration).await, pool.monitor().await);
    let limit = headers(&[("timeout", json!(300))]);
    broker.publish("", &pool.queue(), message("slow", "slow").with_headers(limit), b"").await;
    let task = monitor.task("slow", TaskState::Dead).await;
    assert_eq!(task["attempts"][0]["outcome"], "timeout");
    // The grandchild would have written its file three seconds after the start.
    let started = started(&task);
    warren_tests::until("the grandchild's time is over", warren_tests::pool::PATIENCE, async || {
        if Timestamp::now().as_millisecond() > started + 4_000 { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert!(!std::path::Path::new(&marker).exists(), "a grandchild outlived the attempt");
}
