//! Messages whose short strings are no text, and one nested deeper than any stack: AMQP and RabbitMQ take them.
//!
//! Our own client library could not send these, so a Python client does.

use std::process::Command;

use warren_core::{QueueName, TaskState};
use warren_tests::{
    Broker, Pool,
    broker::{header, message},
    pool::Service,
    projection, servers,
};

const PUBLISH: &str = r#"
import os, sys, pika

url, exchange, key, queue = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.confirm_delivery()

def publish(id, exchange=exchange, key=key, **fields):
    fields = {"type": "echo", "message_id": id, "delivery_mode": 2, **fields}
    channel.basic_publish(exchange, key, b"1", pika.BasicProperties(**fields))

publish("id", message_id=b"id-\xff")
publish("cut", message_id="cut-\u00e9".encode()[:-1])
publish("kind", type=b"ech\xff")
for field in ["correlation_id", "app_id", "content_type", "content_encoding", "cluster_id", "reply_to"]:
    publish(field, **{field: b"\xe9t\xe9"})
publish("header", headers={b"na\xffme": 1, "delay": 1})
publish("misnamed", headers={b"delay\xff": "never"})
publish("nested", headers={"table": {"array": [{b"\xff": b"\xff"}]}})
publish("all", app_id=b"\xff" * 255, correlation_id=b"\xff" * 255, headers={b"\xff" * 128: "\u00e9"})

# A routing key of its own reaches the queue through a fanout, and of those who take tasks the tap alone.
side = queue + ".side"
channel.exchange_declare(side, "fanout", auto_delete=True)
channel.queue_bind(queue, side)
publish("key", exchange=side, key=b"ke\xff")
channel.queue_unbind(queue, side)
publish("nowhere", exchange=os.environ["TASKS"], key=b"\xff")

deep = b"V"
for _ in range(20000):
    deep = b"A" + len(deep).to_bytes(4, "big") + deep
deep = b"\x04deep" + deep
table = len(deep).to_bytes(4, "big") + deep
pika.data.encode_table = lambda pieces, _: (pieces.append(table), len(table))[1]
publish("deep", headers={})
"#;

const RUN: [&str; 15] = [
    "id-?",
    "cut-?",
    "correlation_id",
    "app_id",
    "content_type",
    "content_encoding",
    "cluster_id",
    "reply_to",
    "header",
    "misnamed",
    "nested",
    "all",
    "key",
    "deep",
    "after",
];

fn publish(pool: &Pool, exchange: &str, key: &str) {
    let mut command = Command::new(servers::python());
    command.args(["-c", PUBLISH, &servers::amqp(), exchange, key, &pool.queue()]);
    let output = command.env("TASKS", pool.names().tasks()).output().expect("Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn are_borne(pool: &Pool, exchange: &str, key: &str) {
    let broker = Broker::connect().await;
    let (mut worker, mut monitor) = (pool.worker("slots = 2").await, pool.monitor().await);
    let before = [&worker, &monitor].map(Service::thrown_out);
    publish(pool, exchange, key);
    broker.publish(exchange, key, message("echo", "after"), b"1").await;
    monitor.task("after", TaskState::Succeeded).await;
    monitor.count(TaskState::Dead, 1).await;
    monitor.count(TaskState::Succeeded, RUN.len() as u64).await;

    // The letter follows its event.
    let letters = broker.take_all(&pool.names().dead(&QueueName::default()), 1).await;
    let said: Vec<_> = letters.iter().map(|letter| header(letter, "warren-error").unwrap_or_default()).collect();
    assert!(matches!(&said[..], [error] if error.starts_with("type: ") && error.contains("ech?")), "{said:?}");
    let mut shown: Vec<_> = projection::states(&monitor).await.into_keys().collect();
    let mut expected: Vec<_> = RUN.iter().chain(&["kind"]).map(ToString::to_string).collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
    for queue in [pool.queue(), pool.names().tap()] {
        broker.holds(&queue, 0).await;
    }
    for service in [&mut worker, &mut monitor] {
        service.ready().await;
        assert!(!service.process.is_dead());
    }
    assert_eq!([&worker, &monitor].map(Service::thrown_out), before, "the messages throw nobody out");
}

#[tokio::test]
async fn straight_to_the_queue() {
    let pool = Pool::new();
    are_borne(&pool, "", &pool.queue()).await;
}

#[tokio::test]
async fn through_the_door_for_foreign_clients() {
    let pool = Pool::new();
    are_borne(&pool, &pool.names().tasks(), "default").await;
}
