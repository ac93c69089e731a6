//! Lists of tasks, however they are filtered.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::message,
    pool::Service,
    projection::{miscounts, tasks},
    until,
};

const PATIENCE: Duration = Duration::from_secs(30);

// The ids of all pages.
async fn ids(monitor: &Service, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = monitor.get(&format!("/api/tasks?{query}&limit=20{cursor}")).await.expect("a page");
        let tasks = page["tasks"].as_array().expect("a list").iter();
        ids.extend(tasks.map(|task| task["id"].as_str().expect("an id").to_owned()));
        let Value::String(next) = &page["next"] else { return ids };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn every_task_is_found_by_what_it_is_even_in_a_storm_of_kinds() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    for number in 0..30 {
        let properties = message("echo", &format!("good-{number}")).with_priority(number % 3);
        broker.publish(&pool.names().tasks(), "default", properties, b"{}").await;
    }
    for number in 0..250 {
        let properties = message(&format!("typo-{number}"), &format!("bad-{number}"));
        broker.publish(&pool.names().tasks(), "default", properties, b"{}").await;
    }
    monitor.count(TaskState::Succeeded, 30).await;
    monitor.count(TaskState::Dead, 250).await;
    assert_eq!(tasks(&monitor).await.len(), 280);
    assert_eq!(miscounts(&monitor).await, [""; 0]);

    for (query, number) in [
        ("state=succeeded", 30),
        ("state=dead,succeeded&queue=default", 280),
        ("queue=other", 0),
        ("kind=echo", 30),
        ("kind=typo-17", 1),
        ("kind=typo-17&state=succeeded", 0),
        ("kind=nothing-like-it", 0),
        ("priority=2", 10),
        ("priority=2&kind=echo&state=succeeded", 10),
        ("q=good-1", 11),
        ("q=good-29", 1),
        ("q=typo-17&state=dead", 11),
    ] {
        let found = ids(&monitor, query).await;
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{query}: no task comes twice");
        assert_eq!(found.len(), number, "{query}: {found:?}");
    }
}

#[tokio::test]
async fn what_waits_is_listed_by_time_whatever_its_priority_and_its_turn_is_told() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let configuration = format!("slots = 1\n{}", pool.gate());
    let (worker, monitor) = (pool.worker(&configuration).await, pool.monitor().await);
    broker.publish(&pool.names().tasks(), "default", message("gate", "busy"), b"").await;
    monitor.task("busy", TaskState::Running).await;
    for (id, priority) in [("a", 0), ("b", 9), ("c", 4), ("d", 0)] {
        let properties = message("gate", id).with_priority(priority);
        broker.publish(&pool.names().tasks(), "default", properties, br#"{"to":"see"}"#).await;
        monitor.task(id, TaskState::Queued).await;
    }
    assert_eq!(ids(&monitor, "state=queued").await, ["d", "c", "b", "a"]);
    assert_eq!(ids(&monitor, "state=queued&priority=0").await, ["d", "a"]);
    let oldest = &monitor.get("/api/queues").await.unwrap()["queues"][0]["oldest"];
    assert_eq!(*oldest, monitor.task("a", TaskState::Queued).await["since"]);
    let payload = &monitor.task("c", TaskState::Queued).await["payload"];
    assert_eq!((&payload["text"], &payload["truncated"]), (&json!(r#"{"to":"see"}"#), &json!(false)));

    let busy = until("the worker says what it does", PATIENCE, async || {
        let waiting = monitor.get("/api/tasks/d/waiting").await?;
        let full = waiting["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == "no_free_slot");
        if full { Ok(waiting) } else { Err(waiting.to_string()) }
    })
    .await;
    assert_eq!((&busy["waiting"], &busy["workers"][0]["can_run"]), (&json!(true), &json!(true)));
    for (id, ahead) in [("b", 0), ("c", 1), ("a", 2), ("d", 3)] {
        let waiting = monitor.get(&format!("/api/tasks/{id}/waiting")).await.unwrap();
        assert_eq!(waiting["ahead"], ahead, "{id}: {waiting}");
    }
    let runs = monitor.get("/api/tasks/busy/waiting").await.unwrap();
    assert_eq!(runs["waiting"], false);
    assert!(monitor.get("/api/tasks/nobody/waiting").await.unwrap_err().starts_with("404"));

    drop(worker);
    until("it is told that no worker is there", PATIENCE * 2, async || {
        let waiting = monitor.get("/api/tasks/d/waiting").await?;
        if waiting["reasons"][0]["code"] == "no_worker" { Ok(()) } else { Err(waiting.to_string()) }
    })
    .await;
    pool.open_gate();
    let _worker = pool.worker(&configuration).await;
    monitor.count(TaskState::Succeeded, 5).await;
    assert_eq!(monitor.task("c", TaskState::Succeeded).await["payload"], Value::Null);
}
