//! Each publish is told what became of its own message, whatever else goes by the same channel at the same time.

use lapin::{
    BasicProperties,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use tokio::task::JoinSet;
use warren_core::QueueName;
use warren_runtime::{
    Uplink,
    amqp::{Config, Connector, Outgoing, PublishError, message::PERSISTENT, publisher::LARGEST_BODY},
    config::Secret,
};
use warren_tests::{Broker, Pool, servers};

type Told = Result<(), PublishError>;

const ROUNDS: usize = 400;
const AT_ONCE: usize = 8;
const TOGETHER: usize = 10;
// What is larger takes longer from its number to the wire: there others overtook it.
const LARGE: usize = 60_000;

async fn declare(broker: &Broker, queue: &str, arguments: FieldTable) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    broker.channel().await.queue_declare(queue.into(), options, arguments).await.expect("a queue");
}

// A queue that holds one message and takes no other.
async fn full(broker: &Broker, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    declare(broker, queue, arguments).await;
    broker.publish("", queue, BasicProperties::default(), b"the one").await;
}

fn to(queue: &str, bytes: usize) -> Outgoing {
    Outgoing::to_queue(queue, BasicProperties::default().with_delivery_mode(PERSISTENT), vec![b'x'; bytes])
}

// Publishes to two queues from many threads at once, and says how often each was told something else than is true of it.
async fn told_wrongly(pool: &Pool, other: &str, is_right: fn(&Told) -> bool) -> (usize, usize) {
    let broker = Broker::connect().await;
    let open = pool.names().queue(&QueueName::parse("open").expect("a name"));
    declare(&broker, &open, FieldTable::default()).await;
    let config = Config { url: Secret::new(servers::amqp()), ..Config::default() };
    let uplink = Uplink::start(Connector::new(config, "confirms"), &pool.names(), "confirms", None);
    let mut publishing = JoinSet::new();
    for n in 0..AT_ONCE {
        let open = to(&open, n * LARGE / AT_ONCE);
        for (message, is_right) in [(open.clone(), Told::is_ok as fn(&Told) -> bool), (to(other, LARGE), is_right)] {
            let publisher = uplink.publisher.clone();
            publishing.spawn(async move {
                let mut wrong = Vec::new();
                for _ in 0..ROUNDS {
                    wrong.extend((!is_right(&publisher.publish(&message).await)).then(|| message.key.to_string()));
                }
                wrong
            });
        }
        let (publisher, messages) = (uplink.publisher.clone(), [open, to(other, n)]);
        publishing.spawn(async move {
            let mut wrong = Vec::new();
            for _ in 0..ROUNDS / TOGETHER {
                let many: Vec<_> = messages.iter().cycle().take(TOGETHER).cloned().collect();
                for (message, told) in many.iter().zip(publisher.publish_all(&many).await) {
                    let is_told = if message.key == messages[0].key { told.is_ok() } else { is_right(&told) };
                    wrong.extend((!is_told).then(|| message.key.to_string()));
                }
            }
            wrong
        });
    }
    let wrong = publishing.join_all().await.concat();
    uplink.close().await;
    broker.delete(&open).await;
    let of = |is_open| wrong.iter().filter(|key| (**key == open) == is_open).count();
    (of(true), of(false))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_is_told_to_whom_it_concerns() {
    let pool = Pool::new();
    let queue = pool.names().queue(&QueueName::parse("full").expect("a name"));
    let broker = Broker::connect().await;
    full(&broker, &queue).await;
    let wrong = told_wrongly(&pool, &queue, |result| matches!(result, Err(PublishError::Nacked { .. }))).await;
    assert_eq!(wrong, (0, 0), "told wrongly: of those that were taken, of those that were refused");
    broker.delete(&queue).await;
}

#[tokio::test]
async fn of_many_together_each_is_told_of_in_its_place() {
    let pool = Pool::new();
    let broker = Broker::connect().await;
    let open = pool.names().queue(&QueueName::parse("open").expect("a name"));
    declare(&broker, &open, FieldTable::default()).await;
    let config = Config { url: Secret::new(servers::amqp()), ..Config::default() };
    let uplink = Uplink::start(Connector::new(config, "confirms"), &pool.names(), "confirms", None);
    let missing = pool.names().queue(&QueueName::parse("missing").expect("a name"));
    let messages = [to(&open, 1), to(&missing, 1), to(&open, LARGEST_BODY + 1), to(&open, 0), to(&missing, LARGE)];
    let told = uplink.publisher.publish_all(&messages).await;
    let [Ok(()), Err(PublishError::Returned { key }), Err(PublishError::TooLarge(_)), Ok(()), Err(_)] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*key, missing);
    assert!(uplink.publisher.publish_all(&[]).await.is_empty());
    uplink.close().await;
    broker.delete(&open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_queue_took_is_told_to_whom_it_concerns() {
    let pool = Pool::new();
    let queue = pool.names().queue(&QueueName::parse("missing").expect("a name"));
    let wrong = told_wrongly(&pool, &queue, |result| matches!(result, Err(PublishError::Returned { .. }))).await;
    assert_eq!(wrong, (0, 0), "told wrongly: of those that were taken, of those that no queue took");
}
