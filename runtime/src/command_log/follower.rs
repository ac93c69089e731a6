//! Reading the command log, from its beginning to its end and then on.

use std::{convert::Infallible, time::Duration};

use futures::{StreamExt, stream::ReadyChunks};
use lapin::{
    Consumer,
    message::Delivery,
    options::BasicConsumeOptions,
    types::{AMQPValue, FieldTable},
};
use tokio::time::{Instant, sleep};
use tracing::{debug, error};
use warren_core::command::Batch;

use super::{CommandLog, Orders};
use crate::{
    amqp::{Error, Link, settle},
    clock,
};

const PREFETCH: u16 = 200;
const MARK_AGAIN: Duration = Duration::from_secs(2);
const FORGET: Duration = Duration::from_mins(1);

/// An open reader of the command log, which puts what it reads into [`Orders`].
#[derive(Debug)]
pub struct Follower {
    deliveries: ReadyChunks<Consumer>,
    log: CommandLog,
    orders: Orders,
    forgotten: Instant,
}

impl Follower {
    /// Begins to read, on a channel of this connection. The log must exist.
    pub async fn open(link: &Link, log: CommandLog, orders: Orders) -> Result<Self, Error> {
        let channel = link.consuming_channel(PREFETCH).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(log.queue.as_str().into(), "".into(), options, arguments).await;
        let consumer = consumer.map_err(Error::broker(format!("consume {}", log.queue)))?;
        Ok(Self { deliveries: consumer.ready_chunks(PREFETCH.into()), log, orders, forgotten: Instant::now() })
    }

    /// Returns when everything has been read that was in the log before this was called. A log says nothing when it has
    /// come to its end, so a message of our own is put there, and waited for.
    pub async fn catch_up(&mut self) -> Result<(), Error> {
        let marker = clock::task_id().to_string();
        let log = self.log.clone();
        let marking = async {
            loop {
                // It is written again until it is read back: the first may have been lost with a broker.
                if let Err(error) = log.mark(&marker).await {
                    debug!(%error, "the command log takes no marker yet");
                }
                sleep(MARK_AGAIN).await;
            }
        };
        let reading = async {
            loop {
                if self.next().await?.iter().any(|batch| batch.marker.as_ref() == Some(&marker)) {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            read = reading => read,
            () = marking => unreachable!("it goes on until it is dropped"),
        }
    }

    /// Reads on for as long as that is possible.
    pub async fn follow(&mut self) -> Result<Infallible, Error> {
        loop {
            self.next().await?;
        }
    }

    /// Reads what has arrived, at least one message, and says what it was. Cancel safe: what was read is known already.
    pub async fn next(&mut self) -> Result<Vec<Batch>, Error> {
        let gone = || Error::Cancelled { queue: self.log.queue.clone() };
        let arrived = self.deliveries.next().await.ok_or_else(gone)?;
        let read = |source| Error::Broker { what: format!("read {}", self.log.queue), source };
        let arrived: Vec<Delivery> = arrived.into_iter().collect::<Result<_, _>>().map_err(read)?;
        let batches: Vec<_> = arrived.iter().filter_map(|delivery| self.read(delivery)).collect();
        if self.forgotten.elapsed() > FORGET {
            self.orders.forget(clock::now());
            self.forgotten = Instant::now();
        }
        if let Some(last) = arrived.last() {
            // In a stream that removes nothing, and makes room for more.
            settle::acknowledge(&last.acker, true).await?;
        }
        Ok(batches)
    }

    fn read(&self, delivery: &Delivery) -> Option<Batch> {
        match Batch::decode(&delivery.data) {
            Ok(batch) => {
                self.orders.read(&batch);
                Some(batch)
            }
            Err(problem) => {
                error!(%problem, "a message of the command log cannot be read and is passed over");
                None
            }
        }
    }
}
