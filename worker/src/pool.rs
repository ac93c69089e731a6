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
    clock,
    command_log::{CommandLog, Follower},
    readiness::Latch,
};

use crate::{
    desk::Desk,
    lanes::{self, Lanes, Session, Taken},
    reading::{Refusal, Work},
};

// What has ended before the worker was told to stop now may still be made safe for this long.
const LAST_WORDS: Duration = Duration::from_secs(5);

// Before it is looked again whether the worker is to end, or operators wish something.
const AT_ONCE: usize = 32;

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
    /// Where operators' orders stand.
    pub commands: CommandLog,
    /// Ends what waits for the broker; the desk's settlement listens to it.
    pub cutoff: CancellationToken,
    /// Met while every consumer is alive that there should be.
    pub latch: Latch,
}

// A delivery that holds a slot and waits for the others that it needs.
struct Waiting {
    taken: Taken,
    read: Result<Work, Box<Refusal>>,
    slot: OwnedSemaphorePermit,
    further: u32,
}

#[expect(clippy::large_enum_variant, reason = "it is passed on at once and never kept")]
enum Step {
    Taken(OwnedSemaphorePermit, Taken),
    Further(OwnedSemaphorePermit),
}

impl Pool {
    /// Works until `shutdown.drain`, and returns when nothing runs any more.
    pub async fn run(self, shutdown: &Shutdown) {
        let slots = Arc::new(Semaphore::new(self.slots as usize));
        let running = TaskTracker::new();
        let mut sessions = Sessions::new(self.connector.clone(), "consume");
        let mut session = Session::First;
        while let Some(link) = sessions.next(&shutdown.drain).await {
            let ended = link.during(self.live(&link, &mut session, &slots, &running, shutdown)).await;
            self.latch.missing("no connection to consume on");
            sessions.ended(link, ended).await;
        }
        self.finish(&running, shutdown).await;
    }

    async fn live(
        &self,
        link: &Link,
        session: &mut Session,
        slots: &Arc<Semaphore>,
        running: &TaskTracker,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let settling = &self.desk.settlement.settling;
        let mut lanes = Lanes::open(link, &self.topology, &self.queues, self.prefetch, *session, settling).await?;
        // Before anything is taken it is known what shall not be.
        let mut follower = Follower::open(link, self.commands.clone(), self.desk.orders.clone()).await?;
        self.latch.missing("reading what operators ordered");
        match shutdown.drain.run_until_cancelled(follower.catch_up()).await {
            Some(caught_up) => caught_up?,
            None => return Ok(()),
        }
        // What ends before this says nothing about the connections of others: workers that make a new pool together may
        // find each other's streams half made.
        *session = Session::Again;
        tokio::select! {
            ended = self.consume(link, &mut lanes, slots, running, shutdown) => ended,
            Err(error) = follower.follow() => Err(error),
        }
    }

    async fn consume(
        &self,
        link: &Link,
        lanes: &mut Lanes,
        slots: &Arc<Semaphore>,
        running: &TaskTracker,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut changes = self.desk.orders.watch();
        self.obey(link, lanes).await?;
        // What was missed before has just been made.
        let publisher = &self.desk.settlement.publisher;
        let _: Option<()> = publisher.missing().now_or_never();
        info!(queues = ?self.queues, slots = self.slots, "consuming");
        // Kept from turn to turn, or a busy pool would never get through its wait.
        let missed = missing(publisher);
        tokio::pin!(missed);
        let mut waiting: Option<Waiting> = None;
        loop {
            // Further slots are waited for here and nowhere else: two attempts that each hold one and wait for another
            // would wait for ever.
            let next = async {
                match &waiting {
                    Some(waiting) => Ok(Step::Further(acquire(slots, waiting.further).await)),
                    None => {
                        let slot = acquire(slots, 1).await;
                        lanes.next(link, &self.topology).await.map(|taken| Step::Taken(slot, taken))
                    }
                }
            };
            tokio::select! {
                step = shutdown.drain.run_until_cancelled(next) => match step {
                    None => break,
                    Some(step) => match step? {
                        Step::Taken(slot, taken) => {
                            waiting = self.receive(slot, taken, running);
                            // Each turn of this loop costs about as much as a short task: what is there already is taken
                            // in one.
                            for _ in 0..AT_ONCE {
                                let Some((slot, taken)) = self.ready(link, lanes, slots, waiting.as_ref())? else { break };
                                waiting = self.receive(slot, taken, running);
                            }
                        }
                        Step::Further(slots) => {
                            let mut complete = waiting.take().expect("its slots were waited for");
                            complete.slot.merge(slots);
                            self.dispatch(complete, running);
                        }
                    },
                },
                _ = changes.changed() => {
                    self.obey(link, lanes).await?;
                    if let Some(unwanted) = waiting.take_if(|waiting| !self.wants(&waiting.taken.queue)) {
                        unwanted.taken.give_back().await;
                    }
                }
                () = &mut missed => {
                    warn!("a queue is gone: making again what is not there");
                    lanes::declare(link, &self.topology, &self.queues).await?;
                    missed.set(missing(publisher));
                }
            }
        }
        self.latch.missing("shutting down");
        if let Some(unstarted) = waiting {
            unstarted.taken.give_back().await;
        }
        lanes.stop().await;
        // The connection stays until everything that runs on its deliveries has been acknowledged.
        self.finish(running, shutdown).await;
        Ok(())
    }

    // A delivery that is there and a slot that is free, without waiting for either.
    fn ready(
        &self,
        link: &Link,
        lanes: &mut Lanes,
        slots: &Arc<Semaphore>,
        waiting: Option<&Waiting>,
    ) -> Result<Option<(OwnedSemaphorePermit, Taken)>, Error> {
        if waiting.is_some() {
            return Ok(None);
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else { return Ok(None) };
        let taken = lanes.next(link, &self.topology).now_or_never().transpose()?;
        Ok(taken.map(|taken| (slot, taken)))
    }

    // Takes from the queues that operators let it take from.
    async fn obey(&self, link: &Link, lanes: &mut Lanes) -> Result<(), Error> {
        lanes.steer(link, self.topology.names(), |queue| self.wants(queue)).await?;
        let resting: Vec<_> = self.queues.iter().map(|(queue, _)| queue).filter(|queue| !self.wants(queue)).collect();
        if resting.is_empty() {
            self.latch.met();
        } else {
            // It does what it is there for: an operator wishes it so.
            let names: Vec<_> = resting.iter().map(ToString::to_string).collect();
            info!(queues = names.join(", "), "not taken from, as an operator wishes");
            self.latch.met_though(format!("not taken from, as an operator wishes: {}", names.join(", ")));
        }
        Ok(())
    }

    fn wants(&self, queue: &QueueName) -> bool {
        self.desk.orders.look(|in_force| {
            in_force.pause_of(queue).is_none() && in_force.drain_of(&self.desk.me, clock::now()).is_none()
        })
    }

    // A delivery that needs further slots is to wait for them.
    fn receive(&self, slot: OwnedSemaphorePermit, taken: Taken, running: &TaskTracker) -> Option<Waiting> {
        let read = self.desk.read(&taken);
        let further = read.as_ref().map_or(0, |work| work.assignment.slots.min(self.slots).saturating_sub(1));
        let waiting = Waiting { taken, read, slot, further };
        if further > 0 {
            return Some(waiting);
        }
        self.dispatch(waiting, running);
        None
    }

    fn dispatch(&self, Waiting { taken, read, slot, .. }: Waiting, running: &TaskTracker) {
        let is_light = read.as_ref().is_ok_and(|work| work.assignment.handler.is_light());
        let mut handling = Box::pin(self.desk.clone().handle(taken, read, slot));
        // What ends at once needs no task of its own, which would cost more than the rest.
        if !is_light || handling.as_mut().now_or_never().is_none() {
            running.spawn(handling);
        }
    }

    async fn finish(&self, running: &TaskTracker, shutdown: &Shutdown) {
        let too_late = async {
            shutdown.abort.cancelled().await;
            sleep(LAST_WORDS).await;
            self.cutoff.cancel();
            std::future::pending::<()>().await;
        };
        let finished = async {
            shutdown.finish(running, self.grace).await;
            let settling = &self.desk.settlement.settling;
            settling.close();
            self.cutoff.run_until_cancelled(settling.wait()).await;
        };
        tokio::select! {
            () = finished => {}
            () = too_late => {}
        }
    }
}

async fn acquire(slots: &Arc<Semaphore>, number: u32) -> OwnedSemaphorePermit {
    slots.clone().acquire_many_owned(number).await.expect("slots are never closed")
}

// A queue without consumers is gone without a word, until something cannot be published to it. If this is dropped in its
// wait, whoever misses the queue says so again.
async fn missing(publisher: &Publisher) {
    publisher.missing().await;
    sleep(SETTLING).await;
}
