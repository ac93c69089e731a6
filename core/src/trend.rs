//! What is out of line with its own past: queues that grow, kinds that fail or take longer than they did.
//!
//! Each rule wants a difference that is large for people and large for chance, so that a pool at rest, a burst, or a kind
//! that has always failed now and then is not found.

use std::time::Duration;

use crate::{Kind, QueueName, finding::Finding, histogram::Histogram};

// Fewer attempts than these tell nothing.
const ENOUGH_OF_LATE: u64 = 20;
const ENOUGH_BEFORE: u64 = 50;
// A share below this is nobody's concern, and a jump of fewer standard deviations may be chance.
const LEAST_SHARE: f64 = 0.1;
const DEVIATIONS: f64 = 4.0;
const TIMES_AS_OFTEN: f64 = 2.0;
const TIMES_AS_LONG: f64 = 2.0;
const LEAST_SLOWER_MS: f64 = 100.0;
const LEAST_GROWTH: u64 = 100;
const TIMES_AS_MUCH: f64 = 1.1;

/// How the attempts of a kind ended in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed.
    pub failed: u64,
    /// How long each took.
    pub run: Histogram,
}

/// How a queue fared in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// Tasks that waited at its beginning.
    pub before: u64,
    /// Tasks that wait now.
    pub waiting: u64,
    /// Tasks that came.
    pub arrived: u64,
    /// Tasks that were taken.
    pub taken: u64,
    /// How long it was.
    pub over: Duration,
}

/// What is out of line with the attempts of a kind.
pub fn of_kind(kind: &Kind, late: &Attempts, past: &Attempts) -> Vec<Finding> {
    let (ended, before) = (late.run.total(), past.run.total());
    if ended < ENOUGH_OF_LATE || before < ENOUGH_BEFORE {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let (share, usual_share) = (share(late.failed, ended), share(past.failed, before));
    // As if one more had failed: a past without a failure does not make the first one a marvel.
    let expected = (float(past.failed) + 1.0) / (float(before) + 2.0);
    let deviation = (expected * (1.0 - expected) / float(ended)).sqrt();
    if share >= LEAST_SHARE && share >= TIMES_AS_OFTEN * usual_share && share > expected + DEVIATIONS * deviation {
        findings.push(Finding::FailureRate { kind: kind.clone(), failed: late.failed, ended, share, usual_share });
    }
    let of = |histogram: &Histogram, share| histogram.quantile(share).unwrap_or_default();
    let (p95_ms, usual_p95_ms) = (of(&late.run, 0.95), of(&past.run, 0.95));
    // The middle as well: a few long ones among many are a matter of the tasks.
    let all_slower = of(&late.run, 0.5) > 1.5 * of(&past.run, 0.5);
    if all_slower && p95_ms > TIMES_AS_LONG * usual_p95_ms && p95_ms - usual_p95_ms > LEAST_SLOWER_MS {
        findings.push(Finding::SlowKind { kind: kind.clone(), ended, p95_ms, usual_p95_ms });
    }
    findings
}

/// Whether a queue grows faster than it drains.
pub fn of_queue(queue: &QueueName, course: &Course) -> Option<Finding> {
    let Course { before, waiting, arrived, taken, over } = *course;
    let grown = waiting.saturating_sub(before);
    let much = grown >= LEAST_GROWTH && grown >= before / 4;
    if !much || float(arrived) <= TIMES_AS_MUCH * float(taken) {
        return None;
    }
    let seconds = over.as_secs_f64().max(1.0);
    Some(Finding::GrowingQueue {
        queue: queue.clone(),
        waiting,
        before,
        arrival_rate: float(arrived) / seconds,
        service_rate: float(taken) / seconds,
        over_seconds: over.as_secs(),
    })
}

fn share(part: u64, all: u64) -> f64 {
    float(part) / float(all.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts more than 2⁵² tasks")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Slot;

    fn attempts(number: u64, failed: u64, millis: u64) -> Attempts {
        let mut run = Histogram::default();
        run.add(Slot::of(Duration::from_millis(millis)), number);
        Attempts { failed, run }
    }

    #[test]
    fn kinds_by_table() {
        let kind = Kind::parse("resize").unwrap();
        for (late, past, expected) in [
            (attempts(100, 0, 50), attempts(1_000, 0, 50), &[][..]),
            (attempts(100, 30, 50), attempts(1_000, 10, 50), &["failure"]),
            // It has always failed so often.
            (attempts(100, 30, 50), attempts(1_000, 300, 50), &[]),
            (attempts(100, 9, 50), attempts(1_000, 0, 50), &[]),
            // Too few to tell.
            (attempts(19, 19, 50), attempts(1_000, 0, 50), &[]),
            (attempts(100, 100, 50), attempts(49, 0, 50), &[]),
            // By chance.
            (attempts(20, 2, 50), attempts(1_000, 40, 50), &[]),
            (attempts(100, 0, 500), attempts(1_000, 0, 100), &["slow"]),
            // Twice as long, and nobody notices.
            (attempts(100, 0, 50), attempts(1_000, 0, 10), &[]),
            (attempts(100, 50, 5_000), attempts(1_000, 0, 100), &["failure", "slow"]),
        ] {
            let found = of_kind(&kind, &late, &past);
            let names = found.iter().map(|finding| match finding {
                Finding::FailureRate { .. } => "failure",
                Finding::SlowKind { .. } => "slow",
                other => panic!("{other:?}"),
            });
            assert_eq!(names.collect::<Vec<_>>(), expected, "{late:?} {past:?}");
        }
    }

    #[test]
    fn a_few_long_ones_make_no_slow_kind() {
        let kind = Kind::parse("resize").unwrap();
        let mut late = attempts(100, 0, 100);
        late.run.add(Slot::of(Duration::from_mins(1)), 10);
        assert_eq!(of_kind(&kind, &late, &attempts(1_000, 0, 100)), []);
    }

    #[test]
    fn queues_by_table() {
        for (before, waiting, arrived, taken, found) in [
            (0, 0, 0, 0, false),
            (0, 500, 600, 100, true),
            (0, 99, 99, 0, false),
            // It is full, and no longer grows.
            (10_000, 10_200, 400, 200, false),
            (1_000, 1_300, 600, 300, true),
            // It grew by what came back from the ladder or from a worker, and drains as fast as it fills.
            (0, 500, 1_000, 950, false),
            (500, 100, 100, 500, false),
        ] {
            let course = Course { before, waiting, arrived, taken, over: Duration::from_mins(5) };
            assert_eq!(of_queue(&QueueName::default(), &course).is_some(), found, "{course:?}");
        }
    }
}
