//! Messages that workers hand on, for they wait for others: each is put into the log before it is acknowledged.

use std::convert::Infallible;

use futures::{StreamExt, future::join_all};
use lapin::{message::Delivery, options::BasicConsumeOptions, types::FieldTable};
use tracing::warn;
use warren_core::event::Event;
use warren_runtime::{
    amqp::{self, Link, settle},
    clock,
};

use super::Follower;
use crate::workflow::held;

const HELD_AT_ONCE: u16 = 100;

impl Follower {
    // Takes in the messages that workers hand on: each is in the log before it is acknowledged.
    pub(super) async fn take_in(&self, link: &Link) -> Result<Infallible, amqp::Error> {
        let queue = self.producer.topology().names().held();
        let channel = link.consuming_channel(HELD_AT_ONCE).await?;
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(queue.as_str().into(), "workflows".into(), options, FieldTable::default()).await;
        let failed = |what: &str| {
            let what = format!("{what} {queue}");
            |source| amqp::Error::Broker { what, source }
        };
        let mut arrived = consumer.map_err(failed("consume"))?.ready_chunks(HELD_AT_ONCE.into());
        while let Some(some) = arrived.next().await {
            let some: Vec<Delivery> = some.into_iter().collect::<Result<_, _>>().map_err(failed("read"))?;
            let now = clock::now();
            let held: Vec<_> = some
                .iter()
                .filter_map(|delivery| {
                    let held = held::read(delivery, now);
                    if held.is_none() {
                        warn!(queue, "a message among those that wait for others cannot be read, and is passed over");
                    }
                    held.map(|held| Event::Held(Box::new(held)))
                })
                .collect();
            let told = join_all(held.iter().map(|event| self.producer.log().record(event))).await;
            if told.iter().any(Result::is_err) {
                // The process ends: the broker keeps them.
                return Err(amqp::Error::ChannelClosed);
            }
            self.trouble.concern();
            if let Some(last) = some.last() {
                settle::acknowledge(&last.acker, true).await?;
            }
        }
        Err(amqp::Error::Cancelled { queue })
    }
}
