//! A worker whose handlers write down in the file `LEDGER` what they do: for balancing the books after faults.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;
use warren_tests::ledger::Ledger;
use warren_worker::{Context, Failure, Job, Worker};

/// What a task is to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plan {
    /// How long it takes, in milliseconds.
    ms: u64,
    /// How many attempts fail before one succeeds.
    fails: u32,
    /// Whether the first attempt fails for good.
    hopeless: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path: PathBuf = std::env::var_os("LEDGER").context("LEDGER: expected a file to append to")?.into();
    let ledger = Arc::new(Ledger::open(&path).with_context(|| format!("cannot open {}", path.display()))?);
    let (kept, abused) = (ledger.clone(), ledger);
    Worker::builder()
        .task("ledger", move |job: Job, _: Context| work(kept.clone(), job))
        .task("patient", |_: Job, context: Context| until_asked(context, Err(Failure::retry("asked to stop"))))
        .task("finisher", |_: Job, context: Context| until_asked(context, Ok(())))
        .task("poison", move |job: Job, _: Context| die(abused.clone(), job))
        .run()
        .await
}

async fn work(ledger: Arc<Ledger>, job: Job) -> Result<(), Failure> {
    let plan: Plan = job.json()?;
    ledger.begin(job.id.as_str(), job.attempt.get())?;
    tokio::time::sleep(Duration::from_millis(plan.ms)).await;
    if plan.hopeless && job.attempt.get() == 1 {
        return Err(Failure::permanent("as was asked for"));
    }
    if job.attempt.get() <= plan.fails {
        return Err(Failure::retry("as was asked for"));
    }
    Ok(ledger.done(job.id.as_str(), job.attempt.get())?)
}

// Works until it is asked to stop, and then says this.
async fn until_asked(context: Context, end: Result<(), Failure>) -> Result<(), Failure> {
    context.stop.cancelled().await;
    end
}

// Dies as by a crash in native code: nothing is cleaned up, nothing is said.
#[expect(clippy::unused_async, reason = "a handler is async")]
async fn die(ledger: Arc<Ledger>, job: Job) -> Result<(), Failure> {
    ledger.begin(job.id.as_str(), job.attempt.get())?;
    std::process::abort()
}
