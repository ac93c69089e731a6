//! What a schedule is, as it is stored.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What is to run when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// When the ticks are.
    #[serde(flatten)]
    pub timing: Timing,
    /// Each tick is put off by up to this much, by chance.
    #[serde(rename = "jitter_ms", with = "millis", default, skip_serializing_if = "Duration::is_zero")]
    pub jitter: Duration,
    /// The task of each tick, in the JSON form of a task, without an id.
    pub task: String,
    /// What becomes of ticks that were missed.
    pub misfire: Misfire,
    /// A tick is missed that could not be run for longer than this.
    #[serde(rename = "misfire_after_ms", with = "millis")]
    pub misfire_after: Duration,
    /// What becomes of a tick while the task of the one before is not over.
    pub overlap: Overlap,
    /// It makes no ticks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// It makes none before this time; an interval is counted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// It makes none after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

/// When the ticks of a schedule are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Timing {
    /// By the calendar and the clock on the wall.
    Cron {
        /// Five or six fields.
        cron: String,
        /// The name of the zone in which they are read.
        zone: String,
    },
    /// Always after the same time.
    Every {
        /// That time.
        #[serde(rename = "every_ms", with = "millis")]
        every: Duration,
    },
}

/// What becomes of ticks that were missed: while nothing that runs schedules was there, or Redis or the broker was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// They are dropped.
    Skip,
    /// Of all that is due then, only the latest is run.
    Once,
    /// They are run one after the other.
    All {
        /// At most so many of what is due then: the latest.
        most: NonZeroU32,
    },
}

/// What becomes of a tick while the task of the one before is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It runs beside it.
    Allow,
    /// It is dropped.
    Skip,
    /// The one before is cancelled.
    CancelPrevious,
}

impl Overlap {
    /// Its name in configuration and API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::CancelPrevious => "cancel_previous",
        }
    }
}

impl Misfire {
    /// Its name in configuration and API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All { .. } => "all",
        }
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every ten seconds, with what holds unless something else is said.
    pub fn every_ten_seconds() -> Definition {
        Definition {
            timing: Timing::Every { every: Duration::from_secs(10) },
            jitter: Duration::ZERO,
            task: r#"{"kind":"echo"}"#.to_owned(),
            misfire: Misfire::Once,
            misfire_after: Duration::from_mins(1),
            overlap: Overlap::Allow,
            paused: false,
            start: None,
            end: None,
        }
    }

    #[test]
    fn what_is_stored_is_fixed() {
        let every = every_ten_seconds();
        let cron = Definition {
            timing: Timing::Cron { cron: "0 3 * * *".to_owned(), zone: "Europe/Berlin".to_owned() },
            jitter: Duration::from_secs(5),
            misfire: Misfire::All { most: NonZeroU32::MIN },
            overlap: Overlap::CancelPrevious,
            paused: true,
            start: Some(Timestamp::from_millis(5)),
            end: Some(Timestamp::from_millis(7)),
            ..every.clone()
        };
        let texts = [&every, &cron].map(|definition| serde_json::to_string(definition).unwrap());
        insta::assert_snapshot!(texts.join("\n"));
        for (text, definition) in texts.iter().zip([every, cron]) {
            assert_eq!(serde_json::from_str::<Definition>(text).unwrap(), definition);
        }
    }
}
