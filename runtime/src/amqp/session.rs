//! One session with the broker after another, whatever becomes of each.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Connector, Error, Link};

const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
// A peer that takes connections and says nothing, as a frozen broker or a dead proxy does, must not hold up the return. One
// that has answered a knock may be slow: it gets the connector's own patience.
const PATIENCE: Duration = Duration::from_secs(3);
const KNOCKING: Duration = Duration::from_secs(2);
// The client library's thread panics where the process ends in the middle of a connect: one that is under way may finish.
const FINISHING: Duration = Duration::from_millis(500);
// While the broker is away each try fails alike.
const BETWEEN_WORDS: Duration = Duration::from_secs(30);

/// Connects again and again, for one purpose. Whoever uses it does its work on a link until that breaks
/// ([`Link::broken`]), says how it ended, and asks for the next.
#[derive(Debug)]
pub struct Sessions {
    connector: Connector,
    purpose: &'static str,
    wait: Duration,
    born: Option<Instant>,
    // The last connection was accepted and never answered.
    mute: bool,
    // When it was last said that there is no connection; `None` while there is one.
    told: Option<Instant>,
}

impl Sessions {
    /// With nothing connected yet.
    pub fn new(connector: Connector, purpose: &'static str) -> Self {
        Self { connector, purpose, wait: SHORTEST_WAIT, born: None, mute: false, told: None }
    }

    /// The next connection, after a wait that grows while they keep failing; `None` once `stop` is cancelled.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Link> {
        loop {
            if self.born.take().is_some_and(|born| born.elapsed() < LONGEST_WAIT) {
                self.pause(stop).await?;
            }
            match self.connect_until(stop).await? {
                Ok(link) => {
                    info!(purpose = self.purpose, node = %link.node(), "connected to the broker");
                    self.born = Some(Instant::now());
                    self.told = None;
                    return Some(link);
                }
                Err(error @ Error::ConnectTimeout { .. }) => self.tell(&error),
                Err(error) => {
                    self.tell(&error);
                    self.pause(stop).await?;
                }
            }
        }
    }

    /// Says how the work on a link ended, and closes it.
    pub async fn ended(&mut self, link: Link, result: Result<(), Error>) {
        match result {
            Ok(()) => self.wait = SHORTEST_WAIT,
            Err(error) => {
                warn!(purpose = self.purpose, node = %link.node(), error = chain(&error), "the session with the broker has ended");
                // A node can take connections and yet not be able to do what is wanted of it.
                self.connector.leave(&link);
            }
        }
        if self.born.is_some_and(|born| born.elapsed() > LONGEST_WAIT) {
            self.wait = SHORTEST_WAIT;
        }
        link.close().await;
    }

    fn tell(&mut self, error: &Error) {
        let error = chain(error);
        if self.told.is_some_and(|told| told.elapsed() < BETWEEN_WORDS) {
            debug!(purpose = self.purpose, error, "still no connection to the broker");
        } else {
            warn!(purpose = self.purpose, error, "no connection to the broker: trying until there is one");
            self.told = Some(Instant::now());
        }
    }

    async fn connect_until(&mut self, stop: &CancellationToken) -> Option<Result<Link, Error>> {
        let mut connecting = pin!(self.connect());
        let connected = stop.run_until_cancelled(connecting.as_mut()).await;
        if connected.is_none()
            && let Ok(Ok(link)) = timeout(FINISHING, connecting).await
        {
            link.close().await;
        }
        connected
    }

    // The client library keeps a thread and a socket of every connection that was given up before it was answered, for as
    // long as the peer is silent. So after the first of them somebody must have answered before the next is begun.
    async fn connect(&mut self) -> Result<Link, Error> {
        if !self.mute {
            let connected = self.connector.connect_within(PATIENCE, self.purpose).await;
            self.mute = matches!(connected, Err(Error::ConnectTimeout { .. }));
            return connected;
        }
        self.connector.knock(KNOCKING).await?;
        let connected = self.connector.connect(self.purpose).await;
        self.mute = connected.is_err();
        connected
    }

    async fn pause(&mut self, stop: &CancellationToken) -> Option<()> {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        stop.run_until_cancelled(tokio::time::sleep(wait)).await
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
