//! Looks for what is wrong, every second.
//!
//! Nothing is judged while the projection catches up: what it shows then is past.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::AsyncCommands;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use warren_core::{
    TaskId, Timestamp, WorkerId,
    finding::{self, Finding},
    record::TaskRecord,
};
use warren_runtime::{
    clock,
    redis::{Error, Store},
};

use crate::{
    alerts::{Alerts, Happened},
    found::{self, Found},
    metrics::{FindingLabel, Metrics},
    projection::Probe,
    status::Status,
    trends::Trends,
    worker_entry::WorkerEntry,
};

const INTERVAL: Duration = Duration::from_secs(1);
// A clock that has gone otherwise than time by more than this between two rounds was set.
const STEP: Duration = Duration::from_secs(1);
// More stuck attempts than anybody reads one by one.
const ATTEMPTS_AT_ONCE: isize = 1_000;

/// The component, for one term of leadership.
#[derive(Debug)]
pub struct Detector {
    /// Where the projection lies, and where findings are written.
    pub store: Store,
    /// Who leads.
    pub process: String,
    /// Whether the projection is at the end of the log.
    pub probe: Arc<Probe>,
    /// A worker that is silent for longer is lost.
    pub lost_after: Duration,
    /// What an attempt may go on past its limit.
    pub stuck_after: Duration,
    /// What is called of late where figures are judged.
    pub window: Duration,
    /// Who is told.
    pub alerts: Alerts,
    /// What is measured.
    pub metrics: Metrics,
}

impl Detector {
    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut live_since = None;
        let mut trends = Trends::new(self.store.clone(), self.window);
        let mut away = false;
        let mut before = (clock::now(), Instant::now());
        loop {
            let (now, moment) = (clock::now(), Instant::now());
            if was_set(before, (now, moment)) {
                warn!("the clock was set: who is silent is judged anew");
                live_since = None;
            }
            before = (now, moment);
            if let Err(error) = self.round(now, &mut live_since, &mut trends).await {
                if !away {
                    warn!(%error, "cannot look for what is wrong");
                }
                away = true;
            } else {
                away = false;
            }
            if stop.run_until_cancelled(sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self, now: Timestamp, live_since: &mut Option<Instant>, trends: &mut Trends) -> Result<(), Error> {
        let lag_ms = self.probe.lag().map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        Status { leader: self.process.clone(), at: now, lag_ms }.write(&self.store).await?;
        if !self.probe.is_live() {
            *live_since = None;
            return Ok(());
        }
        let listening = live_since.get_or_insert_with(Instant::now).elapsed();
        let before = self.standing().await?;
        let mut findings = self.workers(now, listening).await?;
        if listening <= self.lost_after {
            // We have not listened for long enough to call anybody silent whom nobody called so before.
            let known = |worker: &WorkerId| {
                before
                    .iter()
                    .any(|found| matches!(&found.finding, Finding::LostWorker { worker: w, .. } if w == worker))
            };
            findings.retain(|finding| !matches!(finding, Finding::LostWorker { worker, .. } if !known(worker)));
        }
        findings.extend(self.attempts(now).await?);
        findings.extend(trends.look(now).await?);
        let round = found::compare(before, findings, now);
        round
            .new
            .iter()
            .for_each(|found| warn!(finding = found::name(&found.finding), evidence = ?found.finding, "found"));
        round
            .gone
            .iter()
            .for_each(|found| info!(finding = found::name(&found.finding), was = ?found.finding, "no longer"));
        self.count(&round.standing);
        let text = serde_json::to_string(&round.standing).expect("findings are always valid JSON");
        self.store.shared().set::<_, _, ()>(self.store.keys().findings(), text).await?;
        // Only what is written: else the next round would find and tell it once more.
        round.new.iter().for_each(|found| self.alerts.tell(Happened::Found, found, now));
        round.gone.iter().for_each(|found| self.alerts.tell(Happened::Ended, found, now));
        Ok(())
    }

    async fn standing(&self) -> Result<Vec<Found>, Error> {
        let text: Option<Vec<u8>> = self.store.shared().get(self.store.keys().findings()).await?;
        // What another version wrote may not be readable; then everything is found anew.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }

    async fn workers(&self, now: Timestamp, listening: Duration) -> Result<Vec<Finding>, Error> {
        let entries: BTreeMap<String, Vec<u8>> = self.store.shared().hgetall(self.store.keys().workers()).await?;
        let judge = |(id, entry): (String, Vec<u8>)| {
            let (id, entry) = (WorkerId::parse(&id).ok()?, serde_json::from_slice::<WorkerEntry>(&entry).ok()?);
            // Who is alive would have been heard of since the clock was set back.
            let here = if entry.is_ahead(now) { entry.received.plus(listening) } else { now };
            finding::of_worker(&id, &entry.record, entry.on_its_clock(here), self.lost_after)
        };
        Ok(entries.into_iter().filter_map(judge).collect())
    }

    async fn attempts(&self, now: Timestamp) -> Result<Vec<Finding>, Error> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let before = now.minus(self.stuck_after).as_millis();
        let overdue: Vec<String> =
            connection.zrangebyscore_limit(keys.limits(), "-inf", before, 0, ATTEMPTS_AT_ONCE).await?;
        let tasks: Vec<_> = overdue.iter().filter_map(|id| TaskId::parse(id).ok()).collect();
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = tasks.iter().map(|task| keys.task(task)).collect();
        let records: Vec<Option<Vec<u8>>> = connection.mget(names).await?;
        let judge = |(task, record): (&TaskId, Option<Vec<u8>>)| {
            let record: TaskRecord = serde_json::from_slice(&record?).ok()?;
            finding::of_task(task, &record, now, self.stuck_after)
        };
        Ok(tasks.iter().zip(records).filter_map(judge).collect())
    }

    fn count(&self, standing: &[Found]) {
        for name in found::NAMES {
            let number = standing.iter().filter(|found| found::name(&found.finding) == name).count();
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.metrics.findings.get_or_create(&FindingLabel { finding: name }).set(number);
        }
    }
}

// Times of the wall clock, with those of a clock that nobody sets.
fn was_set(before: (Timestamp, Instant), after: (Timestamp, Instant)) -> bool {
    let (shown, took) = (after.0.since(before.0), after.1.duration_since(before.1));
    after.0 < before.0 || shown.abs_diff(took) > STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_otherwise_than_time_was_set() {
        let begun = Instant::now();
        let at = |wall: u64, passed: u64| (Timestamp::from_millis(wall), begun + Duration::from_millis(passed));
        for (wall, set) in [(11_000, false), (11_900, false), (10_100, false), (9_999, true), (12_001, true)] {
            assert_eq!(was_set(at(10_000, 0), at(wall, 1_000)), set, "{wall}");
        }
    }
}
