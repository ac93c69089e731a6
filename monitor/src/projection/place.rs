//! Where a task stands in the indexes, and what becomes of them when it moves.

use std::collections::BTreeMap;

use warren_core::{QueueName, TaskId, TaskState, Timestamp, record::TaskRecord};
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
}

impl Place {
    /// Of a task with this record.
    pub fn of(record: &TaskRecord) -> Self {
        Self {
            state: record.state(),
            since: record.since(),
            queue: record.about().map(|about| about.queue.clone()),
            limit: record.limit(),
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
        self.count(from.and_then(Place::count), -1);
        self.count(to.count(), 1);
    }

    fn count(&mut self, field: Option<String>, by: i64) {
        let Some(field) = field else { return };
        let number = self.counts.entry(field.clone()).or_default();
        *number += by;
        if *number == 0 {
            self.counts.remove(&field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(state: TaskState, since: u64, limit: Option<u64>) -> Place {
        let (since, limit) = (Timestamp::from_millis(since), limit.map(Timestamp::from_millis));
        Place { state, since, queue: Some(QueueName::default()), limit }
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
    fn a_move_within_a_state_counts_nothing() {
        let (before, after) = (place(TaskState::Running, 5, Some(9)), place(TaskState::Running, 6, Some(10)));
        let moves = moves(Some(&before), &after);
        assert_eq!((moves.arrivals.len(), moves.departures.len(), moves.limits.len()), (1, 0, 1));
        assert!(moves.counts.is_empty());
        assert_eq!(self::moves(Some(&before), &before), Moves::default());
    }
}
