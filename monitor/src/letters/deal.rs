//! Dealing with letters that were met: in an order that loses none, whatever dies in between.
//!
//! The journal says what is begun; the copy is confirmed by its queue; the letter is counted; the fact is confirmed by the
//! log; and only then the letter is acknowledged.

use futures::future::{join_all, try_join_all};
use tracing::warn;
use warren_core::{
    Fingerprint, TaskId,
    event::{Discarded, Event, Replayed},
    record::TaskRecord,
};
use warren_runtime::{
    amqp::{PublishError, settle},
    clock,
};

use super::{
    edit,
    job::{Act, Open, State},
    journal::{self, Deed, Entry, Stage},
    letter::Letter,
    pass::{Failed, Met, Pass},
};

enum Refused {
    Never(String),
    Now(PublishError),
}

impl Pass<'_> {
    // Letters whose task lives elsewhere. Where the journal says that it does so by our doing, that is made up for first.
    pub(super) async fn remove(&mut self, letters: Vec<Met>) -> Result<(), Failed> {
        let mut done = Vec::new();
        for met in &letters {
            done.extend(met.entry.clone().map(|entry| (met.letter.task.clone(), entry)));
            // One that is dead again has another letter, and that is the one which is meant.
            if met.record.as_ref().is_none_or(|record| Fingerprint::of(record).is_none()) {
                self.cross_out(&met.letter.task, met.entry.as_ref()).await?;
            }
        }
        let uncounted: Vec<_> = done.iter().filter(|(_, entry)| entry.stage == Stage::Begun).cloned().collect();
        self.count(&uncounted).await?;
        let facts = letters.iter().filter_map(|met| Some(fact(&met.letter, met.record.as_ref(), met.entry.as_ref()?)));
        self.record(facts.collect()).await?;
        acknowledge(letters.iter().map(|met| &met.letter)).await?;
        self.settling.extend(done);
        Ok(())
    }

    // A job that names a task which went on without it has nothing more to do there.
    async fn cross_out(&mut self, task: &TaskId, entry: Option<&Entry>) -> Result<(), Failed> {
        let is_counted_there = |job: &Open| entry.is_some_and(|entry| entry.job == job.job.id);
        for job in self.jobs.iter_mut().filter(|job| job.tasks.contains(task) && !is_counted_there(job)) {
            job.tasks.remove(task);
            job.progress.done += 1;
            let keys = self.sweeper.store.keys();
            let mut writing = ::redis::pipe();
            writing.atomic();
            writing.cmd("SREM").arg(keys.job_tasks(&job.job.id)).arg(task.as_str());
            writing.cmd("HINCRBY").arg(keys.job(&job.job.id)).arg("done").arg(1);
            writing.exec_async(&mut self.sweeper.store.shared()).await?;
        }
        Ok(())
    }

    // Deals with letters for a job: journal, copy, count, fact, acknowledgement.
    pub(super) async fn act(&mut self, job: usize, mut letters: Vec<Met>) -> Result<(), Failed> {
        let is_canary = self.jobs[job].is_going() && self.jobs[job].wants_canary();
        if is_canary {
            let id = self.jobs[job].job.id.clone();
            let task = letters[0].letter.task.clone();
            self.sweeper.desk.set_canary(&id, &task).await?;
            self.sweeper.desk.set(&id, State::Canary, None, clock::now()).await?;
            self.jobs[job].progress.state = State::Canary;
            self.jobs[job].progress.canary = Some(task);
        }
        let open = &self.jobs[job];
        let deed = match open.job.act {
            Act::Replay { .. } => Deed::Replay,
            Act::Discard => Deed::Discard,
        };
        let entry = |letter: &Letter| Entry {
            attempt: letter.attempt,
            queue: self.queue.clone(),
            job: open.job.id.clone(),
            deed,
            stage: Stage::Begun,
            wish: open.job.wish(),
        };
        let mut entries: Vec<_> = letters.iter().map(|met| (met.letter.task.clone(), entry(&met.letter))).collect();
        // Where a copy may lie in the queue already, whoever takes this one must know.
        journal::begin(&self.sweeper.store, &entries).await?;
        let results = match &open.job.act {
            Act::Replay { edit, .. } => {
                let edit = edit.as_deref().cloned().unwrap_or_default();
                join_all(letters.iter().map(|met| self.publish(met, &edit))).await
            }
            Act::Discard => letters.iter().map(|_| Ok(())).collect(),
        };
        let mut refused = Vec::new();
        let mut later = None;
        for (index, result) in results.into_iter().enumerate().rev() {
            match result {
                Ok(()) => continue,
                Err(Refused::Never(why)) => refused.push((entries[index].0.clone(), why)),
                Err(Refused::Now(error)) => later = Some(error),
            }
            entries.remove(index);
            letters.remove(index);
        }
        self.give_up(job, &refused).await?;
        if is_canary && letters.is_empty() {
            let open = &mut self.jobs[job];
            self.sweeper.desk.unset_canary(&open.job.id).await?;
            (open.progress.state, open.progress.canary) = (State::Running, None);
        }
        let facts = letters.iter().zip(&entries);
        let facts = facts.map(|(met, (_, entry))| fact(&met.letter, met.record.as_ref(), entry)).collect();
        match deed {
            Deed::Replay => {
                self.count(&entries).await?;
                self.record(facts).await?;
            }
            // Nothing has happened before the fact is in the log.
            Deed::Discard => {
                self.record(facts).await?;
                self.count(&entries).await?;
            }
        }
        acknowledge(letters.iter().map(|met| &met.letter)).await?;
        self.settling.extend(entries);
        later.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn publish(&self, met: &Met, edit: &edit::Edit) -> Result<(), Refused> {
        let (names, now) = (self.sweeper.topology.names(), clock::now());
        let copy = edit::revive(&met.letter, edit, met.entry.is_some(), names, now);
        let problems = edit::problems(&met.letter, &copy, now);
        if !problems.is_empty() {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return Err(Refused::Never(format!("it cannot be read and must be edited: {}", problems.join("; "))));
        }
        self.sweeper
            .publisher
            .publish(&copy)
            .await
            .map_err(|error| if error.is_transient() { Refused::Now(error) } else { Refused::Never(error.to_string()) })
    }

    // Letters that this job will not look at again. They stay where they are.
    async fn give_up(&mut self, job: usize, refused: &[(TaskId, String)]) -> Result<(), Failed> {
        let Some((task, why)) = refused.first() else { return Ok(()) };
        warn!(job = %self.jobs[job].job.id, %task, letters = refused.len(), why, "dead letters stay where they are");
        let tasks: Vec<_> = refused.iter().map(|(task, _)| task.clone()).collect();
        let open = &mut self.jobs[job];
        self.sweeper.desk.give_up(&open.job.id, &tasks, &format!("{task}: {why}")).await?;
        journal::forget(&self.sweeper.store, &tasks).await?;
        open.progress.failed += tasks.len() as u64;
        for task in &tasks {
            open.tasks.remove(task);
            open.refused.insert(task.clone());
        }
        Ok(())
    }

    async fn count(&mut self, entries: &[(TaskId, Entry)]) -> Result<(), Failed> {
        journal::count(&self.sweeper.store, entries).await?;
        for (task, entry) in entries {
            for open in self.jobs.iter_mut().filter(|open| open.job.id == entry.job) {
                open.progress.done += 1;
                open.tasks.remove(task);
            }
            match entry.deed {
                Deed::Replay => self.sweeper.metrics.replayed.inc(),
                Deed::Discard => self.sweeper.metrics.discarded.inc(),
            };
        }
        Ok(())
    }

    async fn record(&self, facts: Vec<Event>) -> Result<(), Failed> {
        // All at once, so that the log takes them as few batches.
        try_join_all(facts.iter().map(|fact| self.sweeper.log.record(fact))).await?;
        Ok(())
    }
}

fn fact(letter: &Letter, record: Option<&TaskRecord>, entry: &Entry) -> Event {
    let (task, at, wish) = (letter.task.clone(), clock::now(), entry.wish.clone());
    let about = record.and_then(TaskRecord::about).unwrap_or(&letter.about).clone();
    match entry.deed {
        Deed::Replay => Event::Replayed(Replayed { task, at, about, attempt: entry.attempt.next(), wish }),
        Deed::Discard => Event::Discarded(Discarded { task, at, about, attempt: entry.attempt, wish }),
    }
}

// An acknowledgement that is lost with its channel brings the letter back, and the record says what was done with it.
async fn acknowledge(letters: impl Iterator<Item = &Letter>) -> Result<(), Failed> {
    for letter in letters {
        settle::acknowledge(&letter.delivery.acker, false).await?;
    }
    Ok(())
}
