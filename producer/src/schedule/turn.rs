//! One schedule's turn: its due ticks, one after the other.
//!
//! The order for a tick is: claimed in Redis; the task before told to end, where that is wished; the task confirmed by the
//! broker; the tick decided in Redis. A death at any point leaves a claim, and whoever leads next carries it on. It asks
//! the record first, and publishes only where that knows nothing. Every tick's task bears the header `once`: should two
//! copies of one come about all the same, by a leader that was frozen on its way to the broker, the worker that takes the
//! second finds what became of the first.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use warren_core::{
    Operator, OrderId, ScheduleName, TaskId, Timestamp,
    command::{Command, HOLDS, Order},
    event::Event,
    schedule::{Choice, Claim, Kept, Meeting, Overlap, Progress, Tick, choose, is_going, meet},
};
use warren_runtime::{amqp::session::chain, clock};

use super::{Clockwork, Error, Measured, Schedules, cabinet::Stored};
use crate::request;

// A schedule that has much to make up for lets others have their turn.
const STEPS: usize = 50;
const AGAIN: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_hours(1);

/// What the leader remembers of a schedule from turn to turn: a flush of Redis between two ticks costs neither.
#[derive(Debug, Default)]
pub struct Turn {
    progress: Option<Progress>,
}

/// What all turns of a term share.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    pub schedules: &'a Schedules,
    pub process: &'a str,
    pub measured: &'a Measured,
    pub over: &'a CancellationToken,
}

// All that a step needs.
struct Step<'a> {
    term: Term<'a>,
    name: &'a ScheduleName,
    kept: &'a Kept,
    clockwork: &'a Clockwork,
}

// What follows a step.
enum Next {
    // The next, from here.
    Step(Stored<Progress>),
    // The same from the beginning: somebody else has written.
    Anew,
    // Nothing until then.
    Look(Timestamp, Option<Stored<Progress>>),
}

impl Turn {
    /// The last tick that is known to be decided.
    pub fn decided(&self) -> Timestamp {
        self.progress.as_ref().map_or_else(Timestamp::default, |progress| progress.decided)
    }

    /// Runs what is due, and returns when to look again.
    pub async fn take(
        &mut self,
        term: Term<'_>,
        name: &ScheduleName,
        kept: &Kept,
        clockwork: &Clockwork,
    ) -> Result<Timestamp, Error> {
        let cabinet = term.schedules.cabinet();
        let step = Step { term, name, kept, clockwork };
        let mut stored = cabinet.progress(name).await?;
        for _ in 0..STEPS {
            if term.over.is_cancelled() {
                break;
            }
            let progress = match (&stored, &self.progress) {
                (Some(stored), _) => stored.value.clone(),
                (None, Some(remembered)) => remembered.clone(),
                (None, None) => Progress::from(kept.since),
            };
            match step.next(stored.as_ref(), &progress).await? {
                Next::Step(after) => {
                    self.progress = Some(after.value.clone());
                    stored = Some(after);
                }
                Next::Anew => stored = cabinet.progress(name).await?,
                Next::Look(at, after) => {
                    if let Some(after) = after {
                        self.progress = Some(after.value);
                    }
                    return Ok(at);
                }
            }
        }
        Ok(clock::now())
    }
}

impl Step<'_> {
    async fn next(&self, stored: Option<&Stored<Progress>>, progress: &Progress) -> Result<Next, Error> {
        if let Some(claim) = &progress.claim {
            return self.carry_on(stored, progress, claim).await;
        }
        let now = clock::now();
        let definition = &self.kept.definition;
        let from = progress.decided.max(self.kept.since);
        if definition.paused {
            return self.rest(stored, progress, None, now.plus(LATER)).await;
        }
        let due = self.clockwork.due(from, now);
        let Some(choice) = choose(&due, now, definition.misfire, definition.misfire_after) else {
            let tick = self.clockwork.next(from);
            let look = tick.map_or(now.plus(LATER), |tick| tick.due);
            return self.rest(stored, progress, tick, look).await;
        };
        if choice.missed > 0 {
            warn!(schedule = %self.name, missed = choice.missed, through = %choice.through, "ticks were missed and are dropped");
        }
        let next = if choice.run.is_none() {
            progress.passed(&choice)
        } else if let Some(obstacle) = self.term.schedules.producer().obstacle() {
            // Nothing is claimed that cannot be handed in now: it would be run, however late.
            return self.fail(stored, progress, chain(&obstacle)).await;
        } else {
            self.decide(progress, &choice, now).await?
        };
        let (missed, overlapped) = (choice.missed, next.counts.overlapped > progress.counts.overlapped);
        let after = self.write(stored, next).await?;
        if let Next::Step(_) = after {
            self.term.measured.missed(missed);
            if overlapped {
                self.term.measured.overlapped();
            }
        }
        Ok(after)
    }

    // Whether the tick runs, in view of the one before.
    async fn decide(&self, progress: &Progress, choice: &Choice, now: Timestamp) -> Result<Progress, Error> {
        let policy = self.kept.definition.overlap;
        let going = match &progress.previous {
            Some(previous) if policy != Overlap::Allow => {
                let record = self.term.schedules.cabinet().record(&previous.task).await?;
                let followed = self.term.schedules.cabinet().is_followed().await?;
                is_going(previous, record.as_ref(), followed, now)
            }
            Some(_) | None => false,
        };
        Ok(match meet(policy, progress.previous.as_ref(), going) {
            Meeting::Run => progress.claimed(choice, self.term.process, None),
            Meeting::Replace(previous) => progress.claimed(choice, self.term.process, Some(previous)),
            Meeting::Drop => {
                info!(schedule = %self.name, tick = %choice.through, "the task before is not over: this tick is dropped");
                progress.overlapped(choice)
            }
        })
    }

    // A tick that is claimed: by us just now, or by us in vain, or by whoever led before.
    async fn carry_on(
        &self,
        stored: Option<&Stored<Progress>>,
        progress: &Progress,
        claim: &Claim,
    ) -> Result<Next, Error> {
        let task = Tick::task(self.name, claim.tick);
        if claim.tick <= self.kept.since {
            debug!(schedule = %self.name, tick = %claim.tick, "a claimed tick is none of its any more");
            return self.write(stored, progress.released()).await;
        }
        if claim.by != self.term.process {
            if self.term.schedules.cabinet().record(&task).await?.is_some() {
                debug!(schedule = %self.name, tick = %claim.tick, "whoever led before has handed it in");
                return self.write(stored, progress.published(task, clock::now())).await;
            }
            return self.write(stored, progress.taken_over(self.term.process)).await;
        }
        if self.term.over.is_cancelled() {
            return Ok(Next::Look(clock::now().plus(AGAIN), None));
        }
        if let Some(before) = &claim.cancel
            && let Err(why) = self.cancel(before).await
        {
            return self.fail(stored, progress, why).await;
        }
        let template = request::parse_one(self.kept.definition.task.as_bytes());
        let published = match template {
            Ok(template) => self.term.schedules.producer().enqueue(template.id(task.as_str()).once()).await,
            Err(error) => Err(error),
        };
        let now = clock::now();
        match published {
            Ok(task) => {
                self.term.measured.published(now.since(claim.tick));
                debug!(schedule = %self.name, tick = %claim.tick, task.id = %task, "a tick's task is handed in");
                self.write(stored, progress.published(task, now)).await
            }
            // Whatever the reason, the same task may be accepted later: the broker comes back, and the queue may be made.
            Err(error) if error.is_transient() || matches!(error, crate::Error::Returned { .. }) => {
                self.fail(stored, progress, chain(&error)).await
            }
            Err(error) => {
                let why = chain(&error);
                error!(schedule = %self.name, tick = %claim.tick, error = why, "a tick's task can never be handed in");
                self.term.measured.refused();
                self.write(stored, progress.refused(why)).await
            }
        }
    }

    // Tells the task before to end. To be told twice does no harm.
    async fn cancel(&self, before: &TaskId) -> Result<(), String> {
        let now = clock::now();
        let order = Order {
            id: OrderId::parse(clock::task_id().as_str()).map_err(|error| error.to_string())?,
            at: now,
            by: Operator::parse(&format!("schedule {}", self.name)).map_err(|error| error.to_string())?,
            reason: Some("the next tick takes its place".to_owned()),
            command: Command::Cancel { task: before.clone(), until: now.plus(HOLDS) },
        };
        let producer = self.term.schedules.producer();
        producer.commands().give(std::slice::from_ref(&order)).await.map_err(|error| chain(&error))?;
        producer.log().note(&Event::Ordered(order)).await.map_err(|error| error.to_string())
    }

    async fn write(&self, stored: Option<&Stored<Progress>>, next: Progress) -> Result<Next, Error> {
        let after = self.term.schedules.cabinet().advance(self.name, stored, next).await?;
        Ok(after.map_or(Next::Anew, Next::Step))
    }

    // Nothing is due: what is to come is written down, for showing.
    async fn rest(
        &self,
        stored: Option<&Stored<Progress>>,
        progress: &Progress,
        tick: Option<Tick>,
        look: Timestamp,
    ) -> Result<Next, Error> {
        let next = Progress { next: tick.map(|tick| tick.at), ..progress.clone() };
        if stored.is_some_and(|stored| stored.value == next) {
            return Ok(Next::Look(look, None));
        }
        let after = self.term.schedules.cabinet().advance(self.name, stored, next).await?;
        Ok(after.map_or(Next::Anew, |after| Next::Look(look, Some(after))))
    }

    async fn fail(&self, stored: Option<&Stored<Progress>>, progress: &Progress, why: String) -> Result<Next, Error> {
        let look = clock::now().plus(AGAIN);
        if progress.problem.as_ref() == Some(&why) {
            return Ok(Next::Look(look, None));
        }
        warn!(schedule = %self.name, error = why, "a tick's task is not handed in yet");
        let next = Progress { problem: Some(why), ..progress.clone() };
        let after = self.term.schedules.cabinet().advance(self.name, stored, next).await?;
        Ok(after.map_or(Next::Anew, |after| Next::Look(look, Some(after))))
    }
}
