//! Making an outcome safe before its delivery is acknowledged.
//!
//! The order is fixed: the event is confirmed by the log; then the copy for the retry or the dead letters is confirmed by
//! its queue; then the reply is sent, at best effort; then the delivery is acknowledged. A death at any point leaves the
//! delivery with the broker, and the record of the outcome keeps it from being run again.

use std::time::Duration;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};
use warren_core::{
    Attempt, Outcome, Output, QueueName, Reason, TaskId, Timestamp, Verdict, WorkerId,
    event::{About, Event, Withdrawn},
    header,
};
use warren_runtime::{
    amqp::{
        Names, Outgoing, PublishError, Publisher, Route,
        message::{Copy, deadline},
    },
    clock,
    event_log::{Closed, EventLog},
};

use crate::{
    lanes::{Lane, Taken},
    patience::Patience,
    reading::Work,
    receipt::Receipt,
    suspects::Suspects,
};

// A single stay on the ladder, if it begins at once.
const POSTPONED: Duration = Duration::from_millis(3_200);
// Of one that keeps its place and could not be handled.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Its outcome is safe.
    Acknowledge,
    /// It goes back to its place in the queue.
    GiveBack,
    /// It keeps its place before all others of its key, and is taken again.
    Again(Box<Again>),
    /// The process ends before anything is safe: the broker takes it back by itself.
    Leave,
}

/// What stands in for a copy where the delivery itself keeps its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    properties: BasicProperties,
    lane: Lane,
    due: Timestamp,
}

/// Carries out what was decided.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The names of the queues.
    pub names: Names,
    /// Publishes copies and replies.
    pub publisher: Publisher,
    /// Takes the events.
    pub log: EventLog,
    /// Ends every wait.
    pub abort: CancellationToken,
    /// What has ended and is not acknowledged yet.
    pub settling: TaskTracker,
}

impl Settlement {
    /// Records an event and returns when it is safe; false if the process ends first.
    pub async fn record(&self, event: &Event) -> bool {
        self.abort.run_until_cancelled(self.log.record(event)).await.is_some_and(|recorded| recorded.is_ok())
    }

    /// Sends an event to the log and returns when it has left this process; false if the process ends first.
    pub async fn send(&self, event: &Event) -> bool {
        self.abort.run_until_cancelled(self.log.send(event)).await.is_some_and(|sent| sent.is_ok())
    }

    /// Records an event and calls `then` when it is safe; never, if the process ends first.
    pub async fn record_then(&self, event: &Event, then: impl FnOnce() + Send + 'static) {
        let token = self.settling.token();
        let then = move || {
            then();
            drop(token);
        };
        let _: Option<Result<(), Closed>> = self.abort.run_until_cancelled(self.log.record_then(event, then)).await;
    }

    /// Carries out the verdict on an attempt whose end is on record. `check` marks the copies: another may exist.
    pub async fn carry_out(
        &self,
        work: &Work,
        taken: &Taken,
        outcome: &Outcome,
        verdict: Verdict,
        ended: Timestamp,
        check: bool,
    ) -> Fate {
        let delivery = &taken.delivery;
        let first_failure = work.task.first_failure.unwrap_or(ended);
        let copy = || {
            let copy = work.copy(delivery).without(&[header::CRASHED, header::CRASHES, header::CHECK, header::TWIN]);
            let copy = copy.time(header::FIRST_FAILURE, first_failure);
            if check { copy.check() } else { copy }
        };
        let queue = &work.task.queue;
        let attempt = work.task.attempt;
        let fate = match verdict {
            Verdict::Complete | Verdict::Cancel => Fate::Acknowledge,
            Verdict::Retry { due } => {
                let route = Route { queue, attempt: attempt.next(), due: Some(due), deadline: None };
                self.pass_on(taken, copy(), route, Lane::Tasks, clock::now()).await
            }
            Verdict::DeadLetter { reason } => {
                let error = outcome.error().unwrap_or_default();
                let copy = copy().time(header::LAST_FAILURE, ended);
                self.deliver(&self.dead_letter(copy, queue, attempt, reason, &error)).await
            }
        };
        let is_final = !matches!(verdict, Verdict::Retry { .. });
        if fate == Fate::Acknowledge && is_final {
            self.reply(&delivery.properties, &work.id, outcome.name(), outcome.error(), output(outcome)).await;
        }
        fate
    }

    /// Puts a delivery among the dead letters that will not be run. Its event must be on record.
    pub async fn bury(
        &self,
        delivery: &Delivery,
        id: &TaskId,
        queue: &QueueName,
        attempt: Attempt,
        reason: Reason,
        error: &str,
    ) -> Fate {
        let notes = [header::CRASHED, header::CRASHES, header::CHECK, header::TWIN];
        let copy = Copy::of(delivery).id(id.as_str()).without(&notes);
        let fate = self.deliver(&self.dead_letter(copy, queue, attempt, reason, error)).await;
        if fate == Fate::Acknowledge {
            self.reply(&delivery.properties, id, reason.name(), Some(error.to_owned()), None).await;
        }
        fate
    }

    /// Takes a delivery off its queue or the ladder whose task is cancelled: nothing is left of it but the record.
    pub async fn withdraw(&self, delivery: &Delivery, task: &TaskId, about: About, attempt: Attempt) -> Fate {
        let event = Event::Withdrawn(Withdrawn { task: task.clone(), at: clock::now(), about, attempt });
        if !self.record(&event).await {
            return Fate::Leave;
        }
        debug!(task.id = %task, "it is cancelled, and is not started");
        let outcome = Outcome::Cancelled;
        self.reply(&delivery.properties, task, outcome.name(), outcome.error(), None).await;
        Fate::Acknowledge
    }

    /// Puts a delivery where the tasks run that may have killed a worker, with what is known of those workers.
    pub async fn suspect(&self, taken: &Taken, work: &Work, suspects: &Suspects) -> Fate {
        let copy = noted(work.copy(&taken.delivery), suspects);
        if taken.receipt.is_in_turn() {
            let (queue, attempt, deadline) = (&work.task.queue, work.task.attempt, work.task.deadline);
            let now = clock::now();
            return self.pass_on(taken, copy, Route { queue, attempt, due: None, deadline }, Lane::Suspects, now).await;
        }
        self.deliver(&copy.expiration(None).to_queue(&self.names.suspect(&work.task.queue))).await
    }

    /// Hands a delivery that waits for others on to whoever runs workflows.
    pub async fn hand_on(&self, delivery: &Delivery, work: &Work) -> Fate {
        let copy = work.copy(delivery);
        let copy = match deadline(&delivery.properties, work.task.deadline, clock::now()) {
            Some(deadline) => copy.time(header::EXPIRES, deadline),
            None => copy,
        };
        let copy = copy.text(header::QUEUE, work.task.queue.as_str()).expiration(None);
        self.deliver(&copy.to_queue(&self.names.held())).await
    }

    /// Puts a delivery on the delay ladder for a while, for somebody is at it or nobody knows, with what is known of the
    /// workers that may die of it. Nothing is decided by that, so nothing is recorded.
    pub async fn postpone(&self, work: &Work, taken: &Taken, suspects: &Suspects) -> Fate {
        let copy = noted(work.copy(&taken.delivery).check(), suspects);
        let (queue, attempt, deadline) = (&work.task.queue, work.task.attempt, work.task.deadline);
        let now = clock::now();
        let route = Route { queue, attempt, due: Some(now.plus(POSTPONED)), deadline };
        self.pass_on(taken, copy, route, Lane::Tasks, now).await
    }

    /// Moves a delivery to where tasks of its key, or without one, are taken from.
    pub async fn line_up(&self, taken: &Taken, work: &Work) -> Fate {
        let copy = work.copy(&taken.delivery);
        let copy = if taken.delivery.redelivered { copy.check() } else { copy };
        let deadline = deadline(&taken.delivery.properties, work.task.deadline, clock::now());
        let route = Route { queue: &work.task.queue, attempt: work.task.attempt, due: None, deadline };
        self.deliver(&route.address(copy, &self.names, clock::now())).await
    }

    // By a copy; or, where others wait behind it, by staying where it is and becoming what the copy would have been. Should
    // this worker die, the broker hands out what was there before, and the record tells how far that had come.
    async fn pass_on(&self, taken: &Taken, copy: Copy, route: Route<'_>, lane: Lane, now: Timestamp) -> Fate {
        if !taken.receipt.is_in_turn() {
            return self.deliver(&route.address(copy, &self.names, now)).await;
        }
        let due = route.due.unwrap_or(now);
        let properties = Route { due: None, ..route }.address(copy, &self.names, now).properties;
        Fate::Again(Box::new(Again { properties, lane, due }))
    }

    /// Publishes until it is confirmed. What the broker will never take is given back, to be tried again.
    pub async fn deliver(&self, message: &Outgoing) -> Fate {
        let mut patience = Patience::new();
        loop {
            let Some(published) = self.abort.run_until_cancelled(self.publisher.publish(message)).await else {
                return Fate::Leave;
            };
            match published {
                Ok(()) => return Fate::Acknowledge,
                Err(cause) if cause.is_transient() => {
                    warn!(error = %cause, "a copy is not safe yet");
                    if !patience.wait(&self.abort).await {
                        return Fate::Leave;
                    }
                }
                Err(cause) => {
                    error!(error = %cause, "a copy cannot be published: its task goes back to the queue");
                    if let PublishError::Returned { .. } = cause {
                        self.publisher.miss();
                    }
                    patience.wait(&self.abort).await;
                    return Fate::GiveBack;
                }
            }
        }
    }

    /// Acknowledges a delivery, gives it back, or lets it keep its place.
    pub async fn settle(&self, receipt: &Receipt, taken: &Taken, fate: &Fate) {
        match fate {
            Fate::Acknowledge => receipt.acknowledge().await,
            // Later ones of its key are held already: it stays before them.
            Fate::GiveBack if receipt.is_in_turn() => {
                let Delivery { properties, redelivered, .. } = &taken.delivery;
                let delivery = like(&taken.delivery, properties.clone(), *redelivered);
                receipt.again(taken.lane, delivery, Instant::now() + GIVEN_BACK);
            }
            Fate::GiveBack => receipt.give_back().await,
            Fate::Again(again) => {
                let Again { properties, lane, due } = &**again;
                let delivery = like(&taken.delivery, properties.clone(), false);
                receipt.again(*lane, delivery, Instant::now() + due.since(clock::now()));
            }
            Fate::Leave => {}
        }
    }

    fn dead_letter(&self, copy: Copy, queue: &QueueName, attempt: Attempt, reason: Reason, error: &str) -> Outgoing {
        copy.number(header::ATTEMPT, attempt.get().into())
            .text(header::QUEUE, queue.as_str())
            .text(header::REASON, reason.name())
            .text(header::ERROR, error)
            .expiration(None)
            .to_queue(&self.names.dead(queue))
    }

    async fn reply(
        &self,
        request: &BasicProperties,
        id: &TaskId,
        outcome: &str,
        error: Option<String>,
        output: Option<&Output>,
    ) {
        let Some(to) = request.reply_to() else { return };
        let mut headers = FieldTable::default();
        headers.insert(header::REPLY_OUTCOME.into(), AMQPValue::LongString(outcome.into()));
        if let Some(error) = error {
            let end = error.floor_char_boundary(2_000);
            headers.insert(header::REPLY_ERROR.into(), AMQPValue::LongString(error[..end].into()));
        }
        let mut properties = BasicProperties::default().with_headers(headers).with_message_id(id.as_str().into());
        if let Some(correlation) = request.correlation_id() {
            properties = properties.with_correlation_id(correlation.clone());
        }
        if let Some(Output::Json(_)) = output {
            properties = properties.with_content_type("application/json".into());
        }
        let body = output.map(Output::to_bytes).unwrap_or_default();
        let message = Outgoing::to_queue(to.as_str(), properties, body);
        match self.publisher.publish(&message).await {
            Ok(()) => {}
            Err(PublishError::Returned { .. }) => debug!("whoever asked for the result is gone"),
            Err(cause) => warn!(error = %cause, "a result was not delivered to whoever asked for it"),
        }
    }
}

fn noted(copy: Copy, suspects: &Suspects) -> Copy {
    let copy = copy.without(&[header::CRASHED]).number(header::CRASHES, suspects.crashes as u64);
    let names: Vec<_> = suspects.workers.iter().map(WorkerId::as_str).collect();
    if names.is_empty() { copy } else { copy.text(header::CRASHED, &names.join(",")) }
}

fn like(delivery: &Delivery, properties: BasicProperties, redelivered: bool) -> Delivery {
    Delivery {
        delivery_tag: delivery.delivery_tag,
        exchange: delivery.exchange.clone(),
        routing_key: delivery.routing_key.clone(),
        redelivered,
        properties,
        data: delivery.data.clone(),
        acker: delivery.acker.clone(),
    }
}

fn output(outcome: &Outcome) -> Option<&Output> {
    match outcome {
        Outcome::Success { output } => output.as_ref(),
        Outcome::Retryable { .. }
        | Outcome::Permanent { .. }
        | Outcome::Timeout { .. }
        | Outcome::Cancelled
        | Outcome::Crashed { .. } => None,
    }
}
