//! A second look at a level of the delay ladder, for tasks that shall run now.
//!
//! A queue hands its messages out one after the other, so all that rest before the one that is meant must be held for as
//! long as the search goes on; when it ends they go back to their places. So that nobody waits long for that, a search ends
//! after some messages or some time, whichever comes first. Of what is held only a number is kept here.

use std::{collections::BTreeSet, time::Duration};

use lapin::{Channel, message::Delivery, options::BasicGetOptions};
use tokio::time::Instant;
use tracing::info;
use warren_core::TaskId;
use warren_runtime::amqp::{Error, Link};

/// So many messages are looked at.
const MESSAGES: u32 = 10_000;
/// So long the search goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// A search through one queue.
#[derive(Debug)]
pub struct Search {
    channel: Channel,
    queue: String,
    begun: Instant,
    looked_at: u32,
}

impl Search {
    /// Begins where nobody holds the messages.
    pub async fn open(link: &Link, queue: String) -> Result<Self, Error> {
        Ok(Self { channel: link.channel().await?, queue, begun: Instant::now(), looked_at: 0 })
    }

    /// The next of the tasks that is found, which is then not searched for any more; `None` when the search is over.
    pub async fn next(&mut self, tasks: &mut BTreeSet<TaskId>) -> Result<Option<Delivery>, Error> {
        while self.looked_at < MESSAGES && self.begun.elapsed() < PATIENCE && !tasks.is_empty() {
            let next = self.channel.basic_get(self.queue.as_str().into(), BasicGetOptions::default()).await;
            let next = next.map_err(|source| Error::Broker { what: format!("search {}", self.queue), source })?;
            let Some(message) = next else { break };
            self.looked_at += 1;
            let id = message.delivery.properties.message_id().as_ref().and_then(|id| TaskId::parse(id.as_str()).ok());
            if id.is_some_and(|id| tasks.remove(&id)) {
                return Ok(Some(message.delivery));
            }
        }
        Ok(None)
    }

    /// Gives back what was looked at and not acknowledged.
    pub async fn close(self) -> Result<(), Error> {
        info!(queue = self.queue, looked_at = self.looked_at, took = ?self.begun.elapsed(), "searched the delay ladder");
        let closed = self.channel.close(200, "searched".into()).await;
        closed.map_err(|source| Error::Broker { what: format!("end the search in {}", self.queue), source })
    }
}
