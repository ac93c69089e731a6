//! What the projection is worth when its store or its log is lost: it is built anew, and says the same.

use std::time::Duration;

use warren_tests::{
    Broker, Stage,
    broker::message,
    ledger::Ledger,
    pool::Service,
    projection::{miscounts, tasks},
    stage::Size,
    until,
};

const RECOVERY: Duration = Duration::from_secs(30);

async fn hand_in_by_the_tap(stage: &Stage, name: &str, count: usize) {
    let broker = Broker::at(stage.stand.amqp()).await;
    let confirmed = Ledger::open(&stage.books.confirmed).expect("the ledger can be opened");
    for n in 0..count {
        let id = format!("{name}-{n}");
        broker.publish(&stage.pool.names().tasks(), "default", message("ledger", &id), b"{}").await;
        confirmed.write(&id).expect("the ledger takes a line");
    }
}

async fn assert_equal(one: &Service, other: &Service) {
    let (first, second) = (tasks(one).await, tasks(other).await);
    for (id, task) in &first {
        assert_eq!(Some(task), second.get(id), "what was lost and built anew differs");
    }
    assert_eq!(first.len(), second.len(), "the one knows tasks that the other does not");
    // The lists leave the timelines out.
    for id in first.keys().step_by((first.len() / 200).max(1)) {
        let path = format!("/api/tasks/{id}");
        assert_eq!(one.get(&path).await, other.get(&path).await);
    }
}

#[tokio::test]
async fn a_projection_that_was_flushed_under_load_equals_one_that_never_lost_anything() {
    let mut stage = Stage::set(Size { workers: 2, monitors: 1, producers: 2, rate: 40 }).await;
    // Another projection of the same log, in another database.
    let elsewhere = format!("{}/1", stage.stand.redis().strip_suffix("/0").expect("database 0"));
    let flushed = stage.pool.start("warren-monitor", &[], &[("WARREN_REDIS__URL", elsewhere)]).await;
    hand_in_by_the_tap(&stage, "before", 30).await;
    stage.flow(150).await;
    until("there is something to lose", RECOVERY, async || {
        let overview = flushed.get("/api/overview").await?;
        if overview["states"]["succeeded"].as_u64() > Some(100) { Ok(()) } else { Err(overview.to_string()) }
    })
    .await;
    drop(stage.stand.redis_command_in(1, &["FLUSHDB"]).await);
    hand_in_by_the_tap(&stage, "after", 30).await;
    stage.flow(100).await;
    stage.balance().await.assert_even();
    let kept = &stage.monitors[0];
    let states = async |monitor: &Service| Ok::<_, String>(monitor.get("/api/overview").await?["states"].clone());
    until("both have come to the end of the log", RECOVERY, async || {
        let both = (states(kept).await?, states(&flushed).await?);
        if both.0 == both.1 { Ok(()) } else { Err(format!("{both:?}")) }
    })
    .await;
    assert_equal(kept, &flushed).await;
    assert_eq!((miscounts(kept).await, miscounts(&flushed).await), (vec![], vec![]));
}

#[tokio::test]
async fn a_log_that_is_replaced_by_a_younger_one_is_noticed_and_read() {
    let mut stage = Stage::set(Size { workers: 1, monitors: 1, producers: 1, rate: 40 }).await;
    let log = stage.pool.names().log();
    stage.flow(100).await;
    // The first is shorter than what was read of its predecessor, the second longer.
    for count in [20, 150] {
        stage.hush().await;
        stage.rest().await;
        stage.monitors.remove(0).process.kill();
        Broker::at(stage.stand.amqp()).await.delete(&log).await;
        // Every process declares what it needs when it connects.
        stage.stand.close_connections().await;
        let broker = Broker::at(stage.stand.amqp()).await;
        until("the log is there again", RECOVERY, async || broker.depth(&log).await.ok_or("no log")).await;
        stage.produce();
        stage.flow(count).await;
        stage.add_monitor();
        stage.ready(RECOVERY).await;
        until("the monitor says that the log is another", RECOVERY, async || {
            let said = stage.monitors[0].process.output();
            if said.contains("the event log is not the one") { Ok(()) } else { Err("not a word") }
        })
        .await;
    }
    stage.flow(20).await;
    stage.balance().await.assert_even();
    assert_eq!(miscounts(&stage.monitors[0]).await, [""; 0]);
}
