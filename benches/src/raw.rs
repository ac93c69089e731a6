//! The limit: a client that does nothing but publish, and one that does nothing but consume, as well as lapin can.

use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use tokio::time::Instant;
use warren_runtime::amqp::message::PERSISTENT;

use crate::{
    cost,
    ground::{Ground, payload},
    pace::Pace,
};

// As in the library: handed to lapin a hundred at a time, a thousand on their way.
const WINDOW: usize = 1_000;
const CHUNK: usize = 100;
// The band in which lapin consumes fastest; more gains nothing, less costs round trips.
const PREFETCH: u16 = 1_000;
const ACKNOWLEDGED_TOGETHER: usize = 50;
// Until a connection has found its speed.
const WARM_UP: usize = 20;

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
    let consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
    let mut arriving = consumer.ready_chunks(ACKNOWLEDGED_TOGETHER);
    let (mut seen, mut start) = (0, None);
    while seen < count {
        let chunk = arriving.next().await.ok_or_else(|| anyhow::anyhow!("the consumer has ended"))?;
        seen += chunk.len();
        let last = chunk.into_iter().next_back().expect("a chunk is never empty")?;
        last.acker.ack(BasicAckOptions { multiple: true }).await?;
        if start.is_none() && seen >= count / WARM_UP {
            start = Some((seen, Instant::now(), cost::own()));
        }
    }
    let (before, begun, busy) = start.expect("it was warm before the end");
    let pace = Pace::of(seen - before, begun.elapsed(), cost::own().saturating_sub(busy));
    connection.close(200, "done".into()).await?;
    Ok(pace)
}
