//! What hops through the delay ladder when the broker or the forwarder dies: all of it arrives, none of it early.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use serde_json::json;
use warren_core::{QueueName, TaskState, Timestamp, ladder::Level};
use warren_producer::{Config, Error, NewTask, Producer};
use warren_runtime::{amqp, config::Secret};
use warren_tests::{
    Broker, Pool, Stand,
    books::{Books, Duplicate},
    ledger::{self, Ledger},
    pool::{PATIENCE, Service},
    stage::red,
    until,
    wait::unhurried,
};

// A forwarder carries each of them through up to six levels.
const TASKS: usize = 1_500;
// What a dead worker leaves behind at most: what it ran, and of each level what it had published and not acknowledged.
const SLOTS: usize = 4;
const HELD: usize = 50;
// Milliseconds: the first is due when the last was handed in, on a machine that is not too loaded.
const HANDING_IN: u64 = 2_000;
const SOONEST: usize = 300;
const LATEST: usize = 6_000;

// A pool whose tasks all wait on the ladder first.
struct Waiting {
    pool: Pool,
    amqp: String,
    books: Books,
    workers: Vec<Service>,
    monitor: Service,
    due: BTreeMap<String, u64>,
}

impl Waiting {
    async fn set(pool: Pool, amqp: &str) -> Self {
        let (books, monitor) = (Books::of(&pool), pool.monitor().await);
        let mut waiting = Self { pool, amqp: amqp.to_owned(), books, workers: vec![], monitor, due: BTreeMap::new() };
        // One after the other: the first holds every level.
        for _ in 0..2 {
            let worker = waiting.worker();
            worker.ready().await;
            waiting.workers.push(worker);
        }
        waiting
    }

    fn worker(&self) -> Service {
        let file = self.pool.file("worker.toml", "slots = 4\nheartbeat = '1s'\ngrace = '3s'\n");
        let ledger = self.books.executions.display().to_string();
        self.pool.launch("ledger-worker", &[], &[("WARREN_CONFIG", file), ("LEDGER", ledger)])
    }

    // Tasks that are due within the next seconds, spread as if by chance.
    async fn hand_in(&mut self, name: &str) {
        let namespace = self.pool.names().namespace().parse().expect("the name of a pool");
        let config = amqp::Config { url: Secret::new(self.amqp.clone()), ..amqp::Config::default() };
        let producer = Producer::connect(&Config { namespace, amqp: config, ..Config::default() })
            .await
            .expect("the broker answers");
        // Slower where others have taken the machine; and nothing is to be due before all is handed in.
        let from = ledger::now() + millis(unhurried(Duration::from_millis(HANDING_IN)));
        let tasks: Vec<_> = (0..TASKS).map(|n| (format!("{name}-{n}"), from + spread(n))).collect();
        let new = tasks.iter().map(|(id, due)| {
            let task = NewTask::new("ledger").id(id).eta(Timestamp::from_millis(*due)).json(&json!({"ms": 2}));
            ((), Ok::<_, Error>(task))
        });
        let confirmed: Vec<_> = producer.pipeline(stream::iter(new)).collect().await;
        let ledger = Ledger::open(&self.books.confirmed).expect("the ledger can be opened");
        for ((), id) in confirmed {
            ledger.write(id.expect("it is confirmed").as_str()).expect("the ledger takes a line");
        }
        self.due.extend(tasks);
        producer.close().await;
    }

    // Waits until all have run.
    async fn run(&self) {
        until(&format!("{} tasks have run", self.due.len()), 2 * PATIENCE, async || {
            let ran = ledger::executions(&self.books.executions).len();
            if ran == self.due.len() { Ok(()) } else { Err(ran) }
        })
        .await;
    }

    // Waits until no more than this many have yet to be due, and says how many.
    async fn on_their_way(&self, most: usize) -> usize {
        let left = || self.due.values().filter(|due| **due > ledger::now()).count();
        until("they are due", PATIENCE, async || if left() <= most { Ok(()) } else { Err(left()) }).await;
        left()
    }

    async fn ready(&self) {
        for service in self.workers.iter().chain([&self.monitor]) {
            service.ready().await;
        }
    }

    // Nothing waits any more, so nothing can run twice any more either.
    async fn rest(&self) -> Vec<Duplicate> {
        self.run().await;
        let (broker, names) = (Broker::at(&self.amqp).await, self.pool.names());
        let mut queues: Vec<_> = Level::all().take(8).map(|level| names.delay(level)).collect();
        queues.extend([self.pool.queue(), names.suspect(&QueueName::default())]);
        for queue in &queues {
            broker.holds(queue, 0).await;
        }
        self.monitor.count(TaskState::Succeeded, self.due.len() as u64).await;
        let balance = self.books.balance(&self.pool, &broker, &self.monitor).await;
        balance.assert_even();
        assert_eq!((balance.confirmed, balance.succeeded), (self.due.len(), self.due.len()));
        self.assert_none_early();
        balance.duplicates
    }

    fn assert_none_early(&self) {
        for (task, attempts) in ledger::executions(&self.books.executions) {
            let early = attempts.values().flatten().find(|execution| execution.begun < self.due[&task]);
            assert_eq!(early, None, "{task} was due at {}", self.due[&task]);
        }
    }
}

fn spread(n: usize) -> u64 {
    (SOONEST + n * 7_919 % (LATEST - SOONEST)) as u64
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a short time")
}

fn assert_allowed(duplicates: &[Duplicate], blind: &[(u64, u64)]) {
    let known: Vec<_> = duplicates.iter().filter(|duplicate| duplicate.was_known(blind)).collect();
    // Where others have taken the machine, Redis may not answer a worker within its patience: then the attempt runs.
    let moment = Duration::from_secs(1);
    let tolerated = if unhurried(moment) > moment { TASKS / 50 } else { 0 };
    assert!(known.len() <= tolerated, "{} ran again though their end was on record: {known:?}", known.len());
}

#[tokio::test]
async fn a_broker_killed_twice_while_tasks_hop_through_the_ladder_loses_none_and_none_is_early() {
    let stand = Stand::start().await;
    let amqp = format!("{}?heartbeat=2", stand.amqp());
    let mut waiting = Waiting::set(Pool::at(&amqp, stand.redis()), &amqp).await;
    let mut blind = Vec::new();
    for (round, left) in [(0, TASKS * 4 / 5), (1, TASKS / 2)] {
        waiting.hand_in(&format!("round{round}")).await;
        let on_their_way = waiting.on_their_way(left).await;
        let from = ledger::now();
        stand.kill_broker().await;
        assert!(on_their_way > TASKS / 10, "only {on_their_way} were on the ladder");
        for worker in &waiting.workers {
            red(worker, unhurried(Duration::from_secs(5))).await;
        }
        stand.restore().await;
        waiting.ready().await;
        blind.push((from, ledger::now()));
        eprintln!("round {round}: killed with {on_their_way} of {TASKS} on the ladder");
        waiting.run().await;
    }
    let duplicates = waiting.rest().await;
    let done = duplicates.iter().filter(|duplicate| duplicate.done.is_some()).count();
    eprintln!("0 of {} missing, {} ran twice, {done} of them after their end", waiting.due.len(), duplicates.len());
    assert_allowed(&duplicates, &blind);
}

#[tokio::test]
async fn a_forwarder_killed_while_tasks_hop_through_the_ladder_loses_none_and_none_is_early() {
    let mut waiting = Waiting::set(Pool::new(), &warren_tests::servers::amqp()).await;
    waiting.hand_in("round0").await;
    let on_their_way = waiting.on_their_way(TASKS * 4 / 5).await;
    waiting.workers[0].process.kill();
    waiting.workers[0] = waiting.worker();
    let duplicates = waiting.rest().await;
    eprintln!("killed with {on_their_way} of {TASKS} on the ladder: {} ran twice", duplicates.len());
    assert!(on_their_way > TASKS / 10, "only {on_their_way} were on the ladder");
    assert_allowed(&duplicates, &[]);
    assert!(duplicates.len() <= SLOTS + HELD * 6, "{duplicates:?}");
}
