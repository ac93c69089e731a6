//! Handlers in Rust that panic or kill their worker.

use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{header, headers, message},
    pool::PATIENCE,
    until,
};

const PROGRAM: &str = "hostile-worker";

#[tokio::test]
async fn a_panic_is_a_retryable_failure_and_the_worker_lives() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker_program(PROGRAM, "").await, pool.monitor().await);
    let once = headers(&[("max_attempts", json!(1))]);
    broker.publish("", &pool.queue(), message("panic", "p").with_headers(once), b"").await;
    let task = monitor.task("p", TaskState::Dead).await;
    assert!(task["error"].as_str().unwrap().contains("as was asked for"), "{task}");
    broker.publish("", &pool.queue(), message("wait", "w"), b"").await;
    until("its progress is shown", PATIENCE, async || {
        let task = monitor.get("/api/tasks/w").await?.to_string();
        if task.contains("\"progress\":0.") { Ok(()) } else { Err(task) }
    })
    .await;
    assert_eq!(monitor.task("w", TaskState::Succeeded).await["result"], "waited");
}

#[tokio::test]
async fn a_task_that_kills_its_worker_is_put_aside_and_its_neighbours_lose_nothing() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_LOST_AFTER", "2s".into())]).await;
    let configuration = "slots = 1\nprefetch = 8\nheartbeat = '500ms'\n";
    // The queue is made by a worker that leaves again, so that everything lies there before the first victim comes.
    drop(pool.worker(configuration).await);
    broker.publish("", &pool.queue(), message("kill-the-worker", "poison").with_priority(9), b"").await;
    for n in 0..6 {
        broker.publish("", &pool.queue(), message("echo", &format!("good{n}")), b"1").await;
    }
    let mut victims = 0;
    let task = until("the task is put aside", PATIENCE * 3, async || {
        let mut worker = pool.launch(PROGRAM, &[], &[("WARREN_CONFIG", pool.file("w.toml", configuration))]);
        // As a supervisor would: the next one starts when this one is dead, unless the task has been put aside.
        loop {
            let task = monitor.get("/api/tasks/poison").await.unwrap_or_default();
            if task["state"] == "dead" {
                worker.process.terminate();
                worker.process.ended(PATIENCE).await;
                return Ok(task);
            }
            if worker.process.is_dead() {
                victims += 1;
                return Err(format!("{victims} workers have died"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(task["reason"], "poison");
    assert_eq!(victims, 3);
    let letter = broker.take(&pool.names().dead(&"default".parse().unwrap())).await;
    assert_eq!(header(&letter, "warren-reason").as_deref(), Some("poison"));

    let _worker = pool.worker("").await;
    for n in 0..6 {
        let task = monitor.task(&format!("good{n}"), TaskState::Succeeded).await;
        assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "{task}");
        assert_eq!(task["attempts"][0]["outcome"], "success");
    }
}
