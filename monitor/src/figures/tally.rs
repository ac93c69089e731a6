//! What a stretch of the log adds to the figures, gathered before it is written.

use std::{collections::BTreeMap, fmt::Write};

use redis::Pipeline;
use warren_core::{
    Kind, QueueName, Span, Timestamp,
    event::About,
    figure::{Figure, Final, Measure},
};
use warren_runtime::redis::Keys;

use super::{Subject, add};

/// Counts by the finest steps, of which all others consist.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    queues: BTreeMap<QueueName, Counts>,
    kinds: BTreeMap<Kind, Counts>,
}

// By step.
type Counts = BTreeMap<(u64, Measure), i64>;

impl Tally {
    /// Counts figures of a task. What is said to happen later than `now` comes from a clock that is wrong, and counts now.
    pub fn add(&mut self, about: &About, figures: impl IntoIterator<Item = Figure>, now: Timestamp) {
        let mut figures = figures.into_iter().peekable();
        if figures.peek().is_none() {
            return;
        }
        let queue = of(&mut self.queues, &about.queue);
        let mut kind = about.kind.as_ref().map(|kind| of(&mut self.kinds, kind));
        for Figure { measure, at, by } in figures {
            let step = Span::Minutes15.step_of(at.min(now));
            *queue.entry((step, measure)).or_default() += by;
            if let (Some(kind), Measure::Started | Measure::Failed | Measure::Run(_)) = (&mut kind, measure) {
                *kind.entry((step, measure)).or_default() += by;
            }
        }
    }

    /// Writes all of it, without what would be forgotten at once.
    pub fn write(&self, writing: &mut Pipeline, keys: &Keys, now: Timestamp) {
        let seconds = now.as_millis() / 1_000;
        for span in Span::ALL {
            for (step, counts) in self.by_step(span) {
                let forgotten = span.forgotten(step);
                if forgotten > seconds {
                    let fields = counts.into_iter().filter(|(_, by)| *by != 0).map(|((subject, measure), by)| {
                        let mut field = subject.to_string();
                        write!(field, "/{measure}").expect("text takes any text");
                        (field, by)
                    });
                    add(writing, &keys.figures(span, step), forgotten, fields);
                }
            }
        }
    }

    fn by_step(&self, span: Span) -> BTreeMap<u64, BTreeMap<(Subject, Measure), i64>> {
        let queues = self.queues.iter().map(|(queue, counts)| (Subject::Queue(queue.clone()), counts));
        let kinds = self.kinds.iter().map(|(kind, counts)| (Subject::Kind(kind.clone()), counts));
        let mut steps = BTreeMap::<_, BTreeMap<_, i64>>::new();
        for (subject, counts) in queues.chain(kinds) {
            for ((step, measure), by) in counts {
                let step = span.step_of(Timestamp::from_millis(step * 1_000));
                *steps.entry(step).or_default().entry((subject.clone(), *measure)).or_default() += by;
            }
        }
        steps
    }
}

// Every event of a task is counted: a name is copied for the first alone.
fn of<'a, N: Ord + Clone>(counted: &'a mut BTreeMap<N, Counts>, name: &N) -> &'a mut Counts {
    if !counted.contains_key(name) {
        counted.insert(name.clone(), Counts::new());
    }
    counted.get_mut(name).expect("it was put in")
}

/// What a task's move from one state to another counts. Who leaves a state in which tasks stay was there all the same,
/// unless a late fact says that it never was: then it is in another such state instead.
pub fn of_move(before: Option<(Final, Timestamp)>, after: Option<(Final, Timestamp)>) -> impl Iterator<Item = Figure> {
    let (before, after) = if before == after || after.is_none() { (None, None) } else { (before, after) };
    let less = before.map(|(state, at)| Figure::less(Measure::Came(state), at));
    let more = after.map(|(state, at)| Figure::more(Measure::Came(state), at));
    less.into_iter().chain(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn tally(figures: &[Figure]) -> Tally {
        let about = About { kind: Kind::parse("echo").ok(), queue: QueueName::default(), priority: 0.into() };
        let mut tally = Tally::default();
        tally.add(&about, figures.iter().copied(), at(1_000_000));
        tally
    }

    #[test]
    fn figures_fall_into_the_steps_of_their_own_time() {
        let tally = tally(&[
            Figure::more(Measure::Submitted, at(1_005)),
            Figure::more(Measure::Submitted, at(1_009)),
            Figure::more(Measure::Submitted, at(1_010)),
        ]);
        let minutes: Vec<_> =
            tally.by_step(Span::Minutes15).into_iter().map(|(at, c)| (at, c.values().sum())).collect();
        assert_eq!(minutes, [(1_000, 2), (1_010, 1)]);
        let hours: Vec<i64> =
            tally.by_step(Span::Hours6).values().flat_map(|counts| counts.values().copied()).collect();
        assert_eq!(hours, [3]);
    }

    #[test]
    fn attempts_count_for_their_kind_as_well_and_a_wrong_clock_counts_now() {
        let tally =
            tally(&[Figure::more(Measure::Started, at(u64::MAX / 1_000)), Figure::more(Measure::Arrived, at(5))]);
        let steps = tally.by_step(Span::Minutes15);
        let subjects =
            steps.iter().flat_map(|(step, counts)| counts.keys().map(|(subject, _)| (*step, subject.to_string())));
        let expected = [(0, "q/default"), (1_000_000, "q/default"), (1_000_000, "k/echo")];
        assert_eq!(subjects.collect::<Vec<_>>(), expected.map(|(step, subject)| (step, subject.to_owned())));
    }

    #[test]
    fn moves_by_table() {
        let (dead, done) = (Some((Final::Dead, at(5))), Some((Final::Succeeded, at(4))));
        for (before, after, counts) in [
            (None, dead, vec![1]),
            (dead, dead, vec![]),
            (dead, done, vec![-1, 1]),
            // A dead letter that was replayed had died all the same.
            (dead, None, vec![]),
        ] {
            assert_eq!(of_move(before, after).map(|figure| figure.by).collect::<Vec<_>>(), counts);
        }
    }

    #[test]
    fn what_is_too_old_is_not_written() {
        let tally = tally(&[Figure::more(Measure::Arrived, at(5))]);
        let keys = Keys::new(&QueueName::default());
        for (now, commands) in [(at(10), 6), (at(2_000), 4), (at(100_000), 2), (at(1_000_000), 0)] {
            let mut writing = redis::pipe();
            tally.write(&mut writing, &keys, now);
            assert_eq!(writing.cmd_iter().count(), commands);
        }
    }
}
