//! The four clients of docs/protocol.md, each in its own language and with nothing of ours.

use std::process::Command;

use serde_json::Value;
use warren_core::TaskState;
use warren_tests::{Broker, Pool, broker::message, servers, timeline};

fn client(program: &str, script: &str) -> Command {
    let root = servers::root();
    let mut command = Command::new(program);
    command.arg(root.join("examples/clients").join(script));
    command.env("AMQP_URL", servers::amqp()).env("MANAGEMENT_URL", servers::management());
    // Node looks for packages beside the script; this run's are elsewhere.
    command.env("WARREN_TEST_NODE_MODULES", servers::node_modules());
    command
}

fn enqueue(command: Command, pool: &Pool, arguments: &[&str]) {
    enqueue_through(command, &pool.names().tasks(), arguments);
}

fn enqueue_through(mut command: Command, exchange: &str, arguments: &[&str]) {
    command.arg("--exchange").arg(exchange).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

// Node resolves packages from the script's own folder upward, so it is run from a copy beside the packages.
fn node(pool: &Pool) -> Command {
    let source = servers::root().join("examples/clients/node/enqueue.mjs");
    let copy = pool.folder().join("enqueue.mjs");
    std::fs::copy(source, &copy).expect("a copy of the script");
    let packages = pool.folder().join("node_modules");
    if !packages.exists() {
        std::os::unix::fs::symlink(servers::node_modules(), packages).expect("a link to the packages");
    }
    let mut command = Command::new("node");
    command.arg(copy).env("AMQP_URL", servers::amqp());
    command
}

async fn started(monitor: &warren_tests::pool::Service, ids: &[&str]) -> Vec<String> {
    let mut starts = Vec::new();
    for id in ids {
        let task = monitor.task(id, TaskState::Succeeded).await;
        starts.push((timeline::started(&task), (*id).to_owned()));
    }
    starts.sort();
    starts.into_iter().map(|(_, id)| id).collect()
}

async fn honours_priorities(client: impl Fn(&Pool) -> Command) {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&format!("slots = 1\n{}", pool.gate())).await, pool.monitor().await);
    broker.publish("", &pool.queue(), message("gate", "busy"), b"").await;
    monitor.task("busy", TaskState::Running).await;
    for (id, priority) in [("low", "1"), ("high", "9"), ("middle", "5")] {
        let arguments = ["--kind", "sleep", "--payload", r#"{"ms":5}"#, "--id", id, "--priority", priority];
        enqueue(client(&pool), &pool, &arguments);
    }
    pool.open_gate();
    assert_eq!(started(&monitor, &["low", "high", "middle"]).await, ["high", "middle", "low"]);
    let task: Value = monitor.task("high", TaskState::Succeeded).await;
    assert_eq!((&task["kind"], &task["priority"]), (&Value::from("sleep"), &Value::from(9)));
}

#[tokio::test]
async fn python_with_pika() {
    honours_priorities(|_| client(&servers::python(), "python/enqueue.py")).await;
}

#[tokio::test]
async fn python_keeps_the_order_of_a_key() {
    let pool = Pool::new();
    let (_worker, monitor) = (pool.worker("slots = 4").await, pool.monitor().await);
    let arguments =
        ["--kind", "sleep", "--payload", r#"{"ms":20}"#, "--id", "t", "--count", "10", "--header", "order_key=42"];
    enqueue_through(client(&servers::python(), "python/enqueue.py"), &pool.names().ordered(), &arguments);
    let mut over = 0;
    for n in 0..10 {
        let task = monitor.task(&format!("t-{n}"), TaskState::Succeeded).await;
        assert_eq!(task["order_key"], "42");
        let (start, end) =
            (timeline::millis(&task["attempts"][0]["start"]), timeline::millis(&task["attempts"][0]["end"]));
        assert!(over <= start, "t-{n} began {} ms before the end of the one ahead", over - start);
        over = end;
    }
}

#[tokio::test]
async fn node_with_amqplib() {
    honours_priorities(node).await;
}

#[tokio::test]
async fn the_management_api_with_curl() {
    honours_priorities(|_| client("bash", "management/enqueue.sh")).await;
}

#[tokio::test]
async fn the_c_command_line_with_a_header_for_the_kind() {
    let pool = Pool::new();
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let arguments = ["--kind", "echo", "--payload", r#"{"n":1}"#, "--count", "3", "--delay", "300"];
    enqueue(client("bash", "shell/enqueue.sh"), &pool, &arguments);
    monitor.count(TaskState::Succeeded, 3).await;
}
