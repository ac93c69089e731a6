//! A worker whose handlers do what no handler should: for the tests of what a worker survives.

use std::time::Duration;

use warren_worker::{Context, Failure, Job, Worker};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Worker::builder().task("kill-the-worker", kill_the_worker).task("panic", panics).task("wait", wait).run().await
}

// Dies as by a crash in native code: nothing is cleaned up, nothing is said.
async fn kill_the_worker(_: Job, _: Context) -> Result<(), Failure> {
    std::process::abort()
}

async fn panics(_: Job, _: Context) -> Result<(), Failure> {
    panic!("as was asked for")
}

async fn wait(_: Job, context: Context) -> Result<&'static str, Failure> {
    for step in 0..10 {
        context.progress(f64::from(step) / 10.0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok("waited")
}
