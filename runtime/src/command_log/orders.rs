//! What is in force, as far as this process has read.

use std::sync::Arc;

use tokio::sync::watch;
use warren_core::{
    Timestamp,
    command::{Batch, InForce, Order},
};

/// What is in force; cheap to clone, and the same for all clones. What was known once stays known while the log cannot be
/// read, and when it was made anew.
#[derive(Debug, Clone)]
pub struct Orders(Arc<watch::Sender<InForce>>);

impl Default for Orders {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(InForce::default())))
    }
}

impl Orders {
    /// Looks at what is in force. Nothing may wait in `look`.
    pub fn look<T>(&self, look: impl FnOnce(&InForce) -> T) -> T {
        look(&self.0.borrow())
    }

    /// Tells when something has changed.
    pub fn watch(&self) -> watch::Receiver<InForce> {
        self.0.subscribe()
    }

    /// Takes in what stands in the log.
    pub(super) fn read(&self, batch: &Batch) {
        self.0.send_if_modified(|in_force| {
            let given = batch.orders.iter().filter(|order| in_force.apply(order)).count();
            let lapsed = batch.lapsed.iter().filter(|lapse| in_force.lapse(lapse)).count();
            given + lapsed > 0
        });
    }

    /// Takes in orders that are known from elsewhere.
    pub fn learn(&self, orders: &[Order]) {
        self.0.send_if_modified(|in_force| orders.iter().filter(|order| in_force.apply(order)).count() > 0);
    }

    /// Forgets what holds no longer.
    pub fn forget(&self, now: Timestamp) {
        // Nobody need be told: what is forgotten was no longer in force.
        self.0.send_if_modified(|in_force| {
            in_force.forget(now);
            false
        });
    }
}
