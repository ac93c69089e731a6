//! The number of an execution.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

/// One execution of a task, numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first execution.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The attempt with this number; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Its number, from 1.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Its number where counting begins with `first`; the first for all that came before that.
    #[must_use]
    pub fn counted_from(self, first: Self) -> Self {
        Self::new(self.get().saturating_sub(first.get()).saturating_add(1)).unwrap_or(Self::FIRST)
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
