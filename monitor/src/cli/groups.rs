//! `warren-monitor dead groups`: the dead letters, by what they have in common.

use serde::Deserialize;
use warren_core::{Kind, QueueName, Timestamp};
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
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor dead groups\n  warren-monitor dead groups --kind send-mail --json | jq -r '.groups[0].fingerprint'"))]
pub struct Args {
    /// Of this queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// Of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    fingerprint: String,
    kind: Option<String>,
    queue: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    count: u64,
    first: Moment,
    last: Moment,
    sample: String,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let parameters = [("queue", args.queue.map(String::from)), ("kind", args.kind.map(String::from))];
    let answer = client.get(&["api", "dead", "groups"], &parameters).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let Groups { groups } = answer.read()?;
    let mut page = Page::new();
    page.table(&table(&groups, clock::now()), "no dead letter matches");
    Ok(page.print()?)
}

fn table(groups: &[Group], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("FINGERPRINT", Give::Nothing),
        Column::numbers("COUNT", Give::Nothing),
        Column::text("KIND", Give::Width(8)),
        Column::text("QUEUE", Give::Width(7)),
        Column::text("REASON", Give::Way(2)),
        Column::numbers("FIRST", Give::Way(3)),
        Column::numbers("LAST", Give::Nothing),
        Column::text("SAMPLE", Give::Way(4)),
        Column::text("ERROR", Give::Width(16)),
    ]);
    for group in groups {
        table.row([
            Cell::new(&group.fingerprint, Tone::Strong),
            Cell::new(group.count.to_string(), Tone::Bad),
            group.kind.as_deref().unwrap_or("?").into(),
            group.queue.as_deref().unwrap_or("?").into(),
            group.reason.as_deref().unwrap_or_default().into(),
            group.first.ago(now).into(),
            group.last.ago(now).into(),
            (&group.sample).into(),
            group.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
