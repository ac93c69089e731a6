//! `/api/overview`: the pool at a glance.

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{TaskState, Timestamp, worker::Health};
use warren_runtime::clock;

use super::{
    View,
    failure::Failure,
    findings::FindingView,
    queues::{QueueView, States},
    rates::{Latency, Rates},
    time::Time,
};
use crate::{index::Counts, status::Status};

/// The pool at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// The namespace of the pool.
    pub namespace: String,
    /// When this was looked up.
    pub at: Time,
    /// The monitor that answers.
    pub monitor: String,
    /// Its version.
    pub version: String,
    /// The monitor that projects; null if none does.
    pub leader: Option<String>,
    /// How far the projection is behind the event log, in seconds; null while it catches up.
    pub lag_seconds: Option<f64>,
    /// Tasks by state.
    pub states: States,
    /// How fast tasks come and go.
    pub rates: Rates,
    /// How long they take.
    pub latency: Latency,
    /// Workers by health.
    pub workers: Healths,
    /// Slots of the workers that are there.
    pub slots: u64,
    /// Of those, in use.
    pub busy: u64,
    /// What is wrong at present.
    pub findings: Vec<FindingView>,
    /// Messages that no queue took.
    pub unroutable: u32,
    /// The queues.
    pub queues: Vec<QueueView>,
}

/// Numbers of workers by health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Healths {
    /// Send heartbeats and consume.
    pub alive: u64,
    /// Send heartbeats, and take nothing more.
    pub draining: u64,
    /// Send heartbeats, but do not consume.
    pub not_consuming: u64,
    /// Ended in good order.
    pub stopped: u64,
    /// Fell silent.
    pub lost: u64,
}

impl Healths {
    fn of(&mut self, health: Health) -> &mut u64 {
        match health {
            Health::Alive => &mut self.alive,
            Health::Draining => &mut self.draining,
            Health::NotConsuming => &mut self.not_consuming,
            Health::Stopped => &mut self.stopped,
            Health::Lost => &mut self.lost,
        }
    }
}

/// The pool at a glance.
#[utoipa::path(
    get,
    path = "/api/overview",
    responses((status = 200, description = "What is known", body = Overview), (status = 503, description = "Redis does not answer"))
)]
pub async fn overview(State(view): State<View>) -> Result<Json<Overview>, Failure> {
    Ok(Json(view.overview().await?))
}

// A leader that has not spoken for a while is at least that far behind.
fn lag(status: &Status, now: Timestamp) -> Option<f64> {
    let silent = now.since(status.at.plus(std::time::Duration::from_secs(2)));
    Some(std::time::Duration::from_millis(status.lag_ms?).max(silent).as_secs_f64())
}

impl View {
    /// The pool as it is now.
    pub(super) async fn overview(&self) -> Result<Overview, Failure> {
        let now = clock::now();
        let status = self.status().await?;
        let present = self.present(now).await?;
        let counts = Counts::load(&self.store).await?;
        let queues = self.queues(&present, &counts).await?;
        let mut overview = Overview {
            namespace: self.namespace.to_string(),
            at: now.into(),
            monitor: self.process.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lag_seconds: status.as_ref().and_then(|status| lag(status, now)),
            leader: status.map(|status| status.leader),
            states: states(&counts),
            rates: present.rates,
            latency: present.latency,
            workers: Healths::default(),
            slots: 0,
            busy: 0,
            findings: self.findings().await?,
            unroutable: queues.unroutable,
            queues: queues.queues,
        };
        for entry in self.workers().await?.values() {
            let health = entry.health(now, self.lost_after);
            *overview.workers.of(health) += 1;
            if !matches!(health, Health::Lost | Health::Stopped) {
                overview.slots += entry.record.hello.as_ref().map_or(0, |hello| hello.slots.into());
                overview.busy += entry.record.heartbeat.as_ref().map_or(0, |heartbeat| u64::from(heartbeat.busy));
            }
        }
        Ok(overview)
    }

    async fn status(&self) -> Result<Option<Status>, Failure> {
        let stored: Option<Vec<u8>> = self.store.shared().get(self.store.keys().status()).await?;
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()))
    }
}

fn states(counts: &Counts) -> States {
    let mut states = States::default();
    for state in TaskState::ALL {
        *states.of(state) = counts.total(state);
    }
    states
}
