//! Hands tasks of kind `ledger` in, and writes each id down in the file `LEDGER` once it is confirmed.
//!
//! `RATE` tasks a second, for ever or `COUNT` of them; each id begins with `NAME`. Of a hundred tasks some
//! take longer, some are delayed, some are in order, some fail first, and one is hopeless, by the number of the task.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use futures::{StreamExt, future::ready, stream};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use warren_core::TaskId;
use warren_producer::{Config, Error, NewTask, Producer};
use warren_tests::ledger::Ledger;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path: PathBuf = variable("LEDGER")?.into();
    let ledger = Ledger::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let (rate, name): (u32, _) = (variable("RATE")?.parse().context("RATE")?, variable("NAME")?);
    let count: u64 = std::env::var("COUNT").map_or(Ok(u64::MAX), |text| text.parse()).context("COUNT")?;
    let config = Config::load(None, Vec::new())?;
    let producer = Producer::start(&config, None);
    let mut tick = interval(Duration::from_secs(1) / rate.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let ticks = stream::unfold((tick, 0), |(mut tick, number)| async move {
        tick.tick().await;
        (number < count).then_some((number, (tick, number + 1)))
    });
    let sent = ticks.map(|number| hand_in(&producer, &name, number)).buffer_unordered(200);
    let write = sent.for_each(|id| {
        if let Some(id) = id {
            ledger.write(id.as_str()).expect("the ledger takes a line");
        }
        ready(())
    });
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = write => {}
        _ = terminate.recv() => {}
    }
    producer.close().await;
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

// What is not confirmed is not tried again: then an execution too many is never the producer's doing.
async fn hand_in(producer: &Producer, name: &str, number: u64) -> Option<TaskId> {
    let handed_in = producer.enqueue(task(&format!("{name}-{number}"), number)).await;
    assert!(handed_in.as_ref().err().is_none_or(Error::is_transient), "{handed_in:?}");
    handed_in.ok()
}

fn task(id: &str, number: u64) -> NewTask {
    let priority = u8::try_from(number % 10).expect("less than ten");
    let task = NewTask::new("ledger").id(id).priority(priority).max_attempts(4);
    // Those that fail are among them.
    let task = if number % 10 == 3 { task.order_key(format!("key-{}", number / 10 % 7)) } else { task };
    match number % 100 {
        7 => task.json(&json!({"ms": 1_500})),
        17 | 57 => task.json(&json!({"ms": 400})),
        23 | 43 | 63 => task.json(&json!({"fails": 1})),
        31 => task.json(&json!({"fails": 2})),
        5 | 25 | 45 => task.json(&json!({"ms": 5})).delay(Duration::from_millis(number % 7_000)),
        99 => task.json(&json!({"hopeless": true})),
        _ => task.json(&json!({"ms": 10})),
    }
}
