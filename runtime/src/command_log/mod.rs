//! The command log: what operators ordered, for every worker to read.
//!
//! It is a stream, written straight through the default exchange as the event log is: bound to an exchange beside another
//! queue, the broker would confirm an order that no worker will ever see. Whoever reads it reads all of it from the
//! beginning, for it is small, and then on; nothing of what it says depends on the order in which it is read.

mod follower;
mod orders;

use std::time::Duration;

use lapin::BasicProperties;
use tokio::time::timeout;
use warren_core::command::{Batch, Lapse, Order};

pub use follower::Follower;
pub use orders::Orders;

use crate::amqp::{Names, Outgoing, PublishError, Publisher, message::PERSISTENT};

// An order has at most some hundred bytes, so a message stays far below a megabyte.
const AT_ONCE: usize = 500;
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes to the command log; cheap to clone.
#[derive(Debug, Clone)]
pub struct CommandLog {
    publisher: Publisher,
    queue: String,
    source: String,
}

impl CommandLog {
    /// For the process of this name.
    pub fn new(publisher: Publisher, names: &Names, source: &str) -> Self {
        Self { publisher, queue: names.commands(), source: source.to_owned() }
    }

    /// Writes orders, and returns when the log has confirmed them. Of many, the first may be in force when it fails: giving
    /// the same ones again does no harm.
    pub async fn give(&self, orders: &[Order]) -> Result<(), PublishError> {
        if let Some(obstacle) = self.publisher.obstacle() {
            return Err(obstacle);
        }
        for some in orders.chunks(AT_ONCE) {
            self.write(&Batch { orders: some.to_vec(), ..Batch::new(&self.source) }).await?;
        }
        Ok(())
    }

    /// Writes that orders are in force no longer.
    pub async fn lapse(&self, lapsed: &[Lapse]) -> Result<(), PublishError> {
        for some in lapsed.chunks(AT_ONCE) {
            self.write(&Batch { lapsed: some.to_vec(), ..Batch::new(&self.source) }).await?;
        }
        Ok(())
    }

    async fn mark(&self, marker: &str) -> Result<(), PublishError> {
        self.write(&Batch { marker: Some(marker.to_owned()), ..Batch::new(&self.source) }).await
    }

    async fn write(&self, batch: &Batch) -> Result<(), PublishError> {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let message = Outgoing::to_queue(&self.queue, properties, batch.encode());
        let written = timeout(PATIENCE, self.publisher.publish(&message)).await;
        let written = written.unwrap_or(Err(PublishError::TimedOut(PATIENCE)));
        if let Err(PublishError::Returned { .. }) = written {
            self.publisher.miss();
        }
        written
    }
}
