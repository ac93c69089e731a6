//! `warren-monitor jobs`: replays of many dead letters, and how far they are.

use serde::Deserialize;
use serde_json::json;
use warren_core::Timestamp;
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Column, Give, Table, Tone, rate},
};

use super::{
    Failure,
    connection::Connection,
    help::help,
    moment::Moment,
    output::{Format, Page},
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor jobs\n  warren-monitor jobs --continue 0193a5c2-…\n  warren-monitor jobs --stop 0193a5c2-…"))]
pub struct Args {
    /// Stop this job: what it has not touched yet stays where it is.
    #[arg(long, value_name = "JOB")]
    stop: Option<String>,
    /// Let this job, whose canary has shown how it goes, do the rest.
    #[arg(long = "continue", value_name = "JOB", conflicts_with = "stop")]
    go_on: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    what: String,
    target: String,
    by: String,
    at: Moment,
    state: String,
    total: Option<u64>,
    done: u64,
    failed: u64,
    #[serde(default)]
    rate_per_second: Option<f64>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    canary: Option<Canary>,
}

/// The one of a group that goes first.
#[derive(Debug, Deserialize)]
struct Canary {
    task: String,
    #[serde(default)]
    state: Option<String>,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let order = args.stop.as_ref().map(|job| (job, "stop")).or(args.go_on.as_ref().map(|job| (job, "continue")));
    if let Some((job, order)) = order {
        let answer = client.post(&["api", "jobs", job, order], &json!({})).await?;
        if !args.format.passes_on(&answer)? {
            println!("job {job} is told to {order}");
        }
        return Ok(());
    }
    let answer = client.get(&["api", "jobs"], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let Jobs { jobs } = answer.read()?;
    let mut page = Page::new();
    page.table(&table(&jobs, clock::now()), "no job is known");
    Ok(page.print()?)
}

fn table(jobs: &[Job], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("JOB", Give::Nothing),
        Column::text("WHAT", Give::Nothing),
        Column::text("TARGET", Give::Width(16)),
        Column::text("STATE", Give::Nothing),
        Column::numbers("DONE", Give::Nothing),
        Column::numbers("FAILED", Give::Nothing),
        Column::numbers("RATE", Give::Way(3)),
        Column::text("BY", Give::Way(2)),
        Column::numbers("AGO", Give::Way(4)),
        Column::text("CANARY", Give::Way(5)),
        Column::text("ERROR", Give::Width(12)),
    ]);
    for job in jobs {
        let done = job.total.map_or_else(|| job.done.to_string(), |total| format!("{}/{total}", job.done));
        table.row([
            Cell::new(&job.id, Tone::Strong),
            (&job.what).into(),
            (&job.target).into(),
            state(&job.state),
            done.into(),
            super::tones::unwanted(job.failed),
            job.rate_per_second.map(rate).unwrap_or_default().into(),
            (&job.by).into(),
            job.at.from(now).into(),
            job.canary.as_ref().map(Canary::describe).unwrap_or_default(),
            job.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

impl Canary {
    fn describe(&self) -> Cell {
        let state = self.state.as_deref().unwrap_or("on its way");
        Cell::new(format!("{} {state}", self.task), super::tones::state_tone(state))
    }
}

fn state(name: &str) -> Cell {
    let tone = match name {
        "running" => Tone::Busy,
        "done" => Tone::Good,
        "stopped" | "canary" => Tone::Warning,
        "failed" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::new(name, tone)
}
