//! The profile for clusters: quorum queues instead of classic ones.

use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{header, headers, management, message},
    pool::PATIENCE,
    timeline::{started, waits},
};

fn quorum() -> (&'static str, String) {
    ("WARREN_AMQP__PROFILE", "quorum".to_owned())
}

#[tokio::test]
async fn tasks_run_are_retried_delayed_and_buried_on_quorum_queues() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let file = pool.file("w.toml", "[handlers.fails]\ntype = 'command'\ncommand = ['false']\n");
    let _worker = pool.start("warren-worker", &[], &[quorum(), ("WARREN_CONFIG", file)]).await;
    let monitor = pool.start("warren-monitor", &[], &[quorum()]).await;
    let queue = management(reqwest::Method::GET, &format!("/api/queues/%2f/{}", pool.queue())).await.unwrap();
    assert_eq!(queue["type"], "quorum");

    broker.publish(&pool.names().tasks(), "default", message("echo", "plain"), b"1").await;
    monitor.task("plain", TaskState::Succeeded).await;
    let begun = jiff::Timestamp::now().as_millisecond();
    let wait = headers(&[("delay", json!(700))]);
    broker.publish("", &pool.queue(), message("echo", "delayed").with_headers(wait), b"1").await;
    assert!(started(&monitor.task("delayed", TaskState::Succeeded).await) >= begun + 700);
    let twice = headers(&[("max_attempts", json!(2)), ("backoff", json!("fixed:300"))]);
    broker.publish("", &pool.queue(), message("fails", "dead").with_headers(twice), b"1").await;
    let task = monitor.task("dead", TaskState::Dead).await;
    assert!(waits(&task)[0] >= 300, "{task}");
    let letter = broker.take(&pool.names().dead(&"default".parse().unwrap())).await;
    assert_eq!(header(&letter, "warren-reason").as_deref(), Some("attempts_exhausted"));
}

#[tokio::test]
async fn a_worker_with_another_profile_says_what_differs() {
    let pool = Pool::new();
    let _classic = pool.worker("").await;
    let mut check = warren_tests::Process::start("warren-worker", &["check"], &{
        let mut variables = pool.variables();
        variables.push(quorum());
        variables
    });
    assert_eq!(check.ended(PATIENCE).await.code(), Some(1));
    let output = check.output();
    assert!(output.contains("exists with other arguments") && output.contains("amqp.profile"), "{output}");
}
