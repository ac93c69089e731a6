//! Takes deliveries into free slots, and lets go of them in good order.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use warren_core::QueueName;
use warren_runtime::{
    Shutdown,
    amqp::{Connector, Error, Link, Publisher, Topology, session::Sessions},
    readiness::Latch,
};

use crate::{
    desk::Desk,
    lanes::{self, Lanes, Session, Taken},
};

// What has ended before the worker was told to stop now may still be made safe for this long.
const LAST_WORDS: Duration = Duration::from_secs(5);

// The queue may be under way already; and a pool that misses one again and again must not do nothing else.
const SETTLING: Duration = Duration::from_millis(500);

/// The component.
pub struct Pool {
    /// Reaches the broker.
    pub connector: Connector,
    /// Declares the queues.
    pub topology: Topology,
    /// The queues with their weights.
    pub queues: Vec<(QueueName, u32)>,
    /// How many attempts run at once.
    pub slots: u32,
    /// How many deliveries of a queue are held at once, those that run included.
    pub prefetch: u16,
    /// How long running attempts may go on after the worker was asked to end.
    pub grace: Duration,
    /// Sees each delivery through.
    pub desk: Arc<Desk>,
    /// Ends what waits for the broker; the desk's settlement listens to it.
    pub cutoff: CancellationToken,
    /// Met while every consumer is alive.
    pub latch: Latch,
}

impl Pool {
    /// Works until `shutdown.drain`, and returns when nothing runs any more.
    pub async fn run(self, shutdown: &Shutdown) {
        let slots = Arc::new(Semaphore::new(self.slots as usize));
        let running = TaskTracker::new();
        let mut sessions = Sessions::new(self.connector.clone(), "consume");
        let mut session = Session::First;
        while let Some(link) = sessions.next(&shutdown.drain).await {
            let ended = tokio::select! {
                ended = self.live(&link, session, &slots, &running, shutdown) => ended,
                error = link.broken() => Err(error),
            };
            self.latch.missing("no connection to consume on");
            sessions.ended(link, ended).await;
            session = Session::Again;
        }
        self.finish(&running, shutdown).await;
    }

    async fn live(
        &self,
        link: &Link,
        session: Session,
        slots: &Arc<Semaphore>,
        running: &TaskTracker,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut lanes = Lanes::open(link, &self.topology, &self.queues, self.prefetch, session).await?;
        self.latch.met();
        // What was missed before has just been made.
        let publisher = &self.desk.settlement.publisher;
        let _: Option<()> = publisher.missing().now_or_never();
        info!(queues = ?self.queues, slots = self.slots, "consuming");
        // Kept from turn to turn, or a busy pool would never get through its wait.
        let missed = missing(publisher);
        tokio::pin!(missed);
        loop {
            let next = async {
                let slot = slots.clone().acquire_owned().await.expect("slots are never closed");
                (slot, lanes.next(link, &self.topology).await)
            };
            tokio::select! {
                taken = shutdown.drain.run_until_cancelled(next) => {
                    let Some((slot, taken)) = taken else { break };
                    self.dispatch(slot, taken?, slots, running).await;
                }
                () = &mut missed => {
                    warn!("a queue is gone: making again what is not there");
                    lanes::declare(link, &self.topology, &self.queues).await?;
                    missed.set(missing(publisher));
                }
            }
        }
        self.latch.missing("shutting down");
        lanes.stop().await;
        // The connection stays until everything that runs on its deliveries has been acknowledged.
        self.finish(running, shutdown).await;
        Ok(())
    }

    // Further slots are waited for here and nowhere else: two attempts that each hold one and wait for another would
    // wait for ever.
    async fn dispatch(
        &self,
        mut slot: OwnedSemaphorePermit,
        taken: Taken,
        slots: &Arc<Semaphore>,
        running: &TaskTracker,
    ) {
        let read = self.desk.read(&taken);
        let further = read.as_ref().map_or(0, |work| work.assignment.slots.min(self.slots).saturating_sub(1));
        if further > 0 {
            slot.merge(slots.clone().acquire_many_owned(further).await.expect("slots are never closed"));
        }
        let desk = self.desk.clone();
        running.spawn(desk.handle(taken, read, slot));
    }

    async fn finish(&self, running: &TaskTracker, shutdown: &Shutdown) {
        let too_late = async {
            shutdown.abort.cancelled().await;
            sleep(LAST_WORDS).await;
            self.cutoff.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = shutdown.finish(running, self.grace) => {}
            () = too_late => {}
        }
    }
}

// A queue without consumers is gone without a word, until something cannot be published to it. If this is dropped in its
// wait, whoever misses the queue says so again.
async fn missing(publisher: &Publisher) {
    publisher.missing().await;
    sleep(SETTLING).await;
}
