//! Walking along several lanes at once, in one order.
//!
//! Each lane is in order. What comes next is what comes first in any of them; of each lane only a little is read ahead, so
//! that a thousand lanes cost little more than one.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

use warren_core::{TaskId, Timestamp};
use warren_runtime::redis::{Error, Store};

use crate::api::position::Position;

const LEAST: usize = 4;
const MOST: usize = 500;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// A stretch of a sorted set that is ordered by time.
#[derive(Debug)]
pub struct Lane {
    key: String,
    // What the scores in this lane have beyond the time, and the latest time that is not another lane's.
    base: u64,
    latest: u64,
    // What was read ahead, and how much was read of it.
    ahead: VecDeque<Position>,
    read: usize,
    step: usize,
    ended: bool,
}

/// What is left to walk along.
#[derive(Debug)]
pub struct Walk<'a> {
    store: &'a Store,
    direction: Direction,
    earliest: Timestamp,
    latest: Timestamp,
    after: Option<Position>,
    lanes: Vec<Lane>,
    heads: BinaryHeap<Head>,
    // Lanes of which nothing is read ahead, and more may come.
    hungry: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    direction: Direction,
    position: Position,
    lane: usize,
}

impl Lane {
    /// All of this sorted set, whose scores are times.
    pub fn whole(key: String) -> Self {
        Self::part(key, 0, Timestamp::from_millis(u64::MAX).as_millis())
    }

    /// What begins in this sorted set at `base`, and has times up to `latest`.
    pub fn part(key: String, base: u64, latest: u64) -> Self {
        Self { key, base, latest, ahead: VecDeque::new(), read: 0, step: LEAST, ended: false }
    }
}

impl<'a> Walk<'a> {
    /// Along these lanes.
    pub fn new(store: &'a Store, direction: Direction, lanes: Vec<Lane>) -> Self {
        let hungry = (0..lanes.len()).collect();
        let (earliest, latest) = (Timestamp::default(), Timestamp::from_millis(u64::MAX));
        Self { store, direction, earliest, latest, after: None, lanes, heads: BinaryHeap::new(), hungry }
    }

    /// Only what lies between these times, both included, and after this position in the order of the walk.
    #[must_use]
    pub fn between(self, earliest: Option<Timestamp>, latest: Option<Timestamp>, after: Option<&Position>) -> Self {
        let (earliest, latest) = (earliest.unwrap_or(self.earliest), latest.unwrap_or(self.latest));
        let (earliest, latest) = match (self.direction, after) {
            (_, None) => (earliest, latest),
            (Direction::Newest, Some(after)) => (earliest, latest.min(after.at)),
            (Direction::Oldest, Some(after)) => (earliest.max(after.at), latest),
        };
        Self { earliest, latest, after: after.cloned(), ..self }
    }

    /// The next ones, at most this many, each with the number of its lane; fewer only at the end.
    pub async fn next(&mut self, number: usize) -> Result<Vec<(Position, usize)>, Error> {
        let expected = (2 * number).div_ceil(self.lanes.len().max(1)).clamp(LEAST, MOST);
        self.lanes.iter_mut().for_each(|lane| lane.step = lane.step.max(expected));
        let mut next = Vec::with_capacity(number.min(MOST));
        while next.len() < number {
            self.feed().await?;
            let Some(Head { position, lane, .. }) = self.heads.pop() else { break };
            match self.lanes[lane].ahead.pop_front() {
                Some(position) => self.heads.push(Head { direction: self.direction, position, lane }),
                None if self.lanes[lane].ended => {}
                None => self.hungry.push(lane),
            }
            next.push((position, lane));
        }
        Ok(next)
    }

    // Afterwards every lane that has something left has its head among the heads.
    async fn feed(&mut self) -> Result<(), Error> {
        while !self.hungry.is_empty() {
            let hungry = std::mem::take(&mut self.hungry);
            let mut reading = redis::pipe();
            for lane in &hungry {
                self.ask(&mut reading, *lane);
            }
            let answers: Vec<Vec<(String, f64)>> = reading.query_async(&mut self.store.shared()).await?;
            for (lane, members) in hungry.into_iter().zip(answers) {
                self.take(lane, members);
            }
        }
        Ok(())
    }

    fn ask(&self, reading: &mut redis::Pipeline, lane: usize) {
        let Lane { key, base, latest, read, step, .. } = &self.lanes[lane];
        let [earliest, latest] = [self.earliest, self.latest].map(|at| base + at.as_millis().min(*latest));
        let command = match self.direction {
            Direction::Newest => reading.cmd("ZREVRANGEBYSCORE").arg(key).arg(latest).arg(earliest),
            Direction::Oldest => reading.cmd("ZRANGEBYSCORE").arg(key).arg(earliest).arg(latest),
        };
        command.arg("WITHSCORES").arg("LIMIT").arg(*read).arg(*step);
    }

    fn take(&mut self, number: usize, members: Vec<(String, f64)>) {
        let lane = &mut self.lanes[number];
        lane.ended = members.len() < lane.step;
        lane.read += members.len();
        lane.step = (lane.step * 2).min(MOST);
        let base = lane.base;
        let places = members.into_iter().filter_map(|(task, score)| position(&task, score, base));
        let (direction, after) = (self.direction, &self.after);
        // More than one round passes only where many tasks share the millisecond at which the page before ended.
        lane.ahead
            .extend(places.filter(|place| after.as_ref().is_none_or(|after| direction.compare(after, place).is_gt())));
        match lane.ahead.pop_front() {
            Some(position) => self.heads.push(Head { direction, position, lane: number }),
            None if lane.ended => {}
            None => self.hungry.push(number),
        }
    }
}

impl Direction {
    // Greater is what comes first.
    fn compare(self, a: &Position, b: &Position) -> Ordering {
        match self {
            Self::Newest => a.cmp(b),
            Self::Oldest => b.cmp(a),
        }
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.direction.compare(&self.position, &other.position).then(self.lane.cmp(&other.lane))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn position(task: &str, score: f64, base: u64) -> Option<Position> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are whole numbers below 2⁵³")]
    let at = Timestamp::from_millis((score as u64).saturating_sub(base));
    Some(Position { at, task: TaskId::parse(task).ok()? })
}
