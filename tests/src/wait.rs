//! Waiting for a condition, with a deadline.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until there is a value; after `patience` fails with what was seen last.
pub async fn until<T, E: Debug>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if begun.elapsed() > patience => panic!("{what}: not within {patience:?}; last seen: {seen:?}"),
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}
