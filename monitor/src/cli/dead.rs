//! `warren-monitor dead`: the dead letters, one by one or in groups of the same sort.

use clap::Subcommand;
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
    groups,
    help::help,
    letter,
    moment::Moment,
    output::{Format, Page},
    paging::List,
    tasks::Filter,
    tones,
};

const LIST: List = List { path: &["api", "dead"], name: "dead" };

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = help!("  warren-monitor dead --kind send-mail --since 1d\n  warren-monitor dead groups\n  warren-monitor dead show 0193a5c2-…"))]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Other ways to look at dead letters.
#[derive(Debug, Subcommand)]
enum Other {
    /// The dead letters by what they have in common, most numerous first.
    Groups(groups::Args),
    /// One letter as it lies in its queue: properties, headers and payload.
    Show(letter::Args),
}

#[derive(Debug, Deserialize)]
struct Letter {
    id: String,
    kind: Option<String>,
    queue: Option<String>,
    state: String,
    since: Moment,
    reason: Option<String>,
    attempts: u64,
    error: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    replayed: Option<Replayed>,
}

#[derive(Debug, Deserialize)]
struct Replayed {
    at: Moment,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    match args.other {
        None => {}
        Some(Other::Groups(args)) => return groups::run(args, config).await,
        Some(Other::Show(args)) => return letter::run(args, config).await,
    }
    let client = args.connection.client(config)?;
    let found = LIST.fetch(&client, args.filter.parameters(), args.filter.limit, args.filter.cursor).await?;
    if args.format.passes_on_value(&found.document())? {
        return Ok(());
    }
    let mut page = Page::new();
    page.table(&table(&found.read(&client)?, clock::now()), "no dead letter matches");
    page.print()?;
    found.say_whether_all();
    Ok(())
}

fn table(letters: &[Letter], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("ID", Give::Nothing),
        Column::text("KIND", Give::Width(8)),
        Column::text("QUEUE", Give::Width(7)),
        Column::text("STATE", Give::Way(4)),
        Column::numbers("FOR", Give::Nothing),
        Column::text("REASON", Give::Way(1)),
        Column::numbers("TRIED", Give::Way(3)),
        Column::text("FINGERPRINT", Give::Way(2)),
        Column::text("REPLAYED", Give::Way(2)),
        Column::text("ERROR", Give::Width(12)),
    ]);
    for letter in letters {
        table.row([
            Cell::new(&letter.id, Tone::Strong),
            letter.kind.as_deref().unwrap_or("?").into(),
            letter.queue.as_deref().unwrap_or("?").into(),
            tones::state(&letter.state),
            letter.since.from(now).into(),
            letter.reason.as_deref().unwrap_or_default().into(),
            tones::count(letter.attempts),
            letter.fingerprint.as_deref().unwrap_or_default().into(),
            letter.replayed.as_ref().map(|replayed| replayed.at.ago(now)).unwrap_or_default().into(),
            letter.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
