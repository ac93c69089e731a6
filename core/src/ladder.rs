//! The delay ladder: how a wait of any length is cut into stays of fixed length.
//!
//! In level n a message rests 100 ms · 2ⁿ. Everything in one level rests equally long, so a plain queue per level is in
//! the order of its times to leave, and no message blocks another. A wait is cut greedily: the longest rest that fits,
//! then the longest that fits into what is left, and at the lowest level exactly the remainder. A message therefore never
//! leaves early, and passes each level at most once.

use std::time::Duration;

use crate::Timestamp;

/// How many levels there are: 100 ms up to 155 days, together 310 days.
pub const LEVELS: u8 = 28;

/// The longest delay that is accepted.
pub const MAX_DELAY: Duration = Duration::from_hours(310 * 24);

const SHORTEST: u64 = 100;

/// One rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// All levels, the shortest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LEVELS).map(Self)
    }

    /// From 0 to 27.
    pub fn number(self) -> u8 {
        self.0
    }

    /// How long a message rests here.
    pub fn rest(self) -> Duration {
        Duration::from_millis(SHORTEST << self.0)
    }
}

/// A stay: where to rest, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The level to rest in.
    pub level: Level,
    /// When to leave it.
    pub leave: Timestamp,
}

/// The next stay of a message that is due at `due`; `None` when the time has come.
pub fn next_stay(now: Timestamp, due: Timestamp) -> Option<Stay> {
    let left = due.as_millis().checked_sub(now.as_millis()).filter(|left| *left > 0)?;
    let rests = left / SHORTEST;
    let Some(highest) = rests.checked_ilog2() else {
        return Some(Stay { level: Level(0), leave: due });
    };
    let level = Level(u8::try_from(highest).unwrap_or(u8::MAX).min(LEVELS - 1));
    Some(Stay { level, leave: now.plus(level.rest()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn cuts_by_table() {
        for (left, level, leave) in
            [(1, 0, 1), (99, 0, 99), (100, 0, 100), (199, 0, 100), (200, 1, 200), (5_000, 5, 3_200)]
        {
            assert_eq!(next_stay(at(0), at(left)), Some(Stay { level: Level(level), leave: at(leave) }), "{left}");
        }
        assert_eq!(next_stay(at(7), at(7)), None);
        assert_eq!(next_stay(at(8), at(7)), None);
    }

    #[test]
    fn the_longest_delay_fits_on_the_ladder() {
        let sum: Duration = Level::all().map(Level::rest).sum();
        assert!(MAX_DELAY <= sum, "{sum:?}");
    }

    proptest! {
        #[test]
        fn a_climb_ends_exactly_on_time_and_visits_no_level_twice(
            start in 0_u64..2_000_000_000_000,
            wait in 0..u64::try_from(MAX_DELAY.as_millis()).unwrap(),
        ) {
            let due = at(start + wait);
            let mut now = at(start);
            let mut seen = std::collections::BTreeSet::new();
            while let Some(stay) = next_stay(now, due) {
                // The lowest level may be visited for 100 ms and once more for the remainder.
                prop_assert!(seen.insert((stay.level, stay.leave == due)));
                prop_assert!(stay.leave > now && stay.leave <= due);
                now = stay.leave;
            }
            prop_assert_eq!(now, due);
            prop_assert!(seen.len() <= usize::from(LEVELS) + 1);
        }
    }
}
