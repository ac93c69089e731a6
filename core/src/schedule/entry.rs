//! A schedule in the store: its definition, where it comes from, and how it may change.
//!
//! Entries meet in two places, the store and the event log, and the newest counts. So whatever was lost with one of them
//! comes back from the other, in any order.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::{ScheduleName, Timestamp};

const MOMENT: Duration = Duration::from_millis(1);

/// What is stored under a schedule's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was changed last.
    pub at: Timestamp,
    /// The schedule; `None` where it was removed, and only that is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// A schedule that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Ticks up to here are none of its: it was made, resumed or given another timing then.
    pub since: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is.
    pub definition: Definition,
}

/// Where a schedule comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody put it there.
    Api,
    /// It is in the configuration of whoever runs schedules.
    File {
        /// As it is written there: what somebody paused stays paused until that changes.
        written: Box<Definition>,
    },
}

impl Origin {
    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::File { .. } => "file",
        }
    }
}

/// Why a schedule is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no schedule {0}")]
    Unknown(ScheduleName),
    /// Its truth is elsewhere.
    #[error("schedule {0} comes from the configuration file: change it there")]
    FromFile(ScheduleName),
}

impl Entry {
    /// Whether it counts and not the other. At the same time the text decides, which is arbitrary and the same everywhere.
    pub fn supersedes(&self, other: &Self) -> bool {
        (self.at, format!("{self:?}")) > (other.at, format!("{other:?}"))
    }

    /// The same, brought back where nothing is stored: ticks up to `since` are none of its. It is newer than what it was
    /// brought back from.
    #[must_use]
    pub fn restored(self, since: Timestamp) -> Self {
        let kept = self.kept.map(|kept| Kept { since: kept.since.max(since), ..kept });
        Self { at: self.at.plus(MOMENT), kept }
    }

    /// A schedule is put there, or in the place of another.
    pub fn put(
        name: &ScheduleName,
        stored: Option<&Self>,
        definition: Definition,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let kept = stored.and_then(|entry| entry.kept.as_ref());
        if kept.is_some_and(|kept| kept.origin != Origin::Api) {
            return Err(Refused::FromFile(name.clone()));
        }
        let since = since(kept, &definition, now);
        let kept = Some(Kept { since, origin: Origin::Api, definition });
        Ok(Self { at: after(stored, now), kept })
    }

    /// A schedule is removed.
    pub fn remove(name: &ScheduleName, stored: Option<&Self>, now: Timestamp) -> Result<Self, Refused> {
        match stored.and_then(|entry| entry.kept.as_ref()).map(|kept| &kept.origin) {
            None => Err(Refused::Unknown(name.clone())),
            Some(Origin::File { .. }) => Err(Refused::FromFile(name.clone())),
            Some(Origin::Api) => Ok(Self { at: after(stored, now), kept: None }),
        }
    }

    /// A schedule is paused.
    pub fn pause(name: &ScheduleName, stored: Option<&Self>, now: Timestamp) -> Result<Self, Refused> {
        Self::change(name, stored, now, |definition| Definition { paused: true, ..definition })
    }

    /// A schedule goes on. Ticks of the pause are not made up for.
    pub fn resume(name: &ScheduleName, stored: Option<&Self>, now: Timestamp) -> Result<Self, Refused> {
        Self::change(name, stored, now, |definition| Definition { paused: false, ..definition })
    }

    fn change(
        name: &ScheduleName,
        stored: Option<&Self>,
        now: Timestamp,
        with: impl FnOnce(Definition) -> Definition,
    ) -> Result<Self, Refused> {
        let kept = stored.and_then(|entry| entry.kept.as_ref()).ok_or_else(|| Refused::Unknown(name.clone()))?;
        let definition = with(kept.definition.clone());
        let kept = Kept { since: since(Some(kept), &definition, now), origin: kept.origin.clone(), definition };
        Ok(Self { at: after(stored, now), kept: Some(kept) })
    }

    /// What is to be stored of a schedule that is in the file; `None` if nothing is to be changed.
    pub fn in_file(stored: Option<&Self>, written: &Definition, now: Timestamp) -> Option<Self> {
        let kept = stored.and_then(|entry| entry.kept.as_ref());
        let origin = Origin::File { written: Box::new(written.clone()) };
        if kept.is_some_and(|kept| kept.origin == origin) {
            return None;
        }
        let kept = Kept { since: since(kept, written, now), origin, definition: written.clone() };
        // Where nothing is stored, whatever the log still has to say of it is newer: it may have been paused.
        let at = if stored.is_some() { after(stored, now) } else { Timestamp::default() };
        Some(Self { at, kept: Some(kept) })
    }

    /// What is to be stored of a schedule that is not in the file; `None` if nothing is to be changed.
    pub fn not_in_file(stored: &Self, now: Timestamp) -> Option<Self> {
        match stored.kept.as_ref().map(|kept| &kept.origin) {
            Some(Origin::File { .. }) => Some(Self { at: after(Some(stored), now), kept: None }),
            Some(Origin::Api) | None => None,
        }
    }
}

// A change is newer than what it changes, whatever the two clocks say.
fn after(stored: Option<&Entry>, now: Timestamp) -> Timestamp {
    stored.map_or(now, |entry| now.max(entry.at.plus(MOMENT)))
}

// Ticks of another timing, or of a pause, are none of its.
fn since(kept: Option<&Kept>, definition: &Definition, now: Timestamp) -> Timestamp {
    let same = |kept: &&Kept| {
        let old = &kept.definition;
        old.timing == definition.timing
            && old.jitter == definition.jitter
            && old.start == definition.start
            && old.paused == definition.paused
    };
    kept.filter(same).map_or(now, |kept| kept.since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Timing, definition::tests::every_ten_seconds};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn name() -> ScheduleName {
        ScheduleName::parse("a").unwrap()
    }

    fn put(stored: Option<&Entry>, definition: Definition, now: u64) -> Entry {
        Entry::put(&name(), stored, definition, at(now)).unwrap()
    }

    fn since(entry: &Entry) -> u64 {
        entry.kept.as_ref().unwrap().since.as_millis()
    }

    #[test]
    fn another_timing_begins_when_it_is_put_and_another_task_does_not() {
        let first = put(None, every_ten_seconds(), 5);
        let task = Definition { task: r#"{"kind":"b"}"#.to_owned(), ..every_ten_seconds() };
        let second = put(Some(&first), task, 7);
        assert_eq!((since(&first), since(&second)), (5, 5));
        let timing = Timing::Every { every: Duration::from_secs(1) };
        let third = put(Some(&second), Definition { timing, ..every_ten_seconds() }, 9);
        assert_eq!(since(&third), 9);
        assert!(third.supersedes(&second) && second.supersedes(&first) && !first.supersedes(&first));
    }

    #[test]
    fn ticks_of_a_pause_are_not_made_up_for() {
        let running = put(None, every_ten_seconds(), 5);
        let paused = Entry::pause(&name(), Some(&running), at(7)).unwrap();
        let again = Entry::pause(&name(), Some(&paused), at(8)).unwrap();
        let resumed = Entry::resume(&name(), Some(&again), at(9)).unwrap();
        assert!(paused.kept.as_ref().unwrap().definition.paused);
        assert_eq!(since(&resumed), 9);
        assert_eq!(Entry::pause(&name(), None, at(7)), Err(Refused::Unknown(name())));
    }

    #[test]
    fn a_change_is_newer_whatever_the_clock_says() {
        let first = put(None, every_ten_seconds(), 5_000);
        let removed = Entry::remove(&name(), Some(&first), at(10)).unwrap();
        assert!(removed.supersedes(&first));
        assert_eq!(Entry::remove(&name(), Some(&removed), at(10)), Err(Refused::Unknown(name())));
    }

    #[test]
    fn what_comes_from_a_file_is_changed_there_and_may_be_paused() {
        let written = every_ten_seconds();
        let stored = Entry::in_file(None, &written, at(5)).unwrap();
        assert_eq!(Entry::in_file(Some(&stored), &written, at(6)), None);
        assert_eq!(Entry::put(&name(), Some(&stored), written.clone(), at(6)), Err(Refused::FromFile(name())));
        assert_eq!(Entry::remove(&name(), Some(&stored), at(6)), Err(Refused::FromFile(name())));

        let paused = Entry::pause(&name(), Some(&stored), at(7)).unwrap();
        assert_eq!(Entry::in_file(Some(&paused), &written, at(8)), None, "a restart does not resume it");
        let changed = Definition { jitter: Duration::from_secs(1), ..written };
        let renewed = Entry::in_file(Some(&paused), &changed, at(9)).unwrap();
        assert!(!renewed.kept.as_ref().unwrap().definition.paused);
        assert_eq!(Entry::not_in_file(&renewed, at(10)).unwrap().kept, None);
        assert_eq!(Entry::not_in_file(&put(None, changed, 1), at(10)), None);
    }

    #[test]
    fn what_is_brought_back_goes_on_where_it_was_and_is_brought_back_once() {
        let told = put(None, every_ten_seconds(), 5);
        let restored = told.clone().restored(at(700));
        assert_eq!(since(&restored), 700);
        assert!(restored.supersedes(&told) && !told.supersedes(&restored));
    }

    #[test]
    fn what_the_log_knows_of_a_files_schedule_is_newer_than_what_comes_back_after_a_flush() {
        let stored = Entry::in_file(None, &every_ten_seconds(), at(5)).unwrap();
        let paused = Entry::pause(&name(), Some(&stored), at(7)).unwrap();
        let back = Entry::in_file(None, &every_ten_seconds(), at(9_000)).unwrap();
        assert!(paused.supersedes(&back));
    }
}
