//! `warren-monitor overview`: the pool at a glance.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use warren_core::TaskState;
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Tone, clean, duration, rate},
};

use super::{
    Failure,
    connection::Connection,
    finding::{self, Finding},
    help::help,
    output::{Format, Page},
    queues::{self, Queue},
    tones,
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor overview\n  warren-monitor overview --json | jq .states"))]
pub struct Args {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// What the monitor says of the pool.
#[derive(Debug, Clone, Deserialize)]
pub struct Overview {
    /// The pool's name.
    pub namespace: String,
    version: String,
    leader: Option<String>,
    lag_seconds: Option<f64>,
    /// Tasks by state.
    pub states: BTreeMap<String, u64>,
    /// Workers by health.
    pub workers: BTreeMap<String, u64>,
    /// Slots of the workers that are there, and how many are in use.
    pub slots: u64,
    /// Slots in use.
    pub busy: u64,
    /// What is wrong.
    #[serde(default)]
    pub findings: Vec<Finding>,
    unroutable: u64,
    /// The queues.
    pub queues: Vec<Queue>,
    /// Tasks per second over the last minute, by what happened to them.
    #[serde(default)]
    pub rates: BTreeMap<String, f64>,
    /// Percentiles over the last minutes: `wait` and `run`.
    #[serde(default)]
    pub latency: BTreeMap<String, BTreeMap<String, Option<f64>>>,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "overview"], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let overview: Overview = answer.read()?;
    let now = clock::now();
    let mut page = Page::new();
    let leader = overview.leader.as_deref().unwrap_or("nobody");
    page.line(&[
        Cell::new(&overview.namespace, Tone::Strong),
        format!(" {}, led by {leader}, ", overview.version).into(),
        overview.lag(),
    ]);
    page.gap();
    page.facts(&[
        ("tasks", Some(overview.tasks().into())),
        ("rates", overview.rates().map(Cell::from)),
        ("wait", overview.latency("wait").map(Cell::from)),
        ("run", overview.latency("run").map(Cell::from)),
        ("workers", Some(overview.workers())),
        ("unroutable", (overview.unroutable > 0).then(|| tones::unwanted(overview.unroutable))),
    ]);
    if !overview.findings.is_empty() {
        page.heading("What is wrong");
        page.table(&finding::table(&overview.findings, now), "");
    }
    page.heading("Queues");
    page.table(&queues::table(&overview.queues, now), "none yet");
    Ok(page.print()?)
}

impl Overview {
    /// How far the projection is behind.
    pub fn lag(&self) -> Cell {
        match self.lag_seconds {
            None => Cell::new("catching up", Tone::Warning),
            Some(lag) if lag < 5.0 => Cell::new("up to date", Tone::Good),
            Some(lag) => {
                let lag = duration(Duration::try_from_secs_f64(lag).unwrap_or_default());
                Cell::new(format!("{lag} behind"), Tone::Warning)
            }
        }
    }

    /// How many tasks are in each state.
    pub fn tasks(&self) -> String {
        let number = |state: TaskState| self.states.get(state.name()).copied().unwrap_or_default();
        TaskState::ALL.map(|state| format!("{} {state}", number(state))).join(", ")
    }

    fn rates(&self) -> Option<String> {
        let known = ["submitted", "started", "succeeded", "failed"];
        let rates = known.iter().filter_map(|name| Some(format!("{name} {}", rate(*self.rates.get(*name)?))));
        let rates: Vec<_> = rates.collect();
        (!rates.is_empty()).then(|| rates.join(", "))
    }

    /// The percentiles of the waits (`wait`) or of the attempts (`run`).
    pub fn latency(&self, which: &str) -> Option<String> {
        let measured = self.latency.get(which)?;
        let known = ["p50", "p95", "p99"].iter().filter_map(|name| {
            let millis = (*measured.get(&format!("{name}_ms"))?)?;
            let time = Duration::try_from_secs_f64(millis / 1e3).ok()?;
            Some(format!("{name} {}", duration(time)))
        });
        let known: Vec<_> = known.collect();
        (!known.is_empty()).then(|| known.join(", "))
    }

    /// How the workers are.
    pub fn workers(&self) -> Cell {
        let Self { slots, busy, .. } = self;
        let numbers = self.workers.iter().filter(|(_, number)| **number > 0);
        let numbers: Vec<_> = numbers.map(|(health, number)| format!("{number} {}", clean(health))).collect();
        let numbers = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
        Cell::from(format!("{numbers}; {busy} of {slots} slots busy"))
    }
}
