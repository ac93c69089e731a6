//! `warren-monitor tasks`: lists of tasks.

use serde::Deserialize;
use warren_core::{Kind, Priority, QueueName, TaskState, Timestamp, WorkerId};
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Column, Give, Table, Tone},
};

use super::{
    Failure,
    connection::Connection,
    help::help,
    moment::Moment,
    output::{Format, Page},
    paging::List,
    tones,
    when::When,
};

const LIST: List = List { path: &["api", "tasks"], name: "tasks" };

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor tasks --state queued,running --queue mail
  warren-monitor tasks --kind send-mail --since 15m --limit 200
  warren-monitor tasks --search timeout --state dead
  warren-monitor tasks --state queued --json | jq -r '.tasks[].id' | warren-monitor cancel --yes -"))]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// In these states, separated by commas: queued, delayed, running, succeeded, dead, cancelled, expired
    #[arg(long, value_name = "STATES", value_delimiter = ',')]
    state: Vec<TaskState>,
    /// Of this priority.
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Whose id or error holds this text.
    #[arg(long, short = 'q', value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// What narrows a list of tasks or of dead letters.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Of this queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// Of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// That this worker has run.
    #[arg(long, value_name = "ID")]
    worker: Option<WorkerId>,
    /// In their state since then or later: 15m (ago), 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// In their state since then or earlier.
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// With this fingerprint of their error (warren-monitor dead groups).
    #[arg(long)]
    fingerprint: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = limit)]
    pub limit: usize,
    /// Go on where the list before ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// How many things a list shall have.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

impl Filter {
    /// As parameters of the API.
    pub fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("queue", self.queue.as_ref().map(ToString::to_string)),
            ("kind", self.kind.as_ref().map(ToString::to_string)),
            ("worker", self.worker.as_ref().map(ToString::to_string)),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("fingerprint", self.fingerprint.clone()),
        ]
    }
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    kind: Option<String>,
    queue: Option<String>,
    priority: u8,
    state: String,
    since: Moment,
    due: Option<Moment>,
    attempts: u64,
    worker: Option<String>,
    error: Option<String>,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let mut parameters = args.filter.parameters();
    let states: Vec<_> = args.state.iter().map(|state| state.name()).collect();
    parameters.push(("state", (!states.is_empty()).then(|| states.join(","))));
    parameters.push(("priority", args.priority.map(|priority| priority.to_string())));
    parameters.push(("q", args.search));
    let found = LIST.fetch(&client, parameters, args.filter.limit, args.filter.cursor).await?;
    if args.format.passes_on_value(&found.document())? {
        return Ok(());
    }
    let mut page = Page::new();
    page.table(&table(&found.read(&client)?, clock::now()), "no task matches");
    page.print()?;
    found.say_whether_all();
    Ok(())
}

fn table(tasks: &[Task], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("ID", Give::Nothing),
        Column::text("KIND", Give::Width(8)),
        Column::text("QUEUE", Give::Width(7)),
        Column::numbers("PRI", Give::Way(3)),
        Column::text("STATE", Give::Nothing),
        Column::numbers("FOR", Give::Nothing),
        Column::text("DUE", Give::Way(2)),
        Column::numbers("TRIED", Give::Way(2)),
        Column::text("WORKER", Give::Way(4)),
        Column::text("ERROR", Give::Width(12)),
    ]);
    for task in tasks {
        let urgent = (task.priority > Priority::default().get()).then(|| task.priority.to_string());
        table.row([
            Cell::new(&task.id, Tone::Strong),
            task.kind.as_deref().unwrap_or("?").into(),
            task.queue.as_deref().unwrap_or("?").into(),
            urgent.unwrap_or_default().into(),
            tones::state(&task.state),
            task.since.from(now).into(),
            task.due.map(|due| due.from(now)).unwrap_or_default().into(),
            tones::count(task.attempts),
            task.worker.as_deref().unwrap_or_default().into(),
            task.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
