//! How a process ends: first it takes nothing more, later it stops.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// The two wishes that every component listens to.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no more; finish what runs.
    pub drain: CancellationToken,
    /// Stop now; give back what runs.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Waits for SIGTERM or SIGINT, then wishes the process to drain. A second signal wishes it to stop now.
    pub async fn on_signals(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for wish in [&self.drain, &self.abort] {
            tokio::select! {
                _ = terminate.recv() => info!(signal = "SIGTERM", "shutting down"),
                _ = interrupt.recv() => info!(signal = "SIGINT", "shutting down"),
                () = self.abort.cancelled() => return Ok(()),
            }
            wish.cancel();
        }
        Ok(())
    }

    /// Waits until everything in `tracker` has ended: for `grace` by itself, then by force.
    pub async fn finish(&self, tracker: &TaskTracker, grace: Duration) {
        tracker.close();
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                () = self.abort.cancelled() => {}
            }
        };
        tokio::select! {
            () = tracker.wait() => return,
            () = patience => {}
        }
        warn!(running = tracker.len(), "grace is over, stopping what still runs");
        self.abort.cancel();
        tracker.wait().await;
    }
}
