//! Publishing that counts: a message is published when the broker has confirmed and routed it.
//!
//! The loop holds the connection; any number of cheap handles publish through it. Nothing is handed to the client
//! library while the broker blocks the connection, for there it would wait without bound.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::FutureExt;
use lapin::{Channel, Confirmation, PublisherConfirm, options::BasicPublishOptions};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Connector, Error, Outgoing,
    connection::Link,
    session::{self, Sessions},
    wire::Returns,
};
use crate::readiness::Latch;

// The client library walks all that is pending when the broker confirms many at once: a larger window costs more.
const WINDOW: usize = 1_000;
const STALE_AFTER: Duration = Duration::from_secs(3);

/// The largest body that every supported broker takes (RabbitMQ 4.0 release notes).
pub const LARGEST_BODY: usize = 16 << 20;

/// Why a message was not published, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// No queue took it: the queue does not exist.
    #[error("there is no queue for {key:?}: no worker has made it yet, or it was deleted")]
    Returned {
        /// The routing key, for the default exchange the queue's name.
        key: String,
    },
    /// The broker could not store it.
    #[error("the broker refused the message for {key:?}")]
    Nacked {
        /// The routing key.
        key: String,
    },
    /// The broker did not confirm in time; the message may or may not have arrived.
    #[error("the broker did not confirm within {0:?}")]
    TimedOut(Duration),
    /// The broker takes nothing at present: it is short of memory or disk.
    #[error("the broker takes no messages at present: it is short of memory or disk")]
    Blocked,
    /// There is no connection to the broker, or it broke; the message may or may not have arrived.
    #[error("there is no connection to the broker")]
    Disconnected,
    /// It is larger than every supported broker takes.
    #[error("a body of {0} bytes is too large: at most {LARGEST_BODY}")]
    TooLarge(usize),
}

impl PublishError {
    /// Whether the same message may be accepted later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Nacked { .. } | Self::TimedOut(_) | Self::Blocked | Self::Disconnected => true,
            Self::Returned { .. } | Self::TooLarge(_) => false,
        }
    }
}

/// A handle for publishing; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    current: watch::Receiver<Option<Arc<Line>>>,
    window: Arc<Semaphore>,
    broken: Arc<Notify>,
    stale: Arc<Notify>,
    missing: Arc<Notify>,
    timeout: Duration,
}

// A node of a cluster may go on sending what comes by a channel to a queue's leader that is dead, or refuse it for that
// queue as if it were full, for as long as the channel lives (seen with RabbitMQ 3.10). A new channel asks who leads now.
#[derive(Debug)]
struct Line {
    channel: Channel,
    blocked: watch::Receiver<bool>,
    returns: Returns,
    // Held while a message gets its number and its place among the frames.
    order: Mutex<()>,
    // Since when a queue has refused everything that came by this channel.
    refused: Mutex<HashMap<String, Instant>>,
}

impl Line {
    fn new(channel: Channel, link: &Link) -> Arc<Self> {
        let (blocked, returns) = (link.blocked(), link.returns());
        Arc::new(Self { channel, blocked, returns, order: Mutex::default(), refused: Mutex::default() })
    }

    async fn unblocked(&self) -> Result<(), PublishError> {
        if *self.blocked.borrow() {
            let mut blocked = self.blocked.clone();
            blocked.wait_for(|blocked| !blocked).await.map_err(|_| PublishError::Disconnected)?;
        }
        Ok(())
    }

    // The client library numbers a message, and then, not in one step, puts its frames behind those of others. Two threads at
    // once could do the one in this order and the other in that: each would be told what became of the other's message.
    async fn send(&self, message: &Outgoing) -> Result<PublisherConfirm, lapin::Error> {
        // With `mandatory` the broker returns what no queue took (RabbitMQ documentation, "Publishers").
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key, properties) = (message.exchange.clone(), message.key.clone(), message.properties.clone());
        let mut sending = pin!(self.channel.basic_publish(exchange, key, options, &message.body, properties));
        poll_fn(|context| {
            let _in_order = self.order.lock().expect("nobody panics while a message is handed over");
            sending.as_mut().poll(context)
        })
        .await
    }

    fn took(&self, queue: &str) {
        self.refusals().remove(queue);
    }

    // Whether it has done so for a while.
    fn refused(&self, queue: &str) -> bool {
        self.refusals().entry(queue.to_owned()).or_insert_with(Instant::now).elapsed() > STALE_AFTER
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.refused.lock().expect("nobody panics while looking at a clock")
    }
}

/// The component behind the handles.
#[derive(Debug)]
pub struct PublisherLoop {
    connector: Connector,
    current: watch::Sender<Option<Arc<Line>>>,
    broken: Arc<Notify>,
    stale: Arc<Notify>,
    latch: Option<Latch>,
}

impl Publisher {
    /// A loop to run, and the first handle.
    pub fn new(connector: Connector, latch: Option<Latch>) -> (PublisherLoop, Self) {
        let timeout = connector.config().confirm_timeout;
        let (sender, current) = watch::channel(None);
        let (broken, stale) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let window = Arc::new(Semaphore::new(WINDOW));
        let missing = Arc::default();
        let publisher = Self { current, window, broken: broken.clone(), stale: stale.clone(), missing, timeout };
        (PublisherLoop { connector, current: sender, broken, stale, latch }, publisher)
    }

    /// Publishes one message, and returns when the broker has confirmed and routed it.
    pub async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        if message.body.len() > LARGEST_BODY {
            return Err(PublishError::TooLarge(message.body.len()));
        }
        let _place = self.window.acquire().await.expect("the window is never closed");
        let mut line = None;
        let attempt = async {
            let found = line.insert(self.line().await?);
            found.unblocked().await?;
            self.told(found, message).await
        };
        let result = tokio::time::timeout(self.timeout, attempt).await;
        let Some(line) = line else { return result.unwrap_or(Err(PublishError::Disconnected)) };
        let key = message.key.as_str();
        match result {
            Ok(result) => {
                match result {
                    Ok(()) => line.took(key),
                    Err(PublishError::Nacked { .. }) if line.refused(key) => self.stale.notify_one(),
                    Err(_) => {}
                }
                result
            }
            Err(_) if *line.blocked.borrow() => Err(PublishError::Blocked),
            Err(_) => {
                self.stale.notify_one();
                Err(PublishError::TimedOut(self.timeout))
            }
        }
    }

    /// Says that a queue of ours is gone, to whoever [waits for it](Self::missing) and can make it again.
    pub fn miss(&self) {
        self.missing.notify_one();
    }

    /// Returns when a queue of ours was missed, perhaps before this was called. Cancel safe.
    pub async fn missing(&self) {
        self.missing.notified().await;
    }

    /// Whether a publish would wait now, and for what.
    pub fn obstacle(&self) -> Option<PublishError> {
        match &*self.current.borrow() {
            None => Some(PublishError::Disconnected),
            Some(line) if *line.blocked.borrow() => Some(PublishError::Blocked),
            Some(_) => None,
        }
    }

    async fn line(&self) -> Result<Arc<Line>, PublishError> {
        if let Some(line) = &*self.current.borrow() {
            return Ok(line.clone());
        }
        let mut current = self.current.clone();
        let found = current.wait_for(Option::is_some).await.map_err(|_| PublishError::Disconnected)?;
        Ok(found.clone().expect("waited for it"))
    }

    async fn told(&self, line: &Line, message: &Outgoing) -> Result<(), PublishError> {
        let key = || message.key.to_string();
        let confirmation = match line.send(message).await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        match confirmation {
            // The message that comes with it may be another's, and ours may have come with another's.
            Ok(Confirmation::Ack(_)) if line.returns.take(&message.key, &message.properties) => {
                Err(PublishError::Returned { key: key() })
            }
            Ok(Confirmation::Ack(_)) => Ok(()),
            Ok(Confirmation::Nack(_)) => Err(PublishError::Nacked { key: key() }),
            Ok(Confirmation::NotRequested) => unreachable!("confirms were asked for when the channel was opened"),
            Err(error) => {
                tracing::debug!(error = session::chain(&error), "a publish failed");
                self.broken.notify_one();
                Err(PublishError::Disconnected)
            }
        }
    }
}

impl PublisherLoop {
    /// Keeps a publishing channel open until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "publish");
        while let Some(link) = sessions.next(&stop).await {
            let ended = self.live(&link, &stop).await;
            self.current.send_replace(None);
            self.tell(Some("no connection to publish on"));
            sessions.ended(link, ended).await;
        }
    }

    async fn live(&self, link: &Link, stop: &CancellationToken) -> Result<(), Error> {
        let channel = link.publishing_channel().await?;
        // What broke the last channel says nothing of this one.
        let _: Option<()> = self.broken.notified().now_or_never();
        let mut blocked = link.blocked();
        self.current.send_replace(Some(Line::new(channel, link)));
        // What is on its way by the last channel keeps that until it is told.
        let renewing = async {
            loop {
                self.stale.notified().await;
                tracing::debug!("publishing on a new channel");
                match link.publishing_channel().await {
                    Ok(channel) => drop(self.current.send_replace(Some(Line::new(channel, link)))),
                    Err(error) => return error,
                }
            }
        };
        let readiness = async {
            loop {
                let is_blocked = *blocked.borrow_and_update();
                self.tell(is_blocked.then_some("the broker takes no messages at present"));
                if blocked.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = self.broken.notified() => Err(Error::ChannelClosed),
            error = link.broken() => Err(error),
            () = stop.cancelled() => Ok(()),
            error = renewing => Err(error),
            () = readiness => Ok(()),
        }
    }

    fn tell(&self, missing: Option<&str>) {
        match (&self.latch, missing) {
            (Some(latch), Some(reason)) => latch.missing(reason),
            (Some(latch), None) => latch.met(),
            (None, _) => {}
        }
    }
}
