//! The limit: a client that does nothing but publish, and one that does nothing but consume, as well as lapin can.

use std::time::Duration;

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep_until, timeout};
use warren_runtime::amqp::message::PERSISTENT;

use crate::{
    cost,
    ground::{Ground, payload},
    latency::monotonic,
    pace::Pace,
};

// As in the library: handed to lapin a hundred at a time, two thousand on their way.
const WINDOW: usize = 2_000;
const CHUNK: usize = 100;
// The band in which lapin consumes fastest; more gains nothing, less costs round trips.
const PREFETCH: u16 = 1_000;
// Always so many, and not those that happen to be there: on a fast machine these are two or three, and an acknowledgement for
// each of them costs the broker and the client twice as much.
const ACKNOWLEDGED_TOGETHER: usize = 50;
// Until a connection has found its speed.
const WARM_UP: usize = 20;
// What a worker of the latencies is given.
const PREFETCH_OF_FEW: u16 = 32;
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes so many messages, of all ten priorities in turn, and waits for every confirm.
pub async fn publish(ground: &Ground, count: usize) -> anyhow::Result<Pace> {
    let connection = ground.raw().await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (queue, body) = (ground.queue(), payload());
    let (begun, busy) = (Instant::now(), cost::own());
    let chunks = stream::iter(0..count).chunks(CHUNK);
    let sending = chunks.map(|chunk| join_all(chunk.into_iter().map(|n| confirmed(&channel, &queue, n, &body))));
    let results = sending.buffered(WINDOW / CHUNK).flat_map(stream::iter);
    results.try_for_each(async |()| Ok(())).await?;
    let pace = Pace::of(count, begun.elapsed(), cost::own().saturating_sub(busy));
    connection.close(200, "done".into()).await?;
    Ok(pace)
}

async fn confirmed(channel: &Channel, queue: &str, number: usize, body: &[u8]) -> anyhow::Result<()> {
    let priority = u8::try_from(number % 10)?;
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_priority(priority)
        .with_type("echo".into())
        .with_message_id(uuid::Uuid::now_v7().to_string().into());
    send(channel, queue, body, properties).await
}

async fn send(channel: &Channel, queue: &str, body: &[u8], properties: BasicProperties) -> anyhow::Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let published = channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await?;
    anyhow::ensure!(matches!(published, Confirmation::Ack(None)), "not confirmed: {published:?}");
    Ok(())
}

/// Consumes so many messages that wait, and acknowledges many together. The first twentieth is for warming up.
pub async fn consume(ground: &Ground, count: usize) -> anyhow::Result<Pace> {
    let connection = ground.raw().await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (queue, options) = (ground.queue(), BasicConsumeOptions::default());
    let mut consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
    let (mut seen, mut start) = (0, None);
    while seen < count {
        let delivery = consumer.next().await.ok_or_else(|| anyhow::anyhow!("the consumer has ended"))??;
        seen += 1;
        if seen % ACKNOWLEDGED_TOGETHER == 0 || seen == count {
            delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
        }
        if seen == count / WARM_UP {
            start = Some((seen, Instant::now(), cost::own()));
        }
    }
    let (before, begun, busy) = start.expect("it was warm before the end");
    let pace = Pace::of(seen - before, begun.elapsed(), cost::own().saturating_sub(busy));
    connection.close(200, "done".into()).await?;
    Ok(pace)
}

/// Publishes `rate` messages a second for that many seconds, to a consumer on another connection: how long each took from
/// before it was published to its arrival.
pub async fn arrivals(ground: &Ground, rate: u32, seconds: u32) -> anyhow::Result<Vec<Duration>> {
    let (publishing, consuming) = (ground.raw().await?, ground.raw().await?);
    let (channel, from) = (publishing.create_channel().await?, consuming.create_channel().await?);
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    from.basic_qos(PREFETCH_OF_FEW, BasicQosOptions::default()).await?;
    let (queue, body, options) = (ground.queue(), payload(), BasicConsumeOptions::default());
    let mut arriving = from.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
    let (gap, count) = (Duration::from_secs(1) / rate, (rate * seconds) as usize);
    let mut on_their_way = FuturesUnordered::new();
    let (mut sent, mut next, mut took) = (0, Instant::now(), Vec::with_capacity(count));
    let all = async {
        while took.len() < count {
            tokio::select! {
                biased;
                delivery = arriving.next() => {
                    let (delivery, now) = (delivery.ok_or_else(|| anyhow::anyhow!("the consumer has ended"))??, monotonic());
                    let asked = delivery.properties.timestamp().ok_or_else(|| anyhow::anyhow!("a message without its time"))?;
                    took.push(now.saturating_sub(Duration::from_nanos(asked)));
                    delivery.acker.ack(BasicAckOptions::default()).await?;
                }
                Some(result) = on_their_way.next() => { let (): () = result?; }
                () = sleep_until(next), if sent < count => {
                    let asked = u64::try_from(monotonic().as_nanos())?;
                    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_timestamp(asked);
                    on_their_way.push(send(&channel, &queue, &body, properties).boxed());
                    sent += 1;
                    next += gap;
                }
            }
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(seconds.into()) + PATIENCE, all).await??;
    drop(on_their_way);
    publishing.close(200, "done".into()).await?;
    consuming.close(200, "done".into()).await?;
    Ok(took)
}
