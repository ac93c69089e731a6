//! Warren's speed against the raw broker: both in one run, on servers of its own. `scripts/bench` builds and runs it.
//!
//! What must stay true: every figure that is compared with another comes from the same run, the same broker and queues
//! with the same arguments. Rates of different runs, and of different machines, say nothing about each other.

mod chart;
mod cost;
mod drain;
mod enqueue;
mod ground;
mod heartbeats;
mod latency;
mod pace;
mod peers;
mod raw;
mod report;
mod round;
mod scaling;
mod store;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use warren_runtime::amqp::Profile;

use crate::{
    report::Report,
    round::{Part, Plan},
};

/// Measures Warren against the raw broker, side by side in one run.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 measured, 1 a ratio is broken (with --quick), or something could not be run.")]
struct Arguments {
    /// Fewer tasks and rounds, at most three minutes; fails where a ratio is broken beyond any noise.
    #[arg(long)]
    quick: bool,
    /// How many rounds; each figure is the median of them.
    #[arg(long)]
    rounds: Option<usize>,
    /// Tasks in each measurement of a rate.
    #[arg(long)]
    tasks: Option<usize>,
    /// Measure no more than these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How long a backlog rests before it is worked off, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    rest: u64,
    /// Task queues as quorum queues.
    #[arg(long)]
    quorum: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw charts into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut plan = if arguments.quick { Plan::quick() } else { Plan::full() };
    plan.rounds = arguments.rounds.unwrap_or(plan.rounds);
    plan.tasks = arguments.tasks.unwrap_or(plan.tasks);
    if !arguments.only.is_empty() {
        plan.restrict(&arguments.only);
    }
    plan.rest = Duration::from_secs(arguments.rest);
    if arguments.quorum {
        plan.profile = Profile::Quorum;
    }
    let bar = progress(plan.steps());
    let report = round::measure(&plan, |what| step(&bar, what)).await?;
    bar.finish_and_clear();
    if let Some(path) = &arguments.out {
        std::fs::write(path, report.as_json()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(folder) = &arguments.charts {
        for (name, chart) in report.charts() {
            let path = folder.join(format!("bench-{name}.svg"));
            std::fs::write(&path, chart.svg()).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if arguments.json {
        println!("{}", report.as_json());
    } else {
        print!("{report}");
    }
    Ok(verdict(&report, arguments.quick))
}

// A full run is for looking at; a quick one is a guard.
fn verdict(report: &Report, guard: bool) -> ExitCode {
    let broken = report.broken();
    for ratio in &broken {
        eprintln!("BROKEN: {ratio}");
    }
    if guard && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos:>3}/{len} {elapsed:>4}  {msg}").expect("a valid template");
    bar.set_style(style);
    bar
}

// Hidden where standard error is no terminal: then each step is a line.
fn step(bar: &ProgressBar, what: &str) {
    if bar.is_hidden() {
        eprintln!("... {what}");
    }
    bar.set_message(what.to_owned());
    bar.inc(1);
}
