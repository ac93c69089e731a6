//! How often and how soon a task is tried again.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use crate::{Attempt, ladder};

/// What holds for the attempts of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many attempts there are, the first included.
    pub max_attempts: NonZeroU32,
    /// How long to wait between them.
    pub backoff: Backoff,
    /// Whether the wait is spread by chance.
    pub jitter: Jitter,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::new(5).expect("5 is not 0"),
            backoff: Backoff::Exponential { first: Duration::from_secs(1), max: Duration::from_mins(5) },
            jitter: Jitter::Full,
            timeout: Duration::from_mins(5),
        }
    }
}

/// What a message's headers change of its kind's policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Header `max_attempts`.
    pub max_attempts: Option<NonZeroU32>,
    /// Header `backoff`. A back-off that is written out is kept to the millisecond, without jitter.
    pub backoff: Option<Backoff>,
    /// Header `timeout`.
    pub timeout: Option<Duration>,
}

impl Policy {
    /// This policy with what the message asked for.
    #[must_use]
    pub fn with(&self, overrides: &Overrides) -> Self {
        Self {
            max_attempts: overrides.max_attempts.unwrap_or(self.max_attempts),
            backoff: overrides.backoff.unwrap_or(self.backoff),
            jitter: if overrides.backoff.is_some() { Jitter::None } else { self.jitter },
            timeout: overrides.timeout.unwrap_or(self.timeout),
        }
    }

    /// Whether the attempt after this one is still allowed.
    pub fn allows_after(&self, failed: Attempt) -> bool {
        failed.get() < self.max_attempts.get()
    }

    /// The wait after a failed attempt. `draw` is a number from 0 to 1 chosen by chance.
    pub fn delay(&self, failed: Attempt, draw: f64) -> Duration {
        let base = self.backoff.base(failed);
        match self.jitter {
            Jitter::None => base,
            Jitter::Full => base.mul_f64(draw.clamp(0.0, 1.0)),
        }
    }
}

/// How the wait grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// The same wait each time.
    Fixed(Duration),
    /// Doubles from `first`, and stays at `max`.
    Exponential {
        /// After the first failure.
        first: Duration,
        /// Never longer than this.
        max: Duration,
    },
}

impl Backoff {
    /// The wait after a failed attempt, before jitter.
    pub fn base(self, failed: Attempt) -> Duration {
        match self {
            Self::Fixed(wait) => wait,
            Self::Exponential { first, max } => {
                let doublings = (failed.get() - 1).min(63);
                let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
                let millis = u64::try_from(first.as_millis()).unwrap_or(u64::MAX).saturating_mul(factor);
                Duration::from_millis(millis).min(max)
            }
        }
    }
}

/// How chance spreads the waits, so that what failed together is not tried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly the back-off.
    None,
    /// Anything from zero to the back-off (AWS Architecture Blog, "Exponential Backoff and Jitter", full jitter).
    Full,
}

/// Why a text is not a back-off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected fixed:MS or exponential:FIRST_MS:MAX_MS with MAX_MS not below FIRST_MS and at most 310 days")]
pub struct InvalidBackoff;

impl FromStr for Backoff {
    type Err = InvalidBackoff;

    fn from_str(text: &str) -> Result<Self, InvalidBackoff> {
        let mut parts = text.trim().split(':');
        let backoff = match parts.next() {
            Some("fixed") => Self::Fixed(next_millis(&mut parts)?),
            Some("exponential") => {
                let (first, max) = (next_millis(&mut parts)?, next_millis(&mut parts)?);
                if max < first {
                    return Err(InvalidBackoff);
                }
                Self::Exponential { first, max }
            }
            _ => return Err(InvalidBackoff),
        };
        if parts.next().is_none() { Ok(backoff) } else { Err(InvalidBackoff) }
    }
}

fn next_millis<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<Duration, InvalidBackoff> {
    let wait = parts.next().and_then(|part| part.parse().ok()).map(Duration::from_millis).ok_or(InvalidBackoff)?;
    if wait <= ladder::MAX_DELAY { Ok(wait) } else { Err(InvalidBackoff) }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(wait) => write!(f, "fixed:{}", wait.as_millis()),
            Self::Exponential { first, max } => {
                write!(f, "exponential:{}:{}", first.as_millis(), max.as_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        for good in ["fixed:0", "fixed:1500", "exponential:100:5000", "exponential:7:7"] {
            assert_eq!(good.parse::<Backoff>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "fixed",
            "fixed:",
            "fixed:-1",
            "fixed:1:2",
            "exponential:5",
            "exponential:9:8",
            "linear:1",
            "fixed:99999999999",
        ] {
            assert_eq!(bad.parse::<Backoff>(), Err(InvalidBackoff), "{bad}");
        }
    }

    #[test]
    fn exponential_doubles_up_to_its_cap() {
        let backoff = Backoff::Exponential { first: ms(100), max: ms(1000) };
        let waits: Vec<_> = (1..=6).map(|n| backoff.base(Attempt::new(n).unwrap())).collect();
        assert_eq!(waits, [ms(100), ms(200), ms(400), ms(800), ms(1000), ms(1000)]);
    }

    #[test]
    fn a_written_backoff_has_no_jitter() {
        let overrides = Overrides { backoff: Some(Backoff::Fixed(ms(40))), ..Overrides::default() };
        let policy = Policy::default().with(&overrides);
        assert_eq!(policy.delay(Attempt::FIRST, 0.1), ms(40));
    }

    proptest! {
        #[test]
        fn a_wait_never_exceeds_its_base(n in 1_u32.., first in 0_u64..1_000_000, extra in 0_u64..1_000_000, draw in 0.0..1.0) {
            let backoff = Backoff::Exponential { first: ms(first), max: ms(first + extra) };
            let policy = Policy { backoff, ..Policy::default() };
            let attempt = Attempt::new(n).unwrap();
            prop_assert!(policy.delay(attempt, draw) <= backoff.base(attempt));
            prop_assert!(backoff.base(attempt) <= backoff.base(attempt.next()));
        }
    }
}
