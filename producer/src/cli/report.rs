//! What the command line tells of its progress: results to standard output, everything else to standard error.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use warren_core::TaskId;
use warren_runtime::amqp::session::chain;

use super::{replies::Reply, source::Refusal};

/// For whom the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Lines to read, and a progress bar on a terminal.
    People,
    /// One JSON object a task.
    Programs,
}

/// What is told of a task that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing, for there are many.
    Count,
    /// Its id.
    Id,
    /// Its result, once that is there.
    Result,
}

/// Counts and tells.
#[derive(Debug)]
pub struct Report {
    audience: Audience,
    interest: Interest,
    // What the numbers of the tasks count.
    unit: &'static str,
    bar: ProgressBar,
    began: Instant,
    accepted: u64,
    refused: u64,
    succeeded: u64,
    failed: u64,
}

impl Report {
    /// With a progress bar up to `total`, where that is known and somebody sees it.
    pub fn new(audience: Audience, interest: Interest, total: Option<u64>) -> Self {
        let seen = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style("{bar:30} {pos}/{len} {per_sec} {msg}")),
            None => ProgressBar::no_length().with_style(style("{spinner} {pos} {per_sec} {msg}")),
        };
        if !seen || audience == Audience::Programs {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let began = Instant::now();
        let unit = if total.is_some() { "task" } else { "line" };
        Self { audience, interest, unit, bar, began, accepted: 0, refused: 0, succeeded: 0, failed: 0 }
    }

    /// The broker has confirmed a task.
    pub fn accepted(&mut self, id: &TaskId) -> io::Result<()> {
        self.accepted += 1;
        self.bar.inc(1);
        match (self.interest, self.audience) {
            (Interest::Result, _) | (Interest::Count, Audience::People) => Ok(()),
            (Interest::Id, Audience::People) => self.print(id),
            (Interest::Id | Interest::Count, Audience::Programs) => self.print(json!({ "id": id })),
        }
    }

    /// A task was not accepted.
    pub fn refused(&mut self, number: u64, error: &Refusal) -> io::Result<()> {
        self.refused += 1;
        self.bar.inc(1);
        let text = chain(error);
        match (self.audience, error.field()) {
            (Audience::People, _) => self.say(&format!("{} {number}: {text}", self.unit)),
            (Audience::Programs, Some(field)) => self.print(json!({"line": number, "error": text, "field": field}))?,
            (Audience::Programs, None) => self.print(json!({"line": number, "error": text}))?,
        }
        Ok(())
    }

    /// A task has ended.
    pub fn ended(&mut self, reply: &Reply) -> io::Result<()> {
        let Reply { id, outcome, result } = reply;
        match result {
            Ok(_) => self.succeeded += 1,
            Err(_) => self.failed += 1,
        }
        self.bar.set_message(format!("{} ended", self.succeeded + self.failed));
        match (self.audience, result) {
            (Audience::People, Ok(result)) => self.print(format_args!("{id} {outcome} {result}")),
            (Audience::People, Err(error)) => self.print(format_args!("{id} {outcome}: {error}")),
            (Audience::Programs, Ok(result)) => self.print(json!({"id": id, "outcome": outcome, "result": result})),
            (Audience::Programs, Err(error)) => self.print(json!({"id": id, "outcome": outcome, "error": error})),
        }
    }

    /// Nobody will say how a task ended.
    pub fn unanswered(&mut self, id: TaskId, why: &str) -> io::Result<()> {
        self.ended(&Reply { id, outcome: "unknown".to_owned(), result: Err(why.to_owned()) })
    }

    /// Something that concerns all tasks.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Whether everything was accepted, and where results are wished for, has succeeded.
    pub fn all_well(&self) -> bool {
        self.refused == 0 && self.failed == 0
    }

    /// The last word, for people.
    pub fn summary(&self) {
        self.bar.finish_and_clear();
        if self.audience == Audience::Programs {
            return;
        }
        let Self { accepted, refused, succeeded, failed, .. } = self;
        let took = self.began.elapsed().max(Duration::from_millis(1));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = *accepted as f64 / took.as_secs_f64();
        let results = match self.interest {
            Interest::Result => format!("; {succeeded} succeeded, {failed} did not"),
            Interest::Count | Interest::Id => String::new(),
        };
        eprintln!("{accepted} accepted, {refused} refused in {:.1} s ({rate:.0}/s){results}", took.as_secs_f64());
    }

    fn print(&self, line: impl std::fmt::Display) -> io::Result<()> {
        self.bar.suspend(|| writeln!(io::stdout().lock(), "{line}"))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a literal")
}

impl Refusal {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Task(error) => error.field(),
            Self::Line(_) => None,
            Self::Field { field, .. } => Some(field),
        }
    }
}
