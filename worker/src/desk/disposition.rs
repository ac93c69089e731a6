//! What becomes of a delivery that is not run.

use std::time::Duration;

use lapin::message::Delivery;
use tracing::{debug, warn};
use warren_core::{
    Reason, Timestamp,
    event::{Buried, Deferred, Event},
};
use warren_runtime::{
    amqp::{Route, message::deadline},
    clock,
};

use super::Desk;
use crate::{
    lanes::Taken,
    reading::{Refusal, Work},
    settlement::Fate,
    suspicion::Decision,
};

// The copy that is made once more comes this much later than the first, if there is one: then the record knows of that.
const BEHIND: Duration = Duration::from_secs(3);

impl Desk {
    // What becomes of a delivery instead of a run; `None` if it is to run.
    pub(super) async fn keep_from_running(&self, taken: &Taken, work: &Work, decision: Decision) -> Option<Fate> {
        let (delivery, now) = (&taken.delivery, clock::now());
        match decision {
            // What has ended on record is carried out to its end, and what another worker is at that worker will stop.
            Decision::Run | Decision::Suspect(_) if self.is_cancelled(work) => {
                Some(self.withdraw(delivery, work).await)
            }
            // Only what would start now can be too late: what has begun in time may well end after its deadline.
            Decision::Run => {
                let late = work.task.deadline.filter(|_| work.is_late(now))?;
                let error = format!("not started before its deadline, {late}");
                Some(self.refuse(delivery, &refusal(work, Reason::Expired, error)).await)
            }
            Decision::CarryOut(end) => {
                debug!("it has ended before: only its verdict is carried out");
                let verdict = end.verdict.behind(now, BEHIND);
                Some(self.settlement.carry_out(work, taken, &end.outcome, verdict, end.at, true).await)
            }
            Decision::Over => Some(Fate::Acknowledge),
            Decision::Later(suspects) => {
                debug!(?suspects, "somebody may be at it still: it is asked for again later");
                Some(self.settlement.postpone(work, taken, &suspects).await)
            }
            Decision::Suspect(suspects) => {
                warn!(?suspects, "workers began this attempt and did not end it: it runs apart from the others");
                Some(self.settlement.suspect(taken, work, &suspects).await)
            }
            Decision::Poison(suspects) => {
                warn!(?suspects, "this task was running when these workers died: it is put aside");
                let error = format!("{} workers died while they ran it", suspects.crashes);
                Some(self.refuse(delivery, &refusal(work, Reason::Poison, error)).await)
            }
        }
    }

    pub(super) async fn refuse(&self, delivery: &Delivery, refusal: &Refusal) -> Fate {
        let Refusal { id, about, attempt, reason, error } = refusal;
        warn!(task.id = %id, queue = %about.queue, reason = reason.name(), error, "a task becomes a dead letter");
        let (task, about, attempt, reason, error) = (id.clone(), about.clone(), *attempt, *reason, error.clone());
        let queue = about.queue.clone();
        let event = Event::Buried(Buried { task, at: clock::now(), about, attempt, reason, error });
        if !self.settlement.record(&event).await {
            return Fate::Leave;
        }
        self.metrics.buried(&queue, reason);
        self.settlement.bury(delivery, id, &queue, attempt, reason, &refusal.error).await
    }

    pub(super) fn is_cancelled(&self, work: &Work) -> bool {
        self.orders.look(|in_force| in_force.cancel_of(&work.id, clock::now()).is_some())
    }

    pub(super) async fn withdraw(&self, delivery: &Delivery, work: &Work) -> Fate {
        self.settlement.withdraw(delivery, &work.id, work.about(), work.task.attempt).await
    }

    pub(super) async fn defer(&self, delivery: &Delivery, work: &Work, now: Timestamp, due: Timestamp) -> Fate {
        let (task, about, attempt) = (work.id.clone(), work.about(), work.task.attempt);
        if !self.settlement.record(&Event::Deferred(Deferred { task, at: now, about, attempt, due })).await {
            return Fate::Leave;
        }
        let copy = work.copy(delivery);
        let copy = if delivery.redelivered { copy.check() } else { copy };
        let deadline = deadline(&delivery.properties, work.task.deadline, now);
        let route = Route { queue: &work.task.queue, attempt, due: Some(due), deadline };
        self.settlement.deliver(&route.address(copy, &self.settlement.names, now)).await
    }
}

fn refusal(work: &Work, reason: Reason, error: String) -> Refusal {
    Refusal { id: work.id.clone(), about: work.about(), attempt: work.task.attempt, reason, error }
}
