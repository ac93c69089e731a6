//! Waiting: never too short, hardly too long, and not for ever.

use jiff::Timestamp;
use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    timeline::started,
};

#[tokio::test]
async fn a_delayed_task_never_starts_early_and_soon_after_its_time() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("slots = 4").await, pool.monitor().await);
    let begun = Timestamp::now().as_millisecond();
    let delays = [30, 100, 450, 1_000, 2_300, 3_900];
    for delay in delays {
        let id = format!("after-{delay}");
        let wait = headers(&[("delay", json!(delay))]);
        broker.publish("", &pool.queue(), message("echo", &id).with_headers(wait), b"1").await;
    }
    monitor.task("after-3900", TaskState::Delayed).await;
    for delay in delays {
        let task = monitor.task(&format!("after-{delay}"), TaskState::Succeeded).await;
        let late = started(&task) - begun - delay;
        assert!((0..2_500).contains(&late), "delay {delay} was late by {late} ms");
    }
}

#[tokio::test]
async fn eta_is_honoured_in_both_shapes_and_for_dead_times_at_once() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let eta = Timestamp::now().as_millisecond() + 1_200;
    let text = Timestamp::from_millisecond(eta).unwrap().to_string();
    for (id, value) in [("number", json!(eta)), ("text", json!(text)), ("past", json!("2020-01-01T00:00:00Z"))] {
        broker.publish("", &pool.queue(), message("echo", id).with_headers(headers(&[("eta", value)])), b"1").await;
    }
    for id in ["number", "text"] {
        let task = monitor.task(id, TaskState::Succeeded).await;
        assert!(started(&task) >= eta, "{task}");
    }
    assert!(started(&monitor.task("past", TaskState::Succeeded).await) < eta);
}

#[tokio::test]
async fn what_is_not_started_in_time_expires_and_is_kept() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("slots = 1").await, pool.monitor().await);
    broker.publish("", &pool.queue(), message("sleep", "busy"), br#"{"ms":1500}"#).await;
    monitor.task("busy", TaskState::Running).await;
    let waiting = message("echo", "in-queue").with_expiration("300".into());
    broker.publish(&pool.names().tasks(), "default", waiting, b"1").await;
    let both =
        message("echo", "on-ladder").with_expiration("200".into()).with_headers(headers(&[("delay", json!(900))]));
    monitor.task("busy", TaskState::Succeeded).await;
    broker.publish("", &pool.queue(), both, b"2").await;
    for id in ["in-queue", "on-ladder"] {
        let task = monitor.task(id, TaskState::Expired).await;
        assert_eq!(task["attempts"].as_array().map(Vec::is_empty), Some(true), "{task}");
    }
    let dead = pool.names().dead(&"default".parse().unwrap());
    broker.take(&dead).await;
    broker.take(&dead).await;
}

#[tokio::test]
async fn no_attempt_starts_after_its_deadline_the_first_or_a_later_one() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let failing =
        "slots = 1\n[handlers.fail]\ntype = 'command'\ncommand = ['false']\nbackoff = 'fixed:3000'\njitter = 'none'\n";
    let (_worker, monitor) = (pool.worker(failing).await, pool.monitor().await);
    let past = message("echo", "past").with_headers(headers(&[("deadline", json!("2020-01-01T00:00:00Z"))]));
    broker.publish(&pool.names().tasks(), "default", past, b"1").await;
    let soon = Timestamp::now().as_millisecond() + 2_000;
    // It is tried once, and would be tried again a second too late.
    let retried = message("fail", "retried").with_headers(headers(&[("deadline", json!(soon))]));
    broker.publish("", &pool.queue(), retried, b"1").await;
    let ahead = message("echo", "ahead").with_headers(headers(&[("deadline", json!("2100-01-01T00:00:00Z"))]));
    broker.publish("", &pool.queue(), ahead, b"1").await;
    monitor.task("ahead", TaskState::Succeeded).await;
    for (id, attempts) in [("past", 0), ("retried", 1)] {
        let task = monitor.task(id, TaskState::Expired).await;
        assert_eq!(task["attempts"].as_array().map(Vec::len), Some(attempts), "{task}");
    }
    let bad = message("echo", "bad").with_headers(headers(&[("deadline", json!("tomorrow"))]));
    broker.publish("", &pool.queue(), bad, b"1").await;
    let task = monitor.task("bad", TaskState::Dead).await;
    assert!(task.to_string().contains("deadline: expected RFC 3339"), "{task}");
}
