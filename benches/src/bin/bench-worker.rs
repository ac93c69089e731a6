//! A worker whose handler gives back the moment at which it was called, by the clock that all processes share.

use rustix::time::{ClockId, clock_gettime};
use warren_worker::{Context, Failure, Job, Worker};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Worker::builder().task("stamp", stamp).run().await
}

async fn stamp(_: Job, _: Context) -> Result<i64, Failure> {
    let now = clock_gettime(ClockId::Monotonic);
    Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
}
