//! Figures over time, and the overview as it changes.

use std::time::Duration;

use redis::AsyncCommands;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{Broker, Pool, broker::message, http, pool::Service, servers, until};

const PATIENCE: Duration = Duration::from_secs(30);

async fn sums(monitor: &Service, path: &str) -> Result<Value, String> {
    let series = monitor.get(path).await?;
    let sum = |name: &str| -> u64 {
        series["series"][name].as_array().expect(name).iter().map(|number| number.as_u64().expect(name)).sum()
    };
    Ok(json!({
        "submitted": sum("submitted"),
        "started": sum("started"),
        "succeeded": sum("succeeded"),
        "failed": sum("failed"),
        "dead": sum("dead"),
    }))
}

async fn shows(monitor: &Service, path: &str, expected: &Value) {
    until(&format!("{path} shows {expected}"), PATIENCE, async || match sums(monitor, path).await? {
        sums if sums == *expected => Ok(()),
        sums => Err(sums.to_string()),
    })
    .await;
}

#[tokio::test]
async fn each_fact_is_counted_once_and_a_flushed_projection_shows_the_same() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let script = pool.file("fail.sh", "exit 1");
    let failing = format!(
        "[handlers.fail]\ntype = 'command'\ncommand = ['sh', '{script}']\nmax_attempts = 2\nbackoff = 'fixed:100'\n\
         jitter = 'none'\n"
    );
    let (_worker, monitor) = (pool.worker(&failing).await, pool.monitor().await);
    for number in 0..20 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("good-{number}")), b"{}").await;
    }
    for number in 0..3 {
        broker.publish(&pool.names().tasks(), "default", message("fail", &format!("bad-{number}")), b"{}").await;
    }
    monitor.count(TaskState::Succeeded, 20).await;
    monitor.count(TaskState::Dead, 3).await;
    let expected = json!({"submitted": 23, "started": 26, "succeeded": 20, "failed": 6, "dead": 3});
    let paths = ["/api/series", "/api/series?range=6h&queue=default", "/api/series?range=7d"];
    for path in paths {
        shows(&monitor, path, &expected).await;
    }
    let none = json!({"submitted": 0, "started": 0, "succeeded": 0, "failed": 0, "dead": 0});
    shows(&monitor, "/api/series?queue=other", &none).await;
    let overview = monitor.get("/api/overview").await.unwrap();
    assert!(overview["rates"]["succeeded"].as_f64().unwrap() > 0.0, "{overview}");
    assert!(overview["latency"]["run"]["p99_ms"].as_f64().is_some(), "{overview}");

    let client = redis::Client::open(servers::redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = connection.keys(format!("{{{}}}:*", pool.names().namespace())).await.unwrap();
    let _: () = connection.del(keys).await.unwrap();
    monitor.count(TaskState::Succeeded, 20).await;
    for path in paths {
        shows(&monitor, path, &expected).await;
    }
}

#[tokio::test]
async fn who_listens_is_told_of_what_changes_until_the_monitor_ends() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, mut monitor) = (pool.worker("").await, pool.monitor().await);
    let request = http::client().get(format!("{}/api/live", monitor.url));
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut next = async || {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("something is told").ok().flatten();
            text.push_str(std::str::from_utf8(&chunk?).unwrap());
        }
        Some(text)
    };
    let first = next().await.unwrap();
    let data = first.strip_prefix("event: overview\ndata: ").expect(&first);
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["states"]["succeeded"], 0);
    broker.publish(&pool.names().tasks(), "default", message("echo", "told"), b"{}").await;
    while !next().await.unwrap().contains(r#""succeeded":1"#) {}
    monitor.process.terminate();
    while next().await.is_some() {}
    assert!(monitor.process.ended(PATIENCE).await.success());
}
