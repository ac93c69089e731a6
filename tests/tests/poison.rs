//! A task that kills every worker that runs it, in the middle of a pool under load.

use std::time::Duration;

use warren_tests::{Stage, fault::Fault, ledger, stage::Size};

#[tokio::test]
async fn poison_kills_three_workers_and_no_more_where_the_next_is_there_at_once() {
    let mut stage = Stage::set(Size { monitors: 1, producers: 1, ..Size::default() }).await;
    stage.flow(50).await;
    Fault::Poison.strike(&mut stage, 1).await;
    stage.tend_for(Duration::from_secs(8)).await;
    stage.flow(50).await;
    let balance = stage.balance().await;
    balance.assert_even();
    let runs = &ledger::executions(stage.ledger())["poison-1"];
    assert_eq!(runs[&1].len(), 3, "{runs:?}");
    assert_eq!(runs.len(), 1, "a crash costs no attempt: {runs:?}");
    // What ran beside it was broken off and ran again, at no attempt's cost.
    let failed = |id: &str| balance.duplicates.iter().filter(|duplicate| duplicate.task == id).count();
    assert!(balance.duplicates.iter().all(|duplicate| failed(&duplicate.task) <= 3), "{:?}", balance.duplicates);
}
