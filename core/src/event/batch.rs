//! A message of the event log.

use serde::{Deserialize, Serialize};

use super::{Event, usual};

/// The version that this code writes.
pub const VERSION: u32 = 1;

/// One message of the log: some events of one process, in the order in which they happened there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The version of the writer.
    #[serde(rename = "v")]
    pub version: u32,
    /// The process that wrote it: a new one for each start.
    pub source: String,
    /// Counts the batches of this source from 1. A hole means that something is missing.
    pub seq: u64,
    /// What happened.
    pub events: Vec<Event>,
}

impl Batch {
    /// From the body of a message.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        usual::read(body).map_or_else(|| serde_json::from_slice(body), Ok)
    }
}

/// The body of a batch whose events are encoded already.
pub fn assemble(source: &str, seq: u64, events: &[&str]) -> Vec<u8> {
    let source = serde_json::to_string(source).expect("text is always valid JSON");
    format!(r#"{{"v":{VERSION},"source":{source},"seq":{seq},"events":[{}]}}"#, events.join(",")).into_bytes()
}
