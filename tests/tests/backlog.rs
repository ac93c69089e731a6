//! A broker that comes back with a large backlog flags all of it as redelivered, which proves nothing.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use warren_core::QueueName;
use warren_tests::{Broker, Pool, Stand, broker::message, pool::PATIENCE, until, wait::unhurried};

const BACKLOG: u32 = 100_000;
const MEASURED: Duration = Duration::from_secs(2);
const AHEAD: u32 = 500;

async fn fill(broker: &Broker, queue: &str) {
    let channel = broker.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let published = stream::iter(0..BACKLOG).map(|n| {
        let (options, properties) = (BasicPublishOptions::default(), message("echo", &format!("n{n}")));
        let channel = channel.clone();
        async move { channel.basic_publish("".into(), queue.into(), options, b"1", properties).await?.await }
    });
    let confirmed = published.buffer_unordered(1_000).all(async |done| done.is_ok_and(|done| done.is_ack()));
    assert!(confirmed.await, "the broker takes all of it");
}

async fn left(broker: &Broker, queue: &str) -> u32 {
    broker.depth(queue).await.expect("the queue is there")
}

// How many deliveries a second are done, once so many others are.
async fn rate(broker: &Broker, queue: &str, ahead: u32) -> f64 {
    let full = left(broker, queue).await;
    until("it drains", unhurried(PATIENCE), async || match left(broker, queue).await {
        depth if depth + ahead <= full => Ok(()),
        depth => Err(depth),
    })
    .await;
    let (begun, before) = (Instant::now(), left(broker, queue).await);
    tokio::time::sleep(MEASURED).await;
    f64::from(before - left(broker, queue).await) / begun.elapsed().as_secs_f64()
}

// Whether the broker says of the head of the queue that it was delivered before. It goes back when the channel closes.
async fn is_flagged(broker: &Broker, queue: &str) -> bool {
    let channel = broker.channel().await;
    let head = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("an open channel");
    channel.close(200, "looked".into()).await.expect("an open channel");
    head.expect("a backlog").delivery.redelivered
}

#[tokio::test]
async fn a_backlog_that_comes_back_flagged_is_not_suspected_and_drains() {
    let stand = Stand::start().await;
    let pool = Pool::on(&stand);
    let (queue, suspects) = (pool.queue(), pool.names().suspect(&QueueName::default()));
    let _monitor = pool.monitor().await;
    // Declares the queue, and does not hold up the filling.
    drop(pool.worker("").await);
    let broker = Broker::at(stand.amqp()).await;
    fill(&broker, &queue).await;
    let worker = pool.worker("slots = 8\nheartbeat = '1s'\n").await;
    let fresh = rate(&broker, &queue, AHEAD).await;
    let done = BACKLOG - left(&broker, &queue).await;
    stand.kill_broker().await;
    let begun = Instant::now();
    stand.restore().await;
    let restored = begun.elapsed();
    worker.ready().await;
    let broker = Broker::at(stand.amqp()).await;
    let back = left(&broker, &queue).await;
    assert!(is_flagged(&broker, &queue).await, "else this shows nothing");
    // Acknowledgements die with the broker: what it hands out first was done before, and is only looked up.
    let flagged = rate(&broker, &queue, (done + AHEAD).saturating_sub(BACKLOG - back)).await;
    eprintln!(
        "{back} came back flagged after {restored:?}, {done} had been done: {fresh:.0} a second before, {flagged:.0} after"
    );
    assert!(back > BACKLOG / 2, "only {back} came back");
    assert_eq!(broker.depth(&suspects).await, Some(0));
    assert!(!worker.process.output().contains("runs apart"), "a task was suspected");
}
