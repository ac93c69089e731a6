//! Which tasks there are, in order: the indexes of the projection.
//!
//! A *shelf* is a sorted set of the tasks in one state, of one queue and of some kinds. What is asked for is a few shelves,
//! merged ([`Walk`]): so a list by queue and kind reads only what it shows, and a task is still in one set alone, which
//! keeps memory small. Which shelves there are, and how many tasks lie on each, is one hash ([`Counts`]).
//!
//! Foreign clients may name any number of kinds, by mistake or not. So kinds share a bounded number of shelves, by a hash of
//! their names: with the few kinds that a pool has, each has one to itself, nearly always.

mod counts;
mod walk;

use warren_core::{Kind, Priority, QueueName, TaskState, Timestamp};
use warren_runtime::redis::Keys;

pub use counts::Counts;
pub use walk::{Direction, Lane, Walk};

// So many groups of kinds at most; one more for tasks that have none.
const GROUPS: u32 = 1_024;

// A queue's order, as one number that a double holds exactly: first the priority, then the time. The time has 42 bits,
// which last until 2109.
const TIME: u32 = 42;
const LATEST: u64 = (1 << TIME) - 1;

/// A sorted set of tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shelf {
    /// Their state.
    pub state: TaskState,
    /// Their queue; `None` while only scraps of them are known.
    pub queue: Option<QueueName>,
    /// Their kinds.
    pub kinds: Kinds,
}

/// Some kinds that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kinds(u32);

impl Kinds {
    /// Those among which this one is; `None`: the tasks without a kind.
    pub fn of(kind: Option<&Kind>) -> Self {
        let Some(kind) = kind else { return Self(GROUPS) };
        // FNV-1a, which stays the same from one version to the next.
        let hash = kind
            .as_str()
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(hash % GROUPS)
    }
}

impl Shelf {
    /// The key of the sorted set.
    pub fn key(&self, keys: &Keys) -> String {
        keys.shelf(&self.field())
    }

    /// The field under which its tasks are counted.
    pub fn field(&self) -> String {
        let queue = self.queue.as_ref().map(QueueName::as_str).unwrap_or_default();
        format!("{queue}/{}/{}", self.state, self.kinds.0)
    }

    /// From such a field.
    pub fn read(field: &str) -> Option<Self> {
        let mut parts = field.split('/');
        let (queue, state, kinds) = (parts.next()?, parts.next()?, parts.next()?);
        let queue = if queue.is_empty() { None } else { Some(QueueName::parse(queue).ok()?) };
        let kinds = kinds.parse().ok().filter(|kinds| *kinds <= GROUPS)?;
        Some(Self { state: state.parse().ok()?, queue, kinds: Kinds(kinds) })
    }

    /// The lanes that it consists of, or the one of a priority. In each, tasks lie by time. Only among the tasks that may
    /// start does the priority come before the time; for other states it leaves all in one lane.
    pub fn lanes(&self, keys: &Keys, priority: Option<Priority>) -> Vec<Lane> {
        let key = self.key(keys);
        if self.state != TaskState::Queued {
            return vec![Lane::whole(key)];
        }
        let all = (0..=Priority::MAX.get()).map(Priority::from);
        let wanted = all.filter(|one| priority.is_none_or(|priority| priority == *one));
        wanted.map(|priority| Lane::part(key.clone(), base(priority), LATEST)).collect()
    }
}

/// Where a task lies on its shelf.
pub fn score(state: TaskState, priority: Priority, since: Timestamp) -> u64 {
    match state {
        TaskState::Queued => base(priority) + since.as_millis().min(LATEST),
        TaskState::Delayed
        | TaskState::Running
        | TaskState::Succeeded
        | TaskState::Dead
        | TaskState::Cancelled
        | TaskState::Expired => since.as_millis(),
    }
}

// The more urgent, the lower.
fn base(priority: Priority) -> u64 {
    u64::from(Priority::MAX.get() - priority.get()) << TIME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_is_read_back() {
        let kind = Kind::parse("a/b").unwrap();
        for queue in [None, QueueName::parse("mail").ok()] {
            for kind in [None, Some(&kind)] {
                let shelf = Shelf { state: TaskState::Dead, queue: queue.clone(), kinds: Kinds::of(kind) };
                assert_eq!(Shelf::read(&shelf.field()), Some(shelf));
            }
        }
        for bad in ["", "mail/dead", "mail/asleep/1", "A/dead/1", "mail/dead/9999"] {
            assert_eq!(Shelf::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_order_of_a_queue_is_exact_in_a_double() {
        let at = |millis| Timestamp::from_millis(millis);
        let order = [
            (9, at(0)),
            (9, at(1_769_860_800_000)),
            (9, at(1_769_860_800_001)),
            (9, at(u64::MAX)),
            (8, at(0)),
            (0, at(1_769_860_800_000)),
            (0, at(u64::MAX)),
        ];
        let scores = order.map(|(priority, since)| score(TaskState::Queued, priority.into(), since));
        assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
        assert!(scores.iter().all(|score| *score < 1 << 53));
    }

    #[test]
    fn a_kind_stays_where_it_is() {
        assert_eq!(Kinds::of(Kind::parse("echo").ok().as_ref()), Kinds(132));
        assert_ne!(Kinds::of(None), Kinds::of(Kind::parse("echo").ok().as_ref()));
    }
}
