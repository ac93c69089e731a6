//! How long things took, in slots that are finer where times are shorter.
//!
//! Up to 4 ms a slot is a millisecond; from there on each doubling has four. So a week needs 113 of them, whatever comes
//! cannot make more, and what is read off is wrong by an eighth at most (the same idea as `HdrHistogram`'s).

use std::{collections::BTreeMap, time::Duration};

const BITS: u32 = 2;
const PER_DOUBLING: u64 = 1 << BITS;
/// What is longer counts as this: seven days.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A range of times that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Where this time is counted.
    pub fn of(time: Duration) -> Self {
        let millis = u64::try_from(time.min(LONGEST).as_millis()).unwrap_or(u64::MAX);
        if millis < PER_DOUBLING {
            return Self(u8::try_from(millis).expect("below four"));
        }
        let doubling = u64::from(millis.ilog2() - BITS);
        let slot = PER_DOUBLING * (doubling + 1) + ((millis >> doubling) & (PER_DOUBLING - 1));
        Self(u8::try_from(slot).expect("a week has 113 slots"))
    }

    /// The slot with this number; `None` where no time falls.
    pub fn new(number: u8) -> Option<Self> {
        (number <= Self::of(LONGEST).0).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    // The milliseconds at which it begins, and how many it holds.
    fn range(self) -> (f64, f64) {
        let number = u32::from(self.0);
        let Some(doubling) = (number >> BITS).checked_sub(1) else { return (f64::from(number), 1.0) };
        let width = 2f64.powi(i32::try_from(doubling).unwrap_or(i32::MAX));
        (f64::from((1 << BITS) + (number & ((1 << BITS) - 1))) * width, width)
    }
}

/// Times, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<Slot, u64>);

impl Histogram {
    /// Counts so many more in a slot.
    pub fn add(&mut self, slot: Slot, number: u64) {
        if number > 0 {
            *self.0.entry(slot).or_default() += number;
        }
    }

    /// Counts all of another one as well.
    pub fn merge(&mut self, other: &Self) {
        for (slot, number) in &other.0 {
            self.add(*slot, *number);
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The time in milliseconds that so large a share (0 to 1) did not exceed; `None` where nothing was counted. Inside a
    /// slot they are taken to be spread evenly.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "nobody counts more than 2⁵² tasks")]
        let number = |number: u64| number as f64;
        let wanted = share.clamp(0.0, 1.0) * number(self.total());
        let mut before = 0.0;
        let mut last = None;
        for (slot, count) in &self.0 {
            let (begin, width) = slot.range();
            let count = number(*count);
            if before + count >= wanted {
                let part = ((wanted - before) / count).clamp(0.0, 1.0);
                // Whole milliseconds are all that is known of the short ones.
                return Some(if width <= 1.0 { begin } else { begin + width * part });
            }
            before += count;
            last = Some(begin + width);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(millis: u64) -> Slot {
        Slot::of(Duration::from_millis(millis))
    }

    #[test]
    fn slots_by_table() {
        for (time, number) in [(0, 0), (1, 1), (3, 3), (4, 4), (7, 7), (8, 8), (9, 8), (10, 9), (16, 12), (1_000, 35)] {
            assert_eq!(millis(time).number(), number, "{time} ms");
        }
        assert_eq!(Slot::of(LONGEST), Slot::of(Duration::MAX));
        assert_eq!(Slot::of(LONGEST).number(), 112);
        assert_eq!((Slot::new(112).is_some(), Slot::new(113)), (true, None));
    }

    #[test]
    fn quantiles_by_table() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for time in 1..=1_000 {
            histogram.add(millis(time), 1);
        }
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (0.001, 1.0)] {
            let read = histogram.quantile(share).unwrap();
            assert!((read - exact).abs() <= exact / 8.0, "{share}: {read}");
        }
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!(twice.total(), 2_000);
        assert_eq!(twice.quantile(0.5), histogram.quantile(0.5));
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_slot(time in 0_u64..604_800_000) {
            let (begin, width) = millis(time).range();
            #[expect(clippy::cast_precision_loss, reason = "a week")]
            let time = time as f64;
            prop_assert!(begin <= time && time < begin + width);
            prop_assert!(width <= 1.0 || width * 4.0 <= begin);
        }
    }
}
