//! `/api/tasks/{id}/waiting`: why a task is not running.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{
    QueueName, TaskId, TaskState,
    command::{Command, Target},
    record::TaskRecord,
    waiting::{self, Able, Candidate, Pause, Situation},
    worker::Health,
};
use warren_runtime::{clock, http::Problem, redis::Keys};

use super::{View, failure::Failure, rates::round, time::Time};
use crate::{
    index::{Counts, score},
    queues::{Depth, fields},
};

/// Why a task is not running.
#[expect(clippy::struct_field_names, reason = "the field is what the API calls it")]
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Whether it waits at all: whether it may start as soon as a slot is free, or waits for its time.
    pub waiting: bool,
    /// All of it in a sentence or two.
    pub summary: String,
    /// How many tasks its queue gives out before it; null while it waits for its time.
    pub ahead: Option<u64>,
    /// How long until it starts, if all goes on as it does; null where that cannot be told.
    pub estimate_seconds: Option<f64>,
    /// Tasks a second that are taken from its queue, over the last minute; null where the queue is not known.
    pub service_rate: Option<f64>,
    /// What holds it, the most important first.
    pub reasons: Vec<ReasonView>,
    /// Each worker that is there or lost, and whether it could run the task.
    pub workers: Vec<AbleView>,
}

/// Something that holds a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonView {
    /// after, delayed, overdue, paused, `no_worker`, `no_worker_for_queue`, `no_worker_for_kind`, `no_consumer`, `no_free_slot`,
    /// `in_turn`, ahead, `broker_backlog` or expires.
    pub code: String,
    /// The same for people.
    pub text: String,
    /// Since when, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Whether a worker could run the task.
#[derive(Debug, Serialize, ToSchema)]
pub struct AbleView {
    /// The worker.
    pub worker: String,
    /// Whether it takes such tasks at present, be it with a free slot or without.
    pub can_run: bool,
    /// Why, or what it is doing.
    pub because: String,
}

impl From<Able> for AbleView {
    fn from(able: Able) -> Self {
        Self { worker: able.worker.to_string(), can_run: able.can_run, because: able.because }
    }
}

/// Why a task is not running.
#[utoipa::path(
    get,
    path = "/api/tasks/{id}/waiting",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    responses(
        (status = 200, description = "What holds it", body = Waiting),
        (status = 404, description = "Nothing is known of it"),
        (status = 422, description = "This can be no task's id; the problem says why"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn waiting(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Waiting>, Failure> {
    let Path(id) = id?;
    let task = TaskId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
    let record = view.store.task(&task).await?.ok_or_else(|| Failure::unknown("task", &id))?;
    Ok(Json(view.waiting(&record).await?))
}

impl View {
    async fn waiting(&self, record: &TaskRecord) -> Result<Waiting, Failure> {
        let now = clock::now();
        let about = record.about();
        let queue = about.map(|about| &about.queue);
        let kind = about.and_then(|about| about.kind.as_ref());
        let counts = Counts::load(&self.store).await?;
        let order_key = record.submission.as_ref().and_then(|submission| submission.order_key.as_ref());
        // What is in order goes by another way than the others of its queue.
        let ahead = if order_key.is_none() { self.ahead(record, queue, &counts).await? } else { None };
        let depth = self.depth(queue).await?;
        let flow = match queue {
            Some(queue) => Some(self.present(now).await?.flow(queue)),
            None => None,
        };
        let orders = self.orders().await?;
        let order = queue.and_then(|queue| orders.get(&Keys::order_field(&Target::Queue(queue.clone()))));
        let pause = order.filter(|order| matches!(order.command, Command::Pause { .. }));
        let entries = self.workers().await?;
        let candidates = entries.iter().map(|(worker, entry)| {
            let (hello, heartbeat) = (entry.record.hello.as_ref(), entry.record.heartbeat.as_ref());
            Candidate {
                worker,
                health: entry.health(now, self.lost_after),
                seen: entry.received,
                serves: hello.is_some_and(|hello| queue.is_some_and(|queue| hello.queues.contains_key(queue))),
                knows: hello.is_some_and(|hello| kind.is_none_or(|kind| hello.kinds.contains(kind))),
                slots: hello.map(|hello| hello.slots).unwrap_or_default(),
                busy: heartbeat.map(|heartbeat| heartbeat.busy).unwrap_or_default(),
                running: heartbeat.map(|heartbeat| heartbeat.running.as_slice()).unwrap_or_default(),
            }
        });
        let queued = queue.and_then(|queue| counts.queues().get(&(queue.clone(), TaskState::Queued)).copied());
        let judged = waiting::judge(&Situation {
            now,
            standing: record.standing(),
            state: record.state(),
            queue,
            kind,
            after: self.after(record).await?,
            order_key,
            deadline: record.submission.as_ref().and_then(|submission| submission.deadline),
            ahead,
            service_rate: flow.map(|flow| flow.service).unwrap_or_default(),
            queued: queued.unwrap_or_default(),
            ready: depth.as_ref().map(|depth| depth.ready),
            consumers: depth.as_ref().map(|depth| depth.consumers),
            pause: pause.map(|order| Pause { by: &order.by, at: order.at }),
            workers: candidates.filter(|candidate| candidate.health != Health::Stopped).collect(),
        });
        let reasons = judged.reasons.into_iter().map(|reason| ReasonView {
            code: reason.code.name().to_owned(),
            text: reason.text,
            since: reason.since.map(Time::from),
        });
        Ok(Waiting {
            waiting: judged.waits,
            summary: judged.summary,
            ahead,
            estimate_seconds: judged.estimate.map(|estimate| round(estimate.as_secs_f64())),
            service_rate: flow.map(|flow| flow.service),
            reasons: reasons.collect(),
            workers: judged.workers.into_iter().map(AbleView::from).collect(),
        })
    }

    // Of the tasks that it waits for those that are not over; `None` where it waits for none.
    async fn after(&self, record: &TaskRecord) -> Result<Option<Vec<TaskId>>, Failure> {
        if record.after.is_empty() || !record.attempts.is_empty() {
            return Ok(None);
        }
        let keys: Vec<_> = record.after.iter().map(|task| self.store.keys().task(task)).collect();
        let records: Vec<Option<Vec<u8>>> = self.store.shared().mget(&keys).await?;
        let is_over = |record: Option<Vec<u8>>| {
            let record = record.and_then(|record| serde_json::from_slice::<TaskRecord>(&record).ok());
            record.is_some_and(|record| record.state().is_final())
        };
        let open = record.after.iter().zip(records).filter(|(_, record)| !is_over(record.clone()));
        Ok(Some(open.map(|(task, _)| task.clone()).collect()))
    }

    // The order of a queue is that of the scores on its shelves: so many have a lower one.
    async fn ahead(
        &self,
        record: &TaskRecord,
        queue: Option<&QueueName>,
        counts: &Counts,
    ) -> Result<Option<u64>, Failure> {
        let (Some(queue), Some(about), TaskState::Queued) = (queue, record.about(), record.state()) else {
            return Ok(None);
        };
        let own = score(TaskState::Queued, about.priority, record.since());
        let mut counting = ::redis::pipe();
        for shelf in counts.shelves(&[TaskState::Queued], Some(queue), None) {
            counting.zcount(shelf.key(self.store.keys()), "-inf", format!("({own}"));
        }
        let numbers: Vec<u64> = counting.query_async(&mut self.store.shared()).await?;
        Ok(Some(numbers.into_iter().sum()))
    }

    async fn depth(&self, queue: Option<&QueueName>) -> Result<Option<Depth>, Failure> {
        let Some(queue) = queue else { return Ok(None) };
        let [tasks, ..] = fields(queue);
        let stored: Option<Vec<u8>> = self.store.shared().hget(self.store.keys().queues(), tasks).await?;
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()))
    }
}
