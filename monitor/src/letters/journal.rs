//! How far it has come with each letter that is being dealt with: stored, for whoever goes on after a crash.
//!
//! An entry is written before a copy is published, and goes when the projection knows of what was done. It tells three
//! letters apart that look the same: one that nobody has touched, one whose copy may be in its queue, and one whose copy
//! is. It also keeps a job from counting a letter twice.

use std::collections::BTreeMap;

use redis::{AsyncCommands, Pipeline};
use serde::{Deserialize, Serialize};
use warren_core::{Attempt, OrderId, QueueName, TaskId, event::Wish};
use warren_runtime::redis::{Error, Store};

/// What was begun with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The attempt as which the letter is dead.
    #[serde(rename = "a")]
    pub attempt: Attempt,
    /// Its queue.
    #[serde(rename = "q")]
    pub queue: QueueName,
    /// The job that it is done for.
    #[serde(rename = "j")]
    pub job: OrderId,
    /// What is done.
    #[serde(rename = "d")]
    pub deed: Deed,
    /// How far that is.
    #[serde(rename = "s")]
    pub stage: Stage,
    /// At whose wish.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What is done with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A copy goes to the task's queue.
    Replay,
    /// Nothing but the fact.
    Discard,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It may have happened.
    Begun,
    /// It has happened, and was counted.
    Counted,
}

/// The entries of these tasks, as far as there are any.
pub async fn read(store: &Store, tasks: &[TaskId]) -> Result<BTreeMap<TaskId, Entry>, Error> {
    if tasks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
    let stored: Vec<Option<Vec<u8>>> = store.shared().hmget(store.keys().replays(), names).await?;
    let read =
        |(task, stored): (&TaskId, Option<Vec<u8>>)| Some((task.clone(), serde_json::from_slice(&stored?).ok()?));
    Ok(tasks.iter().zip(stored).filter_map(read).collect())
}

/// All entries.
pub async fn all(store: &Store) -> Result<BTreeMap<TaskId, Entry>, Error> {
    let stored: BTreeMap<String, Vec<u8>> = store.shared().hgetall(store.keys().replays()).await?;
    let read =
        |(task, entry): (String, Vec<u8>)| Some((TaskId::parse(&task).ok()?, serde_json::from_slice(&entry).ok()?));
    Ok(stored.into_iter().filter_map(read).collect())
}

/// Writes that this is begun.
pub async fn begin(store: &Store, entries: &[(TaskId, Entry)]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut writing = redis::pipe();
    for (task, entry) in entries {
        write(&mut writing, store, task, entry);
    }
    Ok(writing.exec_async(&mut store.shared()).await?)
}

/// Writes that this has happened, and counts it for its job: in one transaction, so that each counts once.
pub async fn count(store: &Store, entries: &[(TaskId, Entry)]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let keys = store.keys();
    let mut writing = redis::pipe();
    writing.atomic();
    for (task, entry) in entries {
        write(&mut writing, store, task, &Entry { stage: Stage::Counted, ..entry.clone() });
        writing.cmd("SREM").arg(keys.job_tasks(&entry.job)).arg(task.as_str());
        writing.cmd("HINCRBY").arg(keys.job(&entry.job)).arg("done").arg(1);
    }
    Ok(writing.exec_async(&mut store.shared()).await?)
}

/// Takes entries out that nobody needs any more.
pub async fn forget(store: &Store, tasks: &[TaskId]) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
    Ok(store.shared().hdel::<_, _, ()>(store.keys().replays(), names).await?)
}

fn write(writing: &mut Pipeline, store: &Store, task: &TaskId, entry: &Entry) {
    let text = serde_json::to_string(entry).expect("an entry is always valid JSON");
    writing.cmd("HSET").arg(store.keys().replays()).arg(task.as_str()).arg(text);
}
