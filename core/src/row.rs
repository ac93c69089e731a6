//! Whose turn it is where of each key one runs at a time, in the order of their coming.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeBounds,
};

/// What waits and what is out, by key; `W` is the time.
#[derive(Debug)]
pub struct Row<K, T, W> {
    queues: BTreeMap<K, Queue<T, W>>,
    // The keys whose first may go, in the order in which that came to be.
    ready: VecDeque<K>,
    // Those whose first rests until then.
    resting: BTreeSet<(W, K)>,
    // Of those that run apart, one is out.
    apart: Option<K>,
}

#[derive(Debug)]
struct Queue<T, W> {
    waiting: VecDeque<Waiting<T, W>>,
    is_out: bool,
}

#[derive(Debug)]
struct Waiting<T, W> {
    item: T,
    not_before: Option<W>,
    is_apart: bool,
}

impl<K, T, W> Default for Row<K, T, W> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), ready: VecDeque::new(), resting: BTreeSet::new(), apart: None }
    }
}

impl<K: Ord + Clone, T, W: Ord + Copy> Row<K, T, W> {
    /// One has come: it goes after all of its key that came before.
    pub fn arrive(&mut self, key: &K, item: T) {
        let queue = self.queues.entry(key.clone()).or_insert_with(|| Queue { waiting: VecDeque::new(), is_out: false });
        queue.waiting.push_back(Waiting { item, not_before: None, is_apart: false });
        if !queue.is_out && queue.waiting.len() == 1 {
            self.ready.push_back(key.clone());
        }
    }

    /// Whether [`Row::take`] would give something now.
    pub fn has_next(&mut self, now: W, is_wanted: impl Fn(&K) -> bool) -> bool {
        self.wake_up(now);
        self.next_ready(is_wanted).is_some()
    }

    /// The next whose turn it is of the keys that are wanted. Nothing else of its key is given before it is
    /// [over](Row::over).
    pub fn take(&mut self, now: W, is_wanted: impl Fn(&K) -> bool) -> Option<(K, T)> {
        self.wake_up(now);
        let key = self.ready.remove(self.next_ready(is_wanted)?)?;
        let queue = self.queues.get_mut(&key).expect("what is ready has something waiting");
        queue.is_out = true;
        let first = queue.waiting.pop_front().expect("what is ready has something waiting");
        if first.is_apart {
            self.apart = Some(key.clone());
        }
        Some((key, first.item))
    }

    /// What is out comes back to its place before all others of its key, and is not given again before that time; `apart`:
    /// nor together with another of those that run apart.
    pub fn again(&mut self, key: &K, item: T, not_before: W, is_apart: bool) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.waiting.push_front(Waiting { item, not_before: Some(not_before), is_apart });
        }
    }

    /// What of this key was out is done with.
    pub fn over(&mut self, key: &K) {
        self.apart.take_if(|apart| apart == key);
        let Some(queue) = self.queues.get_mut(key) else { return };
        queue.is_out = false;
        match queue.waiting.front().map(|first| first.not_before) {
            None => drop(self.queues.remove(key)),
            Some(None) => self.ready.push_back(key.clone()),
            Some(Some(until)) => drop(self.resting.insert((until, key.clone()))),
        }
    }

    /// When the first of those that rest may go.
    pub fn wake(&self) -> Option<W> {
        self.resting.first().map(|(until, _)| *until)
    }

    /// Whether one of these keys is out.
    pub fn is_out(&self, keys: impl RangeBounds<K>) -> bool {
        self.queues.range(keys).any(|(_, queue)| queue.is_out)
    }

    /// Whether one of these keys has been out, and is to go [again](Row::again).
    pub fn goes_again(&self, keys: impl RangeBounds<K>) -> bool {
        let first = |queue: &Queue<T, W>| queue.waiting.front().is_some_and(|first| first.not_before.is_some());
        self.queues.range(keys).any(|(_, queue)| first(queue))
    }

    /// Takes out all of these keys that waits, in any order.
    pub fn drain(&mut self, keys: impl RangeBounds<K>) -> Vec<T> {
        self.ready.retain(|key| !keys.contains(key));
        self.resting.retain(|(_, key)| !keys.contains(key));
        let mut drained = Vec::new();
        for (_, queue) in self.queues.range_mut((keys.start_bound(), keys.end_bound())) {
            drained.extend(queue.waiting.drain(..).map(|waiting| waiting.item));
        }
        self.queues.retain(|_, queue| queue.is_out || !queue.waiting.is_empty());
        drained
    }

    fn wake_up(&mut self, now: W) {
        while let Some((until, _)) = self.resting.first()
            && *until <= now
        {
            self.ready.extend(self.resting.pop_first().map(|(_, key)| key));
        }
    }

    fn next_ready(&self, is_wanted: impl Fn(&K) -> bool) -> Option<usize> {
        let is_apart = |key: &K| self.queues[key].waiting.front().is_some_and(|first| first.is_apart);
        self.ready.iter().position(|key| is_wanted(key) && (self.apart.is_none() || !is_apart(key)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(items: &[(char, u32)]) -> Row<char, u32, u64> {
        let mut row = Row::default();
        for (key, item) in items {
            row.arrive(key, *item);
        }
        row
    }

    fn take<K: Ord + Clone>(row: &mut Row<K, u32, u64>, now: u64) -> Option<(K, u32)> {
        row.take(now, |_| true)
    }

    #[test]
    fn of_each_key_one_is_out_and_the_others_go_on_beside_it() {
        let (mut row, now) = (row(&[('a', 1), ('a', 2), ('b', 3), ('a', 4)]), 0);
        assert_eq!(
            (take(&mut row, now), take(&mut row, now), take(&mut row, now)),
            (Some(('a', 1)), Some(('b', 3)), None)
        );
        row.over(&'a');
        assert_eq!(take(&mut row, now), Some(('a', 2)));
        assert!(row.is_out('b'..='b') && !row.is_out('c'..));
    }

    #[test]
    fn what_rests_holds_up_its_key_alone() {
        let (mut row, now) = (row(&[('a', 1), ('a', 2), ('b', 3)]), 0);
        let later = now + 1;
        let (key, item) = take(&mut row, now).unwrap();
        row.again(&key, item, later, false);
        row.over(&key);
        assert!(row.goes_again('a'..='b') && !row.goes_again('b'..));
        assert_eq!((take(&mut row, now), take(&mut row, now), row.wake()), (Some(('b', 3)), None, Some(later)));
        assert!(!row.has_next(now, |_| true) && row.has_next(later, |_| true));
        assert_eq!((take(&mut row, later), row.wake(), row.goes_again(..)), (Some(('a', 1)), None, false));
    }

    #[test]
    fn of_those_that_run_apart_one_is_out() {
        let (mut row, now) = (row(&[('a', 1), ('b', 2), ('c', 3)]), 0);
        for _ in 0..2 {
            let (key, item) = take(&mut row, now).unwrap();
            row.again(&key, item, now, true);
            row.over(&key);
        }
        assert_eq!(
            (take(&mut row, now), take(&mut row, now), take(&mut row, now)),
            (Some(('c', 3)), Some(('a', 1)), None)
        );
        row.over(&'a');
        assert_eq!(take(&mut row, now), Some(('b', 2)));
    }

    #[test]
    fn what_is_drained_leaves_those_that_are_out() {
        let (mut row, now) = (row(&[('a', 1), ('a', 2), ('b', 3), ('c', 4)]), 0);
        assert_eq!(take(&mut row, now), Some(('a', 1)));
        assert_eq!(row.drain('a'..='b'), [2, 3]);
        row.arrive(&'a', 5);
        assert_eq!((take(&mut row, now), take(&mut row, now)), (Some(('c', 4)), None));
        row.over(&'a');
        assert_eq!(take(&mut row, now), Some(('a', 5)));
    }

    proptest! {
        #[test]
        fn each_key_is_in_order_and_alone_and_nothing_is_left(
            steps in proptest::collection::vec((0..5_u8, 0..4_u8), 0..200),
        ) {
            let (mut row, mut now) = (Row::default(), 0);
            let (mut came, mut out, mut done) = (0_u32, BTreeMap::new(), BTreeMap::<u8, Vec<u32>>::new());
            for (step, key) in steps {
                match step {
                    0 | 1 => {
                        row.arrive(&key, came);
                        came += 1;
                    }
                    2 => {
                        if let Some((key, item)) = take(&mut row, now) {
                            prop_assert!(out.insert(key, item).is_none());
                        }
                    }
                    3 => {
                        if let Some(item) = out.remove(&key) {
                            row.again(&key, item, now + u64::from(key), key == 3);
                            row.over(&key);
                        }
                    }
                    _ => {
                        now += 1;
                        if let Some(item) = out.remove(&key) {
                            done.entry(key).or_default().push(item);
                            row.over(&key);
                        }
                    }
                }
            }
            now += 9;
            loop {
                for (key, item) in std::mem::take(&mut out) {
                    done.entry(key).or_default().push(item);
                    row.over(&key);
                }
                let Some((key, item)) = take(&mut row, now) else { break };
                out.insert(key, item);
            }
            prop_assert_eq!(done.values().map(Vec::len).sum::<usize>(), usize::try_from(came)?);
            for items in done.values() {
                prop_assert!(items.is_sorted());
            }
            prop_assert!(row.queues.is_empty() && row.ready.is_empty() && row.resting.is_empty());
        }
    }
}
