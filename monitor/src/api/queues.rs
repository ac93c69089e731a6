//! `/api/queues`: the queues, as the broker and the projection see them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use futures::future::try_join_all;
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{
    QueueName, TaskState, Timestamp,
    command::{Command, Order, Target},
};
use warren_runtime::{clock, redis::Keys};

use super::{View, failure::Failure, order::Asked, rates::Present, time::Time};
use crate::{
    index::{Counts, Direction, Walk},
    queues::{Depth, UNROUTABLE, fields, lanes},
};

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
    /// Its tasks with an order key that no worker holds yet, by the broker's word.
    pub in_order: Option<u32>,
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
    /// Since when the oldest of its tasks waits that may start.
    pub oldest: Option<Time>,
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
    Ok(Json(view.queues(&present, &Counts::load(&view.store).await?).await?))
}

impl View {
    /// What is known of the queues.
    pub(super) async fn queues(&self, present: &Present, counts: &Counts) -> Result<Queues, Failure> {
        let (mut connection, keys) = (self.store.shared(), self.store.keys());
        let oldest = self.oldest(counts).await?;
        let depths: BTreeMap<String, Vec<u8>> = connection.hgetall(keys.queues()).await?;
        let read = |(field, depth): (String, Vec<u8>)| Some((field, serde_json::from_slice(&depth).ok()?));
        let orders = self.orders().await?;
        Ok(describe(counts, &depths.into_iter().filter_map(read).collect(), present, &oldest, &orders))
    }

    /// Whether the broker or the log has told of a queue.
    pub(super) async fn knows(&self, queue: &QueueName) -> Result<bool, Failure> {
        let [tasks, ..] = fields(queue);
        let by_the_broker: bool = self.store.shared().hexists(self.store.keys().queues(), tasks).await?;
        let counts = Counts::load(&self.store).await?;
        Ok(by_the_broker || counts.shelves(&TaskState::ALL, Some(queue), None).next().is_some())
    }

    /// The latest orders about queues and workers, by [`Keys::order_field`].
    pub(super) async fn orders(&self) -> Result<BTreeMap<String, Order>, Failure> {
        let stored: BTreeMap<String, Vec<u8>> = self.store.shared().hgetall(self.store.keys().orders()).await?;
        let read = |(field, order): (String, Vec<u8>)| Some((field, serde_json::from_slice(&order).ok()?));
        Ok(stored.into_iter().filter_map(read).collect())
    }

    // Since when the oldest task waits in each queue.
    async fn oldest(&self, counts: &Counts) -> Result<BTreeMap<QueueName, Timestamp>, Failure> {
        let mut lanes = BTreeMap::<_, Vec<_>>::new();
        for shelf in counts.shelves(&[TaskState::Queued], None, None) {
            if let Some(queue) = &shelf.queue {
                lanes.entry(queue.clone()).or_default().extend(shelf.lanes(self.store.keys(), None));
            }
        }
        let first = lanes.into_iter().map(|(queue, lanes)| async {
            let first = Walk::new(&self.store, Direction::Oldest, lanes).next(1).await?;
            Ok::<_, Failure>(first.into_iter().next().map(|(position, _)| (queue, position.at)))
        });
        Ok(try_join_all(first).await?.into_iter().flatten().collect())
    }
}

fn describe(
    counts: &Counts,
    depths: &BTreeMap<String, Depth>,
    present: &Present,
    oldest: &BTreeMap<QueueName, Timestamp>,
    orders: &BTreeMap<String, Order>,
) -> Queues {
    let mut states = BTreeMap::<QueueName, States>::new();
    let named = depths.keys().filter_map(|field| QueueName::parse(field.strip_prefix("q.")?).ok());
    states.extend(named.map(|queue| (queue, States::default())));
    for ((queue, state), number) in counts.queues() {
        *states.entry(queue).or_default().of(state) = number;
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
            in_order: lanes(&queue).filter_map(|lane| ready(&lane)).reduce(|all, lane| all + lane),
            asked: depths.get(&tasks).map(|depth| depth.at.into()),
            states,
            running: states.running,
            arrival_rate: flow.arrival,
            service_rate: flow.service,
            drain_seconds: flow.drains(states.queued),
            paused: paused.filter(|order| matches!(order.command, Command::Pause { .. })).map(Asked::from),
            oldest: oldest.get(&queue).copied().map(Time::from),
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
        let depths = [
            ("q.mail", 7),
            ("dead.mail", 1),
            ("lane.mail.0", 2),
            ("lane.mail.7", 3),
            ("delay.03", 4),
            ("unroutable", 5),
        ];
        let depths = depths.map(|(field, ready)| (field.to_owned(), depth(ready))).into();
        let counts = [("mail/queued/5", 4), ("mail/queued/7", 2), ("gone/dead/7", 2), ("old/queued/7", 0), ("what", 1)];
        let counts = Counts::read(&counts.map(|(field, number)| (field.to_owned(), number)));
        let (id, by) = (OrderId::parse("o").unwrap(), Operator::parse("ann").unwrap());
        let command = Command::Pause { queue: QueueName::parse("mail").unwrap() };
        let pause = Order { id, at: Timestamp::default(), by, reason: None, command };
        let orders = [("queue:mail".to_owned(), pause)].into();
        let queues = describe(&counts, &depths, &Present::default(), &BTreeMap::new(), &orders);
        let names: Vec<_> = queues.queues.iter().map(|queue| queue.queue.as_str()).collect();
        assert_eq!(names, ["gone", "mail"]);
        let mail = &queues.queues[1];
        assert_eq!((mail.ready, mail.consumers, mail.dead, mail.states.queued), (Some(7), Some(2), Some(1), 6));
        assert_eq!((mail.in_order, queues.queues[0].in_order), (Some(5), None));
        assert_eq!(mail.paused.as_ref().unwrap().by, "ann");
        assert!(queues.queues[0].paused.is_none());
        assert_eq!((queues.queues[0].ready, queues.unroutable, queues.delay["03"]), (None, 5, 4));
    }
}
