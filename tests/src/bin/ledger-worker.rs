//! A worker whose handlers write down in the file `LEDGER` what they do: for balancing the books after faults.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
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
    let (kept, stepped, abused) = (ledger.clone(), ledger.clone(), ledger);
    Worker::builder()
        .task("ledger", move |job: Job, _: Context| work(kept.clone(), job))
        .task("step", move |job: Job, _: Context| step(stepped.clone(), job))
        .task("patient", |_: Job, context: Context| until_asked(context, Err(Failure::retry("asked to stop"))))
        .task("finisher", |_: Job, context: Context| until_asked(context, Ok(())))
        .task("poison", move |job: Job, _: Context| die(abused.clone(), job))
        .run()
        .await
}

async fn work(ledger: Arc<Ledger>, job: Job) -> Result<(), Failure> {
    let plan: Plan = job.json()?;
    work_on(ledger, job, plan).await
}

async fn work_on(ledger: Arc<Ledger>, job: Job, plan: Plan) -> Result<(), Failure> {
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

// A step of a workflow: works as its input says, and gives back its name and what it got. Of a chunk of a list, doubles what
// is in it.
async fn step(ledger: Arc<Ledger>, job: Job) -> Result<Value, Failure> {
    let got: Value = job.json()?;
    let plan = if got.get("results").is_some() { got["input"].clone() } else { got.clone() };
    if let Value::Array(items) = got {
        work_on(ledger, job, Plan::default()).await?;
        return Ok(items.iter().map(|item| item.as_i64().map(|number| number * 2)).collect());
    }
    let id = job.id.to_string();
    let list = plan.get("list").cloned();
    work_on(ledger, job, serde_json::from_value(plan).unwrap_or_default()).await?;
    if let Some(list) = list {
        return Ok(list);
    }
    let names = |field: &str| -> Map<String, Value> {
        let told = got.get(field).and_then(Value::as_object).into_iter().flatten();
        told.map(|(name, result)| (name.clone(), result.get("of").unwrap_or(result).clone())).collect()
    };
    Ok(json!({"of": id, "saw": names("results"), "failures": names("failures")}))
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
