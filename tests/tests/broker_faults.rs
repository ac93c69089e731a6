//! What each fault of the broker costs, alone: never a task, and work twice only where the fault explains it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use warren_tests::{
    Stage,
    fault::Fault,
    http, ledger,
    pool::Service,
    stage::{Size, red},
    until,
    wait::unhurried,
};

const SIZE: Size = Size { workers: 2, monitors: 1, producers: 1, rate: 60 };
const FLOW: usize = 150;
// Of each worker: its slots, and as many that wait for the confirm of their outcome.
const IN_FLIGHT: usize = 4 + 4;
// A silent peer is noticed after two heartbeats of 2 s; the rest is for a loaded machine.
const NOTICED: Duration = Duration::from_secs(7);
const BACK: Duration = Duration::from_secs(5);

async fn alone(fault: Fault) {
    let mut stage = Stage::set(SIZE).await;
    stage.flow(FLOW).await;
    let from = ledger::now();
    let struck = fault.strike(&mut stage, 0).await;
    hold(fault, &mut stage).await;
    struck.mend(&mut stage).await;
    let mended = ledger::now();
    stage.ready(unhurried(BACK)).await;
    let back = ledger::now();
    stage.flow(FLOW).await;
    let balance = stage.balance().await;
    let (duplicates, most) = (&balance.duplicates, most(fault));
    eprintln!(
        "{}: {} confirmed, 0 missing, {} ran twice ({} after their end), ready {} ms after the return",
        fault.name(),
        balance.confirmed,
        duplicates.len(),
        duplicates.iter().filter(|duplicate| duplicate.done.is_some()).count(),
        back - mended
    );
    balance.assert_even();
    assert!(duplicates.len() <= most, "{} ran twice, {most} at most are explained: {duplicates:?}", duplicates.len());
    let known: Vec<_> = duplicates.iter().filter(|duplicate| duplicate.was_known(&[(from, back)])).collect();
    assert!(known.is_empty(), "ran again though their end was on record: {known:?}");
}

// Keeps the fault in force, and looks at what the processes say of it.
async fn hold(fault: Fault, stage: &mut Stage) {
    match fault {
        _ if fault.stops_consumption() => {
            for worker in &stage.workers {
                red(worker, unhurried(NOTICED)).await;
            }
            // Long enough that they try to come back and cannot.
            stage.tend_for(Duration::from_secs(3)).await;
        }
        Fault::MemoryAlarm | Fault::DiskAlarm => blocked(stage).await,
        Fault::QueueFull => refused(stage).await,
        Fault::BrokerSlow => stage.flow(20).await,
        _ => {}
    }
}

fn most(fault: Fault) -> usize {
    match fault {
        Fault::BrokerSlow | Fault::MemoryAlarm | Fault::DiskAlarm | Fault::QueueFull => 0,
        _ => SIZE.workers * IN_FLIGHT,
    }
}

// The broker takes nothing: the workers and the gateway say so, and what was in force before does not end by it.
async fn blocked(stage: &mut Stage) {
    let patience = Duration::from_secs(20);
    for worker in &stage.workers {
        told(worker, "takes no messages at present", patience).await;
    }
    let gateway = stage.pool.launch("warren-producer", &["serve"], &[("WARREN_AMQP__CONFIRM_TIMEOUT", "1s".into())]);
    answers(&gateway, "short of memory or disk", patience).await;
    told(&gateway, "takes no messages at present", patience).await;
    // Longer than two heartbeats, which the blocked connections do not send.
    stage.tend_for(Duration::from_secs(5)).await;
}

async fn refused(stage: &mut Stage) {
    let gateway = stage.pool.gateway(&[]).await;
    answers(&gateway, "the broker refused the task", Duration::from_secs(20)).await;
    stage.tend_for(Duration::from_secs(2)).await;
}

async fn answers(gateway: &Service, what: &str, patience: Duration) {
    let task = json!({"kind": "ledger", "payload": {"ms": 500}});
    until(&format!("the gateway answers {what:?}"), patience, async || {
        let answer = http::client().post(format!("{}/tasks", gateway.url)).json(&task).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
        let is_told = status == StatusCode::SERVICE_UNAVAILABLE && text.contains(what);
        if is_told { Ok(()) } else { Err(format!("{status}: {text}")) }
    })
    .await;
}

async fn told(service: &Service, what: &str, patience: Duration) {
    until(&format!("{} says {what:?}", service.url), patience, async || match service.get("/ready").await {
        Err(said) if said.contains(what) => Ok(()),
        other => Err(other.map_or_else(|said| said, |green: Value| green.to_string())),
    })
    .await;
}

#[tokio::test]
async fn a_restart_in_good_order_loses_nothing() {
    alone(Fault::BrokerRestarted).await;
}

#[tokio::test]
async fn a_broker_killed_under_load_loses_nothing() {
    alone(Fault::BrokerKilled).await;
}

#[tokio::test]
async fn a_frozen_broker_loses_nothing() {
    alone(Fault::BrokerFrozen).await;
}

#[tokio::test]
async fn connections_closed_by_the_broker_lose_nothing() {
    alone(Fault::ConnectionsClosed).await;
}

#[tokio::test]
async fn a_cut_wire_loses_nothing() {
    alone(Fault::BrokerCut).await;
}

#[tokio::test]
async fn a_half_open_wire_is_noticed_and_loses_nothing() {
    alone(Fault::BrokerHalfOpen).await;
}

#[tokio::test]
async fn a_slow_wire_loses_nothing_and_repeats_nothing() {
    alone(Fault::BrokerSlow).await;
}

#[tokio::test]
async fn a_memory_alarm_is_told_and_loses_and_repeats_nothing() {
    alone(Fault::MemoryAlarm).await;
}

#[tokio::test]
async fn a_disk_alarm_is_told_and_loses_and_repeats_nothing() {
    alone(Fault::DiskAlarm).await;
}

#[tokio::test]
async fn a_full_queue_refuses_tasks_and_swallows_none() {
    alone(Fault::QueueFull).await;
}
