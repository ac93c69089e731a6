//! Workflows in Redis, for whoever reads them.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use serde::de::DeserializeOwned;
use warren_core::{
    Output, Standing, TaskId, WorkflowId,
    event::{Buried, Ended, Event, Withdrawn},
    record::TaskRecord,
    workflow::{DEFINITION, HEAD, Head, Kept, Place},
};
use warren_runtime::redis::Store;

use super::Error;

/// Where workflows are kept; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cabinet {
    store: Store,
}

impl Cabinet {
    /// In this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A workflow, if there is one of this id.
    pub async fn workflow(&self, id: &WorkflowId) -> Result<Option<Kept>, Error> {
        let fields = self.store.shared().hgetall(self.store.keys().workflow(id)).await?;
        decode(id, fields)
    }

    /// A workflow as a whole.
    pub async fn head(&self, id: &WorkflowId) -> Result<Option<Head>, Error> {
        let head: Option<String> = self.store.shared().hget(self.store.keys().workflow(id), HEAD).await?;
        head.map(|head| read(id, &head)).transpose()
    }

    /// What a workflow is, as it is written.
    pub async fn definition(&self, id: &WorkflowId) -> Result<Option<String>, Error> {
        Ok(self.store.shared().hget(self.store.keys().workflow(id), DEFINITION).await?)
    }

    /// The latest workflows, the newest first.
    pub async fn latest(&self, most: u16) -> Result<Vec<(WorkflowId, Head)>, Error> {
        let mut connection = self.store.shared();
        let ids: Vec<String> = connection
            .zrevrange(self.store.keys().workflows(), 0, isize::try_from(most).unwrap_or(isize::MAX) - 1)
            .await?;
        let ids: Vec<_> = ids.iter().filter_map(|id| WorkflowId::parse(id).ok()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut asking = redis::pipe();
        for id in &ids {
            asking.hget(self.store.keys().workflow(id), HEAD);
        }
        let heads: Vec<Option<String>> = asking.query_async(&mut connection).await?;
        let heads = ids.into_iter().zip(heads).filter_map(|(id, head)| Some((id, head?)));
        heads.map(|(id, head)| read(&id, &head).map(|head| (id, head))).collect()
    }

    /// How far the event log has been read into what is stored; `None` where nothing is stored.
    pub async fn offset(&self) -> Result<Option<u64>, Error> {
        Ok(self.store.shared().hget(self.store.keys().workflows_cursor(), "offset").await?)
    }

    /// The results of the tasks of some steps: `None` where a task has succeeded without one, and where it has not.
    ///
    /// That is known from what was stored at the offset `as_of` of the log. What is stored must have come as far, or a
    /// result that a flush of Redis took away would be taken for none.
    pub async fn results(&self, id: &WorkflowId, fields: &[String], as_of: u64) -> Result<Vec<Option<Output>>, Error> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let (results_of, cursor) = (self.store.keys().workflow_results(id), self.store.keys().workflows_cursor());
        let mut results = Vec::with_capacity(fields.len());
        // In steps, so that no answer becomes too long for one.
        for some in fields.chunks(256) {
            let mut asking = redis::pipe();
            asking.atomic().hget(&cursor, "offset").cmd("HMGET").arg(&results_of).arg(some);
            let (offset, texts): (Option<u64>, Vec<Option<Vec<u8>>>) =
                asking.query_async(&mut self.store.shared()).await?;
            if offset.is_none_or(|offset| offset < as_of) {
                return Err(Error::Forgotten);
            }
            for text in texts {
                let unreadable =
                    |error: serde_json::Error| Error::Unreadable { workflow: id.clone(), why: error.to_string() };
                results.push(text.map(|text| serde_json::from_slice(&text).map_err(unreadable)).transpose()?);
            }
        }
        Ok(results)
    }
}

impl Cabinet {
    /// How a workflow ended that was made for a task is in the log.
    pub async fn told(&self, workflow: &WorkflowId) -> Result<(), Error> {
        Ok(self.store.shared().srem(self.store.keys().workflows_concluded(), workflow.as_str()).await?)
    }

    /// How tasks ended that are on record as ended: as the log has said it.
    pub async fn ends(&self, tasks: &[TaskId]) -> Result<Vec<Event>, Error> {
        let keys: Vec<_> = tasks.iter().map(|task| self.store.keys().task(task)).collect();
        let records: Vec<Option<Vec<u8>>> = self.store.shared().mget(&keys).await?;
        let read = |(task, record): (&TaskId, Option<Vec<u8>>)| end(task, &serde_json::from_slice(&record?).ok()?);
        Ok(tasks.iter().zip(records).filter_map(read).collect())
    }
}

fn end(task: &TaskId, record: &TaskRecord) -> Option<Event> {
    let (task, about) = (task.clone(), record.about()?.clone());
    match record.standing() {
        Standing::Ended { attempt, end } => {
            let run = record.attempts.get(&attempt)?.leading()?.run.clone();
            let (at, outcome, verdict) = (end.at, end.outcome.clone(), end.verdict);
            Some(Event::Ended(Ended { task, at, about, attempt, run, outcome, verdict }))
        }
        Standing::Buried { attempt, burial } => {
            let (at, reason, error) = (burial.at, burial.reason, burial.error.clone());
            Some(Event::Buried(Buried { task, at, about, attempt, reason, error }))
        }
        Standing::Discarded { attempt, decision } => {
            Some(Event::Withdrawn(Withdrawn { task, at: decision.at, about, attempt }))
        }
        // It may still be released, and be withdrawn then.
        Standing::Withdrawn { .. } | Standing::Queued { .. } | Standing::Delayed { .. } | Standing::Running { .. } => {
            None
        }
    }
}

/// The field under which the result of a task is kept.
pub fn field(place: Place, chunk: Option<u32>) -> String {
    match chunk {
        None => place.0.to_string(),
        Some(chunk) => format!("{}:{chunk}", place.0),
    }
}

/// From what is stored; `None` if that is nothing.
pub fn decode(id: &WorkflowId, fields: BTreeMap<String, String>) -> Result<Option<Kept>, Error> {
    Kept::decode(fields).map_err(|error| Error::Unreadable { workflow: id.clone(), why: error.to_string() })
}

fn read<T: DeserializeOwned>(id: &WorkflowId, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable { workflow: id.clone(), why: error.to_string() })
}
