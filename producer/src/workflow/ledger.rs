//! Writing what the log says of workflows, in transactions that hold only from the cursor at which they began.
//!
//! Statuses, results, what is to be handed in and the new cursor become visible together or not at all. So a second leader,
//! or a late one, applies nothing on top of what it has not seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redis::{AsyncCommands, Pipeline, aio::MultiplexedConnection};
use tracing::error;
use warren_core::{
    TaskId, Timestamp, WorkflowId,
    event::Event,
    workflow::{DEFINITION, HEAD},
};
use warren_runtime::{
    amqp::session::chain,
    event_log::cursor::{BatchId, Cursor},
    redis::Store,
};

use super::{
    Error,
    book::{Book, Changes, Concern},
    cabinet::decode,
};

// Of workflows that are over, so many are kept at most.
const KEPT: isize = 100_000;
const FORGOTTEN_AT_ONCE: isize = 100;

/// Workflows, for the one who writes them.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    // Of its own: whoever shares a connection also shares what it watches.
    connection: Option<MultiplexedConnection>,
}

type Fields = (Option<u64>, Option<String>);

fn cursor((offset, batch): Fields) -> Option<Cursor> {
    Some(Cursor { offset: offset?, batch: BatchId::from_stored(batch?) })
}

impl Ledger {
    /// Not connected yet.
    pub fn new(store: Store) -> Self {
        Self { store, connection: None }
    }

    /// The stored cursor; `None` where nothing is stored. From here on a new connection is used.
    pub async fn cursor(&mut self) -> Result<Option<Cursor>, Error> {
        let connection = self.connection.insert(self.store.own().await?);
        let mut asking = redis::cmd("HMGET");
        asking.arg(self.store.keys().workflows_cursor()).arg(&["offset", "batch"]);
        Ok(cursor(asking.query_async(connection).await?))
    }

    /// The tasks that are of concern, and to whose steps.
    pub async fn concerns(&self) -> Result<HashMap<TaskId, BTreeSet<Concern>>, Error> {
        let stored: BTreeMap<String, String> =
            self.store.shared().hgetall(self.store.keys().workflows_concerns()).await?;
        let read =
            |(task, text): (String, String)| Some((TaskId::parse(&task).ok()?, serde_json::from_str(&text).ok()?));
        Ok(stored.into_iter().filter_map(read).collect())
    }

    /// How far the projection is in the log; `None` while there is none.
    pub async fn projected(&self) -> Result<Option<u64>, Error> {
        Ok(self.store.shared().hget(self.store.keys().cursor(), "offset").await?)
    }

    /// The workflows that were made for a task and have ended, until the log knows of it.
    pub async fn concluded(&self) -> Result<Vec<WorkflowId>, Error> {
        let workflows = members(&self.store, &self.store.keys().workflows_concluded()).await?;
        Ok(workflows.iter().filter_map(|id| WorkflowId::parse(id).ok()).collect())
    }

    /// Applies events, and moves the cursor from `expected` to `next`; `None` where the stored cursor is not the expected
    /// one: somebody else writes, or the data is gone. Then the book must not be used any more, nor after an error.
    pub async fn apply(
        &mut self,
        book: &mut Book,
        expected: Option<&Cursor>,
        events: &[Event],
        next: &Cursor,
    ) -> Result<Option<Changes>, Error> {
        let store = self.store.clone();
        let key = store.keys().workflows_cursor();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(store.own().await?),
        };
        let mut guard = redis::pipe();
        guard.cmd("WATCH").arg(&key).ignore().cmd("HMGET").arg(&key).arg(&["offset", "batch"]);
        let (stored,): (Fields,) = guard.query_async(connection).await?;
        if cursor(stored).as_ref() != expected {
            redis::cmd("UNWATCH").query_async::<()>(connection).await?;
            return Ok(None);
        }
        learn(connection, &store, book, events).await?;
        let mut changes = Changes::default();
        for event in events {
            book.apply(event, &mut changes);
        }
        let mut writing = redis::pipe();
        writing.atomic();
        write(&mut writing, &store, book, &changes);
        writing.cmd("HSET").arg(&key).arg("offset").arg(next.offset).arg("batch").arg(next.batch.as_str());
        let done: Option<redis::Value> = writing.query_async(connection).await?;
        Ok(done.map(|_| changes))
    }

    /// Forgets workflows that were over before this, and the oldest beyond what is kept: some of them. Returns how many.
    pub async fn forget(&self, before: Timestamp) -> Result<usize, Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let ended = keys.workflows_ended();
        let mut old: Vec<String> =
            connection.zrangebyscore_limit(&ended, "-inf", before.as_millis(), 0, FORGOTTEN_AT_ONCE).await?;
        let excess = connection.zcard::<_, isize>(&ended).await?.saturating_sub(KEPT).min(FORGOTTEN_AT_ONCE);
        if old.is_empty() && excess > 0 {
            old = connection.zrange(&ended, 0, excess - 1).await?;
        }
        let mut forgetting = redis::pipe();
        forgetting.atomic();
        for id in old.iter().filter_map(|id| WorkflowId::parse(id).ok()) {
            forgetting.cmd("UNLINK").arg(keys.workflow(&id)).arg(keys.workflow_results(&id));
            forgetting.cmd("ZREM").arg(keys.workflows()).arg(id.as_str());
            forgetting.cmd("ZREM").arg(&ended).arg(id.as_str());
        }
        if !old.is_empty() {
            forgetting.exec_async(&mut connection).await?;
        }
        Ok(old.len())
    }

    /// The tasks that are to be handed in.
    pub async fn due(&self) -> Result<BTreeSet<TaskId>, Error> {
        let tasks: BTreeSet<String> = members(&self.store, &self.store.keys().workflows_due()).await?;
        Ok(tasks.iter().filter_map(|task| TaskId::parse(task).ok()).collect())
    }

    /// The workflows that were cancelled and are not over.
    pub async fn cancelled(&self) -> Result<Vec<WorkflowId>, Error> {
        let workflows = members(&self.store, &self.store.keys().workflows_cancelled()).await?;
        Ok(workflows.iter().filter_map(|id| WorkflowId::parse(id).ok()).collect())
    }
}

async fn members(store: &Store, key: &str) -> Result<BTreeSet<String>, Error> {
    Ok(redis::cmd("SMEMBERS").arg(key).query_async(&mut store.shared()).await?)
}

async fn learn(
    connection: &mut MultiplexedConnection,
    store: &Store,
    book: &mut Book,
    events: &[Event],
) -> Result<(), Error> {
    let unknown: BTreeSet<_> =
        events.iter().flat_map(|event| book.subjects(event)).filter(|id| book.workflow(id).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut asking = redis::pipe();
    for id in &unknown {
        asking.cmd("HGETALL").arg(store.keys().workflow(id));
    }
    let stored: Vec<BTreeMap<String, String>> = asking.query_async(connection).await?;
    for (id, fields) in unknown.into_iter().zip(stored) {
        match decode(&id, fields) {
            Ok(Some(kept)) => book.learn(id, kept),
            Ok(None) => {}
            // One that cannot be read must not hold up the others.
            Err(error) => error!(error = chain(&error), "a workflow does not run"),
        }
    }
    Ok(())
}

fn write(writing: &mut Pipeline, store: &Store, book: &mut Book, changes: &Changes) {
    let keys = store.keys();
    for (id, changed) in &changes.workflows {
        let Some(head) = book.head(id).cloned() else { continue };
        let Some(kept) = book.workflow(id) else { continue };
        let command = writing.cmd("HSET").arg(keys.workflow(id)).arg(HEAD).arg(encode(&head));
        if changed.is_new {
            command.arg(DEFINITION).arg(&kept.definition);
        }
        for place in &changed.steps {
            command.arg(place.0).arg(encode(kept.flow.status(*place)));
        }
        if changed.is_new {
            writing.cmd("ZADD").arg(keys.workflows()).arg(head.at.as_millis()).arg(id.as_str());
        }
        if let Some((at, _)) = &head.ended {
            writing.cmd("ZADD").arg(keys.workflows_ended()).arg(at.as_millis()).arg(id.as_str());
            writing.cmd("SREM").arg(keys.workflows_cancelled()).arg(id.as_str());
        } else {
            writing.cmd("ZREM").arg(keys.workflows_ended()).arg(id.as_str());
            let command = if head.cancelled { "SADD" } else { "SREM" };
            writing.cmd(command).arg(keys.workflows_cancelled()).arg(id.as_str());
        }
    }
    for task in &changes.concerns {
        if let Some(concern) = book.concern(task) {
            writing.cmd("HSET").arg(keys.workflows_concerns()).arg(task.as_str()).arg(encode(concern));
        }
    }
    for id in &changes.concluded {
        writing.cmd("SADD").arg(keys.workflows_concluded()).arg(id.as_str());
    }
    for (id, field, output) in &changes.results {
        writing.cmd("HSET").arg(keys.workflow_results(id)).arg(field).arg(encode(output));
    }
    let tasks = |tasks: &BTreeSet<TaskId>| tasks.iter().map(|task| task.as_str().to_owned()).collect::<Vec<_>>();
    let due: BTreeSet<_> = changes.due.difference(&changes.seen).cloned().collect();
    if !due.is_empty() {
        writing.cmd("SADD").arg(keys.workflows_due()).arg(tasks(&due));
    }
    if !changes.seen.is_empty() {
        writing.cmd("SREM").arg(keys.workflows_due()).arg(tasks(&changes.seen));
    }
}

fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("what is stored of workflows holds no map with keys other than text")
}
