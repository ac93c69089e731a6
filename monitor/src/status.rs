//! What the leader says of itself, for every monitor to show.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use warren_core::Timestamp;
use warren_runtime::redis::{Error, Store};

const KEPT: Duration = Duration::from_secs(10);

/// How the projection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process that leads.
    pub leader: String,
    /// When it said so.
    pub at: Timestamp,
    /// How far the projection is behind the log, in milliseconds; `None` while it catches up.
    pub lag_ms: Option<u64>,
}

impl Status {
    /// Says so, for a few seconds.
    pub async fn write(&self, store: &Store) -> Result<(), Error> {
        let text = serde_json::to_string(self).expect("a status is always valid JSON");
        let mut command = redis::cmd("SET");
        command.arg(store.keys().status()).arg(text).arg("PX").arg(u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX));
        Ok(command.query_async::<()>(&mut store.shared()).await?)
    }
}
