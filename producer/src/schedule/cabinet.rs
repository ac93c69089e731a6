//! Schedules in Redis: what there is, and how far each has come.
//!
//! What must stay true: a stored text is replaced only by whoever knows it. So of two that change one schedule at once,
//! one begins anew; and a leader that was frozen changes nothing when it goes on.

use std::{collections::BTreeMap, time::Duration};

use redis::{AsyncCommands, Script};
use serde::{Deserialize, de::DeserializeOwned};
use warren_core::{
    ScheduleName, TaskId,
    record::TaskRecord,
    schedule::{Entry, Progress},
};
use warren_runtime::redis::Store;

use super::Error;

// A projection that is further behind does not know how tasks are now.
const CLOSE: Duration = Duration::from_secs(10);

// Another edition tells whoever runs the schedules to read them anew.
const PUT: &str = "#!lua
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[4])
if ARGV[5] == 'removed' then redis.call('HDEL', KEYS[3], ARGV[1]) end
return 1";
const ADVANCE: &str = "#!lua
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1";

/// Something that is stored, with the text by which it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// What it says.
    pub value: T,
    /// How it is written.
    pub text: String,
}

/// Where schedules are kept; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cabinet {
    store: Store,
}

// What the leading monitor says of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Status {
    lag_ms: Option<u64>,
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

    /// Changes with every change of an entry; `None` where nothing was ever put.
    pub async fn edition(&self) -> Result<Option<String>, Error> {
        Ok(self.store.shared().get(self.store.keys().schedule_edition()).await?)
    }

    /// How many names there are.
    pub async fn count(&self) -> Result<usize, Error> {
        Ok(self.store.shared().hlen(self.store.keys().schedules()).await?)
    }

    /// Every schedule, and those that cannot be read.
    pub async fn entries(&self) -> Result<(BTreeMap<ScheduleName, Stored<Entry>>, Vec<Error>), Error> {
        self.all(&self.store.keys().schedules()).await
    }

    /// How far each has come.
    pub async fn progresses(&self) -> Result<BTreeMap<ScheduleName, Stored<Progress>>, Error> {
        Ok(self.all(&self.store.keys().schedule_progress()).await?.0)
    }

    /// What the event log says of the schedules, as far as it is projected.
    pub async fn history(&self) -> Result<BTreeMap<ScheduleName, Stored<Entry>>, Error> {
        Ok(self.all(&self.store.keys().schedule_history()).await?.0)
    }

    /// One schedule.
    pub async fn entry(&self, name: &ScheduleName) -> Result<Option<Stored<Entry>>, Error> {
        self.one(&self.store.keys().schedules(), name).await
    }

    /// How far one has come.
    pub async fn progress(&self, name: &ScheduleName) -> Result<Option<Stored<Progress>>, Error> {
        self.one(&self.store.keys().schedule_progress(), name).await
    }

    /// Puts an entry in the place of what is known to be there; false if something else is there.
    pub async fn put(
        &self,
        name: &ScheduleName,
        known: Option<&Stored<Entry>>,
        entry: &Entry,
        edition: &str,
    ) -> Result<bool, Error> {
        let keys = self.store.keys();
        let script = Script::new(PUT);
        let mut call = script.key(keys.schedules());
        call.key(keys.schedule_edition()).key(keys.schedule_progress());
        call.arg(name.as_str()).arg(known.map_or("", |known| &known.text)).arg(encode(entry)).arg(edition);
        call.arg(if entry.kept.is_some() { "kept" } else { "removed" });
        Ok(call.invoke_async(&mut self.store.shared()).await?)
    }

    /// Puts a progress in the place of what is known to be there; `None` if something else is there.
    pub async fn advance(
        &self,
        name: &ScheduleName,
        known: Option<&Stored<Progress>>,
        progress: Progress,
    ) -> Result<Option<Stored<Progress>>, Error> {
        let text = encode(&progress);
        let script = Script::new(ADVANCE);
        let mut call = script.key(self.store.keys().schedule_progress());
        call.arg(name.as_str()).arg(known.map_or("", |known| &known.text)).arg(&text);
        let done: bool = call.invoke_async(&mut self.store.shared()).await?;
        Ok(done.then_some(Stored { value: progress, text }))
    }

    /// What is known of a task.
    pub async fn record(&self, task: &TaskId) -> Result<Option<TaskRecord>, Error> {
        Ok(self.store.task(task).await?)
    }

    /// Whether the projection follows the log, so that a record says how a task is now.
    pub async fn is_followed(&self) -> Result<bool, Error> {
        let status: Option<Vec<u8>> = self.store.shared().get(self.store.keys().status()).await?;
        let lag = status.and_then(|status| serde_json::from_slice::<Status>(&status).ok()?.lag_ms);
        Ok(lag.is_some_and(|lag| Duration::from_millis(lag) < CLOSE))
    }

    async fn all<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<(BTreeMap<ScheduleName, Stored<T>>, Vec<Error>), Error> {
        let texts: BTreeMap<String, String> = self.store.shared().hgetall(key).await?;
        let (mut all, mut unreadable) = (BTreeMap::new(), Vec::new());
        for (name, text) in texts {
            let Ok(name) = ScheduleName::parse(&name) else { continue };
            match decode(&name, text) {
                Ok(stored) => drop(all.insert(name, stored)),
                Err(error) => unreadable.push(error),
            }
        }
        Ok((all, unreadable))
    }

    async fn one<T: DeserializeOwned>(&self, key: &str, name: &ScheduleName) -> Result<Option<Stored<T>>, Error> {
        let text: Option<String> = self.store.shared().hget(key, name.as_str()).await?;
        text.map(|text| decode(name, text)).transpose()
    }
}

fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("what is stored of schedules holds no map with keys other than text")
}

fn decode<T: DeserializeOwned>(name: &ScheduleName, text: String) -> Result<Stored<T>, Error> {
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Stored { value, text }),
        Err(error) => Err(Error::Unreadable { name: name.clone(), why: error.to_string() }),
    }
}
