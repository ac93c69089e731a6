//! `warren-monitor queues`: what waits, who takes it, and how soon it is gone.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use warren_core::Timestamp;
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
    tones,
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor queues\n  warren-monitor queues --json | jq '.queues[] | select(.consumers == 0)'"))]
pub struct Args {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Queues {
    queues: Vec<Queue>,
    #[serde(default)]
    unroutable: u64,
}

/// What the monitor says of a queue.
#[derive(Debug, Clone, Deserialize)]
pub struct Queue {
    /// Its name.
    #[serde(rename = "queue")]
    pub name: String,
    /// Messages that wait to be taken, by the broker's word.
    pub ready: Option<u64>,
    /// Its consumers.
    pub consumers: Option<u64>,
    #[serde(default)]
    suspect: Option<u64>,
    /// Its tasks by state, by the log's word.
    pub states: BTreeMap<String, u64>,
    /// Tasks that come, per second.
    #[serde(default)]
    pub arrival_rate: Option<f64>,
    /// Tasks that are done, per second.
    #[serde(default)]
    pub service_rate: Option<f64>,
    /// When it is empty, if things go on like this.
    #[serde(default)]
    pub drain_seconds: Option<f64>,
    /// Since when the oldest of those that may start waits.
    #[serde(default)]
    pub oldest: Option<Moment>,
    /// Who paused it.
    #[serde(default)]
    pub paused: Option<Held>,
}

/// Who holds something, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct Held {
    by: String,
    at: Moment,
    #[serde(default)]
    reason: Option<String>,
}

impl Held {
    /// `paused by ada, 4m10s ago: the database moves`.
    pub fn describe(&self, what: &str, now: Timestamp) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{what} by {} {}{reason}", self.by, self.at.ago(now))
    }
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "queues"], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let Queues { queues, unroutable } = answer.read()?;
    let mut page = Page::new();
    page.table(&table(&queues, clock::now()), "no queue is known yet: a worker makes those that it takes from");
    if unroutable > 0 {
        page.gap();
        page.line(&[Cell::new(format!("{unroutable} messages were taken by no queue (warren.unroutable)"), Tone::Bad)]);
    }
    Ok(page.print()?)
}

/// Queues as a table.
pub fn table(queues: &[Queue], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("QUEUE", Give::Nothing),
        Column::numbers("QUEUED", Give::Nothing),
        Column::numbers("DELAYED", Give::Nothing),
        Column::numbers("RUNNING", Give::Nothing),
        Column::numbers("DEAD", Give::Nothing),
        Column::numbers("SUSPECT", Give::Way(3)),
        Column::numbers("CONSUMERS", Give::Way(2)),
        Column::numbers("IN", Give::Way(5)),
        Column::numbers("OUT", Give::Way(5)),
        Column::numbers("EMPTY IN", Give::Way(4)),
        Column::numbers("OLDEST", Give::Way(4)),
        Column::text("NOTE", Give::Width(10)),
    ]);
    for queue in queues {
        let count = |state: &str| queue.states.get(state).copied().unwrap_or_default();
        table.row([
            Cell::new(&queue.name, Tone::Strong),
            // A foreign message is in the broker's count before anything is known of it.
            tones::count(count("queued").max(queue.ready.unwrap_or_default())),
            tones::count(count("delayed")),
            tones::count(count("running")),
            tones::unwanted(count("dead")),
            queue.suspect.filter(|number| *number > 0).map(tones::unwanted).unwrap_or_default(),
            queue.consumers.map(|consumers| queue.consumed_by(consumers)).unwrap_or_default(),
            queue.arrival_rate.map(rate).unwrap_or_default().into(),
            queue.service_rate.map(rate).unwrap_or_default().into(),
            queue.drains_in().unwrap_or_default().into(),
            queue.oldest.map(|oldest| oldest.from(now)).unwrap_or_default().into(),
            queue.note(now),
        ]);
    }
    table
}

impl Queue {
    fn consumed_by(&self, consumers: u64) -> Cell {
        let waiting = self.states.get("queued").is_some_and(|number| *number > 0);
        let forsaken = consumers == 0 && waiting && self.paused.is_none();
        Cell::new(consumers.to_string(), if forsaken { Tone::Bad } else { Tone::Plain })
    }

    fn drains_in(&self) -> Option<String> {
        let seconds = self.drain_seconds.filter(|seconds| *seconds > 0.0)?;
        Some(duration(Duration::try_from_secs_f64(seconds).ok()?))
    }

    fn note(&self, now: Timestamp) -> Cell {
        let paused = self.paused.as_ref().map(|paused| paused.describe("paused", now));
        Cell::new(paused.unwrap_or_default(), Tone::Warning)
    }
}
