//! How fast something went, and what it cost.

use std::time::Duration;

use serde::Serialize;

/// A measured stretch of work.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pace {
    /// Tasks or messages a second.
    pub per_second: f64,
    /// Processor seconds of the process under measurement, for 100,000 of them.
    pub processor_seconds: f64,
}

impl Pace {
    /// Of so many in that time, for which a process was busy that long.
    pub fn of(count: usize, took: Duration, busy: Duration) -> Self {
        let count = number(count);
        Self { per_second: count / took.as_secs_f64(), processor_seconds: busy.as_secs_f64() * 100_000.0 / count }
    }
}

/// A count as a number to calculate with.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("no measurement counts billions"))
}

/// The middle one; of an even number the lower of the two.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which this share of sorted values lies.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in a list that fits memory"
    )]
    let place = (number(sorted.len().saturating_sub(1)) * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_for_a_hundred_thousand() {
        let pace = Pace::of(50_000, Duration::from_secs(5), Duration::from_secs(1));
        assert!((pace.per_second - 10_000.0).abs() < 1e-9);
        assert!((pace.processor_seconds - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_middle_and_the_tail_are_found() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        let sorted: Vec<_> = (1..=101).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_millis(51));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
