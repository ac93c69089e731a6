//! The states of a task.
//!
//! ```text
//!              ┌──────────────── released ───────────────┐
//!              ▼                                         │
//!  submitted ─▶ queued ── started ─▶ running ── retry ─▶ delayed ◀─ submitted with delay or eta
//!               │  ▲                  │ │ │ │
//!               │  └──── returned ────┘ │ │ └─ success ─▶ succeeded
//!               │                       │ └─── cancel ──▶ cancelled
//!               ├── cancel ─────────────┼─────────────▶ cancelled (from delayed as well)
//!               ├── refused ────────────┴──── nothing ──▶ dead
//!               └── too late ───────────────────────────▶ expired
//! ```
//! The state is never stored as such: it is read off the facts that are known ([`crate::record`]), so that facts may
//! arrive in any order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It may start as soon as a slot is free for it.
    Queued,
    /// It waits for its time, on the delay ladder.
    Delayed,
    /// A worker runs it.
    Running,
    /// It did what was asked.
    Succeeded,
    /// Nothing is left to try; it lies among the dead letters.
    Dead,
    /// Somebody wished it to stop, and it has.
    Cancelled,
    /// It was not started within its time.
    Expired,
}

impl TaskState {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Delayed, Self::Running, Self::Succeeded, Self::Dead, Self::Cancelled, Self::Expired];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delayed => "delayed",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing more happens to the task by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Delayed | Self::Running => false,
            Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired => true,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of queued, delayed, running, succeeded, dead, cancelled, expired")]
pub struct UnknownState;

impl FromStr for TaskState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}
