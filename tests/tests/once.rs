//! What is published twice under one id, and says so, runs once.

use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    ledger::lines,
};

const TASKS: usize = 100;

// A program crashes alone, so its start is not confirmed before it runs, unless another copy may begin at the same moment.
#[tokio::test]
async fn two_copies_that_two_workers_take_at_once_run_once() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let ran = pool.folder().join("ran");
    let script = pool.file("run.sh", &format!("echo $WARREN_TASK_ID >> {}; sleep 0.1", ran.display()));
    let handler = format!("slots = 8\n[handlers.note]\ntype = 'command'\ncommand = ['sh', '{script}']\n");
    // Which of two is the first is for the log to say, and not for their clocks.
    let (_one, _other) = (pool.worker(&handler).await, pool.worker_with_clock("-0.3", &handler).await);
    let monitor = pool.monitor().await;
    let once = || headers(&[("once", json!("true"))]);
    // It holds as far as the monitor follows the log: here it has begun to.
    broker.publish("", &pool.queue(), message("note", "first").with_headers(once()), b"{}").await;
    monitor.task("first", TaskState::Succeeded).await;
    for task in 0..TASKS {
        for _ in 0..2 {
            let copy = message("note", &format!("task-{task}")).with_headers(once());
            broker.publish("", &pool.queue(), copy, b"{}").await;
        }
    }
    monitor.count(TaskState::Succeeded, TASKS as u64 + 1).await;
    // The second copies rest on the ladder while the first run, and find them ended.
    broker.holds(&pool.queue(), 0).await;
    let late = message("note", "task-0").with_headers(once());
    broker.publish("", &pool.queue(), late, b"{}").await;
    let last = message("note", "last").with_headers(once());
    broker.publish("", &pool.queue(), last, b"{}").await;
    monitor.task("last", TaskState::Succeeded).await;
    assert_eq!(lines(&ran), TASKS + 2, "{}", std::fs::read_to_string(&ran).unwrap_or_default());
}
