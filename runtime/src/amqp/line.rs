//! A channel for publishing: messages are put on it in order, and each is told what became of it and of no other.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::maybe_done;
use lapin::{Channel, Confirmation, PublisherConfirm, options::BasicPublishOptions};
use tokio::{sync::watch, time::Instant};

use super::{Outgoing, PublishError, connection::Link, session, wire::Returns};

const STALE_AFTER: Duration = Duration::from_secs(3);

// A node of a cluster may go on sending what comes by a channel to a queue's leader that is dead, or refuse it for that
// queue as if it were full, for as long as the channel lives (seen with RabbitMQ 3.10). A new channel asks who leads now.
#[derive(Debug)]
pub(super) struct Line {
    channel: Channel,
    blocked: watch::Receiver<bool>,
    returns: Returns,
    // The client library numbers a message, and then, not in one step, puts its frames behind those of others. Two threads at
    // once could do the one in this order and the other in that: each would be told what became of the other's message.
    order: Mutex<()>,
    // Since when a queue has refused everything that came by this channel.
    refused: Mutex<HashMap<String, Instant>>,
}

/// A message that was handed over, and what the broker is going to say of it.
pub(super) type Sent = Result<PublisherConfirm, lapin::Error>;

impl Line {
    pub(super) fn new(channel: Channel, link: &Link) -> Arc<Self> {
        let (blocked, returns) = (link.blocked(), link.returns());
        Arc::new(Self { channel, blocked, returns, order: Mutex::default(), refused: Mutex::default() })
    }

    pub(super) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    pub(super) async fn unblocked(&self) -> Result<(), PublishError> {
        if self.is_blocked() {
            let mut blocked = self.blocked.clone();
            blocked.wait_for(|blocked| !blocked).await.map_err(|_| PublishError::Disconnected)?;
        }
        Ok(())
    }

    /// Hands a message over, and returns when it is written.
    pub(super) async fn send(&self, message: &Outgoing) -> Sent {
        let mut sending = pin!(self.sending(message));
        poll_fn(|context| {
            let _in_order = self.in_order();
            sending.as_mut().poll(context)
        })
        .await
    }

    /// Hands messages over one close behind the other, and returns when all are written.
    ///
    /// Whoever waits is not woken for each of them: when the last is written all others are.
    pub(super) async fn send_all<'a>(&'a self, messages: impl IntoIterator<Item = &'a Outgoing>) -> Vec<Sent> {
        let sending = messages.into_iter().map(|message| Box::pin(maybe_done(self.sending(message))));
        let mut all: Vec<_> = sending.collect();
        self.begin(&mut all);
        for sending in all.iter_mut().rev() {
            poll_fn(|context| {
                let _in_order = self.in_order();
                sending.as_mut().poll(context)
            })
            .await;
        }
        all.iter_mut().map(|sending| sending.as_mut().take_output().expect("all are done by now")).collect()
    }

    // Each is asked again by whoever is to be woken.
    fn begin(&self, all: &mut [Pin<Box<impl Future<Output = ()>>>]) {
        let mut nobody = Context::from_waker(Waker::noop());
        let _in_order = self.in_order();
        for sending in all {
            let _: Poll<()> = sending.as_mut().poll(&mut nobody);
        }
    }

    // With `mandatory` the broker returns what no queue took (RabbitMQ documentation, "Publishers").
    fn sending(&self, message: &Outgoing) -> impl Future<Output = Sent> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key, properties) = (message.exchange.clone(), message.key.clone(), message.properties.clone());
        self.channel.basic_publish(exchange, key, options, &message.body, properties)
    }

    fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().expect("nobody panics while a message is handed over")
    }

    /// What became of a message. It is disconnected where the channel is of no use any more.
    pub(super) fn told(
        &self,
        message: &Outgoing,
        said: Result<Confirmation, lapin::Error>,
    ) -> Result<(), PublishError> {
        let key = || message.key.to_string();
        match said {
            // The message that comes with it may be another's, and ours may have come with another's.
            Ok(Confirmation::Ack(_)) if self.returns.take(&message.key, &message.properties) => {
                Err(PublishError::Returned { key: key() })
            }
            Ok(Confirmation::Ack(_)) => {
                self.took(message.key.as_str());
                Ok(())
            }
            Ok(Confirmation::Nack(_)) => Err(PublishError::Nacked { key: key() }),
            Ok(Confirmation::NotRequested) => unreachable!("confirms were asked for when the channel was opened"),
            Err(error) => {
                tracing::debug!(error = session::chain(&error), "a publish failed");
                Err(PublishError::Disconnected)
            }
        }
    }

    fn took(&self, queue: &str) {
        let mut refusals = self.refusals();
        if !refusals.is_empty() {
            refusals.remove(queue);
        }
    }

    /// A queue has refused something: whether it has done so for a while.
    pub(super) fn refused(&self, queue: &str) -> bool {
        self.refusals().entry(queue.to_owned()).or_insert_with(Instant::now).elapsed() > STALE_AFTER
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.refused.lock().expect("nobody panics while looking at a clock")
    }
}
