//! Waiting between the tries of something that must succeed in the end.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Waits a little longer each time something that must succeed has failed.
#[derive(Debug)]
pub struct Patience(Duration);

impl Patience {
    /// From the shortest wait on.
    pub fn new() -> Self {
        Self(Duration::from_millis(50))
    }

    /// Waits, unless `abort` is cancelled: then false.
    pub async fn wait(&mut self, abort: &CancellationToken) -> bool {
        let wait = self.0;
        self.0 = (wait * 2).min(Duration::from_secs(2));
        abort.run_until_cancelled(sleep(wait)).await.is_some()
    }
}
