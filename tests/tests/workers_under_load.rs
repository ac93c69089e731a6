//! Workers that die again and again under load: what that costs, by the books.

use std::time::Duration;

use warren_tests::{
    Stage,
    books::Duplicate,
    fault::Fault,
    ledger,
    stage::{Size, red},
};

// An acknowledgement is under way for less than this after the work is done, and a start on its way to the record.
const JUST: u64 = 1_000;

async fn stage() -> Stage {
    Stage::set(Size { monitors: 1, producers: 1, rate: 40, ..Size::default() }).await
}

// A second execution is owed to a death: the first did not come to its end, or its acknowledgement did not.
fn is_near(duplicate: &Duplicate, deaths: &[u64]) -> bool {
    duplicate.done.is_none_or(|done| deaths.iter().any(|death| (done..done + JUST).contains(death)))
}

#[tokio::test]
async fn ten_workers_killed_in_a_row_and_all_at_once_while_they_drain_lose_nothing() {
    let mut stage = stage().await;
    let mut deaths = Vec::new();
    for n in 0..10 {
        stage.flow(15).await;
        Fault::WorkerKilled.strike(&mut stage, n).await;
        deaths.push(ledger::now());
    }
    stage.ready(Duration::from_secs(20)).await;
    for worker in &stage.workers {
        worker.process.terminate();
    }
    for worker in &stage.workers {
        red(worker, Duration::from_secs(5)).await;
    }
    for worker in &mut stage.workers {
        worker.process.kill();
    }
    deaths.push(ledger::now());
    stage.flow(40).await;
    let balance = stage.balance().await;
    eprintln!("{} confirmed, {} dead, {} duplicates", balance.confirmed, balance.dead, balance.duplicates.len());
    balance.assert_even();
    for duplicate in &balance.duplicates {
        assert!(is_near(duplicate, &deaths), "{duplicate:?} without a death, they were at {deaths:?}");
    }
}

#[tokio::test]
async fn all_connections_closed_under_load_cost_a_second_run_only_of_what_had_just_begun() {
    let mut stage = stage().await;
    stage.flow(60).await;
    let begun = ledger::now();
    stage.stand.close_connections().await;
    let ended = ledger::now();
    stage.ready(Duration::from_secs(20)).await;
    stage.flow(60).await;
    let balance = stage.balance().await;
    eprintln!("{} confirmed, {} dead, {} duplicates", balance.confirmed, balance.dead, balance.duplicates.len());
    balance.assert_even();
    for Duplicate { task, first, .. } in &balance.duplicates {
        assert!((begun - JUST..ended + JUST).contains(first), "{task} began at {first}, not just before {ended}");
    }
}
