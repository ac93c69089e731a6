//! Asking the record about a delivery that may not be the first of its attempt.
//!
//! Redis is asked only here, only about deliveries that are flagged or marked, and never waited for long: where it does
//! not answer, the attempt runs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::AsyncCommands;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warren_core::{
    Redelivery, TaskId, WorkerId, consider,
    event::Run,
    record::TaskRecord,
    worker::{Health, WorkerRecord},
};
use warren_runtime::{amqp::session::chain, clock, redis::Store};

use crate::{lanes::Lane, reading::Work};

const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const BETWEEN_RECORDS: Duration = Duration::from_millis(10);
// After the record was waited for in vain, nothing is held up by it for this long.
const FORBEARANCE: Duration = Duration::from_secs(10);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);
// What broke this worker's last connection may have broken those of the others and of the monitor as well: then what has
// run a moment ago is on record only when they have all connected again. It is once that this is waited for, not once
// for each delivery of a backlog.
const SETTLING: Duration = Duration::from_secs(1);

/// What to do with a delivery.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Run it.
    Run,
    /// Nothing.
    Over,
    /// Another worker is at it: ask again later.
    Later,
    /// Do once more what the verdict on record asks for.
    CarryOut(Box<warren_core::record::End>),
    /// Put it where suspects run one at a time, with the names of the workers that may have died of it.
    Suspect(Vec<WorkerId>),
    /// It has killed as many workers as it may.
    Poison(Vec<WorkerId>),
}

/// Knows where to ask, and what to make of the answer.
#[derive(Debug, Clone)]
pub struct Suspicion {
    /// Where the records are.
    pub store: Store,
    /// Who asks.
    pub me: WorkerId,
    /// How many lost workers make a task poison.
    pub crashes: usize,
    /// How long a worker is silent before it counts as lost.
    pub lost_after: Duration,
    /// Ends every wait.
    pub abort: CancellationToken,
    /// When the record was last waited for in vain.
    pub behind: Arc<Mutex<Option<Instant>>>,
}

impl Suspicion {
    /// Decides about a delivery that is flagged as redelivered, marked, or came by the lane of suspects, over a
    /// connection that there is since `connected`.
    pub async fn consider(&self, work: &Work, lane: Lane, connected: Instant) -> Decision {
        self.decide(work, lane, connected, None).await
    }

    /// Decides once more when the record has come so far that it holds this worker's own start, `own`, and so every
    /// earlier one. Where the monitor is down or behind, the attempt runs.
    pub async fn reconsider(&self, work: &Work, lane: Lane, connected: Instant, own: &Run) -> Decision {
        if self.sees(work, own).await { self.decide(work, lane, connected, Some(own)).await } else { Decision::Run }
    }

    async fn sees(&self, work: &Work, own: &Run) -> bool {
        if self.behind().is_some_and(|since| since.elapsed() < FORBEARANCE) {
            return false;
        }
        let begun = Instant::now();
        while let Some(record) = self.record(&work.id).await {
            let runs = record.attempts.get(&work.task.attempt).map(|attempt| &attempt.runs);
            if runs.is_some_and(|runs| runs.iter().any(|run| run.run == *own)) {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                *self.behind.lock().expect("nobody panics while looking at a clock") = Some(Instant::now());
                return false;
            }
            if self.abort.run_until_cancelled(sleep(BETWEEN_RECORDS)).await.is_none() {
                return false;
            }
        }
        false
    }

    fn behind(&self) -> Option<Instant> {
        *self.behind.lock().expect("nobody panics while looking at a clock")
    }

    async fn decide(&self, work: &Work, lane: Lane, connected: Instant, own: Option<&Run>) -> Decision {
        let workers = match self.others(work, connected, own).await {
            Ok(workers) => workers,
            Err(decision) => return *decision,
        };
        let mut suspects = work.task.crashed.clone();
        suspects.extend(workers);
        match lane {
            Lane::Tasks if suspects.is_empty() => Decision::Run,
            Lane::Tasks => Decision::Suspect(suspects),
            Lane::Suspects => self.count(suspects).await,
        }
    }

    // The workers that began it and may have died of it, or what is decided without them. Whoever began it may be at it
    // still, and only cut off from the broker for a moment: its last word holds for half of the time after which it
    // counts as lost. Nothing is held up meanwhile: the delivery rests on the ladder.
    async fn others(&self, work: &Work, connected: Instant, own: Option<&Run>) -> Result<Vec<WorkerId>, Box<Decision>> {
        let (mut asked, mut later) = (false, Vec::new());
        loop {
            let Some(record) = self.record(&work.id).await else { return Err(Box::new(Decision::Run)) };
            let attempt = record.attempts.get(&work.task.attempt);
            if connected.elapsed() < SETTLING && attempt.is_none_or(|attempt| attempt.runs.is_empty()) {
                match self.abort.run_until_cancelled(sleep(BETWEEN_QUESTIONS)).await {
                    Some(()) => continue,
                    None => return Ok(Vec::new()),
                }
            }
            let runs = match consider(&record, work.task.attempt, &self.me) {
                Redelivery::CarryOut { end, .. } => return Err(Box::new(Decision::CarryOut(Box::new(end)))),
                Redelivery::Over => return Err(Box::new(Decision::Over)),
                Redelivery::Run => Vec::new(),
                Redelivery::Suspect { runs } => runs,
            };
            let is_settled = |run: &Run| work.task.crashed.contains(&run.worker) || later.contains(run);
            let runs: Vec<_> = runs.into_iter().filter(|run| !is_settled(run)).collect();
            let workers: Vec<_> = runs.iter().map(|run| run.worker.clone()).collect();
            if asked || runs.is_empty() {
                return Ok(workers);
            }
            let Ok(Ok(records)) = timeout(PATIENCE, self.records(&workers)).await else { return Ok(workers) };
            let now = clock::now();
            let may_go_on = |run: &Run, record: &WorkerRecord| {
                record.may_be_at(&work.id, work.task.attempt, run, now, self.lost_after / 2)
            };
            let known = runs.into_iter().zip(records).filter_map(|(run, record)| Some((run, record?)));
            let at_it = known.filter(|(run, record)| may_go_on(run, record)).map(|(run, _)| run);
            // Of two that begin at once the earlier goes on, and not neither.
            let is_later = |run: &Run| own.is_some_and(|own| (own.started, &own.worker) < (run.started, &run.worker));
            let (yielding, first): (Vec<_>, Vec<_>) = at_it.partition(is_later);
            if !first.is_empty() {
                return Err(Box::new(Decision::Later));
            }
            later.extend(yielding);
            // The task's record once more, for it must be read after the workers'.
            asked = true;
        }
    }

    async fn record(&self, task: &TaskId) -> Option<TaskRecord> {
        match timeout(PATIENCE, self.store.task(task)).await {
            Ok(Ok(record)) => Some(record.unwrap_or_default()),
            Ok(Err(error)) => {
                debug!(error = chain(&error), "no record to consult");
                None
            }
            Err(_) => None,
        }
    }

    // A worker that lives was cut off or shut down; it did not die of the task. Only when that could make the difference
    // is it worth waiting until the fate of each is known.
    async fn count(&self, suspects: Vec<WorkerId>) -> Decision {
        // The clock may be set back meanwhile.
        let begun = Instant::now();
        while suspects.len() >= self.crashes {
            let fates = match self.fates(&suspects).await {
                Ok(fates) => fates,
                Err(error) => {
                    warn!(error = chain(&error), "the fate of the workers that began this task is not known: it runs");
                    return Decision::Run;
                }
            };
            let lost = fates.iter().filter(|fate| **fate == Some(Health::Lost)).count();
            if lost >= self.crashes {
                return Decision::Poison(suspects);
            }
            let waited = begun.elapsed() > self.lost_after + BETWEEN_LOOKS;
            if waited || self.abort.run_until_cancelled(sleep(BETWEEN_LOOKS)).await.is_none() {
                return Decision::Run;
            }
        }
        Decision::Run
    }

    async fn fates(&self, workers: &[WorkerId]) -> Result<Vec<Option<Health>>, redis::RedisError> {
        let (records, now) = (self.records(workers).await?, clock::now());
        Ok(records.into_iter().map(|record| record.map(|record| record.health(now, self.lost_after))).collect())
    }

    async fn records(&self, workers: &[WorkerId]) -> Result<Vec<Option<WorkerRecord>>, redis::RedisError> {
        let fields: Vec<_> = workers.iter().map(WorkerId::as_str).collect();
        let texts: Vec<Option<Vec<u8>>> = self.store.shared().hmget(self.store.keys().workers(), &fields).await?;
        Ok(texts.into_iter().map(|text| serde_json::from_slice(&text?).ok()).collect())
    }
}
