//! Asking the record about a delivery that may not be the first of its attempt.
//!
//! Redis is asked only here, only about deliveries that are flagged or marked, and never waited for long: where it does
//! not answer, the attempt runs.

use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warren_core::{
    Redelivery, WorkerId, consider,
    worker::{Health, WorkerRecord},
};
use warren_runtime::{amqp::session::chain, clock, redis::Store};

use crate::{lanes::Lane, reading::Work};

const PATIENCE: Duration = Duration::from_millis(500);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What to do with a delivery.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Run it.
    Run,
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
}

impl Suspicion {
    /// Decides about a delivery that is flagged as redelivered, marked, or came by the lane of suspects.
    pub async fn consider(&self, work: &Work, lane: Lane) -> Decision {
        let record = match timeout(PATIENCE, self.store.task(&work.id)).await {
            Ok(Ok(record)) => record.unwrap_or_default(),
            Ok(Err(error)) => {
                debug!(error = chain(&error), "no record to consult");
                return Decision::Run;
            }
            Err(_) => return Decision::Run,
        };
        let workers = match consider(&record, work.task.attempt, &self.me) {
            Redelivery::CarryOut { end, .. } => return Decision::CarryOut(Box::new(end)),
            Redelivery::Run => Vec::new(),
            Redelivery::Suspect { workers } => workers,
        };
        let mut suspects = work.task.crashed.clone();
        suspects.extend(workers.into_iter().filter(|worker| !work.task.crashed.contains(worker)));
        match lane {
            Lane::Tasks if suspects.is_empty() => Decision::Run,
            Lane::Tasks => Decision::Suspect(suspects),
            Lane::Suspects => self.count(suspects).await,
        }
    }

    // A worker that lives was cut off or shut down; it did not die of the task. Only when that could make the difference
    // is it worth waiting until the fate of each is known.
    async fn count(&self, suspects: Vec<WorkerId>) -> Decision {
        // The clock may be set back meanwhile.
        let begun = tokio::time::Instant::now();
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
        let fields: Vec<_> = workers.iter().map(WorkerId::as_str).collect();
        let texts: Vec<Option<Vec<u8>>> = self.store.shared().hmget(self.store.keys().workers(), &fields).await?;
        let now = clock::now();
        let read = |text: Option<Vec<u8>>| serde_json::from_slice::<WorkerRecord>(&text?).ok();
        Ok(texts.into_iter().map(|text| read(text).map(|record| record.health(now, self.lost_after))).collect())
    }
}
