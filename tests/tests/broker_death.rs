//! What the death of the broker costs.

use std::time::Duration;

use warren_tests::{
    Stage,
    fault::Fault,
    stage::{Size, red},
};

#[tokio::test]
async fn a_broker_killed_under_load_loses_nothing() {
    let mut stage = Stage::set(Size::default()).await;
    stage.flow(200).await;
    let struck = Fault::BrokerKilled.strike(&mut stage, 0).await;
    for worker in &stage.workers {
        red(worker, Duration::from_secs(5)).await;
    }
    struck.mend(&mut stage).await;
    stage.ready(Duration::from_secs(5)).await;
    stage.flow(200).await;
    let balance = stage.balance().await;
    eprintln!("{balance:?}");
    balance.assert_even();
}
