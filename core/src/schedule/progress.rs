//! How far a schedule has come: which ticks are decided, and which one is on its way.
//!
//! What must stay true: a tick is claimed in the store before its task is published, and counts as decided only when the
//! broker has confirmed it. So whoever takes over knows the one tick that may have been published already.

use serde::{Deserialize, Serialize};

use super::Choice;
use crate::{TaskId, Timestamp};

/// How far a schedule has come. It is stored as one text, and replaced only by whoever knows that text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Every tick up to here is decided.
    pub decided: Timestamp,
    /// The tick that is on its way to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The task that was handed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What became of its ticks.
    #[serde(default)]
    pub counts: Counts,
    /// Why the last tick, or the claimed one, could not be handed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The next tick's time, for showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// A tick that somebody has begun to hand in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its time.
    pub tick: Timestamp,
    /// The process that is at it.
    pub by: String,
    /// The task that is to end before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<TaskId>,
}

/// A task that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    pub task: TaskId,
    /// When.
    pub at: Timestamp,
}

/// What became of the ticks of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Their tasks were handed in.
    pub published: u64,
    /// They were missed, and dropped by the misfire policy.
    pub missed: u64,
    /// They were dropped since the task before was not over.
    pub overlapped: u64,
    /// Their tasks can never be handed in as they are.
    pub refused: u64,
}

impl Progress {
    /// Of a schedule that begins at this time.
    pub fn from(decided: Timestamp) -> Self {
        Self { decided, ..Self::default() }
    }

    /// The tick of the choice is begun.
    #[must_use]
    pub fn claimed(&self, choice: &Choice, by: &str, cancel: Option<TaskId>) -> Self {
        let mut next = self.passed(choice);
        next.claim = choice.run.map(|tick| Claim { tick, by: by.to_owned(), cancel });
        // The tick itself is decided only when it is published.
        next.decided = self.decided;
        next
    }

    /// The claim is taken over.
    #[must_use]
    pub fn taken_over(&self, by: &str) -> Self {
        let claim = self.claim.clone().map(|claim| Claim { by: by.to_owned(), ..claim });
        Self { claim, ..self.clone() }
    }

    /// The choice runs nothing: what was missed is dropped.
    #[must_use]
    pub fn passed(&self, choice: &Choice) -> Self {
        let mut next = self.clone();
        next.decided = self.decided.max(choice.through);
        next.counts.missed += u64::from(choice.missed);
        next
    }

    /// The tick of the choice is dropped, since the task before is not over.
    #[must_use]
    pub fn overlapped(&self, choice: &Choice) -> Self {
        let mut next = self.passed(choice);
        next.counts.overlapped += 1;
        next
    }

    /// The claimed tick's task is safe with the broker.
    #[must_use]
    pub fn published(&self, task: TaskId, now: Timestamp) -> Self {
        let mut next = self.released();
        next.previous = Some(Previous { task, at: now });
        next.counts.published += 1;
        next.problem = None;
        next
    }

    /// The claimed tick's task can never be handed in.
    #[must_use]
    pub fn refused(&self, problem: String) -> Self {
        let mut next = self.released();
        next.counts.refused += 1;
        next.problem = Some(problem);
        next
    }

    /// The claimed tick is none of the schedule's any more.
    #[must_use]
    pub fn released(&self) -> Self {
        let decided = self.claim.as_ref().map_or(self.decided, |claim| self.decided.max(claim.tick));
        Self { decided, claim: None, ..self.clone() }
    }

    /// A task was handed in beside the ticks.
    #[must_use]
    pub fn beside(&self, task: TaskId, now: Timestamp) -> Self {
        Self { previous: Some(Previous { task, at: now }), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn task() -> TaskId {
        TaskId::parse("schedule:a:7").unwrap()
    }

    #[test]
    fn a_tick_is_decided_only_when_it_is_published() {
        let choice = Choice { run: Some(at(7)), missed: 2, through: at(7) };
        let claimed = Progress::from(at(1)).claimed(&choice, "a", None);
        assert_eq!((claimed.decided, claimed.counts.missed), (at(1), 2));
        let taken = claimed.taken_over("b");
        assert_eq!(taken.claim.as_ref().map(|claim| claim.by.as_str()), Some("b"));
        let published = taken.published(task(), at(9));
        assert_eq!((published.decided, &published.claim, published.counts.published), (at(7), &None, 1));
        assert_eq!(published.previous, Some(Previous { task: task(), at: at(9) }));
    }

    #[test]
    fn what_is_dropped_is_decided_and_counted() {
        let choice = Choice { run: None, missed: 3, through: at(7) };
        let passed = Progress::from(at(1)).passed(&choice);
        assert_eq!((passed.decided, passed.counts.missed), (at(7), 3));
        let choice = Choice { run: Some(at(9)), missed: 0, through: at(9) };
        let dropped = passed.overlapped(&choice);
        assert_eq!((dropped.decided, dropped.counts.overlapped), (at(9), 1));
    }

    #[test]
    fn what_is_stored_is_fixed() {
        let choice = Choice { run: Some(at(7)), missed: 2, through: at(7) };
        let progress = Progress::from(at(1)).beside(task(), at(3)).claimed(&choice, "a", Some(task()));
        let text = serde_json::to_string(&progress).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }
}
