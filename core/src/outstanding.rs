//! What of a channel's deliveries can be acknowledged together.
//!
//! The broker numbers the deliveries of a channel without holes, and takes one acknowledgement for all up to a number (AMQP
//! 0-9-1, `basic.ack`, `multiple`). It must never cover one that is not done with: that one would be lost.

use std::collections::VecDeque;

/// The deliveries that are out, in the order of their numbers.
#[derive(Debug)]
pub struct Outstanding<T> {
    entries: VecDeque<Entry<T>>,
    last: u64,
    // Whether every number up to the last was seen: one that was not may be out, held by nobody we know.
    complete: bool,
}

#[derive(Debug)]
struct Entry<T> {
    tag: u64,
    handle: T,
    is_done: bool,
}

/// What is to be acknowledged, each with what was handed over at its arrival.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt<T> {
    /// This one and all before it.
    pub up_to: Option<T>,
    /// Each of these alone: an earlier one is not done with.
    pub alone: Vec<T>,
}

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), last: 0, complete: true }
    }
}

impl<T> Outstanding<T> {
    /// A delivery of this number has come.
    pub fn arrived(&mut self, tag: u64, handle: T) {
        self.complete &= tag == self.last + 1;
        self.last = tag;
        self.entries.push_back(Entry { tag, handle, is_done: false });
    }

    /// It is to be acknowledged.
    pub fn done(&mut self, tag: u64) {
        if let Some(entry) = self.find(tag).and_then(|place| self.entries.get_mut(place)) {
            entry.is_done = true;
        }
    }

    /// It was given back to the broker, which counts it as ours no longer.
    pub fn gone(&mut self, tag: u64) -> Option<T> {
        let place = self.find(tag)?;
        self.entries.remove(place).map(|entry| entry.handle)
    }

    /// What is done with and was not taken before.
    pub fn take(&mut self) -> Receipt<T> {
        let mut up_to = None;
        while self.complete
            && let Some(first) = self.entries.pop_front_if(|entry| entry.is_done)
        {
            up_to = Some(first.handle);
        }
        let mut alone = Vec::new();
        if self.entries.iter().any(|entry| entry.is_done) {
            let (done, out): (VecDeque<_>, VecDeque<_>) = self.entries.drain(..).partition(|entry| entry.is_done);
            alone.extend(done.into_iter().map(|entry| entry.handle));
            self.entries = out;
        }
        Receipt { up_to, alone }
    }

    fn find(&self, tag: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn out(tags: impl IntoIterator<Item = u64>) -> Outstanding<u64> {
        let mut out = Outstanding::default();
        tags.into_iter().for_each(|tag| out.arrived(tag, tag));
        out
    }

    fn taken(out: &mut Outstanding<u64>, done: &[u64]) -> (Option<u64>, Vec<u64>) {
        for tag in done {
            out.done(*tag);
        }
        let Receipt { up_to, alone } = out.take();
        (up_to, alone)
    }

    #[test]
    fn what_is_done_from_the_first_on_goes_together_and_the_rest_alone() {
        let mut out = out(1..=6);
        assert_eq!(taken(&mut out, &[]), (None, vec![]));
        assert_eq!(taken(&mut out, &[2, 1, 4]), (Some(2), vec![4]));
        assert_eq!(taken(&mut out, &[6]), (None, vec![6]));
        assert_eq!(taken(&mut out, &[3]), (Some(3), vec![]));
        assert_eq!(taken(&mut out, &[5]), (Some(5), vec![]));
        assert_eq!(taken(&mut out, &[5, 9]), (None, vec![]));
    }

    #[test]
    fn what_was_given_back_holds_nothing_up() {
        let mut out = out(1..=3);
        assert_eq!(out.gone(1), Some(1));
        assert_eq!(out.gone(1), None);
        assert_eq!(taken(&mut out, &[2]), (Some(2), vec![]));
    }

    #[test]
    fn where_a_number_was_not_seen_nothing_goes_together() {
        let mut out = out([1, 3, 4]);
        assert_eq!(taken(&mut out, &[1, 3]), (None, vec![1, 3]));
    }

    proptest! {
        // The broker's side: what an acknowledgement takes off.
        #[test]
        fn nothing_is_acknowledged_that_is_not_done_and_everything_that_is(
            steps in proptest::collection::vec((0..4_u8, 0..40_u64), 0..200),
        ) {
            let (mut out, mut next) = (Outstanding::default(), 1);
            let (mut held, mut done) = (BTreeSet::new(), BTreeSet::new());
            for (step, pick) in steps {
                let chosen = held.iter().chain(&done).nth(usize::try_from(pick)?).copied();
                match (step, chosen) {
                    (0, _) => {
                        out.arrived(next, next);
                        held.insert(next);
                        next += 1;
                    }
                    (1, Some(tag)) => {
                        out.done(tag);
                        if held.remove(&tag) {
                            done.insert(tag);
                        }
                    }
                    (2, Some(tag)) => {
                        out.gone(tag);
                        held.remove(&tag);
                        done.remove(&tag);
                    }
                    (_, _) => {
                        let Receipt { up_to, alone } = out.take();
                        if let Some(last) = up_to {
                            prop_assert!(held.range(..=last).next().is_none());
                            done.retain(|tag| *tag > last);
                        }
                        for tag in alone {
                            prop_assert!(done.remove(&tag));
                        }
                        prop_assert!(done.is_empty());
                    }
                }
            }
        }
    }
}
