//! Everything that can still be found out about a task of which the books do not balance.

use std::collections::{BTreeMap, BTreeSet};

use lapin::{
    message::Delivery,
    options::BasicGetOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;

use crate::{Broker, Stage, ledger, mixture::Aftermath};

// How far from a task's own times a fault may be to be told, in milliseconds.
const NEAR: u64 = 20_000;

/// Tells of these tasks, each in a few lines: what the ledger, the monitor and the queues of the broker say, and what was
/// broken at the time.
pub async fn tell(stage: &Stage, tasks: &BTreeSet<String>, aftermaths: &[Aftermath]) -> String {
    let lying = lying(stage, tasks).await;
    let (executions, confirmed) = (text(&stage.books.executions), ledger::confirmed(&stage.books.confirmed));
    let mut told = Vec::new();
    for task in tasks {
        let is_its = |line: &&str| line.split(' ').nth(1) == Some(task.as_str());
        let lines: Vec<_> = executions.lines().filter(is_its).collect();
        let confirmed = if confirmed.contains(task) { "confirmed" } else { "not confirmed" };
        told.push(format!("## {task}, {confirmed}"));
        told.extend(lines.iter().map(|line| format!("ledger: {line}")));
        let shown = stage.monitors[0].get(&format!("/api/tasks/{task}")).await;
        told.push(format!("monitor: {}", shown.clone().map_or_else(|error| error, |shown| format!("{shown:#}"))));
        told.extend(lying.get(task).into_iter().flatten().map(|place| format!("broker: {place}")));
        let times = lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse().ok());
        let times: Vec<u64> = times.chain(shown.iter().filter_map(submitted)).collect();
        if let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) {
            told.extend(near(aftermaths, *first, *last));
        }
        told.push(String::new());
    }
    told.join("\n")
}

fn submitted(shown: &Value) -> Option<u64> {
    let time: jiff::Timestamp = shown["submitted"].as_str()?.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

fn near(aftermaths: &[Aftermath], first: u64, last: u64) -> impl Iterator<Item = String> {
    let near = aftermaths.iter().filter(move |one| one.struck <= last + NEAR && first <= one.mended + NEAR);
    near.map(|one| format!("fault: {} from {} to {}", one.fault.name(), one.struck, one.mended))
}

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

// In which queues a message of these tasks lies. They are browsed on channels of their own, and go back when those close.
async fn lying(stage: &Stage, tasks: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    let broker = Broker::at(stage.stand.amqp()).await;
    let streams = [stage.pool.names().log(), stage.pool.names().commands()];
    let queues = stage.stand.control(&["list_queues", "--quiet", "--no-table-headers", "name"]).await;
    let mut lying: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for queue in queues.lines().filter(|queue| !streams.iter().any(|stream| stream == queue)) {
        let channel = broker.channel().await;
        while let Ok(Some(got)) = channel.basic_get(queue.into(), BasicGetOptions::default()).await {
            let id = got.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
            if tasks.contains(&id) {
                lying.entry(id).or_default().push(format!("{queue}: {}", notes(&got)));
            }
        }
        drop(channel.close(200, "browsed".into()).await);
    }
    lying
}

// Warren's own headers and the broker's; never the payload.
fn notes(delivery: &Delivery) -> String {
    let headers = delivery.properties.headers().iter().flat_map(FieldTable::inner);
    let shown = headers.map(|(name, value)| match value {
        AMQPValue::LongString(text) => format!("{name}={text}"),
        other => format!("{name}={other:?}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}
