//! The spans of time over which figures are kept, each in steps of its own length.

use std::{fmt, str::FromStr, time::Duration};

use crate::Timestamp;

/// How far back one looks; the further, the coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// A quarter of an hour, in steps of ten seconds.
    Minutes15,
    /// Six hours, in steps of five minutes.
    Hours6,
    /// A week, in steps of two hours.
    Days7,
}

/// Why a text is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of 15m, 6h, 7d")]
pub struct UnknownSpan;

impl Span {
    /// All of them. The steps of each divide those of the next.
    pub const ALL: [Self; 3] = [Self::Minutes15, Self::Hours6, Self::Days7];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minutes15 => "15m",
            Self::Hours6 => "6h",
            Self::Days7 => "7d",
        }
    }

    /// How long a step is.
    pub fn step(self) -> Duration {
        match self {
            Self::Minutes15 => Duration::from_secs(10),
            Self::Hours6 => Duration::from_mins(5),
            Self::Days7 => Duration::from_hours(2),
        }
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        match self {
            Self::Minutes15 => Duration::from_mins(15),
            Self::Hours6 => Duration::from_hours(6),
            Self::Days7 => Duration::from_hours(7 * 24),
        }
    }

    /// The step in which this time lies: when it begins, in seconds since 1970.
    pub fn step_of(self, at: Timestamp) -> u64 {
        let seconds = at.as_millis() / 1_000;
        seconds - seconds % self.step().as_secs()
    }

    /// When a step that begins then may be forgotten, in seconds since 1970: two steps after it is looked at for the last
    /// time, so that a clock that is behind ours still finds it.
    pub fn forgotten(self, step: u64) -> u64 {
        step + self.length().as_secs() + 3 * self.step().as_secs()
    }

    /// The steps of the span that ends now, the oldest first; the last one is not over yet.
    pub fn steps(self, now: Timestamp) -> Vec<u64> {
        self.last(now, self.length())
    }

    /// The steps that reach this far back and the one that goes on, the oldest first.
    pub fn last(self, now: Timestamp, back: Duration) -> Vec<u64> {
        let (last, step) = (self.step_of(now), self.step().as_secs());
        let number = back.as_secs().div_ceil(step);
        (0..=number).rev().map(|n| last.saturating_sub(n * step)).collect()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Span {
    type Err = UnknownSpan;

    fn from_str(text: &str) -> Result<Self, UnknownSpan> {
        Self::ALL.into_iter().find(|span| span.name() == text).ok_or(UnknownSpan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_with_the_one_that_goes_on() {
        let now = Timestamp::from_millis(1_769_860_812_345);
        let steps = Span::Minutes15.steps(now);
        assert_eq!((steps.len(), steps[0], steps[90]), (91, 1_769_859_910, 1_769_860_810));
        assert_eq!(Span::Minutes15.last(now, Duration::from_mins(1)).len(), 7);
        assert_eq!((Span::Hours6.steps(now).len(), Span::Days7.steps(now).len()), (73, 85));
    }

    #[test]
    fn fine_steps_lie_wholly_in_coarse_ones() {
        for pair in Span::ALL.windows(2) {
            assert_eq!(pair[1].step().as_secs() % pair[0].step().as_secs(), 0);
        }
    }

    #[test]
    fn a_name_is_read_back() {
        for span in Span::ALL {
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!("1h".parse::<Span>(), Err(UnknownSpan));
    }
}
