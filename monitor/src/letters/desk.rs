//! Where jobs are handed in, asked for and stopped: Redis, so that they outlive whoever carries them out.
//!
//! The order itself is written once. How far it has come only the leader writes; what others want of it meanwhile they
//! leave as a word, which the leader takes up.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands;
use warren_core::{OrderId, TaskId, Timestamp};
use warren_runtime::redis::{Error, Store};

use super::job::{Job, Open, Progress, State, Target, Word};

// How many jobs are kept that are over.
const KEPT: usize = 200;

/// The jobs as everybody sees them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    store: Store,
}

impl Desk {
    /// In this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Hands a job in, with the tasks that it names.
    pub async fn hand_in(&self, job: &Job, tasks: &[TaskId]) -> Result<(), Error> {
        let keys = self.store.keys();
        let text = serde_json::to_string(job).expect("a job is always valid JSON");
        let mut writing = redis::pipe();
        writing.atomic();
        writing.cmd("HSET").arg(keys.jobs()).arg(job.id.as_str()).arg(text);
        writing.cmd("HSET").arg(keys.job(&job.id)).arg("state").arg(State::Running.name());
        if !tasks.is_empty() {
            let tasks: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
            writing.cmd("SADD").arg(keys.job_tasks(&job.id)).arg(tasks);
        }
        writing.cmd("SADD").arg(keys.open_jobs()).arg(job.id.as_str());
        Ok(writing.exec_async(&mut self.store.shared()).await?)
    }

    /// A job with how far it has come.
    pub async fn job(&self, id: &OrderId) -> Result<Option<(Job, Progress)>, Error> {
        let stored: Option<Vec<u8>> = self.store.shared().hget(self.store.keys().jobs(), id.as_str()).await?;
        let Some(job) = stored.and_then(|stored| serde_json::from_slice(&stored).ok()) else { return Ok(None) };
        Ok(Some((job, self.progress(id).await?)))
    }

    /// All jobs, newest first.
    pub async fn jobs(&self) -> Result<Vec<(Job, Progress)>, Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let stored: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.jobs()).await?;
        // The ids sort by time.
        let jobs: Vec<Job> = stored.values().rev().filter_map(|job| serde_json::from_slice(job).ok()).collect();
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut asking = redis::pipe();
        for job in &jobs {
            asking.cmd("HGETALL").arg(keys.job(&job.id));
        }
        let progress: Vec<BTreeMap<String, String>> = asking.query_async(&mut connection).await?;
        Ok(jobs.into_iter().zip(progress.iter().map(read)).collect())
    }

    /// Leaves a word about a job.
    pub async fn leave_word(&self, id: &OrderId, word: Word) -> Result<(), Error> {
        Ok(self.store.shared().hset::<_, _, _, ()>(self.store.keys().words(), id.as_str(), word.name()).await?)
    }

    /// Whether there is anything that the leader has not taken up yet, beside this many open jobs.
    pub(super) async fn has_news(&self, open: usize) -> Result<bool, Error> {
        let keys = self.store.keys();
        let mut asking = redis::pipe();
        asking.cmd("LLEN").arg(keys.questions());
        asking.cmd("HLEN").arg(keys.words());
        asking.cmd("SCARD").arg(keys.open_jobs());
        let (questions, words, jobs): (usize, usize, usize) = asking.query_async(&mut self.store.shared()).await?;
        Ok(questions > 0 || words > 0 || jobs != open)
    }

    /// The jobs that are not over.
    pub(super) async fn open(&self) -> Result<Vec<Open>, Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let ids: BTreeSet<String> = connection.smembers(keys.open_jobs()).await?;
        let mut open = Vec::new();
        for id in ids.iter().filter_map(|id| OrderId::parse(id).ok()) {
            let Some((job, progress)) = self.job(&id).await? else {
                connection.srem::<_, _, ()>(keys.open_jobs(), id.as_str()).await?;
                continue;
            };
            let tasks = match job.target {
                Target::Task(_) | Target::Tasks(_) => connection.smembers(keys.job_tasks(&id)).await?,
                Target::Group(_) => BTreeSet::<String>::new(),
            };
            let tasks = tasks.iter().filter_map(|task| TaskId::parse(task).ok()).collect();
            open.push(Open { job, progress, tasks, refused: BTreeSet::new() });
        }
        Ok(open)
    }

    /// Takes up what was said of jobs.
    pub(super) async fn take_words(&self) -> Result<Vec<(OrderId, Word)>, Error> {
        let mut taking = redis::pipe();
        taking.atomic();
        taking.cmd("HGETALL").arg(self.store.keys().words());
        taking.cmd("DEL").arg(self.store.keys().words()).ignore();
        let (words,): (BTreeMap<String, String>,) = taking.query_async(&mut self.store.shared()).await?;
        let read = |(id, word): (String, String)| Some((OrderId::parse(&id).ok()?, Word::named(&word)?));
        Ok(words.into_iter().filter_map(read).collect())
    }

    /// Moves a job to a state.
    pub(super) async fn set(
        &self,
        id: &OrderId,
        state: State,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let keys = self.store.keys();
        let mut writing = redis::pipe();
        writing.atomic();
        writing.cmd("HSET").arg(keys.job(id)).arg("state").arg(state.name());
        if let Some(error) = error {
            writing.cmd("HSET").arg(keys.job(id)).arg("error").arg(error);
        }
        if state.is_over() {
            writing.cmd("HSET").arg(keys.job(id)).arg("ended").arg(now.as_millis());
            writing.cmd("SREM").arg(keys.open_jobs()).arg(id.as_str());
            writing.cmd("DEL").arg(keys.job_tasks(id));
        }
        Ok(writing.exec_async(&mut self.store.shared()).await?)
    }

    /// Writes which task goes first. Before it does: who goes on after a crash must not send another.
    pub(super) async fn set_canary(&self, id: &OrderId, task: &TaskId) -> Result<(), Error> {
        Ok(self.store.shared().hset::<_, _, _, ()>(self.store.keys().job(id), "canary", task.as_str()).await?)
    }

    /// The one that was to go first could not: another will.
    pub(super) async fn unset_canary(&self, id: &OrderId) -> Result<(), Error> {
        let key = self.store.keys().job(id);
        let mut writing = redis::pipe();
        writing.atomic();
        writing.cmd("HDEL").arg(&key).arg("canary").cmd("HSET").arg(&key).arg("state").arg(State::Running.name());
        Ok(writing.exec_async(&mut self.store.shared()).await?)
    }

    /// Writes that letters could not be dealt with, and so are looked for no longer.
    pub(super) async fn give_up(&self, id: &OrderId, tasks: &[TaskId], why: &str) -> Result<(), Error> {
        let keys = self.store.keys();
        let mut writing = redis::pipe();
        writing.atomic();
        writing.cmd("HINCRBY").arg(keys.job(id)).arg("failed").arg(tasks.len());
        writing.cmd("HSET").arg(keys.job(id)).arg("error").arg(why);
        for task in tasks {
            writing.cmd("SREM").arg(keys.job_tasks(id)).arg(task.as_str());
        }
        Ok(writing.exec_async(&mut self.store.shared()).await?)
    }

    /// Throws the oldest jobs away that are over.
    pub(super) async fn tidy(&self) -> Result<(), Error> {
        let over = self.jobs().await?.into_iter().filter(|(_, progress)| progress.state.is_over()).skip(KEPT);
        let old: Vec<_> = over.map(|(job, _)| job.id).collect();
        if old.is_empty() {
            return Ok(());
        }
        let keys = self.store.keys();
        let mut writing = redis::pipe();
        writing.atomic();
        for id in &old {
            writing.cmd("HDEL").arg(keys.jobs()).arg(id.as_str());
            writing.cmd("DEL").arg(keys.job(id)).arg(keys.job_tasks(id));
        }
        Ok(writing.exec_async(&mut self.store.shared()).await?)
    }

    async fn progress(&self, id: &OrderId) -> Result<Progress, Error> {
        let fields: BTreeMap<String, String> = self.store.shared().hgetall(self.store.keys().job(id)).await?;
        Ok(read(&fields))
    }
}

fn read(fields: &BTreeMap<String, String>) -> Progress {
    let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
    let state = fields.get("state").and_then(|name| State::ALL.into_iter().find(|state| state.name() == name));
    Progress {
        state: state.unwrap_or(State::Failed),
        done: number("done").unwrap_or_default(),
        failed: number("failed").unwrap_or_default(),
        canary: fields.get("canary").and_then(|task| TaskId::parse(task).ok()),
        error: fields.get("error").cloned(),
        ended: number("ended").map(Timestamp::from_millis),
    }
}
