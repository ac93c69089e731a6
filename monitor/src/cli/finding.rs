//! What is wrong at present, as the monitor says it.

use serde::Deserialize;
use serde_json::{Map, Value};
use warren_core::Timestamp;
use warren_runtime::terminal::{Cell, Column, Give, Table, Tone};

use super::moment::Moment;

/// A finding with its evidence, whatever that is for this sort of finding.
#[derive(Debug, Clone, Deserialize)]
pub struct Finding {
    /// Its sort: `lost_worker`, …
    #[serde(rename = "finding")]
    pub sort: String,
    /// When it was first seen.
    pub since: Option<Moment>,
    #[serde(default)]
    text: Option<String>,
    #[serde(flatten)]
    evidence: Map<String, Value>,
}

impl Finding {
    /// Its evidence on one line: in the monitor's words where it has any.
    pub fn evidence(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let known = self.evidence.iter().filter_map(|(name, value)| Some(format!("{name} {}", shown(value)?)));
        known.collect::<Vec<_>>().join(", ")
    }
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.len().to_string()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// Findings as a table.
pub fn table(findings: &[Finding], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::text("FINDING", Give::Nothing),
        Column::numbers("SINCE", Give::Nothing),
        Column::text("EVIDENCE", Give::Width(20)),
    ]);
    for finding in findings {
        table.row([
            Cell::new(&finding.sort, Tone::Bad),
            finding.since.map(|since| since.from(now)).unwrap_or_default().into(),
            finding.evidence().into(),
        ]);
    }
    table
}
