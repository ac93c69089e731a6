//! How many tasks lie on each shelf.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use warren_core::{Kind, QueueName, TaskState};
use warren_runtime::redis::{Error, Store};

use super::{Kinds, Shelf};

/// The shelves that are not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Shelf, u64>);

impl Counts {
    /// As they are stored.
    pub async fn load(store: &Store) -> Result<Self, Error> {
        let stored: Vec<(String, i64)> = store.shared().hgetall(store.keys().counts()).await?;
        Ok(Self::read(&stored))
    }

    /// From what is stored; what this version does not know is passed over.
    pub fn read(stored: &[(String, i64)]) -> Self {
        let read = |(field, number): &(String, i64)| {
            let number = u64::try_from(*number).ok().filter(|number| *number > 0)?;
            Some((Shelf::read(field)?, number))
        };
        Self(stored.iter().filter_map(read).collect())
    }

    /// The tasks in a state.
    pub fn total(&self, state: TaskState) -> u64 {
        self.0.iter().filter(|(shelf, _)| shelf.state == state).map(|(_, number)| number).sum()
    }

    /// By queue and state.
    pub fn queues(&self) -> BTreeMap<(QueueName, TaskState), u64> {
        let mut queues = BTreeMap::new();
        for (shelf, number) in &self.0 {
            if let Some(queue) = &shelf.queue {
                *queues.entry((queue.clone(), shelf.state)).or_default() += number;
            }
        }
        queues
    }

    /// The shelves with tasks in these states, of a queue and a kind, or of all.
    pub fn shelves(
        &self,
        states: &[TaskState],
        queue: Option<&QueueName>,
        kind: Option<&Kind>,
    ) -> impl Iterator<Item = &Shelf> {
        let kinds = kind.map(|kind| Kinds::of(Some(kind)));
        self.0.keys().filter(move |shelf| {
            states.contains(&shelf.state)
                && (queue.is_none() || shelf.queue.as_ref() == queue)
                && kinds.is_none_or(|kinds| shelf.kinds == kinds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shelves_are_counted_and_found() {
        let echo = Kind::parse("echo").unwrap();
        let shelf =
            |queue: &str, state, kind| Shelf { state, queue: QueueName::parse(queue).ok(), kinds: Kinds::of(kind) };
        let stored = [
            (shelf("mail", TaskState::Queued, Some(&echo)).field(), 3),
            (shelf("mail", TaskState::Queued, None).field(), 2),
            (shelf("mail", TaskState::Dead, None).field(), 0),
            (shelf("", TaskState::Running, None).field(), 1),
            ("mail/queued".to_owned(), 7),
        ];
        let counts = Counts::read(&stored);
        let mail = QueueName::parse("mail").unwrap();
        assert_eq!((counts.total(TaskState::Queued), counts.total(TaskState::Running)), (5, 1));
        assert_eq!(counts.queues(), BTreeMap::from([((mail.clone(), TaskState::Queued), 5)]));
        let found = |states: &[TaskState], queue, kind| counts.shelves(states, queue, kind).count();
        assert_eq!(found(&TaskState::ALL, None, None), 3);
        assert_eq!(found(&[TaskState::Queued], Some(&mail), Some(&echo)), 1);
        assert_eq!(found(&[TaskState::Dead], None, None), 0);
    }
}
