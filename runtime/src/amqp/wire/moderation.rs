//! Rests between readings, where they would be many and small.
//!
//! A broker that sends one message after another wakes whoever reads for each few of them, and that is three threads: the
//! one that hears of the bytes, lapin's that reads them, and the one that works with what was read. It was a third of
//! what a task of microseconds costs a worker. So whoever reads that often rests first, and then reads more at once;
//! network cards do so as interrupt moderation. Where the broker waits for us a rest would only cost time, and it
//! shows: little is there after it.

use std::time::{Duration, Instant};

const REST: Duration = Duration::from_micros(500);
// So many readings within that time are worth a try: no steady thousand tasks a second come to that.
const READINGS: u32 = 32;
const WITHIN: Duration = Duration::from_millis(8);
// Of eight deliveries, or of two dozen confirms. A reading after a rest that brings less was not worth it.
const WORTH: u64 = 24;
const ABSTINENCE: Duration = Duration::from_millis(20);

/// Of the readings of one connection.
#[derive(Debug)]
pub(super) enum Moderation {
    /// Reads whatever is there: so often since then, which may be yet to come.
    Eager { since: Instant, readings: u32 },
    /// Rests before each reading. The last one was then; or there was nothing, and whatever wakes us has just begun.
    Resting { last: Option<Instant> },
}

impl Moderation {
    pub(super) fn new(now: Instant) -> Self {
        Self::Eager { since: now, readings: 0 }
    }

    pub(super) fn is_resting(&self) -> bool {
        matches!(self, Self::Resting { .. })
    }

    /// How long to rest before the next reading.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        match self {
            Self::Eager { .. } => Duration::ZERO,
            Self::Resting { last: Some(last) } => REST.saturating_sub(now.saturating_duration_since(*last)),
            // A broker that collects its garbage says nothing for some milliseconds, and then goes on as before.
            Self::Resting { last: None } => REST,
        }
    }

    /// A reading has found nothing.
    pub(super) fn waits(&mut self) {
        if let Self::Resting { last } = self {
            *last = None;
        }
    }

    /// A reading has brought something: so many frames have begun in it.
    pub(super) fn brought(&mut self, frames: u64, now: Instant) {
        match self {
            Self::Eager { since, readings } => {
                *readings += 1;
                if *readings == READINGS {
                    let is_often = now.checked_duration_since(*since).is_some_and(|took| took < WITHIN);
                    *self = if is_often { Self::Resting { last: Some(now) } } else { Self::new(now.max(*since)) };
                }
            }
            Self::Resting { last } if frames >= WORTH => *last = Some(now),
            Self::Resting { .. } => *self = Self::new(now + ABSTINENCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFTEN: Duration = Duration::from_micros(100);

    // Reads so often, each time so long after the last; says when the last one was.
    fn read(moderation: &mut Moderation, begin: Instant, readings: u32, gap: Duration, frames: u64) -> Instant {
        let mut now = begin;
        for _ in 0..readings {
            now += gap;
            moderation.brought(frames, now);
        }
        now
    }

    #[test]
    fn whoever_reads_often_rests_for_as_long_as_that_brings_much() {
        let begin = Instant::now();
        let mut moderation = Moderation::new(begin);
        let now = read(&mut moderation, begin, READINGS - 1, OFTEN, 3);
        assert_eq!(moderation.rest(now), Duration::ZERO);
        let now = read(&mut moderation, now, 1, OFTEN, 3);
        assert_eq!(moderation.rest(now), REST);
        assert_eq!(moderation.rest(now + REST / 5), REST * 4 / 5, "what was done meanwhile counts");
        assert_eq!(moderation.rest(now + REST * 2), Duration::ZERO);
        let now = read(&mut moderation, now, 1_000, REST, WORTH);
        assert_eq!(moderation.rest(now), REST);
        let now = read(&mut moderation, now, 1, REST, WORTH - 1);
        assert_eq!(moderation.rest(now), Duration::ZERO);
    }

    #[test]
    fn after_a_silence_it_rests_once_more_before_it_judges() {
        let begin = Instant::now();
        let mut moderation = Moderation::new(begin);
        let now = read(&mut moderation, begin, READINGS, OFTEN, 3);
        moderation.waits();
        assert_eq!(moderation.rest(now + REST * 100), REST);
        let now = read(&mut moderation, now, 1, REST * 101, WORTH);
        assert_eq!(moderation.rest(now + REST), Duration::ZERO);
        assert!(moderation.is_resting());
    }

    #[test]
    fn what_was_not_worth_it_is_not_tried_again_at_once() {
        let begin = Instant::now();
        let mut moderation = Moderation::new(begin);
        let now = read(&mut moderation, begin, READINGS, OFTEN, 3);
        let now = read(&mut moderation, now, 1, REST, 3);
        let tried = read(&mut moderation, now, READINGS * 6, OFTEN, 3);
        assert!(tried < now + ABSTINENCE && moderation.rest(tried) == Duration::ZERO);
        let tried = read(&mut moderation, now + ABSTINENCE, READINGS, OFTEN, 3);
        assert_eq!(moderation.rest(tried), REST);
    }

    #[test]
    fn a_steady_thousand_a_second_never_waits() {
        let begin = Instant::now();
        let mut moderation = Moderation::new(begin);
        for reading in 1..10_000 {
            let now = read(&mut moderation, begin, 1, Duration::from_micros(500) * reading, 3);
            assert_eq!(moderation.rest(now), Duration::ZERO);
        }
    }
}
