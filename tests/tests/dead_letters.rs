//! Dead letters: seen by what they have in common, looked at, replayed, thrown away.

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::message,
    pool::{PATIENCE, Service},
    until,
};

// A kind that fails for good while a file is missing, and says which order it failed for.
fn failing(pool: &Pool) -> String {
    let open = pool.folder().join("open").display().to_string();
    let text = "[ -e FILE ] || { echo \"order $WARREN_TASK_ID: no answer after $$ ms\" >&2; exit 65; }";
    let script = pool.file("fails.sh", &text.replace("FILE", &open));
    format!("[handlers.fails]\ntype = 'command'\ncommand = ['sh', '{script}']\n")
}

async fn groups(monitor: &Service, query: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} groups of dead letters"), PATIENCE, async || {
        let answer = monitor.get(&format!("/api/dead/groups{query}")).await?;
        let groups = answer["groups"].as_array().cloned().unwrap_or_default();
        if groups.len() == count { Ok(groups) } else { Err(answer.to_string()) }
    })
    .await
}

#[tokio::test]
async fn letters_that_failed_in_the_same_way_fall_into_one_group() {
    let pool = Pool::new();
    let monitor = pool.monitor().await;
    let _worker = pool.worker(&failing(&pool)).await;
    let broker = Broker::connect().await;
    for (kind, id) in [("fails", "order-1"), ("fails", "order-77"), ("fails", "order-130"), ("nobody", "odd")] {
        broker.publish("", &pool.queue(), message(kind, id), b"{}").await;
    }
    monitor.count(TaskState::Dead, 4).await;

    let groups = groups(&monitor, "", 2).await;
    let most = &groups[0];
    assert_eq!((&most["count"], &most["kind"], &most["queue"]), (&json!(3), &json!("fails"), &json!("default")));
    assert_eq!((&most["reason"], &groups[1]["reason"]), (&json!("permanent"), &json!("unknown_kind")));
    assert!(most["error"].as_str().is_some_and(|error| error.contains("no answer after")), "{most}");
    assert!(most["first"].as_str() <= most["last"].as_str(), "{most}");
    assert_eq!(self::groups(&monitor, "?kind=nobody", 1).await[0]["fingerprint"], groups[1]["fingerprint"]);

    let fingerprint = most["fingerprint"].as_str().expect("a fingerprint");
    let dead = monitor.get(&format!("/api/dead?fingerprint={fingerprint}")).await.expect("a list");
    let mut ids: Vec<_> = dead["dead"].as_array().expect("a list").iter().map(|letter| letter["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, ["order-1", "order-130", "order-77"]);
    assert!(ids.contains(&most["sample"]));
}
