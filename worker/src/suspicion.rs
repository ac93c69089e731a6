//! Whether a delivery that may not be the first of its attempt is run.
//!
//! The record decides, where there is one. Where there is none, what cannot kill its worker runs; and what can is decided by
//! what the message itself tells ([`warren_core::unrecorded`]).

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use warren_core::{
    Redelivery, WorkerId, consider,
    event::Run,
    record::{End, TaskRecord},
    unrecorded::{Guess, Sign, guess},
    worker::{Health, WorkerRecord},
};
use warren_runtime::clock;

use crate::{
    lanes::{Lane, Session, Taken},
    reading::Work,
    suspects::Suspects,
    witness::Witness,
};

const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const BETWEEN_RECORDS: Duration = Duration::from_millis(10);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);
// What broke this worker's last connection may have broken those of the others and of the monitor as well: then what has
// run a moment ago is on record only when they have all connected again. It is once that this is waited for, not once
// for each delivery of a backlog.
const SETTLING: Duration = Duration::from_secs(1);
// For as long, what comes back is taken to have come back because of that, where nobody can be asked.
const SHAKEN: Duration = Duration::from_secs(10);

/// What to do with a delivery.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Run it.
    Run,
    /// Nothing.
    Over,
    /// Somebody is at it, or nobody knows yet: write this on it, and ask again later.
    Later(Suspects),
    /// Do once more what the verdict on record asks for.
    CarryOut(Box<End>),
    /// Put it where suspects run one at a time, and write this on it.
    Suspect(Suspects),
    /// It has killed as many workers as it may.
    Poison(Suspects),
}

/// Knows whom to ask, and what to make of the answer.
#[derive(Debug, Clone)]
pub struct Suspicion {
    /// Whom to ask.
    pub witness: Witness,
    /// Who asks.
    pub me: WorkerId,
    /// How many lost workers make a task poison.
    pub crashes: usize,
    /// How long a worker is silent before it counts as lost.
    pub lost_after: Duration,
    /// Ends every wait.
    pub abort: CancellationToken,
}

// What the record says of those that began it.
enum Others {
    // They may have died of it.
    Began(Vec<WorkerId>),
    // Of these one may be at it still.
    AtIt(Vec<WorkerId>),
    // Whatever they did, this is what is to be done.
    Settled(Decision),
    // Nobody answers.
    Unknown,
}

impl Suspicion {
    /// Decides about a delivery that is flagged as redelivered, marked, or came by the lane of suspects.
    pub async fn consider(&self, work: &Work, taken: &Taken) -> Decision {
        // What cannot kill its worker is run when nobody answers, so a question in vain is worth its time.
        if self.witness.is_silent() && !work.assignment.handler.is_isolated() {
            return self.guess(work, taken).await;
        }
        self.decide(work, taken, None).await
    }

    /// Decides once more when the record has come so far that it holds this worker's own start, `own`, and so every
    /// earlier one.
    pub async fn reconsider(&self, work: &Work, taken: &Taken, own: &Run) -> Decision {
        if self.sees(work, own).await {
            self.decide(work, taken, Some(own)).await
        } else {
            self.guess(work, taken).await
        }
    }

    async fn sees(&self, work: &Work, own: &Run) -> bool {
        if self.witness.is_behind() || self.witness.is_silent() {
            return false;
        }
        let begun = Instant::now();
        while let Some(record) = self.witness.task(&work.id).await {
            let runs = record.attempts.get(&work.task.attempt).map(|attempt| &attempt.runs);
            if runs.is_some_and(|runs| runs.iter().any(|run| run.run == *own)) {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                self.witness.fell_behind();
                return false;
            }
            if self.abort.run_until_cancelled(sleep(BETWEEN_RECORDS)).await.is_none() {
                return false;
            }
        }
        false
    }

    async fn decide(&self, work: &Work, taken: &Taken, own: Option<&Run>) -> Decision {
        let mut suspects = Suspects::of(work);
        let is_news = match self.others(work, taken, own).await {
            Others::Began(workers) => suspects.add(workers),
            // Whoever asks next may find nobody who knows that they were.
            Others::AtIt(workers) => {
                suspects.add(workers);
                return Decision::Later(suspects);
            }
            Others::Settled(decision) => return decision,
            Others::Unknown => return self.guess(work, taken).await,
        };
        let Some(records) = self.witness.workers(&suspects.workers).await else {
            return self.guess(work, taken).await;
        };
        // Who has been heard of since did not die of it; and whoever reads the names next may have nobody to ask.
        suspects.strike(records, |record| self.outlived(record));
        if own.is_some() {
            // The record is complete, and knows better than what was counted without it.
            suspects.crashes = suspects.workers.len();
        }
        match taken.lane {
            Lane::Tasks if suspects.crashes == 0 => Decision::Run,
            Lane::Tasks => Decision::Suspect(suspects),
            Lane::Suspects if suspects.workers.len() >= self.crashes => self.judge(work, taken, own, suspects).await,
            // Written down before it runs again: the next may find nobody to ask.
            Lane::Suspects if is_news && !work.assignment.handler.is_isolated() => Decision::Suspect(suspects),
            Lane::Suspects => Decision::Run,
        }
    }

    // Whoever began it may be at it still, and only cut off from the broker for a moment: its last word holds for half of
    // the time after which it counts as lost. Nothing is held up meanwhile: the delivery rests on the ladder. What this
    // worker itself began is over here, or the delivery would have been taken over; its end may not be on record yet.
    async fn others(&self, work: &Work, taken: &Taken, own: Option<&Run>) -> Others {
        let (mut asked, mut later) = (false, Vec::new());
        loop {
            let Some(record) = self.witness.task(&work.id).await else { return Others::Unknown };
            let attempt = record.attempts.get(&work.task.attempt);
            if taken.connected.elapsed() < SETTLING && attempt.is_none_or(|attempt| attempt.runs.is_empty()) {
                match self.abort.run_until_cancelled(sleep(BETWEEN_QUESTIONS)).await {
                    Some(()) => continue,
                    None => return Others::Began(Vec::new()),
                }
            }
            let mut runs = match open(&record, work, own) {
                Ok(runs) => runs,
                Err(decision) => return Others::Settled(decision),
            };
            runs.retain(|run| !later.contains(run));
            let workers: Vec<_> = runs.iter().map(|run| run.worker.clone()).collect();
            let others = workers.iter().filter(|worker| **worker != self.me).cloned().collect();
            if asked || runs.is_empty() {
                return Others::Began(others);
            }
            let Some(records) = self.witness.workers(&workers).await else { return Others::Began(others) };
            let now = clock::now();
            // Of itself this worker knows that only the record is behind.
            let is_late = workers.contains(&self.me) && self.witness.is_moving().await;
            let may_go_on = |run: &Run, record: &WorkerRecord| {
                let holds = self.is_shaken(taken) || is_late && run.worker == self.me;
                let patience = if holds { Duration::MAX } else { self.silence() };
                record.may_be_at(&work.id, work.task.attempt, run, now, patience)
            };
            let known = runs.into_iter().zip(records).filter_map(|(run, record)| Some((run, record?)));
            let at_it = known.filter(|(run, record)| may_go_on(run, record)).map(|(run, _)| run);
            // Of two that begin at once the first in the log goes on, and not neither; nor both, for it is the other's start
            // that the first may not have seen.
            let is_later = |run: &Run| own.zip(attempt).is_some_and(|(own, attempt)| attempt.is_behind(run, own));
            let (yielding, first): (Vec<_>, Vec<_>) = at_it.partition(is_later);
            if !first.is_empty() {
                return Others::AtIt(others);
            }
            later.extend(yielding);
            // The task's record once more, for it must be read after the workers'.
            asked = true;
        }
    }

    // A worker that lives was cut off or shut down; it did not die of the task. Only when that could make the difference
    // is it worth waiting until the fate of each is known, and the record holds all that was told before this began: a run,
    // or a heartbeat, of this worker's that is later.
    async fn judge(&self, work: &Work, taken: &Taken, own: Option<&Run>, suspects: Suspects) -> Decision {
        // The clock may be set back meanwhile.
        let (begun, since) = (Instant::now(), clock::now());
        let asked: Vec<_> = suspects.workers.iter().chain([&self.me]).cloned().collect();
        loop {
            let Some(mut records) = self.witness.workers(&asked).await else {
                return self.guess(work, taken).await;
            };
            let heartbeat = records.pop().flatten().and_then(|record| record.heartbeat);
            let is_complete = own.is_some() || heartbeat.is_some_and(|heartbeat| heartbeat.at > since);
            let (now, waited) = (clock::now(), begun.elapsed() > self.lost_after + BETWEEN_LOOKS);
            let is_shaken = self.is_shaken(taken) && !waited;
            // Who lives has been heard of within that time.
            let is_lost = |record: &Option<WorkerRecord>| {
                record.as_ref().map_or(waited, |record| record.health(now, self.lost_after) == Health::Lost)
            };
            if !is_shaken && records.iter().filter(|record| is_lost(record)).count() >= self.crashes {
                if is_complete {
                    let Some(record) = self.witness.task(&work.id).await else { return self.guess(work, taken).await };
                    return open(&record, work, own).map_or_else(|decision| decision, |_| Decision::Poison(suspects));
                }
                if waited {
                    return self.guess(work, taken).await;
                }
            }
            if waited || self.abort.run_until_cancelled(sleep(BETWEEN_LOOKS)).await.is_none() {
                return Decision::Run;
            }
        }
    }

    // How long a worker is silent before what it began is taken from it.
    fn silence(&self) -> Duration {
        self.lost_after / 2
    }

    // What kept this worker from the broker may have kept the others: their silence proves nothing yet.
    fn is_shaken(&self, taken: &Taken) -> bool {
        taken.session == Session::Again && taken.connected.elapsed() < self.silence()
    }

    // Whether the worker is there still, or ended in good order.
    fn outlived(&self, record: &WorkerRecord) -> bool {
        record.stopped.is_some() || clock::now().since(record.seen()) <= self.silence()
    }

    async fn guess(&self, work: &Work, taken: &Taken) -> Decision {
        if work.assignment.handler.is_isolated() {
            // Whoever had it may be at it still, and another of its key must not begin beside it.
            let may_run_elsewhere = taken.receipt.is_in_turn() && taken.delivery.redelivered;
            return if may_run_elsewhere { Decision::Later(Suspects::of(work)) } else { Decision::Run };
        }
        let Suspects { workers, crashes } = Suspects::of(work);
        let sign = self.sign(taken).await;
        debug!(?sign, crashes, "no record to go by");
        match guess(sign, crashes, self.crashes) {
            Guess::Run => Decision::Run,
            Guess::Rest { crashes } => Decision::Later(Suspects { workers, crashes }),
            Guess::Apart { crashes } => Decision::Suspect(Suspects { workers, crashes }),
            Guess::Poison { crashes } => Decision::Poison(Suspects { workers, crashes }),
        }
    }

    async fn sign(&self, taken: &Taken) -> Sign {
        match (taken.lane, taken.delivery.redelivered) {
            (Lane::Tasks, true) => Sign::Returned,
            (Lane::Tasks, false) if self.witness.is_moving().await => Sign::RestedAndAwaited,
            (Lane::Tasks, false) => Sign::Rested,
            (Lane::Suspects, false) => Sign::Apart,
            (Lane::Suspects, true) => match taken.session {
                Session::Again if taken.connected.elapsed() < SHAKEN => Sign::BrokenOff,
                Session::First | Session::Again => Sign::Crashed,
            },
        }
    }
}

// The runs of this attempt that have not ended, or what is to be done because one has.
fn open(record: &TaskRecord, work: &Work, own: Option<&Run>) -> Result<Vec<Run>, Decision> {
    match consider(record, work.task.attempt, own) {
        Redelivery::CarryOut { end, .. } => Err(Decision::CarryOut(Box::new(end))),
        Redelivery::Over => Err(Decision::Over),
        Redelivery::Run => Ok(Vec::new()),
        Redelivery::Suspect { runs } => Ok(runs),
    }
}
