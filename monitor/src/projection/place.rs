//! Where a task stands in the indexes, and what becomes of them when it moves.

use std::collections::BTreeMap;

use warren_core::{Fingerprint, Kind, TaskId, Timestamp, record::TaskRecord};

use crate::index::{self, Kinds, Shelf};

/// What the indexes say of a task; read off its record alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The shelf that it lies on.
    pub shelf: Shelf,
    /// Since when it is in its state.
    pub since: Timestamp,
    /// Where on the shelf.
    pub score: u64,
    /// When its running attempt will be ended by force.
    pub limit: Option<Timestamp>,
    /// Among the dead letters: those that it belongs to.
    pub group: Option<Fingerprint>,
}

impl Place {
    /// Of a task with this record.
    pub fn of(record: &TaskRecord) -> Self {
        let about = record.about();
        let (state, since) = (record.state(), record.since());
        let kind: Option<&Kind> = about.and_then(|about| about.kind.as_ref());
        let queue = about.map(|about| about.queue.clone());
        Self {
            shelf: Shelf { state, queue, kinds: Kinds::of(kind) },
            since,
            score: index::score(state, about.map(|about| about.priority).unwrap_or_default(), since),
            limit: record.limit(),
            group: Fingerprint::of(record),
        }
    }
}

/// Changes of the indexes, gathered from many tasks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Onto a shelf, or to another place on it.
    pub arrivals: BTreeMap<Shelf, Vec<(TaskId, u64)>>,
    /// From a shelf.
    pub departures: BTreeMap<Shelf, Vec<TaskId>>,
    /// Into the index of limits, or to another limit.
    pub limits: Vec<(TaskId, u64)>,
    /// Out of the index of limits.
    pub unlimited: Vec<TaskId>,
    /// Into the index of a group of dead letters, or to another time in it.
    pub grouped: BTreeMap<Fingerprint, Vec<(TaskId, u64)>>,
    /// Out of the index of a group.
    pub ungrouped: BTreeMap<Fingerprint, Vec<TaskId>>,
    /// How the sizes of groups change; never by zero.
    pub sizes: BTreeMap<Fingerprint, i64>,
    /// How the numbers of tasks on the shelves change; never by zero.
    pub counts: BTreeMap<Shelf, i64>,
}

impl Moves {
    /// Adds what a task's move changes.
    pub fn add(&mut self, task: &TaskId, from: Option<&Place>, to: &Place) {
        if from == Some(to) {
            return;
        }
        let before = from.map(|place| &place.shelf);
        if let Some(left) = before.filter(|shelf| **shelf != to.shelf) {
            self.departures.entry(left.clone()).or_default().push(task.clone());
        }
        if before != Some(&to.shelf) || from.map(|place| place.score) != Some(to.score) {
            self.arrivals.entry(to.shelf.clone()).or_default().push((task.clone(), to.score));
        }
        match (from.and_then(|place| place.limit), to.limit) {
            (Some(_), None) => self.unlimited.push(task.clone()),
            (before, Some(limit)) if before != Some(limit) => self.limits.push((task.clone(), limit.as_millis())),
            (None | Some(_), _) => {}
        }
        self.regroup(task, from, to);
        if before != Some(&to.shelf) {
            add(&mut self.counts, before.cloned(), -1);
            add(&mut self.counts, Some(to.shelf.clone()), 1);
        }
    }

    fn regroup(&mut self, task: &TaskId, from: Option<&Place>, to: &Place) {
        let group = from.and_then(|place| place.group);
        if let Some(left) = group.filter(|group| Some(*group) != to.group) {
            self.ungrouped.entry(left).or_default().push(task.clone());
        }
        if let Some(joined) = to.group
            && (group, from.map(|place| place.since)) != (to.group, Some(to.since))
        {
            self.grouped.entry(joined).or_default().push((task.clone(), to.since.as_millis()));
        }
        add(&mut self.sizes, group, -1);
        add(&mut self.sizes, to.group, 1);
    }
}

fn add<K: Ord + Clone>(numbers: &mut BTreeMap<K, i64>, key: Option<K>, by: i64) {
    let Some(key) = key else { return };
    let number = numbers.entry(key.clone()).or_default();
    *number += by;
    if *number == 0 {
        numbers.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use warren_core::{QueueName, Reason, TaskState};

    use super::*;

    fn shelf(state: TaskState) -> Shelf {
        Shelf { state, queue: Some(QueueName::default()), kinds: Kinds::of(None) }
    }

    fn place(state: TaskState, since: u64, limit: Option<u64>) -> Place {
        let (since, limit) = (Timestamp::from_millis(since), limit.map(Timestamp::from_millis));
        Place { shelf: shelf(state), since, score: index::score(state, 3.into(), since), limit, group: None }
    }

    fn moves(from: Option<&Place>, to: &Place) -> Moves {
        let mut moves = Moves::default();
        moves.add(&TaskId::parse("t").unwrap(), from, to);
        moves
    }

    #[test]
    fn a_new_task_arrives_and_is_counted() {
        let moves = moves(None, &place(TaskState::Queued, 5, None));
        assert_eq!(moves.arrivals[&shelf(TaskState::Queued)].len(), 1);
        assert!(moves.departures.is_empty());
        assert_eq!(moves.counts, BTreeMap::from([(shelf(TaskState::Queued), 1)]));
    }

    #[test]
    fn an_ended_task_leaves_the_running_ones_and_their_limits() {
        let (running, ended) = (place(TaskState::Running, 5, Some(9)), place(TaskState::Succeeded, 7, None));
        let moves = moves(Some(&running), &ended);
        assert_eq!(moves.departures[&shelf(TaskState::Running)].len(), 1);
        assert_eq!(moves.arrivals[&shelf(TaskState::Succeeded)].len(), 1);
        assert_eq!(moves.unlimited.len(), 1);
        let counts = [(shelf(TaskState::Running), -1), (shelf(TaskState::Succeeded), 1)];
        assert_eq!(moves.counts, BTreeMap::from(counts));
    }

    #[test]
    fn a_dead_letter_joins_its_group_and_leaves_it_for_another_or_for_good() {
        let of = |error| Fingerprint::new(&QueueName::default(), None, Reason::Permanent, error);
        let dead = |group| Place { group: Some(group), ..place(TaskState::Dead, 7, None) };
        let (one, other) = (of("no"), of("never"));
        let moves = |from: Option<&Place>, to: &Place| {
            let moves = self::moves(from, to);
            let groups = |moves: BTreeMap<Fingerprint, Vec<_>>| moves.into_keys().collect::<Vec<_>>();
            (moves.grouped.into_keys().collect::<Vec<_>>(), groups(moves.ungrouped), moves.sizes)
        };
        let queued = place(TaskState::Queued, 9, None);
        assert_eq!(moves(None, &dead(one)), (vec![one], vec![], BTreeMap::from([(one, 1)])));
        assert_eq!(moves(Some(&dead(one)), &queued), (vec![], vec![one], BTreeMap::from([(one, -1)])));
        let later = Place { since: Timestamp::from_millis(8), ..dead(one) };
        assert_eq!(moves(Some(&dead(one)), &later), (vec![one], vec![], BTreeMap::new()));
        let sizes = BTreeMap::from([(one, -1), (other, 1)]);
        assert_eq!(moves(Some(&dead(one)), &dead(other)), (vec![other], vec![one], sizes));
    }

    #[test]
    fn a_move_within_a_state_counts_nothing() {
        let (before, after) = (place(TaskState::Running, 5, Some(9)), place(TaskState::Running, 6, Some(10)));
        let moves = moves(Some(&before), &after);
        assert_eq!((moves.arrivals.len(), moves.departures.len(), moves.limits.len()), (1, 0, 1));
        assert!(moves.counts.is_empty());
        assert_eq!(self::moves(Some(&before), &before), Moves::default());
    }

    #[test]
    fn a_task_whose_queue_turns_out_moves_there() {
        let known = place(TaskState::Running, 5, None);
        let scrap = Place { shelf: Shelf { queue: None, ..known.shelf.clone() }, ..known.clone() };
        let moves = moves(Some(&scrap), &known);
        assert_eq!((moves.departures.len(), moves.arrivals.len(), moves.counts.len()), (1, 1, 2));
    }
}
