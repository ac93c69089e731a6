//! Points in time, as the API writes them and as people read them.

use serde::{Deserialize, Deserializer};
use warren_core::Timestamp;
use warren_runtime::terminal;

/// RFC 3339 in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Timestamp);

impl Moment {
    /// How long ago: `42s`; how far ahead: `in 42s`.
    pub fn from(self, now: Timestamp) -> String {
        if self.0 > now {
            return format!("in {}", terminal::duration(self.0.since(now)));
        }
        terminal::duration(now.since(self.0))
    }

    /// In a sentence: `42s ago`, `in 42s`.
    pub fn ago(self, now: Timestamp) -> String {
        let text = self.from(now);
        if self.0 > now { text } else { text + " ago" }
    }

    /// Where there is room for both: `2026-01-31T12:00:00Z (42s ago)`.
    pub fn in_full(self, now: Timestamp) -> String {
        format!("{self} ({})", self.ago(now))
    }

    /// The point in time itself.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}
