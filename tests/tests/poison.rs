//! A task that kills every worker that runs it, in the middle of a pool under load.

use std::time::Duration;

use warren_core::{QueueName, Timestamp, ladder};
use warren_tests::{
    Broker, Stage,
    books::{Balance, dead_letters},
    fault::Fault,
    ledger,
    stage::Size,
    until,
};

const TASK: &str = "poison-1";
const CRASHES: usize = 3;
const PATIENCE: Duration = Duration::from_mins(1);

async fn stage() -> Stage {
    let mut stage = Stage::set(Size { monitors: 1, producers: 1, ..Size::default() }).await;
    stage.flow(50).await;
    stage
}

fn deaths(stage: &Stage) -> usize {
    ledger::executions(stage.ledger()).get(TASK).map_or(0, |runs| runs.values().map(Vec::len).sum())
}

// Tends the pool until the poison lies among the dead letters, and tells of every death on the way.
async fn put_aside(stage: &mut Stage, mut on_death: impl AsyncFnMut(&mut Stage)) {
    let dead = stage.pool.names().dead(&QueueName::default());
    let broker = Broker::at(stage.stand.amqp()).await;
    let (begun, mut seen) = (std::time::Instant::now(), 0);
    loop {
        stage.tend_for(Duration::from_millis(100)).await;
        let now = deaths(stage);
        if now > seen {
            seen = now;
            on_death(stage).await;
        }
        if let Some(reason) = dead_letters(&broker, &dead).await.get(TASK) {
            assert_eq!(reason, "poison");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it is not put aside after {now} deaths");
    }
}

// How many attempts a task of `ledger-producer` has, by its number, if none is lost.
fn attempts(id: &str) -> usize {
    let number: u32 = id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
    match number % 100 {
        23 | 43 | 63 => 2,
        31 => 3,
        _ => 1,
    }
}

async fn settle(stage: &mut Stage) -> Balance {
    stage.flow(50).await;
    let balance = stage.balance().await;
    balance.assert_even();
    for (id, runs) in &ledger::executions(stage.ledger()) {
        let own = if id == TASK { 1 } else { attempts(id) };
        assert_eq!(runs.len(), own, "a crash costs no attempt, whoever it was: {id}, {runs:?}");
    }
    balance
}

#[tokio::test]
async fn poison_kills_three_workers_and_no_more_where_the_next_is_there_at_once() {
    let mut stage = stage().await;
    Fault::Poison.strike(&mut stage, 1).await;
    put_aside(&mut stage, async |_| {}).await;
    let balance = settle(&mut stage).await;
    assert_eq!(deaths(&stage), CRASHES);
    // What ran beside it was broken off and ran again, at no attempt's cost.
    let failed = |id: &str| balance.duplicates.iter().filter(|duplicate| duplicate.task == id).count();
    assert!(balance.duplicates.iter().all(|one| failed(&one.task) <= CRASHES), "{:?}", balance.duplicates);
}

#[tokio::test]
async fn poison_kills_three_workers_and_no_more_where_redis_is_down_all_the_time() {
    let mut stage = stage().await;
    stage.stand.stop_redis().await;
    Fault::Poison.strike(&mut stage, 1).await;
    put_aside(&mut stage, async |_| {}).await;
    assert_eq!(deaths(&stage), CRASHES);
    stage.flow(50).await;
    stage.stand.restore_redis().await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn poison_kills_three_workers_and_no_more_where_redis_is_flushed_at_each_death() {
    let mut stage = stage().await;
    Fault::Poison.strike(&mut stage, 1).await;
    put_aside(&mut stage, async |stage| drop(stage.stand.redis_command(&["FLUSHALL"]).await)).await;
    settle(&mut stage).await;
    assert_eq!(deaths(&stage), CRASHES);
}

// Theirs broke for a reason of their own, before they took anything: it says nothing about the others' connections.
#[tokio::test]
async fn poison_kills_three_workers_and_no_more_whose_first_session_came_to_nothing() {
    let mut stage = Stage::set(Size { monitors: 1, producers: 0, ..Size::default() }).await;
    let (broker, commands) = (Broker::at(stage.stand.amqp()).await, stage.pool.names().commands());
    broker.delete(&commands).await;
    broker.declare(&commands).await;
    stage.workers.iter_mut().for_each(|worker| worker.process.kill());
    stage.tend();
    for worker in &stage.workers {
        until("its first session has ended", PATIENCE, async || {
            let output = worker.process.output();
            output.contains("the session with the broker has ended").then_some(()).ok_or(output)
        })
        .await;
    }
    broker.delete(&commands).await;
    stage.stand.stop_redis().await;
    Fault::Poison.strike(&mut stage, 1).await;
    put_aside(&mut stage, async |_| {}).await;
    assert_eq!(deaths(&stage), CRASHES);
}

// The second death is on record when its delivery is put off, and cannot be asked for when it comes back.
#[tokio::test]
async fn poison_kills_three_workers_and_no_more_where_redis_goes_while_it_rests() {
    // Nothing else is on the ladder.
    let mut stage = Stage::set(Size { monitors: 1, producers: 0, ..Size::default() }).await;
    let stay = ladder::next_stay(Timestamp::default(), Timestamp::from_millis(3_200)).expect("a stay");
    let resting = format!("{}\t1", stage.pool.names().delay(stay.level));
    Fault::Poison.strike(&mut stage, 1).await;
    put_aside(&mut stage, async |stage| {
        let columns = ["list_queues", "--quiet", "--no-table-headers", "name", "messages_unacknowledged"];
        while deaths(stage) == 2 {
            if stage.stand.control(&columns).await.lines().any(|line| line == resting) {
                stage.stand.stop_redis().await;
                break;
            }
        }
    })
    .await;
    assert_eq!(deaths(&stage), CRASHES);
}
