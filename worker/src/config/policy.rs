//! How often, how soon and how long: what a kind may say, over what holds for all.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use warren_core::retry::{self, Backoff, Policy};
use warren_runtime::config::{Problems, duration};

/// Section `defaults`, and a part of each handler's table. What is not said is inherited.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PolicyConfig {
    /// How long one attempt may take; 5 minutes unless said otherwise.
    #[serde(deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// How many attempts there are, the first included; 5 unless said otherwise.
    pub max_attempts: Option<NonZeroU32>,
    /// `fixed:MS` or `exponential:FIRST_MS:MAX_MS`; `exponential:1000:300000` unless said otherwise.
    #[serde(deserialize_with = "backoff")]
    pub backoff: Option<Backoff>,
    /// Whether the wait is spread by chance; `full` unless said otherwise.
    pub jitter: Option<Jitter>,
    /// How many slots an attempt takes; 1 unless said otherwise.
    pub slots: Option<u32>,
}

/// How chance spreads the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Anything from zero to the back-off.
    Full,
    /// Exactly the back-off.
    None,
}

/// For fields that may be absent, as `duration::optional`.
pub(super) fn backoff<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Backoff>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|error| D::Error::custom(format_args!("{error}, got {text:?}")))
}

impl PolicyConfig {
    /// What this says, and what `others` say where it is silent.
    #[must_use]
    pub fn over(&self, others: &Self) -> Self {
        Self {
            timeout: self.timeout.or(others.timeout),
            max_attempts: self.max_attempts.or(others.max_attempts),
            backoff: self.backoff.or(others.backoff),
            jitter: self.jitter.or(others.jitter),
            slots: self.slots.or(others.slots),
        }
    }

    /// The policy, with the defaults of Warren where nothing is said.
    pub fn policy(&self) -> Policy {
        let default = Policy::default();
        let jitter = self.jitter.map(|jitter| match jitter {
            Jitter::Full => retry::Jitter::Full,
            Jitter::None => retry::Jitter::None,
        });
        Policy {
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            backoff: self.backoff.unwrap_or(default.backoff),
            jitter: jitter.unwrap_or(default.jitter),
            timeout: self.timeout.unwrap_or(default.timeout),
        }
    }

    /// How many slots an attempt takes.
    pub fn slots(&self) -> u32 {
        self.slots.unwrap_or(1)
    }

    /// Reports every value that does not make sense in a worker with so many slots.
    pub fn validate(&self, key: &str, slots: u32, problems: &mut Problems) {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems.add(&format!("{key}.timeout"), "expected more than zero");
        }
        if let Some(asked) = self.slots.filter(|asked| !(1..=slots).contains(asked)) {
            let problem = format_args!("expected 1 to {slots}, the slots of the worker, got {asked}");
            problems.add(&format!("{key}.slots"), problem);
        }
    }
}
