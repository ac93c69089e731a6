//! Points in time on the command line: absolute, or so long ago.

use std::str::FromStr;

use warren_core::Timestamp;
use warren_runtime::{clock, config::duration};

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub struct When(Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = duration::parse(text) {
            return Ok(Self(clock::now().minus(ago)));
        }
        Timestamp::parse(text).map(Self).map_err(|error| format!("{error}, or how long ago (15m, 7d)"))
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
