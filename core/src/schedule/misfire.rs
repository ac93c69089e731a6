//! Which tick is next, where several are due.

use std::time::Duration;

use super::{Misfire, Tick};
use crate::Timestamp;

/// What is to be done about the ticks that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The tick to run next.
    pub run: Option<Timestamp>,
    /// How many before it are passed over.
    pub missed: u32,
    /// The last that this decides about.
    pub through: Timestamp,
}

/// Chooses among the ticks that are due, in their order; `None` where there are none.
///
/// A tick that is late by at most `after` is run whatever the policy: a leader that dies costs its successor some
/// seconds, and that alone must not drop a tick.
pub fn choose(due: &[Tick], now: Timestamp, policy: Misfire, after: Duration) -> Option<Choice> {
    let last = due.last()?;
    let late = due.iter().take_while(|tick| now.since(tick.due) > after).count();
    let passed = match policy {
        Misfire::Skip => late,
        Misfire::Once if late > 0 => due.len() - 1,
        Misfire::All { most } if late > 0 => {
            due.len().saturating_sub(usize::try_from(most.get()).unwrap_or(usize::MAX))
        }
        Misfire::Once | Misfire::All { .. } => 0,
    };
    let run = due.get(passed).map(|tick| tick.at);
    Some(Choice { run, missed: u32::try_from(passed).unwrap_or(u32::MAX), through: run.unwrap_or(last.at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_mins(1);

    fn all(most: u32) -> Misfire {
        Misfire::All { most: most.try_into().unwrap() }
    }

    // Ticks so many seconds ago, the oldest first; and which of them is run, how many passed over.
    #[test]
    fn chooses_by_table() {
        let now = Timestamp::from_millis(10_000_000);
        let ago = |seconds| now.minus(Duration::from_secs(seconds));
        for (due, policy, run, missed) in [
            (&[5][..], Misfire::Skip, Some(5), 0),
            (&[5], Misfire::Once, Some(5), 0),
            (&[5], all(1), Some(5), 0),
            // Late, and not missed.
            (&[60, 40, 20], Misfire::Skip, Some(60), 0),
            (&[60, 40, 20], Misfire::Once, Some(60), 0),
            (&[60, 40, 20], all(1), Some(60), 0),
            // Missed.
            (&[61], Misfire::Skip, None, 1),
            (&[61], Misfire::Once, Some(61), 0),
            (&[61], all(1), Some(61), 0),
            (&[500, 400, 300], Misfire::Skip, None, 3),
            (&[500, 400, 300], Misfire::Once, Some(300), 2),
            (&[500, 400, 300], all(2), Some(400), 1),
            (&[500, 400, 300], all(9), Some(500), 0),
            // Both.
            (&[500, 400, 30, 10], Misfire::Skip, Some(30), 2),
            (&[500, 400, 30, 10], Misfire::Once, Some(10), 3),
            (&[500, 400, 30, 10], all(3), Some(400), 1),
        ] {
            let ticks: Vec<_> = due.iter().map(|seconds| Tick { at: ago(*seconds), due: ago(*seconds) }).collect();
            let choice = choose(&ticks, now, policy, AFTER).unwrap();
            let through = run.unwrap_or(due[due.len() - 1]);
            let expected = Choice { run: run.map(ago), missed, through: ago(through) };
            assert_eq!(choice, expected, "{due:?} {policy:?}");
        }
        assert_eq!(choose(&[], now, Misfire::Once, AFTER), None);
    }

    #[test]
    fn what_jitter_puts_off_is_not_late() {
        let now = Timestamp::from_millis(10_000_000);
        let tick = Tick { at: now.minus(AFTER * 3), due: now };
        assert_eq!(choose(&[tick], now, Misfire::Skip, AFTER).unwrap().run, Some(tick.at));
    }
}
