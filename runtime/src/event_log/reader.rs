//! Reading the event log over AMQP.

use crate::amqp::{Error, Link, Names, settle};
use futures::{StreamExt, stream::ReadyChunks};
use lapin::{
    Consumer,
    message::Delivery,
    options::BasicConsumeOptions,
    types::{AMQPValue, FieldTable},
};
use tokio::time::Instant;

// A stream is read only with a prefetch, and only with acknowledgements (RabbitMQ documentation, "Streams"). A message
// may hold a megabyte, so this also bounds the memory of a monitor that catches up.
const PREFETCH: u16 = 200;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that is left.
    First,
    /// With the message at this offset.
    At(u64),
}

/// An open reader. A consumer that is gone shows as an error.
#[derive(Debug)]
pub struct Reader {
    deliveries: ReadyChunks<Consumer>,
    queue: String,
    arrival: Instant,
}

impl Reader {
    /// Begins to read. The tag names the reader on the broker's own pages.
    pub async fn open(link: &Link, names: &Names, tag: &str, start: Start) -> Result<Self, Error> {
        let channel = link.consuming_channel(PREFETCH).await?;
        let mut arguments = FieldTable::default();
        let offset = match start {
            Start::First => AMQPValue::LongString("first".into()),
            Start::At(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
        };
        arguments.insert("x-stream-offset".into(), offset);
        let queue = names.log();
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.as_str().into(), tag.into(), options, arguments).await;
        let consumer = consumer.map_err(|source| Error::Broker { what: format!("consume {queue}"), source })?;
        Ok(Self { deliveries: consumer.ready_chunks(PREFETCH.into()), queue, arrival: Instant::now() })
    }

    /// What has arrived, at least one message. Cancel safe.
    pub async fn next(&mut self) -> Result<Vec<Delivery>, Error> {
        let gone = || Error::Cancelled { queue: self.queue.clone() };
        let arrived = self.deliveries.next().await.ok_or_else(gone)?;
        self.arrival = Instant::now();
        let read = |source| Error::Broker { what: format!("read {}", self.queue), source };
        arrived.into_iter().collect::<Result<_, _>>().map_err(read)
    }

    /// When something last arrived.
    pub fn arrival(&self) -> Instant {
        self.arrival
    }
}

/// Makes room for more, up to and including this delivery. In a stream that removes nothing.
pub async fn done_with(delivery: &Delivery) -> Result<(), Error> {
    settle::acknowledge(&delivery.acker, true).await
}
