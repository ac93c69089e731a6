//! Where an answer goes.

use std::io::{self, Write};

use serde_json::Value;
use warren_runtime::terminal::{Cell, Screen, Table, Tone};

use super::client::Answer;

/// For whom the answer is.
#[derive(Debug, Clone, clap::Args)]
pub struct Format {
    /// Print the API's answer: one JSON document.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints an answer as it came, if that is what was asked for; else tells that it was not.
    pub fn passes_on(&self, answer: &Answer) -> io::Result<bool> {
        if self.json {
            writeln!(io::stdout().lock(), "{}", answer.text())?;
        }
        Ok(self.json)
    }

    /// The same with a document that was put together from several answers.
    pub fn passes_on_value(&self, value: &Value) -> io::Result<bool> {
        if self.json {
            writeln!(io::stdout().lock(), "{value}")?;
        }
        Ok(self.json)
    }
}

/// Prints for people.
#[derive(Debug)]
pub struct Page {
    screen: Screen,
    lines: Vec<String>,
}

impl Page {
    /// An empty page, as wide as standard output.
    pub fn new() -> Self {
        Self { screen: Screen::of_stdout(), lines: Vec::new() }
    }

    /// Adds a line.
    pub fn line(&mut self, cells: &[Cell]) {
        self.lines.push(cells.iter().map(|cell| self.screen.paint(cell)).collect());
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.lines.push(String::new());
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.gap();
        }
        self.line(&[Cell::new(text, Tone::Strong)]);
    }

    /// Adds a table, or a word about there being nothing.
    pub fn table(&mut self, table: &Table, nothing: &str) {
        if table.is_empty() {
            self.line(&[Cell::new(nothing, Tone::Faint)]);
        } else {
            self.lines.extend(table.lines(&self.screen));
        }
    }

    /// Adds names and values, the values under each other; those without a value are left out.
    pub fn facts(&mut self, facts: &[(&str, Option<Cell>)]) {
        let known: Vec<_> = facts.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?))).collect();
        let widest = known.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in known {
            self.line(&[Cell::new(format!("{name:widest$}  "), Tone::Faint), value.clone()]);
        }
    }

    /// Prints it.
    pub fn print(self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        for line in self.lines {
            writeln!(stdout, "{line}")?;
        }
        stdout.flush()
    }
}
