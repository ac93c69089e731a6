//! What every action takes, and what comes of it.

use std::io::Read;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use warren_core::TaskId;
use warren_runtime::terminal::{Cell, Tone};

use super::{
    Failure,
    client::{Answer, Client},
    connection::Connection,
    output::{Format, Page},
};

// More ids than anybody types; a list that is longer is a mistake, or a job for --fingerprint.
const LONGEST_LIST: u64 = 64 << 20;
// What the API takes at once.
const AT_ONCE: usize = 1_000;

/// What every action takes.
#[derive(Debug, clap::Args)]
pub struct Wish {
    /// Why, for those who read the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    pub format: Format,
    #[command(flatten)]
    pub connection: Connection,
}

/// One action, as the monitor recorded it.
#[derive(Debug, Deserialize)]
struct Accepted {
    action: Action,
    #[serde(default)]
    job: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Action {
    id: String,
    by: String,
    what: String,
    target: String,
}

/// What came of an action on many tasks.
#[derive(Debug, Default, Deserialize)]
struct Outcome {
    accepted: Vec<String>,
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize, serde::Serialize)]
struct Refused {
    id: String,
    why: String,
}

impl Wish {
    /// The body of a request, with more fields where there are any.
    pub fn body(&self, more: &[(&str, Value)]) -> Value {
        let mut body: serde_json::Map<_, _> =
            more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        if let Some(reason) = &self.reason {
            body.insert("reason".to_owned(), reason.as_str().into());
        }
        Value::Object(body)
    }

    /// Prints what the monitor made of one action.
    pub fn tell(&self, answer: &Answer) -> Result<(), Failure> {
        if self.format.passes_on(answer)? {
            return Ok(());
        }
        let Accepted { action, job } = answer.read()?;
        let Action { id, by, what, target } = action;
        let mut page = Page::new();
        page.line(&[
            Cell::new(format!("{what} {target}"), Tone::Good),
            Cell::new(format!("  accepted, by {by} (action {id})"), Tone::Faint),
        ]);
        if let Some(job) = job {
            page.line(&[Cell::from(format!("job {job}: warren-monitor jobs shows how far it is"))]);
        }
        Ok(page.print()?)
    }

    /// Does one thing to many tasks, and prints what came of it. That some were refused is an error.
    pub async fn act_on(&self, client: &Client, action: &str, ids: &[TaskId]) -> Result<(), Failure> {
        let mut all = Outcome::default();
        for part in ids.chunks(AT_ONCE) {
            let ids: Vec<_> = part.iter().map(TaskId::as_str).collect();
            let body = self.body(&[("action", action.into()), ("ids", json!(ids))]);
            let part: Outcome = client.post(&["api", "tasks", "actions"], &body).await?.read()?;
            all.accepted.extend(part.accepted);
            all.refused.extend(part.refused);
        }
        let document = json!({"accepted": all.accepted, "refused": all.refused});
        if !self.format.passes_on_value(&document)? {
            let mut page = Page::new();
            for Refused { id, why } in &all.refused {
                page.line(&[Cell::new(id, Tone::Strong), Cell::new(format!("  refused: {why}"), Tone::Bad)]);
            }
            page.line(&[Cell::from(format!("{} accepted, {} refused", all.accepted.len(), all.refused.len()))]);
            page.print()?;
        }
        match all.refused.len() {
            0 => Ok(()),
            refused => Err(Failure::Failed(anyhow!("{refused} of {} tasks were refused", ids.len()))),
        }
    }
}

/// The tasks that are named, or those on standard input where `-` is named alone.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// The tasks' ids; - for ids on standard input, one a line.
    #[arg(value_name = "ID")]
    ids: Vec<TaskId>,
}

impl Named {
    /// Whether any task is named.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids.
    pub fn ids(self) -> Result<Vec<TaskId>, Failure> {
        match self.ids.as_slice() {
            [only] if only.as_str() == "-" => read_ids().map_err(Failure::Usage),
            _ => Ok(self.ids),
        }
    }
}

fn read_ids() -> anyhow::Result<Vec<TaskId>> {
    let mut text = String::new();
    std::io::stdin().take(LONGEST_LIST).read_to_string(&mut text).context("cannot read ids from standard input")?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let ids = lines.map(|(n, line)| TaskId::parse(line).with_context(|| format!("line {n} of standard input")));
    let ids = ids.collect::<anyhow::Result<Vec<_>>>()?;
    if ids.is_empty() { Err(anyhow!("standard input: expected ids, one a line; got none")) } else { Ok(ids) }
}
