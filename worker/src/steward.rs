//! Passes on to what runs here that somebody wishes it to end.

use tokio_util::sync::CancellationToken;
use warren_runtime::{clock, command_log::Orders};

use crate::board::Board;

/// The component.
#[derive(Debug)]
pub struct Steward {
    /// What operators ordered.
    pub orders: Orders,
    /// What runs.
    pub board: Board,
}

impl Steward {
    /// Passes wishes on until `stop`. What begins later looks at the orders itself.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.orders.watch();
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            let now = clock::now();
            self.orders.look(|in_force| self.board.cancel(|task| in_force.cancel_of(task, now).is_some()));
        }
    }
}
