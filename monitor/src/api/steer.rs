//! Orders: cancel and run a task now, pause and resume a queue, drain and resume a worker.
//!
//! An order counts when the command log has confirmed it, and not before. Then it is told to the event log too, from which
//! the projection and the audit trail know of it; should that fail, the leader makes up for it.

use std::time::Duration;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use redis::AsyncCommands;
use tracing::{info, warn};
use warren_core::{
    Operator, QueueName, TaskId, WorkerId,
    command::{Command, Order, Target},
    event::Event,
    permit,
    record::TaskRecord,
    worker::Health,
};
use warren_runtime::{clock, http::Problem};

use super::{
    View,
    failure::Failure,
    order::{Accepted, ActionView},
    wish::Wish,
};
use crate::{audit::Entry, worker_entry::WorkerEntry};

const PATIENCE: Duration = Duration::from_secs(5);
const MOST_ABOUT_TASKS: usize = 100_000;

type Answer = Result<(StatusCode, Json<Accepted>), Failure>;
type Named = Result<Path<String>, PathRejection>;

/// Cancels a task. What waits will not start; what runs is asked to stop, and ended by force if it does not.
#[utoipa::path(
    post,
    path = "/api/tasks/{id}/cancel",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force", body = Accepted),
        (status = 404, description = "Nothing is known of the task"),
        (status = 409, description = "It is over, or cancelled already; the problem says which"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn cancel(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Answer {
    let (task, record) = view.known_task(id).await?;
    permit::cancel(&record)?;
    let order = cancelling(&task, &record, &Wish::read(&body)?, &by);
    view.give(order).await
}

/// Lets a delayed task start without waiting any longer.
#[utoipa::path(
    post,
    path = "/api/tasks/{id}/run-now",
    params(("id" = String, Path, description = "The task's id, percent-encoded")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force, and the task is looked for", body = Accepted),
        (status = 404, description = "Nothing is known of the task"),
        (status = 409, description = "It does not wait for a time; the problem says what it does"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn run_now(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Answer {
    let (task, record) = view.known_task(id).await?;
    permit::run_now(&record)?;
    let order = hastening(&task, &record, &Wish::read(&body)?, &by);
    view.give(order).await
}

/// Keeps every worker from taking tasks of a queue, those that start later included. What runs goes on.
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/pause",
    params(("queue" = String, Path, description = "The queue")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force", body = Accepted),
        (status = 404, description = "Nothing is known of the queue"),
        (status = 409, description = "It is paused already"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn pause(State(view): State<View>, Extension(by): Extension<Operator>, queue: Named, body: Bytes) -> Answer {
    let (queue, latest) = view.known_queue(queue).await?;
    permit::pause(latest.as_ref())?;
    let at = permit::moment(clock::now(), latest.as_ref());
    view.give(Wish::read(&body)?.order(&by, at, Command::Pause { queue })).await
}

/// Lets workers take tasks of a queue again.
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/resume",
    params(("queue" = String, Path, description = "The queue")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force", body = Accepted),
        (status = 404, description = "Nothing is known of the queue"),
        (status = 409, description = "It is not paused"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn resume(State(view): State<View>, Extension(by): Extension<Operator>, queue: Named, body: Bytes) -> Answer {
    let (queue, latest) = view.known_queue(queue).await?;
    permit::resume(latest.as_ref())?;
    let at = permit::moment(clock::now(), latest.as_ref());
    view.give(Wish::read(&body)?.order(&by, at, Command::Resume { queue })).await
}

/// Lets a worker finish what it runs and take nothing more, until it is resumed or stopped.
#[utoipa::path(
    post,
    path = "/api/workers/{id}/drain",
    params(("id" = String, Path, description = "The worker's id")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force", body = Accepted),
        (status = 404, description = "Nothing is known of the worker"),
        (status = 409, description = "It drains already, or is not there any more"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn drain(State(view): State<View>, Extension(by): Extension<Operator>, id: Named, body: Bytes) -> Answer {
    let (worker, health, latest) = view.known_worker(id).await?;
    permit::drain(health, latest.as_ref())?;
    let at = permit::moment(clock::now(), latest.as_ref());
    view.give(Wish::read(&body)?.order(&by, at, Command::Drain { worker })).await
}

/// Lets a worker that was told to drain take tasks again.
#[utoipa::path(
    post,
    path = "/api/workers/{id}/resume",
    params(("id" = String, Path, description = "The worker's id")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is in force", body = Accepted),
        (status = 404, description = "Nothing is known of the worker"),
        (status = 409, description = "It was not told to drain, or is not there any more"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn resume_worker(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    id: Named,
    body: Bytes,
) -> Answer {
    let (worker, health, latest) = view.known_worker(id).await?;
    permit::resume_worker(health, latest.as_ref())?;
    let at = permit::moment(clock::now(), latest.as_ref());
    view.give(Wish::read(&body)?.order(&by, at, Command::ResumeWorker { worker })).await
}

/// The order to cancel a task.
pub(super) fn cancelling(task: &TaskId, record: &TaskRecord, wish: &Wish, by: &Operator) -> Order {
    let at = permit::moment(clock::now(), record.orders.last());
    let until = permit::cancel_until(record, at);
    wish.order(by, at, Command::Cancel { task: task.clone(), until })
}

/// The order to let a task wait no longer.
pub(super) fn hastening(task: &TaskId, record: &TaskRecord, wish: &Wish, by: &Operator) -> Order {
    let at = permit::moment(clock::now(), record.orders.last());
    wish.order(by, at, Command::RunNow { task: task.clone() })
}

impl View {
    async fn give(&self, order: Order) -> Answer {
        let entry = Entry::of_order(&order).expect("an order of ours has a target");
        self.order(&[order]).await?;
        Ok((StatusCode::ACCEPTED, Json(Accepted { action: ActionView::from(&entry) })))
    }

    /// Puts orders in force.
    pub(super) async fn order(&self, orders: &[Order]) -> Result<(), Failure> {
        if orders.iter().any(|order| order.task().is_some()) {
            self.have_room(orders.len()).await?;
        }
        self.steering.commands.give(orders).await.map_err(|error| {
            warn!(%error, "an order is not in the command log");
            let detail = format!("the command log does not take the order: {error}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        for order in orders {
            info!(order = %order.id, by = %order.by, what = order.command.name(), "ordered");
        }
        let telling = async {
            let events: Vec<_> = orders.iter().map(|order| Event::Ordered(order.clone())).collect();
            futures::future::join_all(events.iter().map(|event| self.steering.log.record(event))).await
        };
        // The order holds all the same: whoever leads sees it in the command log, and says what is missing here.
        match tokio::time::timeout(PATIENCE, telling).await {
            Ok(told) if told.iter().all(Result::is_ok) => {}
            Ok(_) | Err(_) => warn!("an order is in force, and the event log does not know of it yet"),
        }
        Ok(())
    }

    // Every worker holds in memory what is in force.
    async fn have_room(&self, more: usize) -> Result<(), Failure> {
        let count: Option<usize> = self.store.shared().get(self.store.keys().orders_about_tasks()).await?;
        if count.unwrap_or_default() + more > MOST_ABOUT_TASKS {
            let detail =
                format!("more than {MOST_ABOUT_TASKS} orders about tasks would be in force at once: try again later");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into());
        }
        Ok(())
    }

    async fn known_task(&self, id: Named) -> Result<(TaskId, TaskRecord), Failure> {
        let Path(id) = id?;
        let task = TaskId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
        let record = self.store.task(&task).await?.ok_or_else(|| Failure::unknown("task", &id))?;
        Ok((task, record))
    }

    async fn known_queue(&self, queue: Named) -> Result<(QueueName, Option<Order>), Failure> {
        let Path(name) = queue?;
        let queue = QueueName::parse(&name).map_err(|error| Problem::field("queue", error.to_string()))?;
        let latest = self.latest(&Target::Queue(queue.clone())).await?;
        let is_known = latest.is_some() || self.knows(&queue).await?;
        if is_known { Ok((queue, latest)) } else { Err(Failure::unknown("queue", &name)) }
    }

    async fn known_worker(&self, id: Named) -> Result<(WorkerId, Health, Option<Order>), Failure> {
        let Path(id) = id?;
        let worker = WorkerId::parse(&id).map_err(|error| Problem::field("id", error.to_string()))?;
        let stored: Option<Vec<u8>> = self.store.shared().hget(self.store.keys().workers(), worker.as_str()).await?;
        let stored = stored.ok_or_else(|| Failure::unknown("worker", &id))?;
        let entry: WorkerEntry =
            serde_json::from_slice(&stored).map_err(|error| Failure::unreadable("the worker", &error))?;
        let latest = self.latest(&Target::Worker(worker.clone())).await?;
        Ok((worker, entry.health(clock::now(), self.lost_after), latest))
    }

    // The latest order about a queue or a worker.
    async fn latest(&self, target: &Target) -> Result<Option<Order>, Failure> {
        let stored: Option<Vec<u8>> = self
            .store
            .shared()
            .hget(self.store.keys().orders(), warren_runtime::redis::Keys::order_field(target))
            .await?;
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()))
    }
}
