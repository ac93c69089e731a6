//! Giving orders to a pool, as an operator does.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    http,
    pool::{PATIENCE, Service},
    until,
};

/// Posts an order to a monitor, in the name of ann.
pub async fn order(monitor: &Service, path: &str, body: &Value) -> Response {
    let request = http::client().post(format!("{}{path}", monitor.url)).basic_auth("ann", Some("")).json(body);
    request.send().await.expect("the monitor answers")
}

/// Gives an order that is accepted, and returns the action. A monitor that has just lost its broker refuses for a moment.
pub async fn accepted(monitor: &Service, path: &str) -> Value {
    until(&format!("{path} is accepted"), PATIENCE, async || {
        let answer = order(monitor, path, &json!({"reason": "as the test wishes"})).await;
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        match status {
            StatusCode::ACCEPTED => Ok(serde_json::from_str::<Value>(&text).expect("JSON")["action"].clone()),
            StatusCode::SERVICE_UNAVAILABLE => Err(text),
            other => panic!("{path}: {other}: {text}"),
        }
    })
    .await
}

/// What a monitor says of a queue, once it is as expected.
pub async fn queue(monitor: &Service, name: &str, is_as_expected: impl Fn(&Value) -> bool) -> Value {
    until(&format!("queue {name} is as expected"), PATIENCE, async || {
        let queues = monitor.get("/api/queues").await?;
        let queue = queues["queues"].as_array().and_then(|all| all.iter().find(|queue| queue["queue"] == name));
        queue.filter(|queue| is_as_expected(queue)).cloned().ok_or_else(|| queues.to_string())
    })
    .await
}

/// What a monitor says of a worker, once it is as expected.
pub async fn worker(monitor: &Service, is_as_expected: impl Fn(&Value) -> bool) -> Value {
    until("a worker is as expected", PATIENCE, async || {
        let workers = monitor.get("/api/workers").await?;
        let worker = workers["workers"].as_array().and_then(|all| all.iter().find(|worker| is_as_expected(worker)));
        worker.cloned().ok_or_else(|| workers.to_string())
    })
    .await
}
