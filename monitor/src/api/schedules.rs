//! `/api/schedules`: what is to run when, and how it goes.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use warren_core::schedule::{Definition, Entry, Kept, Progress, Timing};

use super::{View, failure::Failure, time::Time};

/// All schedules.
#[derive(Debug, Serialize, ToSchema)]
pub struct Schedules {
    /// The schedules, by name.
    pub schedules: Vec<ScheduleView>,
}

/// A schedule. It is changed at the gateway, or in the file that it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// api or file.
    pub origin: String,
    /// Its cron expression, if it has one.
    pub cron: Option<String>,
    /// The time zone of that.
    pub zone: Option<String>,
    /// Its interval in milliseconds, if it has one.
    pub every_ms: Option<u64>,
    /// Whether it makes no ticks.
    pub paused: bool,
    /// The kind of its tasks.
    pub kind: Option<String>,
    /// The queue of its tasks.
    pub queue: Option<String>,
    /// skip, once or all.
    pub misfire: String,
    /// allow, skip or `cancel_previous`.
    pub overlap: String,
    /// The next tick; null where it is paused or over, and until a gateway runs it.
    pub next: Option<Time>,
    /// The tick that is on its way to the broker.
    pub claimed: Option<Time>,
    /// The task that was handed in last.
    pub last_task: Option<String>,
    /// When.
    pub last_at: Option<Time>,
    /// Ticks whose tasks were handed in.
    pub published: u64,
    /// Ticks that were missed, and dropped by the misfire policy.
    pub missed: u64,
    /// Ticks that were dropped since the task before was not over.
    pub overlapped: u64,
    /// Ticks whose tasks can never be handed in as they are.
    pub refused: u64,
    /// Why the last tick could not be handed in.
    pub problem: Option<String>,
}

// Of the task, what is shown: never its payload.
#[derive(Debug, Default, Deserialize)]
struct Template {
    kind: Option<String>,
    queue: Option<String>,
}

/// All schedules.
#[utoipa::path(
    get,
    path = "/api/schedules",
    responses(
        (status = 200, description = "What is known", body = Schedules),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn schedules(State(view): State<View>) -> Result<Json<Schedules>, Failure> {
    let keys = view.store.keys();
    let entries: BTreeMap<String, String> = view.store.shared().hgetall(keys.schedules()).await?;
    let progresses: BTreeMap<String, String> = view.store.shared().hgetall(keys.schedule_progress()).await?;
    let mut schedules = Vec::with_capacity(entries.len());
    for (name, text) in entries {
        let entry: Entry = read(&name, &text)?;
        let Some(kept) = entry.kept else { continue };
        let progress: Option<Progress> = progresses.get(&name).map(|text| read(&name, text)).transpose()?;
        schedules.push(show(name, &kept, progress.unwrap_or_default()));
    }
    Ok(Json(Schedules { schedules }))
}

fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::unreadable(&format!("schedule {name}"), &error))
}

fn show(name: String, kept: &Kept, progress: Progress) -> ScheduleView {
    let Definition { timing, task, misfire, overlap, paused, .. } = &kept.definition;
    let template: Template = serde_json::from_str(task).unwrap_or_default();
    let (cron, zone, every_ms) = match timing {
        Timing::Cron { cron, zone } => (Some(cron.clone()), Some(zone.clone()), None),
        Timing::Every { every } => (None, None, u64::try_from(every.as_millis()).ok()),
    };
    let (last_task, last_at) =
        progress.previous.map(|previous| (previous.task.to_string(), previous.at.into())).unzip();
    ScheduleView {
        name,
        origin: kept.origin.name().to_owned(),
        cron,
        zone,
        every_ms,
        paused: *paused,
        kind: template.kind,
        queue: template.queue.or_else(|| Some(warren_core::QueueName::default().to_string())),
        misfire: misfire.name().to_owned(),
        overlap: overlap.name().to_owned(),
        next: progress.next.filter(|_| !paused).map(Time::from),
        claimed: progress.claim.map(|claim| claim.tick.into()),
        last_task,
        last_at,
        published: progress.counts.published,
        missed: progress.counts.missed,
        overlapped: progress.counts.overlapped,
        refused: progress.counts.refused,
        problem: progress.problem,
    }
}
