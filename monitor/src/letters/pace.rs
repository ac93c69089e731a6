//! So many letters a second, and no more.

use std::time::Duration;

use tokio::time::Instant;

// What was not used counts on for this long: a pace of many a second would not be kept by one at a time.
const SAVED: Duration = Duration::from_millis(200);

/// A pace, kept from letter to letter.
#[derive(Debug, Clone)]
pub struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// This many a second, beginning with one now.
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self { every: Duration::from_secs_f64(1.0 / per_second), next: now }
    }

    /// Takes as many as may go now, at most `wanted`.
    pub fn take(&mut self, wanted: usize, now: Instant) -> usize {
        self.next = self.next.max(now.checked_sub(SAVED).unwrap_or(now));
        let mut taken = 0;
        while taken < wanted && self.next <= now {
            self.next += self.every;
            taken += 1;
        }
        taken
    }

    /// When the next may go.
    pub fn next(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_time_no_more_go_than_the_pace_allows() {
        for (per_second, step, expected) in [(10.0, 50, 101), (1_000.0, 50, 10_001), (0.5, 100, 6), (3.0, 7, 31)] {
            let begun = Instant::now();
            let mut pace = Pace::new(per_second, begun);
            let steps = 10_000 / step;
            let taken: usize =
                (0..=steps).map(|n| pace.take(usize::MAX, begun + Duration::from_millis(step * n))).sum();
            assert!(taken <= expected && taken + 3 >= expected, "{per_second}: {taken}");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let begun = Instant::now();
        let mut pace = Pace::new(10.0, begun);
        assert_eq!(pace.take(5, begun), 1);
        assert_eq!(pace.take(100, begun + Duration::from_mins(1)), 3);
    }
}
