//! Letting go of deliveries, as many together as can be.
//!
//! An acknowledgement costs the client library and the broker about as much as the delivery itself, whether it is for one
//! or for a hundred. So those that come while one is being written go with the next.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use lapin::{
    Acker,
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio_util::task::TaskTracker;
use tracing::{debug, info};
use warren_core::outstanding::{self, Outstanding};
use warren_runtime::amqp::session::chain;

/// The deliveries of one channel; cheap to clone.
#[derive(Debug, Clone)]
pub struct Receipts {
    state: Arc<Mutex<State>>,
    settling: TaskTracker,
}

#[derive(Debug, Default)]
struct State {
    outstanding: Outstanding<Acker>,
    // Somebody is acknowledging, and will see to whatever comes meanwhile.
    is_writing: bool,
}

/// A delivery that the broker counts as ours.
#[derive(Debug, Clone)]
pub struct Receipt {
    tag: u64,
    acker: Acker,
    receipts: Receipts,
}

impl Receipts {
    /// Of a channel that is new. What is still to be acknowledged is tracked by `settling`.
    pub fn new(settling: TaskTracker) -> Self {
        Self { state: Arc::default(), settling }
    }

    /// For a delivery that has just come. Each must be told, in the order of their coming.
    pub fn take(&self, delivery: &Delivery) -> Receipt {
        let (tag, acker) = (delivery.delivery_tag, delivery.acker.clone());
        self.state().outstanding.arrived(tag, acker.clone());
        Receipt { tag, acker, receipts: self.clone() }
    }

    // Until nothing is left: whoever comes meanwhile leaves it to this.
    async fn write(self) {
        loop {
            let due = {
                let mut state = self.state();
                let due = state.outstanding.take();
                state.is_writing = due.up_to.is_some() || !due.alone.is_empty();
                if !state.is_writing {
                    return;
                }
                due
            };
            let outstanding::Receipt { up_to, alone } = due;
            let together = up_to.iter().map(|acker| acknowledge(acker, true));
            futures::future::join_all(together.chain(alone.iter().map(|acker| acknowledge(acker, false)))).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while deliveries are counted")
    }
}

impl Receipt {
    /// Whether its channel is gone, and with it the delivery: the broker hands it out again.
    pub fn is_lost(&self) -> bool {
        self.acker.poisoned()
    }

    /// Its outcome is safe: it is acknowledged soon.
    pub fn acknowledge(&self) {
        let mut state = self.receipts.state();
        state.outstanding.done(self.tag);
        if !mem::replace(&mut state.is_writing, true) {
            self.receipts.settling.spawn(self.receipts.clone().write());
        }
    }

    /// It goes back to its place in the queue.
    pub async fn give_back(&self) {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        if let Err(error) = self.acker.nack(options).await {
            info!(error = chain(&error), "a delivery was given back by the broken connection itself");
        }
        // Only now: until the broker has been told, an acknowledgement of a later one would cover it.
        self.receipts.state().outstanding.gone(self.tag);
    }
}

async fn acknowledge(acker: &Acker, multiple: bool) {
    match acker.ack(BasicAckOptions { multiple }).await {
        Ok(true) => {}
        // Their channel died: the broker hands them out again, and the record keeps them from being run again.
        Ok(false) => debug!("deliveries were lost with their channel"),
        Err(cause) => debug!(error = chain(&cause), "deliveries were lost with their channel"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_before_the_writing_begins_goes_together() {
        let settling = TaskTracker::new();
        let receipts = Receipts::new(settling.clone());
        let take = |tag| receipts.take(&Delivery::mock(tag, "".into(), "q".into(), false, Vec::new()));
        let all: Vec<_> = (1..=4).map(take).collect();
        for index in [1, 0, 3] {
            all[index].acknowledge();
        }
        settling.close();
        settling.wait().await;
        let used: Vec<_> = all.iter().map(|receipt| !receipt.acker.usable()).collect();
        // The first goes with the second.
        assert_eq!(used, [false, true, false, true]);
        all[2].acknowledge();
        settling.wait().await;
        assert!(!all[2].acker.usable());
    }
}
