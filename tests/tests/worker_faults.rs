//! What is left to do when a worker dies, freezes or is cut off between a task's begin and its acknowledgement.

use reqwest::Method;
use serde_json::{Value, json};
use warren_core::{QueueName, TaskState};
use warren_tests::{
    Broker, Pool, Proxy, Wire,
    broker::{close_connections, headers, message},
    http, ledger,
    pool::{PATIENCE, Service},
    servers,
    timeline::millis,
    until,
};

const HEARTBEAT: &str = "heartbeat = '500ms'\n";

// Says that it begins, waits for the gate, says that it is done. What a first attempt then ends with is its argument.
fn handlers(pool: &Pool, head: &str) -> String {
    let (runs, open) = (pool.folder().join("runs"), pool.folder().join("open"));
    let script = format!(
        "say() {{ echo \"$1 $WARREN_TASK_ID $WARREN_ATTEMPT\" >> {}; }}\nsay begin\nwhile [ ! -e {} ]; do sleep 0.02; \
         done\nsay done\n[ $WARREN_ATTEMPT -gt 1 ] || exit $1\n",
        runs.display(),
        open.display()
    );
    let script = pool.file("handler.sh", &script);
    let kind = |name: &str, status: u8| {
        format!("[handlers.{name}]\ntype = 'command'\ncommand = ['sh', '{script}', '{status}']\n")
    };
    format!("{HEARTBEAT}{head}\n{}{}{}", kind("good", 0), kind("shaky", 1), kind("hopeless", 65))
}

// Two missed heartbeats are a second in the other tests, and a loaded machine takes longer than that to connect anew.
fn patient(pool: &Pool) -> String {
    handlers(pool, "slots = 2").replace(HEARTBEAT, "heartbeat = '2s'\n")
}

fn lines(pool: &Pool, beginning: &str) -> usize {
    let runs = std::fs::read_to_string(pool.folder().join("runs")).unwrap_or_default();
    runs.lines().filter(|line| line.starts_with(beginning)).count()
}

async fn said(pool: &Pool, beginning: &str, count: usize) {
    until(&format!("{count} times {beginning}"), PATIENCE, async || match lines(pool, beginning) {
        seen if seen == count => Ok(()),
        seen => Err(seen),
    })
    .await;
}

async fn monitor(pool: &Pool) -> Service {
    pool.start("warren-monitor", &[], &[("WARREN_LOST_AFTER", "2s".into())]).await
}

// A worker whose wires to the broker go through the proxy.
async fn behind(proxy: &Proxy, pool: &Pool, configuration: &str) -> Service {
    let file = pool.file("behind.toml", configuration);
    pool.start("warren-worker", &[], &[("WARREN_CONFIG", file), ("WARREN_AMQP__URL", proxy.url().to_owned())]).await
}

async fn hand_in(broker: &Broker, pool: &Pool, kind: &str, backoff: u64) {
    let backoff = headers(&[("backoff", json!(format!("fixed:{backoff}")))]);
    broker.publish("", &pool.queue(), message(kind, kind).with_headers(backoff), b"").await;
}

// With one slot and everything handed in before it, whatever was to be done with that has been done when this has run.
async fn nothing_is_left(broker: &Broker, pool: &Pool, monitor: &Service) {
    broker.publish("", &pool.queue(), message("echo", "last"), b"1").await;
    monitor.task("last", TaskState::Succeeded).await;
    assert_eq!(broker.depth(&pool.queue()).await, Some(0));
}

async fn dead_letters(broker: &Broker, pool: &Pool) -> Option<u32> {
    broker.depth(&pool.names().dead(&QueueName::default())).await
}

async fn policy(pool: &Pool, method: Method) {
    let names = pool.names().tasks();
    let namespace = names.strip_suffix(".tasks").expect("names begin with the namespace");
    let url = format!("{}/api/policies/%2f/{namespace}", servers::management());
    let full = json!({"max-length": 0, "overflow": "reject-publish"});
    let pattern = format!("^{namespace}\\.(delay|dead)\\.");
    let body = json!({"pattern": pattern, "definition": full, "apply-to": "queues"}).to_string();
    let request = http::client().request(method, url).header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("the management API answers");
    answer.error_for_status().expect("it takes the policy");
}

fn attempts(task: &Value) -> &Vec<Value> {
    task["attempts"].as_array().expect("a list of attempts")
}

#[tokio::test]
async fn a_worker_that_dies_with_an_outcome_it_could_not_tell_costs_a_second_run_and_no_attempt() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (proxy, monitor) = (Proxy::to(&servers::amqp()).await, monitor(&pool).await);
    let mut first = behind(&proxy, &pool, &handlers(&pool, "")).await;
    hand_in(&broker, &pool, "good", 100).await;
    monitor.task("good", TaskState::Running).await;
    proxy.set(Wire::Silent);
    pool.open_gate();
    said(&pool, "done", 1).await;
    first.process.kill();
    proxy.set(Wire::Cut);
    let _second = pool.worker(&handlers(&pool, "slots = 1")).await;
    let task = monitor.task("good", TaskState::Succeeded).await;
    assert_eq!((lines(&pool, "begin"), attempts(&task).len()), (2, 1), "{task}");
    nothing_is_left(&broker, &pool, &monitor).await;
}

#[tokio::test]
async fn what_has_ended_on_record_is_not_run_again_when_only_the_acknowledgement_was_lost() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (proxy, monitor) = (Proxy::to(&servers::amqp()).await, monitor(&pool).await);
    let mut first = behind(&proxy, &pool, &handlers(&pool, "slots = 3")).await;
    hand_in(&broker, &pool, "good", 0).await;
    hand_in(&broker, &pool, "shaky", 4_000).await;
    hand_in(&broker, &pool, "hopeless", 0).await;
    said(&pool, "begin", 3).await;
    proxy.set(Wire::Mute(" consume"));
    pool.open_gate();
    monitor.task("good", TaskState::Succeeded).await;
    monitor.task("hopeless", TaskState::Dead).await;
    let delayed = monitor.task("shaky", TaskState::Delayed).await;
    until("the copies are made", PATIENCE, async || match dead_letters(&broker, &pool).await {
        Some(1) => Ok(()),
        other => Err(other),
    })
    .await;
    first.process.kill();

    let _second = pool.worker(&handlers(&pool, "slots = 1")).await;
    monitor.task("shaky", TaskState::Succeeded).await;
    // The copy that the second worker made comes later than that of the first, and finds what it has become.
    let due = millis(&delayed["due"]);
    until("the second copy has come", PATIENCE, async || {
        let task = monitor.get("/api/tasks/shaky").await?;
        let queued = &attempts(&task)[1]["queued"];
        if queued.is_string() && millis(queued) >= due + 1_000 { Ok(()) } else { Err(task.to_string()) }
    })
    .await;
    nothing_is_left(&broker, &pool, &monitor).await;
    let seen = ["good 1", "shaky 1", "shaky 2", "hopeless 1"].map(|run| lines(&pool, &format!("begin {run}")));
    assert_eq!((seen, lines(&pool, "begin")), ([1; 4], 4));
}

// A broker hands a message out before it is on disk, so one that is killed takes along copies that have begun. Here a
// foreign client takes it.
#[tokio::test]
async fn a_retry_that_had_begun_and_is_gone_is_made_again_by_whoever_gets_the_attempt_before_it() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (proxy, monitor) = (Proxy::to(&servers::amqp()).await, monitor(&pool).await);
    let mut first = behind(&proxy, &pool, &handlers(&pool, "slots = 1")).await;
    hand_in(&broker, &pool, "shaky", 1_000).await;
    said(&pool, "begin", 1).await;
    proxy.set(Wire::Mute(" consume"));
    pool.open_gate();
    monitor.task("shaky", TaskState::Delayed).await;
    pool.close_gate();
    let mut second = pool.worker(&handlers(&pool, "slots = 1")).await;
    said(&pool, "begin shaky 2", 1).await;
    monitor.task("shaky", TaskState::Running).await;
    second.process.kill();
    let gone = broker.take(&pool.queue()).await;
    assert!(gone.redelivered, "it had begun");
    first.process.kill();
    pool.open_gate();

    let _third = pool.worker(&handlers(&pool, "slots = 1")).await;
    let task = monitor.task("shaky", TaskState::Succeeded).await;
    assert_eq!(attempts(&task).len(), 2, "{task}");
    let seen = ["shaky 1", "shaky 2"].map(|run| lines(&pool, &format!("begin {run}")));
    assert_eq!(seen, [1, 2]);
}

#[tokio::test]
async fn a_verdict_that_was_not_carried_out_is_by_the_next_worker_and_once() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = monitor(&pool).await;
    let mut first = pool.worker(&handlers(&pool, "slots = 2")).await;
    policy(&pool, Method::PUT).await;
    hand_in(&broker, &pool, "shaky", 200).await;
    hand_in(&broker, &pool, "hopeless", 0).await;
    pool.open_gate();
    monitor.task("shaky", TaskState::Delayed).await;
    monitor.task("hopeless", TaskState::Dead).await;
    until("the copies are refused", PATIENCE, async || {
        let said = first.process.output();
        if said.matches("a copy is not safe yet").count() >= 4 { Ok(()) } else { Err(said) }
    })
    .await;
    first.process.kill();
    policy(&pool, Method::DELETE).await;
    assert_eq!(dead_letters(&broker, &pool).await, Some(0));

    let _second = pool.worker(&handlers(&pool, "slots = 1")).await;
    let task = monitor.task("shaky", TaskState::Succeeded).await;
    assert_eq!(attempts(&task).len(), 2, "{task}");
    nothing_is_left(&broker, &pool, &monitor).await;
    assert_eq!(dead_letters(&broker, &pool).await, Some(1));
    let seen = ["shaky 1", "shaky 2", "hopeless 1"].map(|run| lines(&pool, &format!("begin {run}")));
    assert_eq!((seen, lines(&pool, "begin")), ([1; 3], 3));
}

#[tokio::test]
async fn the_late_outcomes_of_a_worker_that_was_frozen_are_stale_and_it_consumes_again() {
    let amqp = format!("{}?heartbeat=1", servers::amqp());
    let (pool, broker) = (Pool::at(&amqp, &servers::redis()), Broker::connect().await);
    let monitor = monitor(&pool).await;
    let first = pool.worker(&handlers(&pool, "slots = 2")).await;
    hand_in(&broker, &pool, "good", 0).await;
    hand_in(&broker, &pool, "shaky", 100).await;
    for id in ["good", "shaky"] {
        monitor.task(id, TaskState::Running).await;
    }
    first.process.freeze();
    let mut second = pool.worker(&handlers(&pool, "slots = 1")).await;
    // Those under suspicion run one at a time.
    said(&pool, "begin", 3).await;
    pool.open_gate();
    for id in ["good", "shaky"] {
        monitor.task(id, TaskState::Succeeded).await;
    }
    first.process.thaw();
    for (id, outcome, attempts_made) in [("good", "success", 1), ("shaky", "retryable", 2)] {
        let task = until("the late outcome is shown as stale", PATIENCE, async || {
            let task = monitor.get(&format!("/api/tasks/{id}")).await?;
            if attempts(&task)[0]["other_runs"][0]["stale"] == true { Ok(task) } else { Err(task.to_string()) }
        })
        .await;
        assert_eq!(task["state"], "succeeded");
        assert_eq!((&attempts(&task)[0]["outcome"], attempts(&task).len()), (&json!(outcome), attempts_made), "{task}");
        assert_eq!(attempts(&task).last().unwrap()["outcome"], "success");
    }
    second.process.terminate();
    assert!(second.process.ended(PATIENCE).await.success());
    first.ready().await;
    nothing_is_left(&broker, &pool, &monitor).await;
    let seen = ["good 1", "shaky 1", "shaky 2"].map(|run| lines(&pool, &format!("begin {run}")));
    assert_eq!(seen, [2, 2, 1], "a late outcome makes no further copy");
    assert_eq!(dead_letters(&broker, &pool).await, Some(0));
}

#[tokio::test]
async fn what_a_worker_runs_that_was_cut_off_is_not_run_by_another() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = monitor(&pool).await;
    let first = pool.worker(&patient(&pool)).await;
    let id = monitor.get("/api/workers").await.unwrap()["workers"][0]["id"].as_str().unwrap().to_owned();
    hand_in(&broker, &pool, "good", 0).await;
    hand_in(&broker, &pool, "shaky", 100).await;
    for id in ["good", "shaky"] {
        monitor.task(id, TaskState::Running).await;
    }
    let second = pool.worker(&patient(&pool)).await;
    close_connections(&id).await;
    until("the second worker has put both off, and they have come back", PATIENCE, async || {
        for id in ["good", "shaky"] {
            let task = monitor.get(&format!("/api/tasks/{id}")).await?;
            if attempts(&task)[0]["queued"].is_null() {
                return Err(task.to_string());
            }
        }
        Ok(())
    })
    .await;
    assert_eq!(lines(&pool, "begin"), 2);
    pool.open_gate();
    for id in ["good", "shaky"] {
        monitor.task(id, TaskState::Succeeded).await;
    }
    let seen = ["good 1", "shaky 1", "shaky 2"].map(|run| lines(&pool, &format!("begin {run}")));
    assert_eq!(seen, [1; 3]);
    first.ready().await;
    second.ready().await;
}

#[tokio::test]
async fn the_silence_of_a_time_without_the_broker_is_held_against_no_worker() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = monitor(&pool).await;
    let wires = [Proxy::to(&servers::amqp()).await, Proxy::to(&servers::amqp()).await];
    let first = behind(&wires[0], &pool, &patient(&pool)).await;
    hand_in(&broker, &pool, "good", 0).await;
    monitor.task("good", TaskState::Running).await;
    let second = behind(&wires[1], &pool, &patient(&pool)).await;
    for wire in &wires {
        wire.set(Wire::Cut);
    }
    // Longer than a worker's last word holds.
    until("both have been silent for 5 s", PATIENCE, async || {
        let workers = monitor.get("/api/workers").await?;
        let silent = |worker: &Value| millis(&worker["seen"]) + 5_000 < i64::try_from(ledger::now()).unwrap();
        let all = workers["workers"].as_array().is_some_and(|list| list.iter().all(silent));
        if all { Ok(()) } else { Err(workers.to_string()) }
    })
    .await;
    wires[1].set(Wire::Open);
    until("the second has put it off, and it has come back", PATIENCE, async || {
        let task = monitor.get("/api/tasks/good").await?;
        if attempts(&task)[0]["queued"].is_null() { Err(task.to_string()) } else { Ok(()) }
    })
    .await;
    wires[0].set(Wire::Open);
    first.ready().await;
    second.ready().await;
    pool.open_gate();
    monitor.task("good", TaskState::Succeeded).await;
    nothing_is_left(&broker, &pool, &monitor).await;
    assert_eq!(lines(&pool, "begin good 1"), 1);
}
