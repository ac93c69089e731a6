//! `warren-monitor dead show ID`: a dead letter as it lies in its queue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use warren_core::TaskId;
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Tone, bytes},
};

use super::{
    Failure,
    connection::Connection,
    help::help,
    moment::Moment,
    output::{Format, Page},
};

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor dead show 0193a5c2-…\n  warren-monitor dead show 0193a5c2-… --json | jq .headers"))]
pub struct Args {
    /// The task's id.
    id: TaskId,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Letter {
    id: String,
    queue: Option<String>,
    kind: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    attempts: Option<u64>,
    first_failure: Option<Moment>,
    last_failure: Option<Moment>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    payload: Payload,
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    bytes: u64,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "dead", args.id.as_str()], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let letter: Letter = answer.read()?;
    let now = clock::now();
    let at = |moment: Option<Moment>| moment.map(|moment| moment.in_full(now).into());
    let mut page = Page::new();
    page.line(&[Cell::new(&letter.id, Tone::Strong)]);
    page.facts(&[
        ("kind", letter.kind.map(Cell::from)),
        ("queue", letter.queue.map(Cell::from)),
        ("reason", letter.reason.map(|reason| Cell::new(reason, Tone::Bad))),
        ("error", letter.error.map(|error| Cell::new(error, Tone::Bad))),
        ("fingerprint", letter.fingerprint.map(Cell::from)),
        ("attempts", letter.attempts.map(|attempts| attempts.to_string().into())),
        ("first failure", at(letter.first_failure)),
        ("last failure", at(letter.last_failure)),
    ]);
    for (title, entries) in [("Properties", &letter.properties), ("Headers", &letter.headers)] {
        let shown = entries.iter().filter(|(_, value)| !value.is_null());
        let entries: Vec<_> = shown.map(|(name, value)| (name.as_str(), Some(Cell::from(plain(value))))).collect();
        if !entries.is_empty() {
            page.heading(title);
            page.facts(&entries);
        }
    }
    page.heading(&format!("Payload, {}", bytes(letter.payload.bytes)));
    match &letter.payload.text {
        Some(text) => text.lines().for_each(|line| page.line(&[Cell::from(line)])),
        None => page.line(&[Cell::new("no text: --json has it as base64", Tone::Faint)]),
    }
    Ok(page.print()?)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
