//! A broker that comes back with a large backlog flags all of it as redelivered: which proves nothing, and costs little.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use warren_core::QueueName;
use warren_tests::{Broker, Pool, Stand, broker::message, pool::PATIENCE, until};

const BACKLOG: u32 = 100_000;
const MEASURED: Duration = Duration::from_secs(2);
const AHEAD: u32 = 500;

async fn fill(broker: &Broker, queue: &str) {
    let channel = broker.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let published = stream::iter(0..BACKLOG).map(|n| {
        let (options, properties) = (BasicPublishOptions::default(), message("echo", &format!("n{n}")));
        let channel = channel.clone();
        async move { channel.basic_publish("".into(), queue.into(), options, b"1", properties).await.unwrap().await }
    });
    let refused = published.buffer_unordered(1_000).filter(|done| std::future::ready(!done.as_ref().unwrap().is_ack()));
    assert_eq!(refused.count().await, 0);
}

// How many deliveries a second are done, once so many others are.
async fn rate(broker: &Broker, queue: &str, ahead: u32) -> f64 {
    let full = broker.depth(queue).await.unwrap();
    until("it drains", PATIENCE, async || match broker.depth(queue).await.unwrap() {
        depth if depth + ahead <= full => Ok(()),
        depth => Err(depth),
    })
    .await;
    let (begun, before) = (Instant::now(), broker.depth(queue).await.unwrap());
    tokio::time::sleep(MEASURED).await;
    f64::from(before - broker.depth(queue).await.unwrap()) / begun.elapsed().as_secs_f64()
}

// Whether the broker says of the head of the queue that it was delivered before. It goes back when the channel closes.
async fn is_flagged(broker: &Broker, queue: &str) -> bool {
    let channel = broker.channel().await;
    let head = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap().expect("a backlog");
    channel.close(200, "looked".into()).await.unwrap();
    head.delivery.redelivered
}

#[tokio::test]
async fn a_backlog_that_comes_back_flagged_is_not_suspected_and_hardly_slower() {
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
    let done = BACKLOG - broker.depth(&queue).await.unwrap();
    stand.kill_broker().await;
    let begun = Instant::now();
    stand.restore().await;
    let restored = begun.elapsed();
    worker.ready().await;
    let broker = Broker::at(stand.amqp()).await;
    let left = broker.depth(&queue).await.unwrap();
    assert!(is_flagged(&broker, &queue).await, "else this shows nothing");
    // Acknowledgements die with the broker: what it hands out first was done before, and is only looked up.
    let flagged = rate(&broker, &queue, (done + AHEAD).saturating_sub(BACKLOG - left)).await;
    eprintln!(
        "{left} came back flagged after {restored:?}, {done} had been done: {fresh:.0} a second before, {flagged:.0} after"
    );
    assert!(left > BACKLOG / 2, "only {left} came back");
    assert_eq!(broker.depth(&suspects).await, Some(0));
    assert!(!worker.process.output().contains("runs apart"), "a task was suspected");
    // Far less than what is lost to a look-up in Redis each, and far enough from what a loaded machine loses.
    assert!(flagged > fresh / 4.0, "{fresh:.0} a second before, {flagged:.0} after");
}
