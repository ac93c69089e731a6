//! A tick, its name, and how far it is put off.

use std::time::Duration;

use crate::{ScheduleName, TaskId, Timestamp};

/// One point in time that a schedule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick {
    /// The time itself.
    pub at: Timestamp,
    /// When its task is handed in: later by the tick's share of the jitter.
    pub due: Timestamp,
}

impl Tick {
    /// The tick of a schedule at a time. Its share of the jitter depends on nothing else, so that every replica, and
    /// whoever takes over, comes to the same.
    pub fn new(schedule: &ScheduleName, at: Timestamp, jitter: Duration) -> Self {
        let most = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
        let share = match most.checked_add(1) {
            Some(choices) => scatter(schedule, at) % choices,
            None => 0,
        };
        Self { at, due: at.plus(Duration::from_millis(share)) }
    }

    /// The id of its task: the tick's name.
    pub fn task(schedule: &ScheduleName, at: Timestamp) -> TaskId {
        TaskId::parse(&format!("schedule:{schedule}:{}", at.as_millis())).expect("a name and a number make a task id")
    }

    /// The id of a task that somebody wishes to run now, beside the ticks.
    pub fn task_now(schedule: &ScheduleName, now: Timestamp) -> TaskId {
        let id = format!("schedule:{schedule}:{}:now", now.as_millis());
        TaskId::parse(&id).expect("a name and a number make a task id")
    }
}

// FNV-1a over the name, then the finisher of splitmix64, which spreads neighbouring times over all numbers.
fn scatter(schedule: &ScheduleName, at: Timestamp) -> u64 {
    let name = schedule
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = name ^ at.as_millis().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticks_name_is_its_tasks_id() {
        let name = ScheduleName::parse("nightly").unwrap();
        let at = Timestamp::from_millis(1_769_860_800_000);
        assert_eq!(Tick::task(&name, at).as_str(), "schedule:nightly:1769860800000");
        assert_eq!(Tick::task_now(&name, at).as_str(), "schedule:nightly:1769860800000:now");
    }

    #[test]
    fn jitter_is_the_same_for_everybody_stays_in_bounds_and_is_spread() {
        let name = ScheduleName::parse("a").unwrap();
        let jitter = Duration::from_secs(10);
        let shares: Vec<_> = (0..1_000)
            .map(|n| {
                let at = Timestamp::from_millis(n * 60_000);
                let tick = Tick::new(&name, at, jitter);
                assert_eq!(tick, Tick::new(&name, at, jitter));
                tick.due.since(at)
            })
            .collect();
        assert!(shares.iter().all(|share| *share <= jitter));
        for tenth in 0..10_u64 {
            let count = shares.iter().filter(|share| share.as_millis() / 1_001 == u128::from(tenth)).count();
            assert!((50..200).contains(&count), "{count} of 1,000 in tenth {tenth}");
        }
        let at = Timestamp::from_millis(5);
        assert_eq!(Tick::new(&name, at, Duration::ZERO).due, at);
    }
}
