//! `warren-monitor actions`: who did what.

use serde::Deserialize;
use warren_core::Timestamp;
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
};

const LIST: List = List { path: &["api", "actions"], name: "actions" };

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor actions\n  warren-monitor actions --limit 1000 --json | jq '.actions[] | select(.by == \"ada\")'"))]
pub struct Args {
    /// How many.
    #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = super::tasks::limit)]
    limit: usize,
    /// Go on where the list before ended.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub struct Action {
    at: Moment,
    by: String,
    what: String,
    target: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let found = LIST.fetch(&client, Vec::new(), args.limit, args.cursor).await?;
    if args.format.passes_on_value(&found.document())? {
        return Ok(());
    }
    let mut page = Page::new();
    page.table(&table(&found.read(&client)?, clock::now()), "nobody has done anything yet");
    page.print()?;
    found.say_whether_all();
    Ok(())
}

/// Actions as a table.
pub fn table(actions: &[Action], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("AT", Give::Way(3)),
        Column::numbers("AGO", Give::Nothing),
        Column::text("BY", Give::Nothing),
        Column::text("WHAT", Give::Nothing),
        Column::text("TARGET", Give::Nothing),
        Column::text("REASON", Give::Width(12)),
        Column::text("DETAIL", Give::Width(12)),
    ]);
    for action in actions {
        table.row([
            action.at.to_string().into(),
            action.at.from(now).into(),
            (&action.by).into(),
            Cell::new(&action.what, Tone::Strong),
            (&action.target).into(),
            action.reason.as_deref().unwrap_or_default().into(),
            action.detail.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
