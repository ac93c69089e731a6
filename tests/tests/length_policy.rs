//! What a limit on the length of a task queue does to the backlog, which is the operator's act and not Warren's.

use lapin::{
    Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use warren_core::{QueueName, TaskState};
use warren_tests::{Broker, Pool, Stand, broker::message, policy};

const BACKLOG: u32 = 200;

async fn with_backlog(stand: &Stand) -> (Pool, Broker) {
    let pool = Pool::on(stand);
    // Declares the queue, and does not work it off.
    drop(pool.worker("").await);
    let broker = Broker::at(stand.amqp()).await;
    for n in 0..BACKLOG {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("n{n}")), b"{}").await;
    }
    (pool, broker)
}

#[tokio::test]
async fn a_limit_put_on_a_backlog_sheds_it_though_it_says_refuse_and_the_shed_are_shown_as_dead() {
    let stand = Stand::start().await;
    let (pool, broker) = with_backlog(&stand).await;
    let monitor = pool.monitor().await;
    monitor.count(TaskState::Queued, BACKLOG.into()).await;
    policy::shed(&stand, &pool.queue()).await;
    broker.holds(&pool.names().dead(&QueueName::default()), BACKLOG - 1).await;
    broker.holds(&pool.queue(), 1).await;
    monitor.count(TaskState::Dead, (BACKLOG - 1).into()).await;
    // These hops were not confirmed: how many of them a broker that dies takes along is its own affair.
    stand.kill_broker().await;
    stand.restore_broker().await;
    let broker = Broker::at(stand.amqp()).await;
    let dead = broker.depth(&pool.names().dead(&QueueName::default())).await;
    eprintln!("{} were shed; of these {dead:?} are left after the broker was killed", BACKLOG - 1);
}

#[tokio::test]
async fn a_limit_put_on_a_queue_that_refuses_already_sheds_nothing() {
    let stand = Stand::start().await;
    let (pool, broker) = with_backlog(&stand).await;
    policy::refuse(&stand, &pool.queue()).await;
    let channel = broker.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let (options, properties) = (BasicPublishOptions::default(), message("echo", "one-more"));
    let published = channel.basic_publish("".into(), pool.queue().as_str().into(), options, b"{}", properties).await;
    let confirmation = published.expect("an open channel").await.expect("an answer");
    assert!(matches!(confirmation, Confirmation::Nack(_)), "{confirmation:?}");
    broker.holds(&pool.queue(), BACKLOG).await;
    assert_eq!(broker.depth(&pool.names().dead(&QueueName::default())).await, Some(0));
}
