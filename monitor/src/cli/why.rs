//! `warren-monitor why ID`: why a task does not run, and when it will.

use std::time::Duration;

use serde::Deserialize;
use warren_core::TaskId;
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Column, Give, Table, Tone, duration, rate},
};

use super::{
    Failure,
    connection::Connection,
    help::help,
    moment::Moment,
    output::{Format, Page},
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor why 0193a5c2-…"))]
pub struct Args {
    /// The task's id.
    id: TaskId,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Waiting {
    summary: String,
    #[serde(default)]
    ahead: Option<u64>,
    #[serde(default)]
    estimate_seconds: Option<f64>,
    #[serde(default)]
    service_rate: Option<f64>,
    #[serde(default)]
    reasons: Vec<Reason>,
    #[serde(default)]
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    code: String,
    text: String,
    #[serde(default)]
    since: Option<Moment>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    #[serde(rename = "worker")]
    id: String,
    can_run: bool,
    because: String,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "tasks", args.id.as_str(), "waiting"], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let waiting: Waiting = answer.read()?;
    let mut page = Page::new();
    page.line(&[Cell::new(&waiting.summary, Tone::Strong)]);
    let estimate = waiting.estimate_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    page.facts(&[
        ("ahead", waiting.ahead.map(|ahead| ahead.to_string().into())),
        ("estimate", estimate.map(|estimate| format!("in {}", duration(estimate)).into())),
        ("taken", waiting.service_rate.map(|service| rate(service).into())),
    ]);
    if !waiting.reasons.is_empty() {
        page.heading("What holds it");
        page.table(&reasons(&waiting.reasons), "");
    }
    if !waiting.workers.is_empty() {
        page.heading("Workers");
        page.table(&workers(&waiting.workers), "");
    }
    Ok(page.print()?)
}

fn reasons(reasons: &[Reason]) -> Table {
    let mut table = Table::new([
        Column::text("REASON", Give::Nothing),
        Column::numbers("FOR", Give::Nothing),
        Column::text("WHAT IT MEANS", Give::Nothing),
    ]);
    for reason in reasons {
        let since = reason.since.map(|since| since.from(clock::now()));
        table.row([Cell::new(&reason.code, Tone::Warning), since.unwrap_or_default().into(), (&reason.text).into()]);
    }
    table
}

fn workers(workers: &[Worker]) -> Table {
    let mut table = Table::new([
        Column::text("WORKER", Give::Nothing),
        Column::text("CAN RUN IT", Give::Nothing),
        Column::text("BECAUSE", Give::Nothing),
    ]);
    for worker in workers {
        let can = if worker.can_run { Cell::new("yes", Tone::Good) } else { Cell::new("no", Tone::Bad) };
        table.row([Cell::new(&worker.id, Tone::Strong), can, (&worker.because).into()]);
    }
    table
}
