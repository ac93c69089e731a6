//! Throws away what has been over for long enough, in bounded steps.
//!
//! It runs between the projection's transactions, and its own step is one script that holds only at the projection's
//! cursor and marks it, so that a monitor that has just taken over notices. The script may run while Redis is full:
//! otherwise a full Redis would never become emptier.

use std::{collections::BTreeMap, time::Duration};

use redis::{AsyncCommands, Script};
use tokio::time::Instant;
use warren_core::{Fingerprint, TaskId, TaskState, Timestamp, WorkerId, record::TaskRecord};
use warren_runtime::{
    event_log::cursor::Cursor,
    redis::{Error, Store},
};

use crate::{
    audit,
    config::Retention,
    index::{Counts, Direction, Shelf, Walk},
    projection::Source,
    worker_entry::WorkerEntry,
};

const STEP: usize = 500;
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

// KEYS: cursor, counts, sizes of the groups, then for each task its shelf, its record and its group (the record again for
// none). ARGV: offset and batch expected, then for each task its id, the field that counts it and the name of its group (''
// for none).
const REAP: &str = "#!lua flags=allow-oom
local at = redis.call('HMGET', KEYS[1], 'offset', 'batch')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] then return -1 end
local gone = 0
for i = 1, (#KEYS - 3) / 3 do
  local task, field, group = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  if redis.call('ZREM', KEYS[3 * i + 1], task) == 1 then
    if group ~= '' and redis.call('ZREM', KEYS[3 * i + 3], task) == 1
      and tonumber(redis.call('ZINCRBY', KEYS[3], -1, group)) <= 0 then redis.call('ZREM', KEYS[3], group) end
    redis.call('UNLINK', KEYS[3 * i + 2])
    if redis.call('HINCRBY', KEYS[2], field, -1) == 0 then redis.call('HDEL', KEYS[2], field) end
    gone = gone + 1
  end
end
redis.call('HINCRBY', KEYS[1], 'reaped', gone)
return gone";

// KEYS: counts. A shelf that is empty needs no field.
const TIDY: &str = "#!lua flags=allow-oom
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i + 1] == '0' then redis.call('HDEL', KEYS[1], fields[i]) end
end";

/// Knows what is too old.
#[derive(Debug)]
pub struct Reaper {
    retention: Retention,
    swept: Option<Instant>,
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Tasks thrown away.
    pub tasks: u64,
    /// There is more to do at once.
    pub more: bool,
}

impl Reaper {
    /// As configured.
    pub fn new(retention: Retention) -> Self {
        Self { retention, swept: None }
    }

    /// One step for each state of tasks that are over, and now and then one for workers and sources. Only the one who
    /// writes the projection may call it, between two transactions.
    pub async fn round(&mut self, store: &Store, cursor: &Cursor, now: Timestamp) -> Result<Reaped, Error> {
        let mut reaped = Reaped::default();
        let counts = Counts::load(store).await?;
        for (state, kept) in self.kept(&counts) {
            let tasks = self.due(store, &counts, state, kept, now).await?;
            reaped.more |= tasks.len() == STEP;
            if !tasks.is_empty() {
                reaped.tasks += reap(store, cursor, &tasks).await?;
            }
        }
        if self.swept.is_none_or(|swept| swept.elapsed() > SWEEP_INTERVAL) {
            self.sweep(store, now).await?;
            self.swept = Some(Instant::now());
        }
        Ok(reaped)
    }

    // How many tasks of each state that is over may stay.
    fn kept(&self, counts: &Counts) -> [(TaskState, u64); 4] {
        let numbers = [TaskState::Succeeded, TaskState::Cancelled].map(|state| counts.total(state));
        let [succeeded, cancelled] = share(self.retention.finished_tasks, numbers);
        [
            (TaskState::Succeeded, succeeded),
            (TaskState::Cancelled, cancelled),
            (TaskState::Dead, u64::MAX),
            (TaskState::Expired, u64::MAX),
        ]
    }

    // The oldest tasks of a state that are too old or too many, up to a step.
    async fn due(
        &self,
        store: &Store,
        counts: &Counts,
        state: TaskState,
        kept: u64,
        now: Timestamp,
    ) -> Result<Vec<(TaskId, Shelf)>, Error> {
        let age = match state {
            TaskState::Dead | TaskState::Expired => self.retention.dead,
            TaskState::Succeeded
            | TaskState::Cancelled
            | TaskState::Queued
            | TaskState::Delayed
            | TaskState::Running => self.retention.finished,
        };
        let shelves: Vec<_> = counts.shelves(&[state], None, None).collect();
        // A shelf of tasks that are over is one lane.
        let walk = || {
            let lanes = shelves.iter().flat_map(|shelf| shelf.lanes(store.keys(), None));
            Walk::new(store, Direction::Oldest, lanes.collect())
        };
        let excess = usize::try_from(counts.total(state).saturating_sub(kept)).unwrap_or(STEP).min(STEP);
        let mut tasks = walk().between(None, Some(now.minus(age)), None).next(STEP).await?;
        if tasks.len() < excess {
            tasks = walk().next(excess).await?;
        }
        Ok(tasks.into_iter().map(|(position, lane)| (position.task, shelves[lane].clone())).collect())
    }

    async fn sweep(&self, store: &Store, now: Timestamp) -> Result<(), Error> {
        let (mut connection, keys) = (store.shared(), store.keys());
        let before = now.minus(self.retention.workers);
        let workers: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.workers()).await?;
        let gone: Vec<_> =
            workers.into_iter().filter(|(id, entry)| is_gone(id, entry, before)).map(|(id, _)| id).collect();
        if !gone.is_empty() {
            connection.hdel::<_, _, ()>(keys.workers(), gone).await?;
        }
        Script::new(TIDY).key(keys.counts()).invoke_async::<()>(&mut connection).await?;
        let sources: BTreeMap<String, String> = connection.hgetall(keys.sources()).await?;
        let old = |text: &String| Source::decode(text).is_none_or(|source| source.at < before);
        let gone: Vec<_> = sources.into_iter().filter(|(_, text)| old(text)).map(|(name, _)| name).collect();
        if !gone.is_empty() {
            connection.hdel::<_, _, ()>(keys.sources(), gone).await?;
        }
        forget_orders(store).await?;
        forget_actions(store).await
    }
}

// About workers of whom nothing else is known any more.
async fn forget_orders(store: &Store) -> Result<(), Error> {
    let (mut connection, keys) = (store.shared(), store.keys());
    let fields: Vec<String> = connection.hkeys(keys.orders()).await?;
    for field in fields {
        let Some(worker) = field.strip_prefix("worker:") else { continue };
        if !connection.hexists::<_, _, bool>(keys.workers(), worker).await? {
            connection.hdel::<_, _, ()>(keys.orders(), &field).await?;
        }
    }
    Ok(())
}

// The oldest of the audit trail, beyond what is kept, a step at a time.
async fn forget_actions(store: &Store) -> Result<(), Error> {
    let (mut connection, keys) = (store.shared(), store.keys());
    let number: isize = connection.zcard(keys.actions()).await?;
    let excess = (number - audit::KEPT).min(step());
    if excess <= 0 {
        return Ok(());
    }
    let places: Vec<String> = connection.zrange(keys.actions(), 0, excess - 1).await?;
    let ids: Vec<_> = places.iter().filter_map(|place| audit::id_of(place)).collect();
    let mut removing = redis::pipe();
    removing.atomic().cmd("ZREM").arg(keys.actions()).arg(&places);
    removing.cmd("HDEL").arg(keys.action_entries()).arg(&ids);
    removing.cmd("HDEL").arg(keys.action_details()).arg(&ids);
    Ok(removing.exec_async(&mut connection).await?)
}

fn step() -> isize {
    isize::try_from(STEP).expect("the constant is small")
}

// A worker that is neither seen nor readable is of no use to anybody.
fn is_gone(id: &str, entry: &[u8], before: Timestamp) -> bool {
    let entry = serde_json::from_slice::<WorkerEntry>(entry);
    WorkerId::parse(id).is_err() || entry.map_or(true, |entry| entry.received < before)
}

// What each may keep of a room for all, so that the one that takes most gives most.
fn share(room: u64, [a, b]: [u64; 2]) -> [u64; 2] {
    let half = room / 2;
    if a.saturating_add(b) <= room {
        [a, b]
    } else if a <= half {
        [a, room - a]
    } else if b <= half {
        [room - b, b]
    } else {
        [room - half, half]
    }
}

async fn reap(store: &Store, cursor: &Cursor, tasks: &[(TaskId, Shelf)]) -> Result<u64, Error> {
    let (mut connection, keys) = (store.shared(), store.keys());
    let names: Vec<_> = tasks.iter().map(|(task, _)| keys.task(task)).collect();
    let records: Vec<Option<Vec<u8>>> = connection.mget(&names).await?;
    let script = Script::new(REAP);
    let mut call = script.key(keys.cursor());
    call.key(keys.counts()).key(keys.groups());
    call.arg(cursor.offset).arg(cursor.batch.as_str());
    for (((task, shelf), name), record) in tasks.iter().zip(names).zip(records) {
        let record: Option<TaskRecord> = record.and_then(|record| serde_json::from_slice(&record).ok());
        let group = record.as_ref().and_then(Fingerprint::of);
        call.key(shelf.key(keys)).key(&name).key(group.map_or(name, |group| keys.group(group)));
        call.arg(task.as_str()).arg(shelf.field()).arg(group.map(|group| group.to_string()).unwrap_or_default());
    }
    let gone: i64 = call.invoke_async(&mut connection).await?;
    Ok(u64::try_from(gone).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_one_makes_room() {
        for (room, numbers, kept) in [
            (10, [3, 4], [3, 4]),
            (10, [30, 4], [6, 4]),
            (10, [3, 40], [3, 7]),
            (10, [30, 40], [5, 5]),
            (0, [1, 1], [0, 0]),
        ] {
            assert_eq!(share(room, numbers), kept, "{numbers:?}");
        }
    }

    #[test]
    fn what_was_not_heard_of_for_long_is_gone() {
        let entry = br#"{"received":1000}"#;
        assert!(is_gone("w", entry, Timestamp::from_millis(1_001)));
        assert!(!is_gone("w", entry, Timestamp::from_millis(1_000)));
        assert!(is_gone("w", b"nonsense", Timestamp::default()));
    }
}
