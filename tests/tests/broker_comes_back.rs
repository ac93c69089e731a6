//! What becomes of processes whose broker is not there yet, does not answer, or takes something away from them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use lapin::{options::BasicConsumeOptions, types::FieldTable};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinSet, time::timeout};
use warren_core::{QueueName, TaskState, ladder::Level};
use warren_runtime::{
    amqp::{Config, Connector, settle},
    config::Secret,
};
use warren_tests::{
    Broker, Pool, Proxy, Stand, Wire,
    books::Books,
    broker::{headers, message},
    ledger::{self, Execution},
    pool::{PATIENCE, Service},
    servers, until,
    wait::unhurried,
};

const BACK: Duration = Duration::from_secs(5);

fn ledger_worker(pool: &Pool, books: &Books) -> Service {
    let file = pool.file("worker.toml", "slots = 2\nheartbeat = '1s'\n");
    pool.launch("ledger-worker", &[], &[("WARREN_CONFIG", file), ("LEDGER", books.executions.display().to_string())])
}

fn executions(books: &Books, task: &str) -> Vec<Execution> {
    ledger::executions(&books.executions).remove(task).into_iter().flatten().flat_map(|(_, list)| list).collect()
}

#[tokio::test]
async fn what_starts_before_its_broker_is_ready_soon_after_it_and_works() {
    let stand = Stand::start().await;
    let pool = Pool::at(&format!("{}?heartbeat=2", stand.amqp()), stand.redis());
    stand.kill_broker().await;
    let services = [
        pool.launch("warren-worker", &[], &[]),
        pool.launch("warren-monitor", &[], &[]),
        pool.launch("warren-producer", &["serve"], &[]),
    ];
    for service in &services {
        until("it answers", PATIENCE, async || service.get("/live").await).await;
        assert!(service.get("/ready").await.is_err_and(|said| said.starts_with("503")));
    }
    // By now each of them waits longest between its tries.
    tokio::time::sleep(BACK).await;
    stand.restore().await;
    for service in &services {
        until(&format!("{} is ready", service.url), unhurried(BACK), async || service.get("/ready").await).await;
    }
    let [_, monitor, gateway] = &services;
    let task = json!({"kind": "echo", "id": "first", "payload": 1});
    let answer = warren_tests::http::client().post(format!("{}/tasks", gateway.url)).json(&task).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    monitor.task("first", TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_peer_that_takes_connections_and_never_answers_is_left_with_a_few_of_them() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}/%2f", mute.local_addr().unwrap());
    let _worker = Pool::at(&url, &warren_tests::servers::redis()).launch("warren-worker", &[], &[]);
    let (open, mut connections) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..15 {
        let (mut connection, _) = tokio::time::timeout(PATIENCE, mute.accept()).await.expect("it tries again").unwrap();
        let counted = open.clone();
        counted.fetch_add(1, Ordering::SeqCst);
        connections.spawn(async move {
            while connection.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
            counted.fetch_sub(1, Ordering::SeqCst);
        });
    }
    // For each of its three purposes: the first, which the client library does not let go of, and the latest.
    until("the others are closed", Duration::from_secs(1), async || match open.load(Ordering::SeqCst) {
        ..=6 => Ok(()),
        open => Err(open),
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_outlasts_the_brokers_consumer_timeout_runs_once_and_its_worker_goes_on() {
    let stand = Stand::start().await;
    for (key, value) in [("channel_tick_interval", 500), ("consumer_timeout", 2_000)] {
        stand.control(&["eval", &format!("application:set_env(rabbit, {key}, {value}).")]).await;
    }
    let pool = Pool::on(&stand);
    let books = Books::of(&pool);
    let (monitor, worker) = (pool.monitor().await, ledger_worker(&pool, &books));
    worker.ready().await;
    let broker = Broker::at(stand.amqp()).await;
    broker.publish("", &pool.queue(), message("ledger", "long"), br#"{"ms":9000}"#).await;
    monitor.task("long", TaskState::Running).await;
    until("the broker bears it no longer", PATIENCE, async || {
        if worker.process.output().contains("opening it again") { Ok(()) } else { Err("not yet") }
    })
    .await;
    // While the long one still runs, others do.
    broker.publish("", &pool.queue(), message("ledger", "short"), br#"{"ms":1}"#).await;
    monitor.task("short", TaskState::Succeeded).await;
    assert_eq!(executions(&books, "long")[0].done, None, "it still runs");
    monitor.task("long", TaskState::Succeeded).await;
    let left = until("nothing is left", PATIENCE, async || {
        let queues = stand.control(&["list_queues", "--quiet", "--no-table-headers", "name", "messages"]).await;
        let left = queues.lines().any(|line| line == format!("{}\t0", pool.queue()));
        if left { Ok(()) } else { Err(queues) }
    });
    left.await;
    worker.ready().await;
    assert_eq!(executions(&books, "long").len(), 1, "the running attempt takes its redeliveries over");
}

#[tokio::test]
async fn queues_that_are_deleted_come_back_and_what_runs_beside_them_goes_on() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let books = Books::of(&pool);
    let (monitor, worker) = (pool.monitor().await, ledger_worker(&pool, &books));
    worker.ready().await;
    let (names, default) = (pool.names(), QueueName::default());
    let level = names.delay(Level::all().nth(3).expect("there are 28 levels"));
    for (round, queue) in [level, names.suspect(&default), names.dead(&default), names.log()].into_iter().enumerate() {
        let id = |what: &str| format!("{what}{round}");
        broker.publish("", &pool.queue(), message("ledger", &id("beside")), br#"{"ms":1500}"#).await;
        until(
            "it runs",
            PATIENCE,
            async || if executions(&books, &id("beside")).is_empty() { Err(()) } else { Ok(()) },
        )
        .await;
        broker.delete(&queue).await;
        let wait = headers(&[("delay", json!(900))]);
        broker.publish("", &pool.queue(), message("ledger", &id("waits")).with_headers(wait), b"{}").await;
        broker.publish("", &pool.queue(), message("ledger", &id("dead")), br#"{"hopeless":true}"#).await;
        for id in [id("beside"), id("waits")] {
            monitor.task(&id, TaskState::Succeeded).await;
            assert_eq!(executions(&books, &id).len(), 1, "{id} after {queue} was deleted");
        }
        monitor.task(&id("dead"), TaskState::Dead).await;
        until(&format!("{queue} is there again"), PATIENCE, async || broker.depth(&queue).await.ok_or("gone")).await;
    }
}

#[tokio::test]
async fn a_log_that_is_deleted_comes_back_without_a_monitor_as_well() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let _worker = pool.worker("heartbeat = '500ms'").await;
    broker.delete(&pool.names().log()).await;
    let (reply_to, mut replies) = broker.reply_queue().await;
    broker.publish("", &pool.queue(), message("echo", "t").with_reply_to(reply_to.as_str().into()), b"7").await;
    assert_eq!(Broker::reply(&mut replies).await.data, b"7");
}

// The client library leaves one in ten of these without an answer: of sixty, some.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_in_the_moment_its_connection_breaks_does_not_wait_for_ever() {
    let (queue, broker) = (Pool::new().queue(), Broker::connect().await);
    broker.declare(&queue).await;
    for number in 0..100 {
        broker.publish("", &queue, message("ledger", &number.to_string()), b"{}").await;
    }
    for _ in 0..10 {
        let wire = Proxy::to(&servers::amqp()).await;
        let config = Config { url: Secret::new(wire.url().to_owned()), ..Config::default() };
        let connector = Connector::new(config, "settle");
        let given_back = Arc::new(AtomicUsize::new(0));
        let mut busy = JoinSet::new();
        for _ in 0..6 {
            let link = connector.connect("settle").await.unwrap();
            let channel = link.consuming_channel(10).await.unwrap();
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let mut consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await.unwrap();
            let given_back = given_back.clone();
            busy.spawn(async move {
                while let Some(Ok(delivery)) = consumer.next().await
                    && settle::give_back(&delivery.acker).await.is_ok()
                {
                    given_back.fetch_add(1, Ordering::SeqCst);
                }
                drop(link);
            });
        }
        until("they are busy", PATIENCE, async || match given_back.load(Ordering::SeqCst) {
            500.. => Ok(()),
            few => Err(few),
        })
        .await;
        wire.set(Wire::Cut);
        timeout(unhurried(BACK), busy.join_all())
            .await
            .expect("each of them learns that its delivery is not its own any more");
    }
    broker.delete(&queue).await;
}
