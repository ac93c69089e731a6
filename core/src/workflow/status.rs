//! Where a step stands.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a step stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// It waits for others.
    #[default]
    Waiting,
    /// It may run: its tasks are handed in. Of a workflow within: it has begun.
    Running {
        /// Its tasks: one, or one for each chunk.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
        /// Of a workflow within: nothing more is started in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stopped: bool,
    },
    /// It is over.
    Ended {
        /// How it ended.
        #[serde(flatten)]
        conclusion: Conclusion,
        /// Its tasks, as far as it had any.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
    },
}

/// How a step, or a whole workflow, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum Conclusion {
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed {
        /// What went wrong, for people.
        why: String,
    },
    /// A step before it failed or was skipped, and so was this one.
    Skipped,
    /// The workflow had stopped.
    Stopped,
    /// Somebody cancelled the workflow.
    Cancelled,
}

impl Conclusion {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Skipped => "skipped",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Status {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running { .. } => "running",
            Self::Ended { conclusion, .. } => conclusion.name(),
        }
    }

    /// How it ended, if it has.
    pub fn conclusion(&self) -> Option<&Conclusion> {
        match self {
            Self::Ended { conclusion, .. } => Some(conclusion),
            Self::Waiting | Self::Running { .. } => None,
        }
    }

    /// Its tasks.
    pub fn parts(&self) -> &[Part] {
        match self {
            Self::Waiting => &[],
            Self::Running { parts, .. } | Self::Ended { parts, .. } => parts,
        }
    }
}

/// One task of a step. Stored as text, for a step may have thousands: `d1`, `s1`, `o1` or `o1:20`, `x1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Part {
    /// For which time it is handed in, from 1.
    pub round: u32,
    /// Where it stands.
    pub state: PartState,
}

/// Where a task of a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// It is to be handed in, and the log does not know of it yet.
    Due,
    /// The log knows of it.
    Seen,
    /// It has succeeded.
    Done {
        /// How long the list is that it gave back, if it is one.
        items: Option<u32>,
    },
    /// It has failed.
    Failed,
}

impl Part {
    /// One that is to be handed in for the first time.
    pub const DUE: Self = Self { round: 1, state: PartState::Due };

    /// Whether nothing more happens to it by itself.
    pub fn is_over(self) -> bool {
        match self.state {
            PartState::Due | PartState::Seen => false,
            PartState::Done { .. } | PartState::Failed => true,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let round = self.round;
        match self.state {
            PartState::Due => write!(f, "d{round}"),
            PartState::Seen => write!(f, "s{round}"),
            PartState::Done { items: None } => write!(f, "o{round}"),
            PartState::Done { items: Some(items) } => write!(f, "o{round}:{items}"),
            PartState::Failed => write!(f, "x{round}"),
        }
    }
}

/// Why a text is no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected d, s, o or x with a round")]
pub struct InvalidPart;

impl FromStr for Part {
    type Err = InvalidPart;

    fn from_str(text: &str) -> Result<Self, InvalidPart> {
        let (state, rest) = text.split_at_checked(1).ok_or(InvalidPart)?;
        let (round, items) = match rest.split_once(':') {
            Some((round, items)) => (round, Some(items.parse().map_err(|_| InvalidPart)?)),
            None => (rest, None),
        };
        let state = match state {
            "d" => PartState::Due,
            "s" => PartState::Seen,
            "o" => PartState::Done { items },
            "x" => PartState::Failed,
            _ => return Err(InvalidPart),
        };
        Ok(Self { round: round.parse().map_err(|_| InvalidPart)?, state })
    }
}

impl TryFrom<String> for Part {
    type Error = InvalidPart;

    fn try_from(text: String) -> Result<Self, InvalidPart> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.to_string()
    }
}

/// How many steps stand how. Workflows within are not counted, their steps are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// They wait for others.
    pub waiting: u32,
    /// They may run.
    pub running: u32,
    /// They succeeded.
    pub succeeded: u32,
    /// They failed.
    pub failed: u32,
    /// They were skipped.
    pub skipped: u32,
    /// They were not started, for the workflow had stopped.
    pub stopped: u32,
    /// They were cancelled.
    pub cancelled: u32,
}

impl Counts {
    /// One more that stands so.
    pub fn add(&mut self, status: &Status) {
        let count = match status {
            Status::Waiting => &mut self.waiting,
            Status::Running { .. } => &mut self.running,
            Status::Ended { conclusion, .. } => match conclusion {
                Conclusion::Succeeded => &mut self.succeeded,
                Conclusion::Failed { .. } => &mut self.failed,
                Conclusion::Skipped => &mut self.skipped,
                Conclusion::Stopped => &mut self.stopped,
                Conclusion::Cancelled => &mut self.cancelled,
            },
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_fixed() {
        let parts =
            [PartState::Due, PartState::Seen, PartState::Done { items: Some(7) }, PartState::Done { items: None }];
        let parts: Vec<_> = parts.into_iter().chain([PartState::Failed]).zip(1..).collect();
        let parts: Vec<_> = parts.into_iter().map(|(state, round)| Part { round, state }).collect();
        for (status, text) in [
            (Status::Waiting, r#"{"status":"waiting"}"#),
            (
                Status::Running { parts: parts.clone(), stopped: false },
                r#"{"status":"running","parts":["d1","s2","o3:7","o4","x5"]}"#,
            ),
            (
                Status::Ended { conclusion: Conclusion::Failed { why: "x".into() }, parts: vec![] },
                r#"{"status":"ended","end":"failed","why":"x"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&status).unwrap(), text);
            assert_eq!(serde_json::from_str::<Status>(text).unwrap(), status);
        }
        for text in ["", "d", "é1", "q1", "o1:x"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }
}
