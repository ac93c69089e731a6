//! The outgoing side of a process: a publisher, and the event log that is written through it.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    amqp::{Connector, Names, Publisher},
    event_log::EventLog,
    readiness::Latch,
};

/// A running publisher and event log. [`Uplink::close`] writes what is left.
#[derive(Debug)]
pub struct Uplink {
    /// Publishes messages.
    pub publisher: Publisher,
    /// Writes events.
    pub log: EventLog,
    tracker: TaskTracker,
    stop_writing: CancellationToken,
    stop_publishing: CancellationToken,
}

impl Uplink {
    /// Starts both. `source` names this run of this process; the latch is met while there is a connection to publish on.
    pub fn start(connector: Connector, names: &Names, source: &str, latch: Option<Latch>) -> Self {
        let (publishing, publisher) = Publisher::new(connector, latch);
        let (writing, log) = EventLog::new(publisher.clone(), names, source);
        let (stop_writing, stop_publishing) = (CancellationToken::new(), CancellationToken::new());
        let tracker = TaskTracker::new();
        tracker.spawn(writing.run(stop_writing.clone()));
        tracker.spawn(publishing.run(stop_publishing.clone()));
        tracker.close();
        Self { publisher, log, tracker, stop_writing, stop_publishing }
    }

    /// Writes the events that were handed over, and closes the connection. The writer ends before the publisher it needs.
    pub async fn close(self) {
        let Self { publisher, log, tracker, stop_writing, stop_publishing } = self;
        log.close(&stop_writing).await;
        drop(publisher);
        stop_publishing.cancel();
        tracker.wait().await;
    }
}
