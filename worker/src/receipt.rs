//! Letting go of deliveries, as many together as can be.
//!
//! An acknowledgement costs the client library and the broker about as much as the delivery itself, whether it is for one
//! or for a hundred. So those that come while one is being written go with the next.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use lapin::{Acker, Channel, message::Delivery, options::BasicQosOptions};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};
use warren_core::outstanding::{self, Outstanding};
use warren_runtime::amqp::{session::chain, settle};

use crate::{
    lanes::Lane,
    ordered::PREFETCH,
    turn::{Entry, Turn},
};

/// The deliveries of one channel; cheap to clone.
#[derive(Debug, Clone)]
pub struct Receipts(Manner);

#[derive(Debug, Clone)]
enum Manner {
    // As many together as can be.
    Together { state: Arc<Mutex<State>>, settling: TaskTracker },
    // Each before the next of its key begins.
    InTurn(Channel),
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
    turn: Option<Arc<Turn>>,
}

impl Receipts {
    /// Of a channel that is new. What is still to be acknowledged is tracked by `settling`.
    pub fn together(settling: TaskTracker) -> Self {
        Self(Manner::Together { state: Arc::default(), settling })
    }

    /// Of a channel whose deliveries are acknowledged one by one.
    pub fn in_turn(channel: Channel) -> Self {
        Self(Manner::InTurn(channel))
    }

    /// For a delivery that has just come. Each must be told, in the order of their coming.
    pub fn take(&self, delivery: &Delivery) -> Receipt {
        let (tag, acker) = (delivery.delivery_tag, delivery.acker.clone());
        if let Manner::Together { state, .. } = &self.0 {
            lock(state).outstanding.arrived(tag, acker.clone());
        }
        Receipt { tag, acker, receipts: self.clone(), turn: None }
    }
}

// Until nothing is left: whoever comes meanwhile leaves it to this.
async fn write(state: Arc<Mutex<State>>) {
    loop {
        let due = {
            let mut state = lock(&state);
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

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic while deliveries are counted")
}

impl Receipt {
    /// Whether its channel is gone, and with it the delivery: the broker hands it out again.
    pub fn is_lost(&self) -> bool {
        self.acker.poisoned()
    }

    /// Its number in its channel.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Keeps the others of its key waiting until every clone of it is gone.
    pub fn with_turn(self, turn: Turn) -> Self {
        Self { turn: Some(Arc::new(turn)), ..self }
    }

    /// Whether others of its key wait for it.
    pub fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Its outcome is safe: it is acknowledged, soon or, where others wait for that, now.
    pub async fn acknowledge(&self) {
        match &self.receipts.0 {
            Manner::Together { .. } => self.acknowledge_soon(),
            Manner::InTurn(channel) => {
                acknowledge(&self.acker, false).await;
                // The broker answers this when it has taken in what came before: now nobody is handed this one any more.
                let taken_in = channel.basic_qos(PREFETCH, BasicQosOptions::default()).await;
                if let Err(error) = taken_in {
                    debug!(error = chain(&error), "a delivery was acknowledged on a channel that is gone");
                }
            }
        }
    }

    /// The same without waiting, for one that nobody waits for.
    pub fn acknowledge_soon(&self) {
        let Manner::Together { state, settling } = &self.receipts.0 else { return };
        let mut locked = lock(state);
        locked.outstanding.done(self.tag);
        if !mem::replace(&mut locked.is_writing, true) {
            settling.spawn(write(state.clone()));
        }
    }

    /// It goes back to its place in the queue.
    pub async fn give_back(&self) {
        if let Err(error) = settle::give_back(&self.acker).await {
            info!(error = chain(&error), "a delivery was given back by the broken connection itself");
        }
        // Only now: until the broker has been told, an acknowledgement of a later one would cover it.
        if let Manner::Together { state, .. } = &self.receipts.0 {
            lock(state).outstanding.gone(self.tag);
        }
    }

    /// Takes its place again before all others of its key, as `delivery` and not before that time; false if it is in no turn.
    pub fn again(&self, lane: Lane, delivery: Delivery, not_before: Instant) -> bool {
        let Some(turn) = &self.turn else { return false };
        let receipt = Self { turn: None, ..self.clone() };
        turn.again(Entry { lane, delivery, receipt }, not_before);
        true
    }
}

async fn acknowledge(acker: &Acker, multiple: bool) {
    // Then the broker hands them out again, and the record keeps them from being run again.
    if let Err(cause) = settle::acknowledge(acker, multiple).await {
        debug!(error = chain(&cause), "deliveries were lost with their channel");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_before_the_writing_begins_goes_together() {
        let settling = TaskTracker::new();
        let receipts = Receipts::together(settling.clone());
        let take = |tag| receipts.take(&Delivery::mock(tag, "".into(), "q".into(), false, Vec::new()));
        let all: Vec<_> = (1..=4).map(take).collect();
        for index in [1, 0, 3] {
            all[index].acknowledge_soon();
        }
        settling.close();
        settling.wait().await;
        let used: Vec<_> = all.iter().map(|receipt| !receipt.acker.usable()).collect();
        // The first goes with the second.
        assert_eq!(used, [false, true, false, true]);
        all[2].acknowledge_soon();
        settling.wait().await;
        assert!(!all[2].acker.usable());
    }
}
