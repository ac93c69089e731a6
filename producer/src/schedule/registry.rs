//! The schedules, for whoever looks at them and changes them.
//!
//! A change is told to the event log first, and then made in Redis. Whoever hears that it was made may rely on both; if
//! only the first has happened, it is made later, for what the log knows to be newer is put.

use std::time::Duration;

use tokio::time::timeout;
use warren_core::{
    Operator, OrderId, ScheduleName, TaskId, Timestamp,
    event::{Event, ScheduleChanged, Undertaking, Wish},
    schedule::{Definition, Entry, Kept, Progress, Refused, Tick},
};
use warren_runtime::{
    clock,
    redis::{Error as StoreError, Keys, Store},
};

use super::{
    Clockwork, Error, Forecast, View,
    cabinet::{Cabinet, Stored},
};
use crate::{Config, Producer, request};

const MOST: usize = 10_000;
const TRIES: usize = 5;
const PATIENCE_WITH_THE_LOG: Duration = Duration::from_secs(5);

/// The schedules of a pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct Schedules {
    cabinet: Cabinet,
    producer: Producer,
}

impl Schedules {
    /// In the Redis that is configured, which need not be there yet. Tasks are handed in by this producer.
    pub fn new(config: &Config, producer: Producer) -> Result<Self, StoreError> {
        let store = Store::new(&config.redis, Keys::new(&config.namespace))?;
        Ok(Self { cabinet: Cabinet::new(store), producer })
    }

    pub(super) fn cabinet(&self) -> &Cabinet {
        &self.cabinet
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<View>, Error> {
        let (entries, unreadable) = self.cabinet.entries().await?;
        let progresses = self.cabinet.progresses().await?;
        if let Some(error) = unreadable.into_iter().next() {
            return Err(error);
        }
        let kept = entries.into_iter().filter_map(|(name, entry)| Some((name, entry.value.kept?)));
        Ok(kept.map(|(name, kept)| view(&name, &kept, progresses.get(&name))).collect())
    }

    /// One of them.
    pub async fn show(&self, name: &ScheduleName) -> Result<View, Error> {
        let kept = self.kept(name).await?;
        let progress = self.cabinet.progress(name).await?;
        Ok(view(name, &kept, progress.as_ref()))
    }

    /// Puts one there, or in the place of another.
    pub async fn put(&self, name: &ScheduleName, definition: Definition, by: Operator) -> Result<View, Error> {
        // What would be refused at every tick is refused now.
        self.producer.check(&request::parse_one(definition.task.as_bytes())?)?;
        let count = self.cabinet.count().await?;
        if count >= MOST && self.cabinet.entry(name).await?.is_none() {
            return Err(Error::Full(count));
        }
        let deed = deed(name, "put_schedule", by);
        self.change(name, deed, |stored, now| Entry::put(name, stored, definition.clone(), now)).await
    }

    /// Removes one.
    pub async fn remove(&self, name: &ScheduleName, by: Operator) -> Result<(), Error> {
        let deed = deed(name, "remove_schedule", by);
        self.write(name, deed, |stored, now| Entry::remove(name, stored, now)).await.map(drop)
    }

    /// Pauses one: it makes no ticks until it is resumed.
    pub async fn pause(&self, name: &ScheduleName, by: Operator) -> Result<View, Error> {
        let deed = deed(name, "pause_schedule", by);
        self.change(name, deed, |stored, now| Entry::pause(name, stored, now)).await
    }

    /// Resumes one. Ticks of the pause are not made up for.
    pub async fn resume(&self, name: &ScheduleName, by: Operator) -> Result<View, Error> {
        let deed = deed(name, "resume_schedule", by);
        self.change(name, deed, |stored, now| Entry::resume(name, stored, now)).await
    }

    /// Hands in its task now, beside its ticks, also while it is paused. Whatever its overlap policy says, the task is
    /// handed in; the next tick meets it as the one before.
    pub async fn run_now(&self, name: &ScheduleName, by: Operator) -> Result<TaskId, Error> {
        let kept = self.kept(name).await?;
        let now = clock::now();
        self.tell(&deed(name, "run_schedule", by)).await?;
        let task = request::parse_one(kept.definition.task.as_bytes())?.id(Tick::task_now(name, now).as_str());
        let task = self.producer.enqueue(task).await?;
        for _ in 0..TRIES {
            let stored = self.cabinet.progress(name).await?;
            let progress = stored.as_ref().map_or_else(|| Progress::from(kept.since), |stored| stored.value.clone());
            if self.cabinet.advance(name, stored.as_ref(), progress.beside(task.clone(), now)).await?.is_some() {
                break;
            }
        }
        Ok(task)
    }

    /// Its next ticks.
    pub async fn next(&self, name: &ScheduleName, count: usize) -> Result<Vec<Forecast>, Error> {
        let kept = self.kept(name).await?;
        if kept.definition.paused {
            return Ok(Vec::new());
        }
        let clockwork = clockwork(name, &kept.definition)?;
        Ok(clockwork.ticks(clock::now()).take(count).map(|tick| Forecast::new(name, tick)).collect())
    }

    async fn kept(&self, name: &ScheduleName) -> Result<Kept, Error> {
        let entry = self.cabinet.entry(name).await?;
        entry.and_then(|entry| entry.value.kept).ok_or_else(|| Refused::Unknown(name.clone()).into())
    }

    async fn change(
        &self,
        name: &ScheduleName,
        deed: Event,
        change: impl Fn(Option<&Entry>, Timestamp) -> Result<Entry, Refused>,
    ) -> Result<View, Error> {
        let entry = self.write(name, deed, change).await?;
        let progress = self.cabinet.progress(name).await?;
        let kept = entry.kept.ok_or_else(|| Refused::Unknown(name.clone()))?;
        Ok(view(name, &kept, progress.as_ref()))
    }

    async fn write(
        &self,
        name: &ScheduleName,
        deed: Event,
        change: impl Fn(Option<&Entry>, Timestamp) -> Result<Entry, Refused>,
    ) -> Result<Entry, Error> {
        for _ in 0..TRIES {
            let stored = self.cabinet.entry(name).await?;
            let entry = change(stored.as_ref().map(|stored| &stored.value), clock::now())?;
            let changed = ScheduleChanged { schedule: name.clone(), entry: Box::new(entry.clone()) };
            let changed = Event::ScheduleChanged(changed);
            // Told once more after a try in vain, it is the same deed.
            tokio::try_join!(self.tell(&changed), self.tell(&deed))?;
            if self.cabinet.put(name, stored.as_ref(), &entry, &edition()).await? {
                return Ok(entry);
            }
        }
        Err(Error::Busy(name.clone()))
    }

    async fn tell(&self, event: &Event) -> Result<(), Error> {
        match timeout(PATIENCE_WITH_THE_LOG, self.producer.log().record(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Log),
        }
    }
}

// For the audit trail: what somebody did, under the name that it bears there.
fn deed(name: &ScheduleName, what: &str, by: Operator) -> Event {
    let order = OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid id");
    let (what, target, wish) = (what.to_owned(), name.to_string(), Wish { by, reason: None });
    Event::Undertaken(Undertaking { order, at: clock::now(), what, target, wish })
}

/// A name for another edition of the schedules.
pub(super) fn edition() -> String {
    clock::task_id().to_string()
}

/// Reads the timing of a schedule that is stored.
pub(super) fn clockwork(name: &ScheduleName, definition: &Definition) -> Result<Clockwork, Error> {
    let unreadable = |error: super::Unusable| Error::Unreadable { name: name.clone(), why: error.to_string() };
    Clockwork::new(name, definition).map_err(unreadable)
}

fn view(name: &ScheduleName, kept: &Kept, progress: Option<&Stored<Progress>>) -> View {
    let progress = progress.map(|stored| &stored.value);
    let from = progress.map_or(kept.since, |progress| progress.decided.max(kept.since));
    // What is due already and not decided yet is next, and so shown in the past: it is late.
    let next = Clockwork::new(name, &kept.definition).ok().and_then(|clockwork| clockwork.next(from));
    View::new(name, kept, progress, next)
}
