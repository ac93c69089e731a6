//! Bringing together what is stored with what the configuration file says, and with what the event log knows.

use std::collections::BTreeMap;

use tracing::{info, warn};
use warren_core::{
    ScheduleName, Timestamp,
    schedule::{Definition, Entry, Origin},
};

use super::{
    Error,
    cabinet::{Cabinet, Stored},
    registry::edition,
};

/// The schedules of the configuration file.
pub type File = BTreeMap<ScheduleName, Definition>;

/// Puts what the log knows to be newer: after a flush of Redis, all that it reaches back to; what is not stored from where
/// it `begins`. Returns whether anything was put.
pub async fn restore(
    cabinet: &Cabinet,
    entries: &BTreeMap<ScheduleName, Stored<Entry>>,
    begins: impl Fn(&ScheduleName) -> Timestamp,
) -> Result<bool, Error> {
    let mut any = false;
    for (name, told) in cabinet.history().await? {
        let stored = entries.get(&name);
        if stored.is_none_or(|stored| told.value.supersedes(&stored.value)) {
            // A removal of what is not there needs no trace.
            if stored.is_none() && told.value.kept.is_none() {
                continue;
            }
            info!(schedule = %name, "what the event log knows of it is newer than what is stored, and is put");
            let entry = if stored.is_some() { told.value } else { told.value.restored(begins(&name)) };
            any |= cabinet.put(&name, stored, &entry, &edition()).await?;
        }
    }
    Ok(any)
}

/// Puts what the file says; what is not stored from where it `begins`. Returns whether anything was put.
pub async fn follow(
    cabinet: &Cabinet,
    entries: &BTreeMap<ScheduleName, Stored<Entry>>,
    file: &File,
    now: Timestamp,
    begins: impl Fn(&ScheduleName) -> Timestamp,
) -> Result<bool, Error> {
    let mut any = false;
    for (name, written) in file {
        let stored = entries.get(name);
        let kept = stored.and_then(|stored| stored.value.kept.as_ref());
        if kept.is_some_and(|kept| kept.origin == Origin::Api) {
            warn!(schedule = %name, "it was put by API, and the configuration file takes it over");
        }
        let from = if stored.is_some() { now } else { begins(name) };
        if let Some(entry) = Entry::in_file(stored.map(|stored| &stored.value), written, from) {
            any |= cabinet.put(name, stored, &entry, &edition()).await?;
        }
    }
    for (name, stored) in entries.iter().filter(|(name, _)| !file.contains_key(*name)) {
        if let Some(entry) = Entry::not_in_file(&stored.value, now) {
            info!(schedule = %name, "it is no longer in the configuration file, and is removed");
            any |= cabinet.put(name, Some(stored), &entry, &edition()).await?;
        }
    }
    Ok(any)
}
