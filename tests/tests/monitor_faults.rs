//! What the faults of monitors cost: nothing. Another takes over, and nothing is applied twice or left out.

use std::time::Duration;

use warren_tests::{
    Stage,
    fault::Fault,
    projection::{metric, miscounts},
    stage::Size,
    until,
};

const SIZE: Size = Size { workers: 2, monitors: 2, producers: 2, rate: 40 };
// A dead leader's lease runs out after ten seconds.
const SUCCESSION: Duration = Duration::from_secs(30);

async fn leader(stage: &Stage) -> String {
    let overview = stage.overview().await.unwrap_or_default();
    overview["leader"].as_str().unwrap_or_default().to_owned()
}

// Waits until another than this one projects, and has begun to read what was missed. Tends meanwhile.
async fn successor(stage: &mut Stage, before: &str) {
    until("another monitor leads", SUCCESSION, async || {
        stage.tend();
        let now = leader(stage).await;
        if !now.is_empty() && now != before { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn gaps(stage: &Stage) -> f64 {
    let mut gaps = 0.0;
    for monitor in &stage.monitors {
        gaps += metric(monitor, "warren_monitor_log_gaps_total").await.expect("monitors count the gaps");
    }
    gaps
}

// Nothing lost, nothing applied twice, nothing left out, and nothing run for a monitor's sake.
#[expect(clippy::float_cmp, reason = "a count")]
async fn settle(stage: &mut Stage) {
    let balance = stage.balance().await;
    eprintln!("{} confirmed, {} succeeded, {} dead", balance.confirmed, balance.succeeded, balance.dead);
    balance.assert_even();
    assert!(balance.duplicates.is_empty(), "no delivery comes twice for a monitor's sake: {:?}", balance.duplicates);
    assert_eq!(miscounts(&stage.monitors[0]).await, [""; 0]);
    assert_eq!(gaps(stage).await, 0.0, "nothing is missing in the log");
}

#[tokio::test]
async fn monitors_killed_in_the_middle_of_their_batches_apply_everything_once() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(100).await;
    // Each successor dies as soon as it reads the backlog of its predecessor: in its largest batches.
    for _ in 0..3 {
        let before = leader(&stage).await;
        Fault::MonitorKilled.strike(&mut stage, 0).await;
        successor(&mut stage, &before).await;
    }
    settle(&mut stage).await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_past_its_lease_applies_nothing_late() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(100).await;
    let before = leader(&stage).await;
    // A frozen one answers nothing, so the other is asked.
    let other = 1 - stage.leader().await.expect("a leader");
    let struck = Fault::MonitorFrozen.strike(&mut stage, 0).await;
    until("the other leads", SUCCESSION, async || {
        let overview = stage.monitors[other].get("/api/overview").await?;
        let leader = overview["leader"].as_str().unwrap_or_default();
        if leader == before || leader.is_empty() { Err(leader.to_owned()) } else { Ok(()) }
    })
    .await;
    stage.flow(100).await;
    struck.mend(&mut stage).await;
    stage.flow(100).await;
    settle(&mut stage).await;
}

#[tokio::test]
async fn monitors_that_were_away_and_race_on_an_empty_redis_catch_up_without_a_gap() {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(100).await;
    for flush in [false, true] {
        for monitor in &mut stage.monitors {
            monitor.process.kill();
        }
        stage.monitors.clear();
        if flush {
            drop(stage.stand.redis_command(&["FLUSHALL"]).await);
        }
        stage.flow(150).await;
        // Both at once.
        stage.add_monitor();
        stage.add_monitor();
        stage.ready(SUCCESSION).await;
    }
    settle(&mut stage).await;
}
