//! How urgent a task is inside its queue.

use serde::{Deserialize, Serialize};

/// 0 to 9; higher runs first. What is above 9 counts as 9, as RabbitMQ treats `x-max-priority`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The most urgent.
    pub const MAX: Self = Self(9);

    /// As a number from 0 to 9.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the priority of a task that named none.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u8> for Priority {
    fn from(number: u8) -> Self {
        Self(number.min(Self::MAX.0))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}
