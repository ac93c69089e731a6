//! `warren-monitor task ID`: everything known of one task.

use serde::Deserialize;
use serde_json::Value;
use warren_core::{TaskId, Timestamp};
use warren_monitor::config::Config;
use warren_runtime::{
    clock,
    terminal::{Cell, Column, Give, Table, Tone, bytes, duration},
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
#[command(after_help = help!("  warren-monitor task 0193a5c2-…\n  warren-monitor task 0193a5c2-… --json | jq .result"))]
pub struct Args {
    /// The task's id.
    id: TaskId,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    kind: Option<String>,
    queue: Option<String>,
    priority: u8,
    state: String,
    since: Moment,
    submitted: Option<Moment>,
    due: Option<Moment>,
    deadline: Option<Moment>,
    size: Option<u64>,
    app: Option<String>,
    order_key: Option<String>,
    traceparent: Option<String>,
    attempts: Vec<Attempt>,
    result: Option<Value>,
    result_bytes: Option<u64>,
    reason: Option<String>,
    error: Option<String>,
    warning: Option<String>,
    #[serde(default)]
    payload: Option<Payload>,
    #[serde(default)]
    cancel: Option<Held>,
    #[serde(default)]
    discarded: Option<Held>,
    #[serde(default)]
    replays: Vec<Held>,
    #[serde(default)]
    fingerprint: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    number: u32,
    #[serde(flatten)]
    run: Run,
    #[serde(default)]
    other_runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    worker: String,
    start: Moment,
    end: Option<Moment>,
    outcome: Option<String>,
    error: Option<String>,
    retry_due: Option<Moment>,
    progress: Option<Value>,
    returned: Option<Moment>,
    #[serde(default)]
    stale: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    let client = args.connection.client(config)?;
    let answer = client.get(&["api", "tasks", args.id.as_str()], &[]).await?;
    if args.format.passes_on(&answer)? {
        return Ok(());
    }
    let task: Task = answer.read()?;
    let now = clock::now();
    let mut page = Page::new();
    task.tell(&mut page, now);
    page.heading("Attempts");
    page.table(&task.timeline(now), "none yet");
    Ok(page.print()?)
}

impl Task {
    fn tell(&self, page: &mut Page, now: Timestamp) {
        let at = |moment: Option<Moment>| moment.map(|moment| moment.in_full(now).into());
        page.line(&[
            Cell::new(&self.id, Tone::Strong),
            "  ".into(),
            tones::state(&self.state),
            Cell::new(format!(" for {}", self.since.from(now)), Tone::Faint),
        ]);
        page.facts(&[
            ("kind", self.kind.as_ref().map(Cell::from)),
            ("queue", self.queue.as_ref().map(Cell::from)),
            ("priority", Some(self.priority.to_string().into())),
            ("submitted", at(self.submitted)),
            ("by", self.app.as_ref().map(Cell::from)),
            ("in order of", self.order_key.as_ref().map(Cell::from)),
            ("due", at(self.due)),
            ("deadline", at(self.deadline)),
            ("size", self.size.map(|size| bytes(size).into())),
            ("payload", self.payload.as_ref().map(Payload::describe)),
            ("trace", self.traceparent.as_ref().map(Cell::from)),
            ("reason", self.reason.as_ref().map(|reason| Cell::new(reason, Tone::Bad))),
            ("error", self.error.as_ref().map(|error| Cell::new(error, Tone::Bad))),
            ("result", self.result()),
            ("cancel", self.cancel.as_ref().map(|held| Cell::new(held.describe("wanted", now), Tone::Warning))),
            ("fingerprint", self.fingerprint.as_ref().map(Cell::from)),
            ("replayed", self.replays.last().map(|held| Cell::from(held.describe("", now).trim_start()))),
            ("discarded", self.discarded.as_ref().map(|held| Cell::from(held.describe("", now).trim_start()))),
            ("warning", self.warning.as_ref().map(|warning| Cell::new(warning, Tone::Warning))),
        ]);
    }

    fn result(&self) -> Option<Cell> {
        let too_long = || self.result_bytes.map(|size| format!("{}, too long to be kept", bytes(size)));
        let result = self.result.as_ref().filter(|result| !result.is_null()).map(Value::to_string);
        result.or_else(too_long).map(|text| Cell::new(text, Tone::Good))
    }

    // One line for each run: an attempt has several where a worker was lost or cut off.
    fn timeline(&self, now: Timestamp) -> Table {
        let mut table = Table::new([
            Column::numbers("#", Give::Nothing),
            Column::text("STARTED", Give::Way(1)),
            Column::numbers("WAITED", Give::Way(2)),
            Column::numbers("RAN", Give::Nothing),
            Column::text("OUTCOME", Give::Nothing),
            Column::text("NEXT", Give::Way(3)),
            Column::text("WORKER", Give::Way(4)),
            Column::text("ERROR", Give::Width(12)),
        ]);
        let mut before = self.submitted;
        for attempt in &self.attempts {
            table.row(attempt.run.cells(&attempt.number.to_string(), before, now));
            for other in &attempt.other_runs {
                table.row(other.cells("", None, now));
            }
            before = attempt.run.end;
        }
        table
    }
}

impl Run {
    fn cells(&self, number: &str, before: Option<Moment>, now: Timestamp) -> Vec<Cell> {
        let start = self.start.timestamp();
        let waited = before.map(|before| duration(start.since(before.timestamp())));
        let end = self.end.or(self.returned).map_or(now, Moment::timestamp);
        let progress = self.progress.as_ref().map(|progress| format!("running {progress}"));
        let outcome = match (&self.outcome, self.returned) {
            (Some(outcome), _) if self.stale => Cell::new(format!("{outcome} (stale)"), Tone::Faint),
            (Some(outcome), _) => tones::outcome(outcome),
            (None, Some(_)) => Cell::new("given back", Tone::Warning),
            (None, None) => Cell::new(progress.unwrap_or_else(|| "running".to_owned()), Tone::Busy),
        };
        vec![
            number.into(),
            self.start.to_string().into(),
            waited.unwrap_or_default().into(),
            duration(end.since(start)).into(),
            outcome,
            self.retry_due.map(|due| format!("retry {}", due.ago(now))).unwrap_or_default().into(),
            (&self.worker).into(),
            self.error.as_deref().unwrap_or_default().into(),
        ]
    }
}

impl Payload {
    fn describe(&self) -> Cell {
        let rest = if self.truncated { " …" } else { "" };
        match &self.text {
            Some(text) => Cell::from(format!("{text}{rest}")),
            None => {
                Cell::new(format!("{}, no text (--json has the beginning as base64)", bytes(self.bytes)), Tone::Faint)
            }
        }
    }
}
