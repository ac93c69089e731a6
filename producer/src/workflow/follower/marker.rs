//! Where a term begins in the event log.

use std::time::Duration;

use lapin::BasicProperties;
use tokio::time::{Instant, sleep};
use tracing::debug;
use warren_core::event::{Batch, assemble};
use warren_runtime::amqp::{Outgoing, message::PERSISTENT};

use super::Follower;

const AGAIN: Duration = Duration::from_secs(5);

impl Follower {
    // Puts a message of ours into the log: when it is read back, so is everything that was there before. Returns when it is
    // confirmed.
    pub(super) async fn mark(&self, marker: &str) -> Instant {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = assemble(marker, 1, &[]);
        debug_assert!(Batch::decode(&body).is_ok());
        let message = Outgoing::to_queue(&self.producer.topology().names().log(), properties, body);
        while let Err(error) = self.producer.publisher().publish(&message).await {
            debug!(%error, "the event log takes no marker yet");
            sleep(AGAIN).await;
        }
        Instant::now()
    }
}
