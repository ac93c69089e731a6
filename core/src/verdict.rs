//! What follows from an outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Attempt, Outcome, Timestamp, ladder, retry::Policy};

/// What becomes of a task after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing more is to be done.
    Complete,
    /// The next attempt starts at `due`.
    Retry {
        /// Not before this time.
        due: Timestamp,
    },
    /// It goes to the dead letters.
    DeadLetter {
        /// Why.
        reason: Reason,
    },
    /// Somebody wished it to stop, and it has.
    Cancel,
}

impl Verdict {
    /// The same, with a retry this much later than it was due, or than now.
    #[must_use]
    pub fn behind(self, now: Timestamp, by: Duration) -> Self {
        match self {
            Self::Retry { due } => Self::Retry { due: due.max(now).plus(by) },
            Self::Complete | Self::DeadLetter { .. } | Self::Cancel => self,
        }
    }
}

/// Why a task is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Every attempt that it had has failed.
    AttemptsExhausted,
    /// The handler said that no further attempt would help.
    Permanent,
    /// A field of the message cannot be read.
    Invalid,
    /// No handler of this worker has the message's kind.
    UnknownKind,
    /// It killed its worker again and again.
    Poison,
    /// It was not started within its time.
    Expired,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AttemptsExhausted, Self::Permanent, Self::Invalid, Self::UnknownKind, Self::Poison, Self::Expired];

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Permanent => "permanent",
            Self::Invalid => "invalid",
            Self::UnknownKind => "unknown_kind",
            Self::Poison => "poison",
            Self::Expired => "expired",
        }
    }
}

/// Decides what follows from an outcome. `draw` is a number from 0 to 1 chosen by chance, for the jitter.
pub fn judge(outcome: &Outcome, attempt: Attempt, policy: &Policy, now: Timestamp, draw: f64) -> Verdict {
    let asked = match outcome {
        Outcome::Success { .. } => return Verdict::Complete,
        Outcome::Cancelled => return Verdict::Cancel,
        Outcome::Permanent { .. } => {
            return Verdict::DeadLetter { reason: Reason::Permanent };
        }
        Outcome::Retryable { after_ms, .. } => after_ms.map_or(Duration::ZERO, Duration::from_millis),
        Outcome::Timeout { .. } | Outcome::Crashed { .. } => Duration::ZERO,
    };
    if !policy.allows_after(attempt) {
        return Verdict::DeadLetter { reason: Reason::AttemptsExhausted };
    }
    let wait = policy.delay(attempt, draw).max(asked).min(ladder::MAX_DELAY);
    Verdict::Retry { due: now.plus(wait) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::{Backoff, Jitter};

    #[test]
    fn judges_by_table() {
        let policy = Policy {
            max_attempts: 3.try_into().unwrap(),
            backoff: Backoff::Fixed(Duration::from_millis(100)),
            jitter: Jitter::None,
            timeout: Duration::from_secs(1),
        };
        let now = Timestamp::from_millis(1_000);
        let due = |millis| Verdict::Retry { due: Timestamp::from_millis(millis) };
        let dead = |reason| Verdict::DeadLetter { reason };
        let patient = Outcome::Retryable { error: "busy".into(), after_ms: Some(5_000) };
        for (outcome, attempt, verdict) in [
            (Outcome::success(None), 1, Verdict::Complete),
            (Outcome::success(None), 9, Verdict::Complete),
            (Outcome::Cancelled, 1, Verdict::Cancel),
            (Outcome::permanent("no"), 1, dead(Reason::Permanent)),
            (Outcome::retryable("no"), 1, due(1_100)),
            (Outcome::retryable("no"), 2, due(1_100)),
            (Outcome::retryable("no"), 3, dead(Reason::AttemptsExhausted)),
            (Outcome::retryable("no"), 4, dead(Reason::AttemptsExhausted)),
            (patient, 1, due(6_000)),
            (Outcome::Timeout { limit_ms: 1 }, 2, due(1_100)),
            (Outcome::Timeout { limit_ms: 1 }, 3, dead(Reason::AttemptsExhausted)),
            (Outcome::Crashed { error: "signal 11".into() }, 1, due(1_100)),
        ] {
            let attempt = Attempt::new(attempt).unwrap();
            assert_eq!(judge(&outcome, attempt, &policy, now, 0.5), verdict, "{outcome:?} {attempt}");
        }
    }
}
