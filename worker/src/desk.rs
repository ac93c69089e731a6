//! What is done with a delivery, from its arrival to its acknowledgement.

mod disposition;

use std::sync::Arc;

use lapin::message::Delivery;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug};
use warren_core::{
    Outcome, Verdict, WorkerId,
    event::{Ended, Event, Progressed, Returned, Run, Started},
    judge, order,
};
use warren_runtime::{amqp::message::is_transient, clock, command_log::Orders, event_log::Tentative};

use crate::{
    board::{Board, Place},
    execution::{self, Execution},
    handler::Job,
    lanes::{Lane, Taken},
    metrics::Metrics,
    reading::{Assignments, Refusal, Work},
    receipt::Receipt,
    settlement::{Fate, Settlement},
    suspects::Suspects,
    suspicion::{Decision, Suspicion},
};

/// Everything that handling a delivery needs; one for all slots.
pub struct Desk {
    /// This worker.
    pub me: WorkerId,
    /// What it can run.
    pub assignments: Assignments,
    /// Makes outcomes safe.
    pub settlement: Settlement,
    /// Asks the record.
    pub suspicion: Suspicion,
    /// What operators ordered.
    pub orders: Orders,
    /// What runs now.
    pub board: Board,
    /// What is counted.
    pub metrics: Metrics,
    /// How many bytes of a result or an error are kept.
    pub max_result_bytes: usize,
    /// Stops what runs.
    pub abort: CancellationToken,
}

// Where the start of an attempt was told.
#[derive(Debug)]
enum Announced {
    // The log has it, or will.
    Firmly,
    // It is about to be written.
    Tentatively(Tentative),
    // The process ends.
    Nowhere,
}

impl Desk {
    /// Reads a delivery.
    pub fn read(&self, taken: &Taken) -> Result<Work, Box<Refusal>> {
        self.assignments.read(&taken.delivery, &taken.queue, clock::now())
    }

    /// Sees a delivery through to its acknowledgement. The slot falls free when the handler has ended: making its outcome
    /// safe is waiting, not work, and bounded by the prefetch.
    pub async fn handle(self: Arc<Self>, taken: Taken, read: Result<Work, Box<Refusal>>, slot: OwnedSemaphorePermit) {
        match read {
            Ok(work) => {
                let span = work.span();
                self.work(&taken, &work, slot).instrument(span).await;
            }
            Err(refusal) => {
                let fate = Box::pin(self.refuse(&taken.delivery, &refusal)).await;
                self.settlement.settle(&taken.receipt, &taken, &fate).await;
            }
        }
    }

    // Every delivery passes through here, most of them straight to their run. What few need is boxed, so that it does not
    // make the future of each larger: that is copied when it is begun.
    async fn work(&self, taken: &Taken, work: &Work, slot: OwnedSemaphorePermit) {
        let delivery = &taken.delivery;
        let now = clock::now();
        if work.task.is_held() {
            let fate = if self.is_cancelled(work) {
                self.withdraw(delivery, work).await
            } else {
                self.settlement.hand_on(delivery, work).await
            };
            return self.settlement.settle(&taken.receipt, taken, &fate).await;
        }
        let due = work.task.wait.map(|wait| wait.due(now)).filter(|due| *due > now);
        let due = due.filter(|_| !self.orders.look(|in_force| in_force.haste_of(&work.id, now).is_some()));
        let fate = if let Some(due) = due {
            if self.is_cancelled(work) {
                Box::pin(self.withdraw(delivery, work)).await
            } else {
                Box::pin(self.defer(delivery, work, now, due)).await
            }
        } else if work.task.order_key.as_ref().map(order::lane) != taken.in_order {
            Box::pin(self.settlement.line_up(taken, work)).await
        } else {
            let decision = if may_not_be_the_first(taken, work) {
                // Before the record is asked: what is not running here by then has told of its end.
                if self.board.join(&work.id, work.task.attempt, &taken.receipt) {
                    return;
                }
                Box::pin(self.suspicion.consider(work, taken)).await
            } else {
                Decision::Run
            };
            if taken.receipt.is_lost() {
                debug!("the delivery was lost while the record was asked");
                return;
            }
            if decision == Decision::Run && !self.is_cancelled(work) && !work.is_late(clock::now()) {
                return self.run(taken, work, slot).await;
            }
            match Box::pin(self.keep_from_running(taken, work, decision)).await {
                Some(fate) => fate,
                None => return self.run(taken, work, slot).await,
            }
        };
        self.settlement.settle(&taken.receipt, taken, &fate).await;
    }

    async fn run(&self, taken: &Taken, work: &Work, slot: OwnedSemaphorePermit) {
        let delivery = &taken.delivery;
        let started = clock::now();
        let entered = self.board.enter(&work.id, work.task.attempt, &work.kind, started, &taken.receipt);
        let Some(place) = entered else { return };
        let run = Run { started, worker: self.me.clone() };
        // Looked at once it is on the board: what is ordered from here on reaches it there.
        if self.is_cancelled(work) {
            let (receipts, fate) = (place.leave(), Box::pin(self.withdraw(delivery, work)).await);
            return self.settle_all(&receipts, taken, fate).await;
        }
        let announced = self.announce(taken, work, &run).await;
        let (receipts, fate) = if let Announced::Nowhere = announced {
            (place.leave(), Fate::Leave)
        } else if let Some(decision) = self.think_twice(taken, work, &run).await {
            self.take_back(work, run).await;
            // Off the board first: or a copy that comes straight back would be taken over, and be acknowledged with this.
            let receipts = place.leave();
            (receipts, Box::pin(self.keep_from_running(taken, work, decision)).await.unwrap_or(Fate::GiveBack))
        } else {
            let execution = self.execute(work, delivery, &run, &place).await;
            drop(slot);
            match execution {
                Execution::Ended(outcome) => return self.conclude(taken, work, run, outcome, place, announced).await,
                Execution::Interrupted => {
                    self.take_back(work, run).await;
                    let fate = Box::pin(self.give_back(taken, work)).await;
                    (place.leave(), fate)
                }
            }
        };
        self.metrics.stopped();
        self.settle_all(&receipts, taken, fate).await;
    }

    async fn settle_all(&self, receipts: &[Receipt], taken: &Taken, fate: Fate) {
        for receipt in receipts {
            self.settlement.settle(receipt, taken, &fate).await;
        }
    }

    // What may have killed another worker has its start safe in the log before it runs. What can kill this one has sent it:
    // it arrives although the process dies at once, and costs no way to the broker and back. Other starts are written along
    // with the next batch: a backlog that comes back flagged must not wait for a confirm a task. One that has ended by then
    // need not be written at all.
    async fn announce(&self, taken: &Taken, work: &Work, run: &Run) -> Announced {
        let started = Started {
            task: work.id.clone(),
            at: run.started,
            about: work.about(),
            attempt: work.task.attempt,
            worker: run.worker.clone(),
            limit: run.started.plus(work.assignment.policy.timeout),
            traceparent: work.task.traceparent.clone(),
            transient: is_transient(&taken.delivery.properties),
        };
        self.metrics.started(work, run.started);
        let log = &self.settlement.log;
        if is_delicate(taken, work) || taken.lane == Lane::Suspects {
            let event = Event::Started(started);
            let is_told = if is_start_looked_for(taken, work) {
                self.settlement.record(&event).await
            } else {
                self.settlement.send(&event).await
            };
            if is_told { Announced::Firmly } else { Announced::Nowhere }
        } else if started.is_told_by_its_end() {
            let noted = log.note_tentatively(Event::Started(started)).await;
            noted.map_or(Announced::Nowhere, Announced::Tentatively)
        } else {
            let noted = log.note(&Event::Started(started)).await;
            noted.map_or(Announced::Nowhere, |()| Announced::Firmly)
        }
    }

    // The one before may have died a moment ago, with its start in the log and not yet on record. Once our own start is on
    // record, so is every earlier one.
    async fn think_twice(&self, taken: &Taken, work: &Work, run: &Run) -> Option<Decision> {
        if !is_delicate(taken, work) || !may_not_be_the_first(taken, work) {
            return None;
        }
        let decision = Box::pin(self.suspicion.reconsider(work, taken, run)).await;
        (decision != Decision::Run).then_some(decision)
    }

    async fn execute(&self, work: &Work, delivery: &Delivery, run: &Run, place: &Place) -> Execution {
        let job = Job {
            id: work.id.clone(),
            kind: work.kind.clone(),
            queue: work.task.queue.clone(),
            priority: work.task.priority,
            attempt: work.task.attempt,
            payload: delivery.data.clone(),
            content_type: delivery.properties.content_type().as_ref().map(|text| text.as_str().to_owned()),
            traceparent: work.task.traceparent.clone(),
            timeout: work.assignment.policy.timeout,
        };
        let told = |progress| {
            let (task, attempt, run) = (work.id.clone(), work.task.attempt, run.clone());
            let event = Event::Progressed(Progressed { task, at: clock::now(), attempt, run, progress });
            // Progress is for looking at: where the log is behind, a word may be lost.
            self.settlement.log.offer(&event);
        };
        execution::run(work.assignment.handler.as_ref(), &job, &self.abort, &place.wish, told).await
    }

    async fn conclude(
        &self,
        taken: &Taken,
        work: &Work,
        run: Run,
        outcome: Outcome,
        place: Place,
        announced: Announced,
    ) {
        let (delivery, at) = (&taken.delivery, clock::now());
        let verdict = judge(&outcome, work.task.granted(), &work.assignment.policy, at, clock::draw());
        debug!(outcome = outcome.name(), "attempt ended");
        self.metrics.stopped();
        self.metrics.ended(work, &outcome, at.since(run.started));
        if let Announced::Tentatively(start) = announced {
            start.withdraw();
        }
        let event = |outcome| {
            Event::Ended(Ended {
                task: work.id.clone(),
                at,
                about: work.about(),
                attempt: work.task.attempt,
                run,
                outcome,
                verdict,
            })
        };
        let is_all_told = match verdict {
            Verdict::Complete | Verdict::Cancel => {
                delivery.properties.reply_to().is_none() && !taken.receipt.is_in_turn()
            }
            Verdict::Retry { .. } | Verdict::DeadLetter { .. } => false,
        };
        if is_all_told {
            let event = event(outcome.bounded(self.max_result_bytes));
            return self.settlement.record_then(&event, move || release(place)).await;
        }
        let event = event(outcome.clone().bounded(self.max_result_bytes));
        let fate = if !self.settlement.record(&event).await {
            Fate::Leave
        } else if !place.is_held() {
            lost()
        } else {
            let check = delivery.redelivered || work.task.check;
            Box::pin(self.settlement.carry_out(work, taken, &outcome, verdict, at, check)).await
        };
        self.settle_all(&place.leave(), taken, fate).await;
    }

    // A suspect that comes back by the flag is one that was running when its worker died, if nobody can be asked: so it
    // goes back as a copy.
    async fn give_back(&self, taken: &Taken, work: &Work) -> Fate {
        match taken.lane {
            Lane::Suspects if !taken.receipt.is_in_turn() => {
                self.settlement.suspect(taken, work, &Suspects::of(work)).await
            }
            Lane::Tasks | Lane::Suspects => Fate::GiveBack,
        }
    }

    // Says that a run which was announced came to nothing.
    async fn take_back(&self, work: &Work, run: Run) {
        let (task, attempt) = (work.id.clone(), work.task.attempt);
        let event = Event::Returned(Returned { task, at: clock::now(), attempt, run });
        // Where the process ends, the word is written if the log still takes it.
        drop(self.settlement.log.note(&event).await);
    }
}

// The end of an attempt is on record, and nothing else is to be done.
fn release(place: Place) {
    if place.is_held() {
        place.leave().iter().for_each(Receipt::acknowledge_soon);
    } else {
        lost();
    }
}

// Whoever gets it next finds this outcome on record, or has decided the attempt already: a copy of ours would be one too
// many.
fn lost() -> Fate {
    debug!("the delivery was lost meanwhile: its verdict is for its next holder to carry out");
    Fate::Leave
}

// Of what is in order none may begin before the one ahead has ended, wherever that was begun.
fn is_delicate(taken: &Taken, work: &Work) -> bool {
    work.is_delicate() || taken.receipt.is_in_turn()
}

// Whether somebody decides by the start of it now: this worker, when it thinks twice, or whoever has its twin or what is behind it.
fn is_start_looked_for(taken: &Taken, work: &Work) -> bool {
    may_not_be_the_first(taken, work) || taken.receipt.is_in_turn() || work.task.twin
}

fn may_not_be_the_first(taken: &Taken, work: &Work) -> bool {
    taken.delivery.redelivered || work.task.check || taken.lane == Lane::Suspects
}
