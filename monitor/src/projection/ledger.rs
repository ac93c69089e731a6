//! Writing the projection, in transactions that hold only from the cursor at which they began.
//!
//! Records, indexes, counts and the new cursor become visible together or not at all. So a second monitor, or a late
//! one, can never apply anything on top of what it has not seen.

use redis::{Pipeline, aio::MultiplexedConnection};
use tracing::warn;
use warren_core::{ScheduleName, TaskId, Timestamp, WorkerId};
use warren_runtime::{
    event_log::{
        cursor::{BatchId, Cursor},
        entry::Entry,
    },
    redis::{Error, Store},
};

use super::{
    change::{self, Changes, Known, Touched},
    place::Moves,
};
use crate::worker_entry::Reading;

// Changes with the meaning of what is stored.
const LAYOUT: u32 = 2;

/// What came of a transaction.
#[derive(Debug)]
pub enum Written {
    /// It holds.
    Done(Box<Changes>),
    /// The stored cursor is not the one that was expected: somebody else writes, or the data is gone.
    Overtaken,
}

/// The projection, for the one who writes it.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    // Of its own: whoever shares a connection also shares what it watches.
    connection: Option<MultiplexedConnection>,
}

impl Ledger {
    /// Not connected yet.
    pub fn new(store: Store) -> Self {
        Self { store, connection: None }
    }

    /// Where it is stored.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The stored cursor; `None` where nothing is stored. From here on a new connection is used.
    pub async fn cursor(&mut self) -> Result<Option<Cursor>, Error> {
        let store = self.store.clone();
        let key = store.keys().cursor();
        let connection = self.connection.insert(store.own().await?);
        let mut asking = redis::pipe();
        asking.cmd("HMGET").arg(&key).arg(&["offset", "batch"]).cmd("HGET").arg(&key).arg("layout");
        let (fields, layout): (Fields, Option<u32>) = asking.query_async(connection).await?;
        let stored = cursor(fields);
        if stored.is_some() && layout != Some(LAYOUT) {
            warn!(?layout, wanted = LAYOUT, "the projection was written by another version: it is built anew");
            forget(connection, &store).await?;
            return Ok(None);
        }
        Ok(stored)
    }

    /// Applies entries, and moves the cursor from `expected` to the last of them.
    pub async fn apply(
        &mut self,
        expected: Option<&Cursor>,
        entries: &[Entry],
        now: Timestamp,
        reading: Reading,
    ) -> Result<Written, Error> {
        let Some(last) = entries.last() else { return Ok(Written::Done(Box::default())) };
        let next = &last.cursor;
        let store = self.store.clone();
        let keys = store.keys();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(store.own().await?),
        };
        let mut guard = redis::pipe();
        guard.cmd("WATCH").arg(keys.cursor()).ignore();
        guard.cmd("HMGET").arg(keys.cursor()).arg(&["offset", "batch"]);
        let (stored,): (Fields,) = guard.query_async(connection).await?;
        if cursor(stored).as_ref() != expected {
            redis::cmd("UNWATCH").query_async::<()>(connection).await?;
            return Ok(Written::Overtaken);
        }
        let known = read(connection, &store, change::touched(entries)).await?;
        let changes = change::changes(entries, &known, now, reading);
        let mut writing = redis::pipe();
        writing.atomic();
        write(&mut writing, &store, &changes);
        changes.tally.write(&mut writing, keys, now);
        let command = writing.cmd("HSET").arg(keys.cursor()).arg("layout").arg(LAYOUT);
        command.arg("offset").arg(next.offset).arg("batch").arg(next.batch.as_str());
        // The transaction answers nothing where the cursor has moved meanwhile.
        let done: Option<redis::Value> = writing.query_async(connection).await?;
        Ok(if done.is_some() { Written::Done(Box::new(changes)) } else { Written::Overtaken })
    }
}

// Everything that is rebuilt from the log. The cursor goes last: until then whoever leads next begins here once more. A record
// without its place in the indexes would never be listed.
async fn forget(connection: &mut MultiplexedConnection, store: &Store) -> Result<(), Error> {
    let keys = store.keys();
    let mut place = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(place).arg("MATCH").arg(keys.everything()).arg("COUNT").arg(1_000);
        let (next, found): (u64, Vec<String>) = scan.query_async(connection).await?;
        let rebuilt: Vec<_> = found.iter().filter(|key| keys.is_rebuilt(key)).collect();
        if !rebuilt.is_empty() {
            redis::cmd("UNLINK").arg(rebuilt).query_async::<()>(connection).await?;
        }
        if next == 0 {
            let rest = [keys.counts(), keys.limits(), keys.groups(), keys.cursor()];
            return Ok(redis::cmd("DEL").arg(&rest).query_async(connection).await?);
        }
        place = next;
    }
}

type Stored<T> = Vec<Option<T>>;
type Texts = Stored<Vec<u8>>;
type Answer = (Texts, Texts, Stored<String>, Texts, Texts);
type Fields = (Option<u64>, Option<String>);

fn cursor((offset, batch): Fields) -> Option<Cursor> {
    Some(Cursor { offset: offset?, batch: BatchId::from_stored(batch?) })
}

async fn read(connection: &mut MultiplexedConnection, store: &Store, touched: Touched) -> Result<Known, Error> {
    let keys = store.keys();
    let Touched { tasks, workers, sources, targets, schedules } = touched;
    let mut reading = redis::pipe();
    // A command without a key is an error, so whatever is asked for nothing asks for the empty name beside.
    reading.cmd("MGET").arg(keys.cursor()).arg(tasks.iter().map(|task| keys.task(task)).collect::<Vec<_>>());
    reading.cmd("HMGET").arg(keys.workers()).arg("").arg(workers.iter().map(WorkerId::as_str).collect::<Vec<_>>());
    reading.cmd("HMGET").arg(keys.sources()).arg("").arg(sources.iter().collect::<Vec<_>>());
    reading.cmd("HMGET").arg(keys.orders()).arg("").arg(targets.iter().collect::<Vec<_>>());
    let names: Vec<_> = schedules.iter().map(ScheduleName::as_str).collect();
    reading.cmd("HMGET").arg(keys.schedule_history()).arg("").arg(names);
    let stored: Answer = reading.query_async(connection).await?;
    Ok(Known {
        tasks: pair(tasks, stored.0),
        workers: pair(workers, stored.1),
        sources: pair(sources, stored.2),
        orders: pair(targets, stored.3),
        schedules: pair(schedules, stored.4),
    })
}

fn pair<K: Ord, V>(names: impl IntoIterator<Item = K>, stored: Vec<Option<V>>) -> std::collections::BTreeMap<K, V> {
    let stored = stored.into_iter().skip(1);
    names.into_iter().zip(stored).filter_map(|(name, value)| Some((name, value?))).collect()
}

fn write(writing: &mut Pipeline, store: &Store, changes: &Changes) {
    let keys = store.keys();
    if !changes.tasks.is_empty() {
        // One command and not one for each: in a transaction Redis answers each twice.
        let command = writing.cmd("MSET");
        for (task, record) in &changes.tasks {
            command.arg(keys.task(task)).arg(record);
        }
    }
    index(writing, store, &changes.moves);
    if !changes.workers.is_empty() {
        let command = writing.cmd("HSET").arg(keys.workers());
        for (worker, entry) in &changes.workers {
            command.arg(worker.as_str()).arg(entry);
        }
    }
    if !changes.schedules.is_empty() {
        let command = writing.cmd("HSET").arg(keys.schedule_history());
        for (schedule, entry) in &changes.schedules {
            command.arg(schedule.as_str()).arg(entry);
        }
    }
    if !changes.sources.is_empty() {
        let command = writing.cmd("HSET").arg(keys.sources());
        for (source, value) in &changes.sources {
            command.arg(source).arg(value);
        }
    }
    note_orders(writing, store, changes);
}

fn note_orders(writing: &mut Pipeline, store: &Store, changes: &Changes) {
    let keys = store.keys();
    for (field, order) in &changes.orders {
        writing.cmd("HSET").arg(keys.orders()).arg(field).arg(order);
    }
    for entry in &changes.actions {
        let text = serde_json::to_string(entry).expect("an entry holds no map");
        writing.cmd("ZADD").arg(keys.actions()).arg(0).arg(entry.place());
        writing.cmd("HSET").arg(keys.action_entries()).arg(entry.id.as_str()).arg(text);
    }
    for (order, detail) in &changes.details {
        writing.cmd("HSET").arg(keys.action_details()).arg(order.as_str()).arg(detail);
    }
}

fn index(writing: &mut Pipeline, store: &Store, moves: &Moves) {
    let keys = store.keys();
    for (shelf, tasks) in &moves.departures {
        leave(writing, &shelf.key(keys), tasks);
    }
    for (shelf, tasks) in &moves.arrivals {
        arrive(writing, &shelf.key(keys), tasks);
    }
    leave(writing, &keys.limits(), &moves.unlimited);
    arrive(writing, &keys.limits(), &moves.limits);
    for (group, tasks) in &moves.ungrouped {
        leave(writing, &keys.group(*group), tasks);
    }
    for (group, tasks) in &moves.grouped {
        arrive(writing, &keys.group(*group), tasks);
    }
    for (group, by) in &moves.sizes {
        writing.cmd("ZINCRBY").arg(keys.groups()).arg(*by).arg(group.to_string());
    }
    if moves.sizes.values().any(|by| *by < 0) {
        writing.cmd("ZREMRANGEBYSCORE").arg(keys.groups()).arg("-inf").arg(0);
    }
    for (shelf, by) in &moves.counts {
        writing.cmd("HINCRBY").arg(keys.counts()).arg(shelf.field()).arg(*by);
    }
}

fn leave(writing: &mut Pipeline, index: &str, tasks: &[TaskId]) {
    if !tasks.is_empty() {
        let tasks: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
        writing.cmd("ZREM").arg(index).arg(tasks);
    }
}

fn arrive(writing: &mut Pipeline, index: &str, tasks: &[(TaskId, u64)]) {
    if !tasks.is_empty() {
        let tasks: Vec<_> = tasks.iter().map(|(task, score)| (*score, task.as_str())).collect();
        writing.cmd("ZADD").arg(index).arg(tasks);
    }
}
