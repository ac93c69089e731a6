//! Publishing that counts: a message is published when the broker has confirmed and routed it.
//!
//! The loop holds the connection; any number of cheap handles publish through it. Nothing is handed to the client
//! library while the broker blocks the connection, for there it would wait without bound.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use lapin::Confirmation;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Connector, Error, Outgoing, connection::Link, line::Line, session::Sessions};
use crate::readiness::Latch;

/// As many messages are on their way at once. With fewer the broker waits for us between two confirms; with more the client
/// library, which walks all of them when many are confirmed at once, costs what is gained (docs/performance.md).
pub const WINDOW: usize = 2_000;

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
        // One more for the batch of the event log that is on its way: it must not keep back a hundred tasks.
        let window = Arc::new(Semaphore::new(WINDOW + 1));
        let missing = Arc::default();
        let publisher = Self { current, window, broken: broken.clone(), stale: stale.clone(), missing, timeout };
        (PublisherLoop { connector, current: sender, broken, stale, latch }, publisher)
    }

    /// Publishes one message, and returns when the broker has confirmed and routed it.
    pub async fn publish(&self, message: &Outgoing) -> Result<(), PublishError> {
        self.publish_within(self.timeout, message, || {}).await
    }

    /// The same with less patience than is configured, for what may well be written twice. The next try is on a new channel.
    /// `sent` is called when the message has left this process.
    pub async fn publish_within(
        &self,
        patience: Duration,
        message: &Outgoing,
        sent: impl FnOnce(),
    ) -> Result<(), PublishError> {
        fits(message)?;
        let _place = self.window.acquire().await.expect("the window is never closed");
        let patience = patience.min(self.timeout);
        let mut late = pin!(sleep(patience));
        let line = self.ready(late.as_mut()).await?;
        let sending = async {
            let confirmation = match line.send(message).await {
                Ok(confirm) => {
                    sent();
                    confirm.await
                }
                Err(error) => Err(error),
            };
            self.told(&line, message, confirmation)
        };
        before(late, sending).await.unwrap_or_else(|| Err(self.silence(Some(&line), patience)))
    }

    /// Publishes many messages as [`publish`](Self::publish) does one, and returns what became of each, in their order.
    /// Together they cost this process and the broker less than one by one. At most [`WINDOW`] at once.
    pub async fn publish_all(&self, messages: &[Outgoing]) -> Vec<Result<(), PublishError>> {
        let places = u32::try_from(messages.len().min(WINDOW)).expect("the window is small");
        let _places = self.window.acquire_many(places).await.expect("the window is never closed");
        let mut late = pin!(sleep(self.timeout));
        let all = |error: PublishError| {
            messages.iter().map(|message| fits(message).and_then(|()| Err(error.clone()))).collect()
        };
        let line = match self.ready(late.as_mut()).await {
            Ok(line) => line,
            Err(error) => return all(error),
        };
        let sending = line.send_all(messages.iter().filter(|message| fits(message).is_ok()));
        let Some(mut sent) = before(late.as_mut(), sending).await else {
            return all(self.silence(Some(&line), self.timeout));
        };
        // From the end: when the last is confirmed so are most others, and whoever waits is not woken for each.
        let mut results = Vec::with_capacity(messages.len());
        for message in messages.iter().rev() {
            results.push(match fits(message).map(|()| sent.pop().expect("all that fit were sent")) {
                Err(error) => Err(error),
                Ok(Err(error)) => self.told(&line, message, Err(error)),
                // One that was confirmed in time is told so, whatever became of another.
                Ok(Ok(confirm)) => match before(late.as_mut(), confirm).await {
                    Some(confirmation) => self.told(&line, message, confirmation),
                    None => Err(self.silence(Some(&line), self.timeout)),
                },
            });
        }
        results.reverse();
        results
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
            Some(line) if line.is_blocked() => Some(PublishError::Blocked),
            Some(_) => None,
        }
    }

    // The channel, when it takes something.
    async fn ready(&self, mut late: Pin<&mut Sleep>) -> Result<Arc<Line>, PublishError> {
        let line = before(late.as_mut(), self.line()).await.unwrap_or_else(|| Err(self.silence(None, self.timeout)))?;
        before(late, line.unblocked()).await.unwrap_or_else(|| Err(self.silence(Some(&line), self.timeout)))?;
        Ok(line)
    }

    async fn line(&self) -> Result<Arc<Line>, PublishError> {
        if let Some(line) = &*self.current.borrow() {
            return Ok(line.clone());
        }
        let mut current = self.current.clone();
        let found = current.wait_for(Option::is_some).await.map_err(|_| PublishError::Disconnected)?;
        Ok(found.clone().expect("waited for it"))
    }

    fn told(
        &self,
        line: &Line,
        message: &Outgoing,
        said: Result<Confirmation, lapin::Error>,
    ) -> Result<(), PublishError> {
        let result = line.told(message, said);
        match &result {
            Err(PublishError::Nacked { key }) if line.refused(key) => self.stale.notify_one(),
            Err(PublishError::Disconnected) => self.broken.notify_one(),
            Ok(()) | Err(_) => {}
        }
        result
    }

    // The broker has said nothing for too long.
    fn silence(&self, line: Option<&Line>, patience: Duration) -> PublishError {
        match line {
            None => PublishError::Disconnected,
            Some(line) if line.is_blocked() => PublishError::Blocked,
            Some(_) => {
                self.stale.notify_one();
                PublishError::TimedOut(patience)
            }
        }
    }
}

// What comes of the work, unless it is late by then. The work is asked first.
async fn before<T>(late: Pin<&mut Sleep>, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), late).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

fn fits(message: &Outgoing) -> Result<(), PublishError> {
    let size = message.body.len();
    if size > LARGEST_BODY { Err(PublishError::TooLarge(size)) } else { Ok(()) }
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
