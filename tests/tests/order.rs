//! Tasks with the same order key run one at a time, in the order in which they came, whatever dies; other keys go on beside
//! them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use warren_core::{QueueName, TaskState, retry::Backoff};
use warren_producer::{Config, NewTask, Producer};
use warren_tests::{
    Broker, Pool,
    books::dead_letters,
    broker::{headers, message},
    ledger,
    orders::accepted,
    pool::{PATIENCE, Service},
    servers, until,
};

const SLOTS: usize = 8;

// A worker whose handlers write down when they begin and when they are done.
fn worker(pool: &Pool) -> Service {
    let file = pool.file("worker.toml", &format!("slots = {SLOTS}\nheartbeat = '500ms'\ngrace = '1s'\n"));
    let ledger = pool.folder().join("executions").display().to_string();
    pool.launch("ledger-worker", &[], &[("WARREN_CONFIG", file), ("LEDGER", ledger)])
}

// What the workers wrote, line by line: `begin` or `done`, and the task.
fn told(pool: &Pool) -> Vec<(bool, String)> {
    let text = std::fs::read_to_string(pool.folder().join("executions")).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split(' ');
        (words.next() == Some("begin"), words.next().expect("each line names a task").to_owned())
    };
    text.lines().map(line).collect()
}

async fn done(pool: &Pool, count: usize) {
    until(&format!("{count} tasks are done"), Duration::from_mins(3), async || {
        let done: BTreeSet<_> = told(pool).into_iter().filter(|(begins, _)| !begins).map(|(_, task)| task).collect();
        if done.len() >= count { Ok(()) } else { Err(done.len()) }
    })
    .await;
}

// Fails where a task began before the one ahead of it in its key was done, or again after a later one began. Ids are
// `<key>.<number>`.
fn assert_in_order(pool: &Pool) {
    let mut last: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    for (begins, task) in told(pool) {
        let (key, number) = task.rsplit_once('.').expect("an id with a number");
        let number: u32 = number.parse().expect("a number");
        let now = (number, !begins);
        let Some(before) = last.insert(key.to_owned(), now) else {
            assert_eq!(now, (0, false), "{task} began before the first of its key");
            continue;
        };
        let follows = if begins {
            // The next, or the same once more: another attempt, or one that was cut off.
            number == before.0 || before == (number - 1, true)
        } else {
            number == before.0
        };
        assert!(follows, "{task} {} after {before:?}", if begins { "began" } else { "was done" });
    }
}

async fn publish(broker: &Broker, exchange: &str, key: &str, id: &str, kind: &str, plan: &Value) {
    let entries = headers(&[("order_key", json!(key)), ("backoff", json!("fixed:300"))]);
    let properties = message(kind, id).with_headers(entries);
    broker.publish(exchange, "default", properties, plan.to_string().as_bytes()).await;
}

fn producer(pool: &Pool) -> Producer {
    let namespace = pool.names().namespace().parse().expect("a namespace is a name");
    Producer::start(&Config { namespace, ..Config::at(servers::amqp()) }, None)
}

async fn hand_in(producer: &Producer, tasks: impl Iterator<Item = NewTask>) {
    for handed_in in join_all(tasks.map(|task| producer.enqueue(task))).await {
        assert!(handed_in.is_ok(), "{handed_in:?}");
    }
}

#[tokio::test]
async fn ten_thousand_tasks_under_a_hundred_keys_run_in_order_while_workers_are_killed() {
    const TASKS: usize = 10_000;
    const KEYS: usize = 100;
    let pool = Pool::new();
    let mut workers = [(); 3].map(|()| worker(&pool));
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_LOST_AFTER", "2s".into())]).await;
    for worker in &workers {
        worker.ready().await;
    }
    let producer = producer(&pool);
    // The next of a key is handed in when the one before is confirmed: of two at once either may be the first.
    let handing_in = async {
        for number in 0..TASKS / KEYS {
            let plan = if number == 50 { json!({"fails": 1}) } else { json!({"ms": 1}) };
            let round = (0..KEYS).map(|key| {
                let task = NewTask::new("ledger").id(format!("k{key}.{number}")).order_key(format!("k{key}"));
                task.json(&plan).backoff(Backoff::Fixed(Duration::from_millis(50)))
            });
            hand_in(&producer, round).await;
        }
    };
    let striking = async {
        for strike in 0..6 {
            done(&pool, (strike + 1) * TASKS / 10).await;
            let victim = strike % workers.len();
            workers[victim].process.kill();
            workers[victim] = worker(&pool);
        }
    };
    tokio::join!(handing_in, striking);
    done(&pool, TASKS).await;
    monitor.count(TaskState::Succeeded, TASKS as u64).await;
    assert_in_order(&pool);
    let executions = ledger::executions(&pool.folder().join("executions"));
    let twice: usize = executions.values().flat_map(BTreeMap::values).map(|runs| runs.len() - 1).sum();
    assert!(twice <= 6 * SLOTS, "{twice} ran twice");
    eprintln!("{TASKS} tasks in order; {twice} of them ran twice, by 6 killed workers");
    producer.close().await;
}

#[tokio::test]
async fn what_fails_holds_up_its_own_key_alone_and_what_is_dead_holds_up_nothing() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let worker = worker(&pool);
    let monitor = pool.monitor().await;
    worker.ready().await;
    let ordered = pool.names().ordered();
    publish(&broker, &ordered, "a", "a.0", "ledger", &json!({"fails": 2})).await;
    publish(&broker, &ordered, "a", "a.1", "ledger", &json!({"hopeless": true})).await;
    publish(&broker, &ordered, "a", "a.2", "ledger", &json!({})).await;
    publish(&broker, &ordered, "b", "b.0", "ledger", &json!({})).await;
    monitor.task("a.2", TaskState::Succeeded).await;
    monitor.task("b.0", TaskState::Succeeded).await;
    assert_eq!(monitor.task("a.0", TaskState::Succeeded).await["attempts"].as_array().map(Vec::len), Some(3));
    monitor.task("a.1", TaskState::Dead).await;
    let order: Vec<_> = told(&pool).into_iter().map(|(begins, task)| format!("{} {task}", u8::from(!begins))).collect();
    let place = |line: &str| order.iter().position(|one| one == line).unwrap_or_else(|| panic!("{line}: {order:?}"));
    let a: Vec<_> = order.iter().filter(|line| line.contains(" a.")).map(String::as_str).collect();
    assert_eq!(a, ["0 a.0", "0 a.0", "0 a.0", "1 a.0", "0 a.1", "0 a.2", "1 a.2"]);
    assert!(place("1 b.0") < place("1 a.0"), "another key does not wait: {order:?}");
}

#[tokio::test]
async fn every_door_leads_to_the_lane_of_the_key() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let worker = worker(&pool);
    let (monitor, gateway) = (pool.monitor().await, pool.gateway(&[]).await);
    worker.ready().await;
    publish(&broker, &pool.names().tasks(), "a", "a.0", "ledger", &json!({"ms": 300})).await;
    monitor.task("a.0", TaskState::Running).await;
    publish(&broker, &pool.names().ordered(), "a", "a.1", "ledger", &json!({"ms": 100})).await;
    monitor.task("a.0", TaskState::Succeeded).await;
    let body = json!({"kind": "ledger", "id": "a.2", "order_key": "a", "delay": 200, "payload": {}});
    let answer = warren_tests::http::client().post(format!("{}/tasks", gateway.url)).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    monitor.task("a.2", TaskState::Succeeded).await;
    assert_in_order(&pool);
    // Without a key it is a task like any other.
    broker.publish(&pool.names().ordered(), "default", message("echo", "free"), b"1").await;
    monitor.task("free", TaskState::Succeeded).await;
    let wrong = message("echo", "wrong").with_headers(headers(&[("order_key", json!(""))]));
    broker.publish(&pool.names().ordered(), "default", wrong, b"1").await;
    let wrong = monitor.task("wrong", TaskState::Dead).await;
    assert!(wrong["error"].as_str().is_some_and(|error| error.starts_with("order_key: ")), "{wrong}");
}

#[tokio::test]
async fn a_pause_holds_up_what_is_in_order_and_a_drained_worker_lets_go_of_it() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let first = worker(&pool);
    let monitor = pool.monitor().await;
    first.ready().await;
    let ordered = pool.names().ordered();
    publish(&broker, &ordered, "a", "a.0", "ledger", &json!({"ms": 1_000})).await;
    let name = monitor.task("a.0", TaskState::Running).await["attempts"][0]["worker"].as_str().unwrap().to_owned();
    accepted(&monitor, "/api/queues/default/pause").await;
    publish(&broker, &ordered, "a", "a.1", "ledger", &json!({})).await;
    monitor.task("a.0", TaskState::Succeeded).await;
    // Whoever comes later does not take it either.
    let second = worker(&pool);
    second.ready().await;
    monitor.task("a.1", TaskState::Queued).await;
    accepted(&monitor, &format!("/api/workers/{name}/drain")).await;
    accepted(&monitor, "/api/queues/default/resume").await;
    let after = monitor.task("a.1", TaskState::Succeeded).await;
    assert_ne!(after["attempts"][0]["worker"], json!(name), "{after}");
    assert_in_order(&pool);
}

#[tokio::test]
async fn a_task_that_kills_its_worker_is_put_aside_and_the_rest_of_its_key_goes_on() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let mut workers = [(); 2].map(|()| worker(&pool));
    let _monitor = pool.start("warren-monitor", &[], &[("WARREN_LOST_AFTER", "2s".into())]).await;
    for worker in &workers {
        worker.ready().await;
    }
    let ordered = pool.names().ordered();
    // Its companions in other keys die with it.
    for key in ["b", "c", "d"] {
        publish(&broker, &ordered, key, &format!("{key}.0"), "ledger", &json!({"ms": 700})).await;
    }
    publish(&broker, &ordered, "a", "a.0", "poison", &json!({})).await;
    publish(&broker, &ordered, "a", "a.1", "ledger", &json!({})).await;
    let (mut deaths, dead) = (0, pool.names().dead(&QueueName::default()));
    until("all others have run", PATIENCE * 2, async || {
        for one in &mut workers {
            if !one.process.is_dead() {
                continue;
            }
            deaths += 1;
            *one = worker(&pool);
        }
        let done: Vec<_> = told(&pool).into_iter().filter(|(begins, _)| !begins).map(|(_, task)| task).collect();
        let missing: Vec<_> =
            ["a.1", "b.0", "c.0", "d.0"].into_iter().filter(|id| !done.iter().any(|d| d == id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    })
    .await;
    let letters = dead_letters(&broker, &dead).await;
    assert_eq!(letters.into_iter().collect::<Vec<_>>(), [("a.0".to_owned(), "poison".to_owned())]);
    assert_eq!(deaths, 3);
    let last = |id: &str| told(&pool).iter().rposition(|(begins, task)| *begins && task == id);
    assert!(last("a.0") < last("a.1"), "{:?}", told(&pool));
}

// The delivery of what has failed names the first attempt, and only the worker that holds it knows of the second: no Redis
// answers here.
#[tokio::test]
async fn a_lane_in_which_a_task_waits_for_its_next_attempt_stays_where_it_is() {
    let pool = Pool::at(&servers::amqp(), "redis://127.0.0.1:1");
    let workers = [worker(&pool), worker(&pool)];
    for worker in &workers {
        worker.ready().await;
    }
    let producer = producer(&pool);
    let keys: BTreeSet<_> = (0..40).map(|key| format!("k{key}.0")).collect();
    let tasks = keys.iter().map(|id| {
        let task = NewTask::new("ledger").id(id).order_key(id).json(&json!({"fails": 1}));
        // Longer than it takes a worker to see that it has more lanes than its share.
        task.backoff(Backoff::Fixed(Duration::from_secs(7)))
    });
    hand_in(&producer, tasks).await;
    done(&pool, keys.len()).await;
    let executions = ledger::executions(&pool.folder().join("executions"));
    let runs = executions.iter().map(|(id, attempts)| (id.clone(), attempts.values().map(Vec::len).collect()));
    assert_eq!(runs.collect::<BTreeMap<_, _>>(), keys.into_iter().map(|id| (id, vec![1, 1])).collect());
    producer.close().await;
}

#[tokio::test]
async fn the_lanes_are_shared_out_among_the_workers_and_the_order_is_kept() {
    let pool = Pool::new();
    let workers = [(); 4].map(|()| worker(&pool));
    for worker in &workers {
        worker.ready().await;
    }
    let producer = producer(&pool);
    let at_work = || {
        let executions = ledger::executions(&pool.folder().join("executions"));
        let mut all: Vec<_> = executions.into_values().flat_map(BTreeMap::into_values).flatten().collect();
        all.sort_by_key(|execution| execution.begun);
        all.iter().rev().take(200).map(|execution| execution.process).collect::<BTreeSet<_>>().len()
    };
    let mut number = 0;
    until("all four workers have a share", Duration::from_mins(1), async || {
        let round = (0..50).map(|key| {
            let task = NewTask::new("ledger").id(format!("k{key}.{number}")).order_key(format!("k{key}"));
            task.json(&json!({"ms": 5}))
        });
        hand_in(&producer, round).await;
        number += 1;
        done(&pool, number * 50).await;
        match at_work() {
            4 => Ok(()),
            fewer => Err(fewer),
        }
    })
    .await;
    assert_in_order(&pool);
    producer.close().await;
}
