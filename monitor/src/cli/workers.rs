//! `warren-monitor workers`: who works, and how they are.

use std::collections::BTreeMap;

use serde::Deserialize;
use warren_core::Timestamp;
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Column, Give, Table, Tone, bytes},
};

use super::{
    Failure,
    connection::Connection,
    help::help,
    moment::Moment,
    output::{Format, Page},
    queues::Held,
    tones,
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor workers\n  warren-monitor workers --running\n  warren-monitor workers --json | jq '.workers[] | select(.health == \"lost\")'"))]
pub struct Args {
    /// Also list what they run.
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// All workers.
#[derive(Debug, Clone, Deserialize)]
pub struct Workers {
    /// Those that stopped lately included.
    pub workers: Vec<Worker>,
}

/// What the monitor says of a worker.
#[derive(Debug, Clone, Deserialize)]
pub struct Worker {
    /// Its id.
    pub id: String,
    /// How it is.
    pub health: String,
    host: Option<String>,
    version: Option<String>,
    slots: Option<u64>,
    busy: u64,
    ended: u64,
    #[serde(default)]
    queues: BTreeMap<String, u64>,
    seen: Moment,
    load: Option<f64>,
    memory: Option<u64>,
    /// What it runs.
    #[serde(default)]
    pub running: Vec<Running>,
    #[serde(default)]
    draining_by: Option<Held>,
}

/// An attempt that goes on.
#[derive(Debug, Clone, Deserialize)]
pub struct Running {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// Which attempt.
    pub attempt: u32,
    /// Since when.
    pub since: Moment,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "workers"], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let Workers { workers } = answer.read()?;
    let now = clock::now();
    let mut page = Page::new();
    page.table(&table(&workers, now), "no worker is known");
    if args.running {
        page.heading("Running");
        page.table(&running(&workers, now), "nothing");
    }
    Ok(page.print()?)
}

/// Workers as a table.
pub fn table(workers: &[Worker], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("WORKER", Give::Nothing),
        Column::text("HEALTH", Give::Nothing),
        Column::numbers("BUSY", Give::Nothing),
        Column::numbers("ENDED", Give::Way(2)),
        Column::text("QUEUES", Give::Width(8)),
        Column::numbers("SEEN", Give::Nothing),
        Column::numbers("LOAD", Give::Way(3)),
        Column::numbers("MEMORY", Give::Way(3)),
        Column::text("VERSION", Give::Way(4)),
        Column::text("HOST", Give::Way(5)),
        Column::text("NOTE", Give::Width(10)),
    ]);
    for worker in workers {
        let slots = worker.slots.map(|slots| format!("{}/{slots}", worker.busy)).unwrap_or_default();
        let queues: Vec<_> = worker.queues.keys().map(String::as_str).collect();
        let draining = worker.draining_by.as_ref().map(|held| held.describe("drained", now));
        table.row([
            Cell::new(&worker.id, Tone::Strong),
            tones::health(&worker.health),
            slots.into(),
            worker.ended.to_string().into(),
            queues.join(",").into(),
            worker.seen.from(now).into(),
            worker.load.map(|load| format!("{load:.2}")).unwrap_or_default().into(),
            worker.memory.map(bytes).unwrap_or_default().into(),
            worker.version.as_deref().unwrap_or_default().into(),
            worker.host.as_deref().unwrap_or_default().into(),
            Cell::new(draining.unwrap_or_default(), Tone::Warning),
        ]);
    }
    table
}

/// What workers run, the longest running first.
pub fn running(workers: &[Worker], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("TASK", Give::Nothing),
        Column::text("KIND", Give::Width(8)),
        Column::numbers("ATTEMPT", Give::Way(2)),
        Column::numbers("FOR", Give::Nothing),
        Column::text("WORKER", Give::Way(1)),
    ]);
    let mut all: Vec<_> =
        workers.iter().flat_map(|worker| worker.running.iter().map(move |run| (worker, run))).collect();
    all.sort_by_key(|(_, run)| run.since);
    for (worker, run) in all {
        table.row([
            Cell::new(&run.task, Tone::Strong),
            (&run.kind).into(),
            run.attempt.to_string().into(),
            run.since.from(now).into(),
            (&worker.id).into(),
        ]);
    }
    table
}
