//! The workers that a task may have killed, as its message tells of them.

use warren_core::{WorkerId, worker::WorkerRecord};

use crate::reading::Work;

/// The workers that may have died of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspects {
    /// Those whose names are known.
    pub workers: Vec<WorkerId>,
    /// How many there are with those who have no name.
    pub crashes: usize,
}

impl Suspects {
    /// Those that the message tells of.
    pub fn of(work: &Work) -> Self {
        let workers = work.task.crashed.clone();
        Self { crashes: workers.len().max(work.task.crashes as usize), workers }
    }

    /// Adds them. True if one of them was not among these. A death that was counted without its name may be theirs.
    pub fn add(&mut self, workers: impl IntoIterator<Item = WorkerId>) -> bool {
        let known = self.workers.len();
        for worker in workers {
            if !self.workers.contains(&worker) {
                self.workers.push(worker);
            }
        }
        self.crashes = self.crashes.max(self.workers.len());
        self.workers.len() > known
    }

    /// Takes those away for which `records`, in their order, tell that they did not die of it.
    pub fn strike(&mut self, records: Vec<Option<WorkerRecord>>, outlived: impl Fn(&WorkerRecord) -> bool) {
        let known = self.workers.len();
        let mut records = records.into_iter();
        self.workers.retain(|_| !records.next().flatten().is_some_and(|record| outlived(&record)));
        self.crashes -= known - self.workers.len();
    }
}

#[cfg(test)]
mod tests {
    use warren_core::Timestamp;

    use super::*;

    fn names(list: &[&str]) -> Vec<WorkerId> {
        list.iter().map(|name| WorkerId::parse(name).unwrap()).collect()
    }

    fn suspects(workers: &[&str], crashes: usize) -> Suspects {
        Suspects { workers: names(workers), crashes }
    }

    #[test]
    fn a_death_counts_once_with_or_without_its_name() {
        for (known, added, after, is_news) in [
            (suspects(&[], 0), names(&["a", "a"]), suspects(&["a"], 1), true),
            (suspects(&[], 1), names(&["a"]), suspects(&["a"], 1), true),
            (suspects(&["a"], 1), names(&["a", "b"]), suspects(&["a", "b"], 2), true),
            (suspects(&["a"], 2), names(&["a"]), suspects(&["a"], 2), false),
        ] {
            let mut all = known.clone();
            assert_eq!((all.add(added), all), (is_news, after), "{known:?}");
        }
    }

    #[test]
    fn who_outlived_it_is_not_counted() {
        let lives = WorkerRecord { stopped: Some(Timestamp::default()), ..WorkerRecord::default() };
        let mut all = suspects(&["a", "b", "c"], 4);
        all.strike(vec![Some(lives.clone()), None, Some(WorkerRecord::default())], |record| *record == lives);
        assert_eq!(all, suspects(&["b", "c"], 3));
    }
}
