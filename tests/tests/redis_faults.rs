//! What the faults of Redis cost: nothing. Tasks run all the same, each once, and the projection catches up.

use std::time::{Duration, Instant};

use warren_core::TaskState;
use warren_tests::{Stage, Stand, fault::Fault, stage::Size, until};

const SIZE: Size = Size { workers: 2, monitors: 2, producers: 2, rate: 25 };
// The lease is given back or runs out, the connections are made anew, and what was missed is read.
const RECOVERY: Duration = Duration::from_secs(30);

// Breaks it for this long, and for as long as it takes for tasks to be handed in and to run.
async fn endure(stage: &mut Stage, fault: Fault, hold: Duration) {
    let struck = fault.strike(stage, 0).await;
    work_on(stage, fault.name(), hold).await;
    struck.mend(stage).await;
    let begun = Instant::now();
    stage.ready(RECOVERY).await;
    eprintln!("{}: all ready again after {:?}", fault.name(), begun.elapsed());
}

// Nothing of the pool may end because of Redis, and no worker may even say that it is not ready.
async fn work_on(stage: &mut Stage, what: &str, hold: Duration) {
    let flow = async |stage: &Stage| (stage.confirmed(), warren_tests::ledger::lines(stage.ledger()));
    let (begun, before) = (Instant::now(), flow(stage).await);
    loop {
        assert_eq!(stage.workers_ready().await, [true, true], "{what}: the workers speak to the broker alone");
        for service in stage.workers.iter_mut().chain(&mut stage.monitors) {
            assert!(!service.process.is_dead(), "{what}: a process has ended");
        }
        let now = flow(stage).await;
        if begun.elapsed() >= hold && now.0 >= before.0 + 60 && now.1 >= before.1 + 60 {
            return;
        }
        assert!(begun.elapsed() < hold + RECOVERY, "{what}: nothing flows: {before:?}, {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn settle(stage: &mut Stage) {
    let balance = stage.balance().await;
    eprintln!("{} confirmed, {} succeeded, {} dead", balance.confirmed, balance.succeeded, balance.dead);
    balance.assert_even();
    assert!(balance.duplicates.is_empty(), "no delivery comes twice for Redis's sake: {:?}", balance.duplicates);
}

#[tokio::test]
async fn a_redis_that_restarts_or_dies_holds_nothing_up_and_loses_nothing() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(50).await;
    endure(&mut stage, Fault::RedisRestarted, Duration::from_secs(2)).await;
    endure(&mut stage, Fault::RedisKilled, Duration::from_secs(2)).await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn a_redis_that_is_frozen_cut_off_or_slow_holds_nothing_up() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(50).await;
    // Longer than anybody waits for an answer.
    endure(&mut stage, Fault::RedisFrozen, Duration::from_secs(6)).await;
    endure(&mut stage, Fault::RedisCut, Duration::from_secs(2)).await;
    endure(&mut stage, Fault::RedisSlow, Duration::from_secs(4)).await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn a_redis_that_forgets_everything_or_is_full_holds_nothing_up() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(50).await;
    endure(&mut stage, Fault::RedisFlushed, Duration::from_secs(2)).await;
    endure(&mut stage, Fault::RedisFull, Duration::from_secs(4)).await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn a_pool_runs_without_redis_from_the_start_and_its_monitors_catch_up_when_it_comes() {
    let stand = Stand::start().await;
    stand.stop_redis().await;
    let mut stage = Stage::open(stand, SIZE, Vec::new()).await;
    for worker in &stage.workers {
        worker.ready().await;
    }
    stage.produce();
    work_on(&mut stage, "Redis never came", Duration::from_secs(2)).await;
    for monitor in &stage.monitors {
        assert!(monitor.get("/live").await.is_ok());
        let said = monitor.get("/ready").await.unwrap_err();
        assert!(said.contains("Redis"), "a monitor says what it waits for: {said}");
    }
    stage.stand.restore().await;
    stage.ready(RECOVERY).await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn a_full_disk_of_redis_keeps_the_monitors_at_their_place_until_there_is_room() {
    let Some(stand) = Stand::start_on_small_disk(8).await else {
        eprintln!("SKIPPED: nothing may be mounted here (it takes root), so Redis gets no disk that can be filled");
        return;
    };
    let mut stage = Stage::open(stand, SIZE, Vec::new()).await;
    stage.ready(RECOVERY).await;
    stage.produce();
    stage.flow(50).await;
    let filling = stage.stand.redis_disk().join("filling");
    // As much as there is room for: the write that fails is what is wanted.
    drop(std::fs::write(&filling, vec![1; 16 << 20]));
    until("Redis refuses to write", RECOVERY, async || {
        let status = format!("{:?}", stage.stand.redis_command(&["INFO", "persistence"]).await);
        if status.contains("aof_last_write_status:err") { Ok(()) } else { Err("it writes") }
    })
    .await;
    work_on(&mut stage, "Redis's disk is full", Duration::from_secs(3)).await;
    until("every monitor says that Redis refuses", RECOVERY, async || {
        let mut said = Vec::new();
        for monitor in &stage.monitors {
            said.push(monitor.get("/ready").await);
        }
        let refused = |said: &Result<_, String>| said.as_ref().is_err_and(|said| said.contains("MISCONF"));
        if said.iter().all(refused) { Ok(()) } else { Err(said) }
    })
    .await;
    let stays = stage.monitors[0].get("/api/overview").await.expect("what is stored can still be read");
    assert!(stays["states"][TaskState::Succeeded.name()].as_u64().is_some_and(|number| number > 0), "{stays}");
    std::fs::remove_file(&filling).expect("the filling is there");
    stage.ready(RECOVERY).await;
    settle(&mut stage).await;
}
