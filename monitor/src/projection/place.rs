//! Where a task stands in the indexes, and what becomes of them when it moves.

use std::collections::BTreeMap;

use warren_core::{Fingerprint, QueueName, TaskId, TaskState, Timestamp, record::TaskRecord};
use warren_runtime::redis::Keys;

/// What the indexes say of a task; read off its record alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its state.
    pub state: TaskState,
    /// Since when.
    pub since: Timestamp,
    /// Its queue, if that is known yet.
    pub queue: Option<QueueName>,
    /// When its running attempt will be ended by force.
    pub limit: Option<Timestamp>,
    /// Among the dead letters: those that it belongs to.
    pub group: Option<Fingerprint>,
}

impl Place {
    /// Of a task with this record.
    pub fn of(record: &TaskRecord) -> Self {
        Self {
            state: record.state(),
            since: record.since(),
            queue: record.about().map(|about| about.queue.clone()),
            limit: record.limit(),
            group: Fingerprint::of(record),
        }
    }

    fn count(&self) -> Option<String> {
        self.queue.as_ref().map(|queue| Keys::count_field(queue, self.state))
    }
}

/// Changes of the indexes, gathered from many tasks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Into the index of a state, or to another time in it.
    pub arrivals: BTreeMap<TaskState, Vec<(TaskId, Timestamp)>>,
    /// Out of the index of a state.
    pub departures: BTreeMap<TaskState, Vec<TaskId>>,
    /// Into the index of limits, or to another limit.
    pub limits: Vec<(TaskId, Timestamp)>,
    /// Out of the index of limits.
    pub unlimited: Vec<TaskId>,
    /// Into the index of a group of dead letters, or to another time in it.
    pub grouped: BTreeMap<Fingerprint, Vec<(TaskId, Timestamp)>>,
    /// Out of the index of a group.
    pub ungrouped: BTreeMap<Fingerprint, Vec<TaskId>>,
    /// How the sizes of groups change; never by zero.
    pub sizes: BTreeMap<Fingerprint, i64>,
    /// How the numbers of tasks by queue and state change; never by zero.
    pub counts: BTreeMap<String, i64>,
}

impl Moves {
    /// Adds what a task's move changes.
    pub fn add(&mut self, task: &TaskId, from: Option<&Place>, to: &Place) {
        if from == Some(to) {
            return;
        }
        let state = from.map(|place| place.state);
        if let Some(left) = state.filter(|state| *state != to.state) {
            self.departures.entry(left).or_default().push(task.clone());
        }
        if state != Some(to.state) || from.map(|place| place.since) != Some(to.since) {
            self.arrivals.entry(to.state).or_default().push((task.clone(), to.since));
        }
        match (from.and_then(|place| place.limit), to.limit) {
            (Some(_), None) => self.unlimited.push(task.clone()),
            (before, Some(limit)) if before != Some(limit) => self.limits.push((task.clone(), limit)),
            (None | Some(_), _) => {}
        }
        self.regroup(task, from, to);
        add(&mut self.counts, from.and_then(Place::count), -1);
        add(&mut self.counts, to.count(), 1);
    }

    fn regroup(&mut self, task: &TaskId, from: Option<&Place>, to: &Place) {
        let group = from.and_then(|place| place.group);
        if let Some(left) = group.filter(|group| Some(*group) != to.group) {
            self.ungrouped.entry(left).or_default().push(task.clone());
        }
        if let Some(joined) = to.group
            && (group, from.map(|place| place.since)) != (to.group, Some(to.since))
        {
            self.grouped.entry(joined).or_default().push((task.clone(), to.since));
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
    use warren_core::Reason;

    use super::*;

    fn place(state: TaskState, since: u64, limit: Option<u64>) -> Place {
        let (since, limit) = (Timestamp::from_millis(since), limit.map(Timestamp::from_millis));
        Place { state, since, queue: Some(QueueName::default()), limit, group: None }
    }

    fn moves(from: Option<&Place>, to: &Place) -> Moves {
        let mut moves = Moves::default();
        moves.add(&TaskId::parse("t").unwrap(), from, to);
        moves
    }

    #[test]
    fn a_new_task_arrives_and_is_counted() {
        let moves = moves(None, &place(TaskState::Queued, 5, None));
        assert_eq!(moves.arrivals[&TaskState::Queued].len(), 1);
        assert!(moves.departures.is_empty());
        assert_eq!(moves.counts, BTreeMap::from([("default/queued".to_owned(), 1)]));
    }

    #[test]
    fn an_ended_task_leaves_the_running_ones_and_their_limits() {
        let (running, ended) = (place(TaskState::Running, 5, Some(9)), place(TaskState::Succeeded, 7, None));
        let moves = moves(Some(&running), &ended);
        assert_eq!(moves.departures[&TaskState::Running].len(), 1);
        assert_eq!(moves.arrivals[&TaskState::Succeeded].len(), 1);
        assert_eq!(moves.unlimited.len(), 1);
        assert_eq!(moves.counts, BTreeMap::from([("default/running".into(), -1), ("default/succeeded".into(), 1)]));
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
}
