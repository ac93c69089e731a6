//! Waiting for a condition, with a deadline.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_millis(200);
// Looking takes a fifth of the time, and more only where each look is long: who is looked at has something else to do.
const REST_SHARE: u32 = 4;

/// Looks until there is a value; after `patience` fails with what was seen last.
pub async fn until<T, E: Debug>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        match look().await {
            Ok(value) => return value,
            Err(seen) if begun.elapsed() > patience => panic!("{what}: not within {patience:?}; last seen: {seen:?}"),
            Err(_) => {
                let rest = (looked.elapsed() * REST_SHARE).clamp(BETWEEN_LOOKS, LONGEST_REST);
                tokio::time::sleep(rest).await;
            }
        }
    }
}

/// So much time on a machine that has some: where more than two processes wait for each processor, in proportion more.
pub fn unhurried(time: Duration) -> Duration {
    let waiting = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let waiting: f64 = waiting.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or(0.0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    time.mul_f64((waiting / (2.0 * f64::from(u32::try_from(processors).unwrap_or(1)))).max(1.0))
}
