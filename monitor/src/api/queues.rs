//! `/api/queues`: the queues, as the broker and the projection see them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{
    QueueName, TaskState,
    command::{Command, Order, Target},
};
use warren_runtime::{clock, redis::Keys};

use super::{View, failure::Failure, order::Asked, rates::Present, time::Time};
use crate::queues::{Depth, UNROUTABLE, fields};

/// All queues.
#[expect(clippy::struct_field_names, reason = "the field is what the API calls it")]
#[derive(Debug, Serialize, ToSchema)]
pub struct Queues {
    /// The queues of tasks.
    pub queues: Vec<QueueView>,
    /// Messages that wait for their time, by level of the delay ladder.
    pub delay: BTreeMap<String, u32>,
    /// Messages that no queue took.
    pub unroutable: u32,
    /// Copies of foreign submissions that were not taken in yet.
    pub tap: u32,
}

/// A queue of tasks. What the broker says is null while it has not been asked, or has no such queue.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Messages that wait to be taken, by the broker's word.
    pub ready: Option<u32>,
    /// Its consumers, by the broker's word.
    pub consumers: Option<u32>,
    /// Its dead letters, by the broker's word.
    pub dead: Option<u32>,
    /// Its tasks that may have killed a worker, by the broker's word.
    pub suspect: Option<u32>,
    /// When the broker was asked.
    pub asked: Option<Time>,
    /// Its tasks by state, by the log's word.
    pub states: States,
    /// Its tasks that run.
    pub running: u64,
    /// Tasks a second that come into it, at first or after a wait, over the last minute.
    pub arrival_rate: f64,
    /// Tasks a second that are taken from it, over the last minute.
    pub service_rate: f64,
    /// How long until it is empty, if all goes on as it does; null if it does not drain.
    pub drain_seconds: Option<f64>,
    /// Who has paused it; null while workers take from it.
    pub paused: Option<Asked>,
}

/// Numbers of tasks by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct States {
    /// May start as soon as a slot is free.
    pub queued: u64,
    /// Wait for their time.
    pub delayed: u64,
    /// Run.
    pub running: u64,
    /// Did what was asked.
    pub succeeded: u64,
    /// Nothing is left to try.
    pub dead: u64,
    /// Stopped because somebody wished so.
    pub cancelled: u64,
    /// Not started within their time.
    pub expired: u64,
}

impl States {
    /// The number of a state.
    pub fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Queued => &mut self.queued,
            TaskState::Delayed => &mut self.delayed,
            TaskState::Running => &mut self.running,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Dead => &mut self.dead,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Expired => &mut self.expired,
        }
    }
}

/// All queues.
#[utoipa::path(
    get,
    path = "/api/queues",
    responses((status = 200, description = "What is known", body = Queues), (status = 503, description = "Redis does not answer"))
)]
pub async fn queues(State(view): State<View>) -> Result<Json<Queues>, Failure> {
    let present = view.present(clock::now()).await?;
    Ok(Json(view.queues(&present).await?))
}

impl View {
    /// What is known of the queues.
    pub(super) async fn queues(&self, present: &Present) -> Result<Queues, Failure> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let counts: BTreeMap<String, i64> = connection.hgetall(keys.counts()).await?;
        let depths: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.queues()).await?;
        let read = |(field, depth): (String, Vec<u8>)| Some((field, serde_json::from_slice(&depth).ok()?));
        let orders = self.orders().await?;
        Ok(describe(&counts, &depths.into_iter().filter_map(read).collect(), present, &orders))
    }

    /// The latest orders about queues and workers, by [`Keys::order_field`].
    pub(super) async fn orders(&self) -> Result<BTreeMap<String, Order>, Failure> {
        let stored: BTreeMap<String, Vec<u8>> = self.store.shared().hgetall(self.store.keys().orders()).await?;
        let read = |(field, order): (String, Vec<u8>)| Some((field, serde_json::from_slice(&order).ok()?));
        Ok(stored.into_iter().filter_map(read).collect())
    }
}

fn describe(
    counts: &BTreeMap<String, i64>,
    depths: &BTreeMap<String, Depth>,
    present: &Present,
    orders: &BTreeMap<String, Order>,
) -> Queues {
    let mut states = BTreeMap::<QueueName, States>::new();
    let named = depths.keys().filter_map(|field| QueueName::parse(field.strip_prefix("q.")?).ok());
    states.extend(named.map(|queue| (queue, States::default())));
    for (field, number) in counts {
        if let Some((queue, state)) = Keys::read_count_field(field).filter(|_| *number > 0) {
            *states.entry(queue).or_default().of(state) = number.unsigned_abs();
        }
    }
    let ready = |field: &str| depths.get(field).map(|depth| depth.ready);
    let queue = |(queue, states): (QueueName, States)| {
        let [tasks, dead, suspect] = fields(&queue);
        let flow = present.flow(&queue);
        let paused = orders.get(&Keys::order_field(&Target::Queue(queue.clone())));
        QueueView {
            queue: queue.to_string(),
            ready: ready(&tasks),
            consumers: depths.get(&tasks).map(|depth| depth.consumers),
            dead: ready(&dead),
            suspect: ready(&suspect),
            asked: depths.get(&tasks).map(|depth| depth.at.into()),
            states,
            running: states.running,
            arrival_rate: flow.arrival,
            service_rate: flow.service,
            drain_seconds: flow.drains(states.queued),
            paused: paused.filter(|order| matches!(order.command, Command::Pause { .. })).map(Asked::from),
        }
    };
    let level = |(field, depth): (&String, &Depth)| Some((field.strip_prefix("delay.")?.to_owned(), depth.ready));
    Queues {
        queues: states.into_iter().map(queue).collect(),
        delay: depths.iter().filter_map(level).collect(),
        unroutable: ready(UNROUTABLE).unwrap_or_default(),
        tap: ready("tap").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use warren_core::{Operator, OrderId, Timestamp};

    use super::*;

    #[test]
    fn a_queue_is_known_from_the_broker_or_from_the_log() {
        let depth = |ready| Depth { ready, consumers: 2, at: Timestamp::default() };
        let depths = [("q.mail", 7), ("dead.mail", 1), ("delay.03", 4), ("unroutable", 5)];
        let depths = depths.map(|(field, ready)| (field.to_owned(), depth(ready))).into();
        let counts = [("mail/queued", 6), ("gone/dead", 2), ("old/queued", 0), ("what", 1)];
        let counts = counts.map(|(field, number)| (field.to_owned(), number)).into();
        let (id, by) = (OrderId::parse("o").unwrap(), Operator::parse("ann").unwrap());
        let command = Command::Pause { queue: QueueName::parse("mail").unwrap() };
        let pause = Order { id, at: Timestamp::default(), by, reason: None, command };
        let queues = describe(&counts, &depths, &Present::default(), &[("queue:mail".to_owned(), pause)].into());
        let names: Vec<_> = queues.queues.iter().map(|queue| queue.queue.as_str()).collect();
        assert_eq!(names, ["gone", "mail"]);
        let mail = &queues.queues[1];
        assert_eq!((mail.ready, mail.consumers, mail.dead, mail.states.queued), (Some(7), Some(2), Some(1), 6));
        assert_eq!(mail.paused.as_ref().unwrap().by, "ann");
        assert!(queues.queues[0].paused.is_none());
        assert_eq!((queues.queues[0].ready, queues.unroutable, queues.delay["03"]), (None, 5, 4));
    }
}
