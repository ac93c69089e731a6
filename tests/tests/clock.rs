//! What it costs when the clock of the workers, the monitors and the producers is set back by an hour: nothing.

use std::{path::Path, time::Duration};

use serde_json::Value;
use warren_tests::{Stage, Stand, pool::Service, projection::miscounts, servers, stage::Size, until};

const PATIENCE: Duration = Duration::from_secs(30);

// In one step: nobody may read half of it.
fn set(clock: &Path, offset: &str) {
    let next = clock.with_extension("next");
    std::fs::write(&next, offset).expect("the stand's folder takes a file");
    std::fs::rename(next, clock).expect("the clock can be set");
}

// By the clock that the monitor sees, in milliseconds since 1970.
async fn shown_time(monitor: &Service) -> i64 {
    let overview = monitor.get("/api/overview").await.expect("an overview");
    millis(&overview["at"])
}

fn millis(time: &Value) -> i64 {
    time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).expect("a time").as_millisecond()
}

// Alive, and by a heartbeat that was sent after the step.
async fn alive(monitor: &Service, workers: u64) {
    until("every worker is alive by its latest word", PATIENCE, async || {
        let overview = monitor.get("/api/overview").await?;
        let shown = monitor.get("/api/workers").await?;
        let now = millis(&overview["at"]);
        let fresh =
            |worker: &&Value| worker["health"] == "alive" && (now - millis(&worker["last_heartbeat"])).abs() < 5_000;
        let fresh = shown["workers"].as_array().expect("a list").iter().filter(fresh).count() as u64;
        if overview["workers"]["alive"] == workers && fresh == workers { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_an_hour_loses_nothing_and_holds_nothing_up() {
    let stand = Stand::start().await;
    let clock = stand.folder().join("clock");
    set(&clock, "+0");
    let mut variables = servers::faketime("FAKETIME_TIMESTAMP_FILE", clock.display().to_string());
    variables.push(("FAKETIME_NO_CACHE", "1".to_owned()));
    let size = Size { workers: 2, monitors: 2, producers: 1, rate: 40 };
    let mut stage = Stage::open(stand, size, variables).await;
    stage.ready(PATIENCE).await;
    stage.produce();
    stage.flow(200).await;
    let before = shown_time(&stage.monitors[0]).await;
    set(&clock, "-3600");
    assert!(shown_time(&stage.monitors[0]).await < before - 3_000_000, "the processes see the step");
    stage.flow(200).await;
    alive(&stage.monitors[0], 2).await;
    assert_eq!(stage.workers_ready().await, [true, true]);
    // What was waiting on the ladder must come down from it in its own time, or this would take an hour.
    let balance = stage.balance().await;
    eprintln!("{balance:?}");
    balance.assert_even();
    assert!(balance.duplicates.is_empty(), "{:?}", balance.duplicates);
    assert_eq!(miscounts(&stage.monitors[0]).await, [""; 0]);
    until("nothing is found that is not so", PATIENCE, async || {
        let findings = stage.monitors[0].get("/api/findings").await?.to_string();
        if findings.contains("stuck_attempt") || findings.contains("lost_worker") { Err(findings) } else { Ok(()) }
    })
    .await;

    // And what is lost from now on is found as ever, by whichever monitor leads.
    stage.workers.remove(0).process.kill();
    until("the lost worker is found", PATIENCE, async || {
        let findings = stage.monitors[0].get("/api/findings").await?.to_string();
        if findings.contains("lost_worker") { Ok(()) } else { Err(findings) }
    })
    .await;
}
