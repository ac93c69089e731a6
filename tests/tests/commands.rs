//! Orders of operators: who may give them, who gave them, and that they are shown.

use reqwest::StatusCode;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::message,
    http,
    orders::{accepted, order, queue},
    pool::PATIENCE,
    until,
};

#[tokio::test]
async fn what_was_ordered_is_shown_with_who_and_why() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("slots = 1").await, pool.monitor().await);
    broker.publish(&pool.names().tasks(), "default", message("sleep", "long"), br#"{"ms":60000}"#).await;
    monitor.task("long", TaskState::Running).await;
    assert_eq!(order(&monitor, "/api/tasks/nobody/cancel", &json!({})).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(order(&monitor, "/api/queues/nowhere/pause", &json!({})).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(order(&monitor, "/api/workers/nobody/drain", &json!({})).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(order(&monitor, "/api/tasks/long/run-now", &json!({})).await.status(), StatusCode::CONFLICT);
    assert_eq!(order(&monitor, "/api/queues/default/resume", &json!({})).await.status(), StatusCode::CONFLICT);

    let action = accepted(&monitor, "/api/queues/default/pause").await;
    assert_eq!((&action["what"], &action["target"]), (&json!("pause"), &json!("default")));
    assert_eq!((&action["by"], &action["reason"]), (&json!("ann"), &json!("as the test wishes")));
    let paused = queue(&monitor, "default", |queue| queue["paused"].is_object()).await;
    assert_eq!((&paused["paused"]["by"], &paused["paused"]["at"]), (&json!("ann"), &action["at"]));
    assert_eq!(order(&monitor, "/api/queues/default/pause", &json!({})).await.status(), StatusCode::CONFLICT);
    accepted(&monitor, "/api/queues/default/resume").await;
    queue(&monitor, "default", |queue| queue["paused"].is_null()).await;

    let body = json!({"action": "cancel", "ids": ["long", "nobody", "a b"], "reason": "all of them"});
    let answer: Value = order(&monitor, "/api/tasks/actions", &body).await.json().await.unwrap();
    assert_eq!(answer["accepted"], json!(["long"]), "{answer}");
    assert_eq!(answer["refused"].as_array().unwrap().len(), 2, "{answer}");
    let task = until("the task shows the order", PATIENCE, async || {
        let task = monitor.get("/api/tasks/long").await?;
        if task["cancel"].is_object() { Ok(task) } else { Err(task.to_string()) }
    })
    .await;
    assert_eq!((&task["cancel"]["by"], &task["actions"][0]["what"]), (&json!("ann"), &json!("cancel")));

    let trail = monitor.get("/api/actions?limit=2").await.unwrap();
    let whats: Vec<_> = trail["actions"].as_array().unwrap().iter().map(|action| action["what"].clone()).collect();
    assert_eq!(whats, ["cancel", "resume"]);
    let rest = monitor.get(&format!("/api/actions?cursor={}", trail["next"].as_str().unwrap())).await.unwrap();
    assert_eq!((&rest["actions"][0]["id"], &rest["next"]), (&action["id"], &Value::Null));
}

#[tokio::test]
async fn pages_of_other_sites_cannot_act_and_what_is_sent_must_be_called_json() {
    let pool = Pool::new();
    let (_worker, monitor, gateway) = (pool.worker("").await, pool.monitor().await, pool.gateway(&[]).await);
    queue(&monitor, "default", |_| true).await;
    for (service, path) in [(&monitor, "/api/queues/default/pause"), (&gateway, "/tasks")] {
        let post = || http::client().post(format!("{}{path}", service.url)).body("{}");
        let json = || post().header("content-type", "application/json");
        for (request, status) in [
            (post(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (post().header("content-type", "text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (json().header("sec-fetch-site", "cross-site"), StatusCode::FORBIDDEN),
            (json().header("sec-fetch-site", "same-site"), StatusCode::FORBIDDEN),
            (json().header("origin", "https://evil.example"), StatusCode::FORBIDDEN),
            (json().header("origin", "null"), StatusCode::FORBIDDEN),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }
    queue(&monitor, "default", |queue| queue["paused"].is_null()).await;
    let own = http::client().post(format!("{}/api/queues/default/pause", monitor.url)).json(&json!({}));
    let own = own.header("origin", &monitor.url).header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(own.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn with_a_token_a_name_and_the_token_let_in_and_the_name_is_who_acted() {
    let pool = Pool::new();
    let _worker = pool.worker("").await;
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_HTTP__TOKEN", "s3cret".into())]).await;
    let get = |path: &str| http::client().get(format!("{}{path}", monitor.url));
    for path in ["/", "/api/overview", "/api/actions"] {
        let answer = get(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert_eq!(challenge, r#"Basic realm="warren", charset="UTF-8""#);
        assert_eq!(get(path).basic_auth("ann", Some("wrong")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(get(path).basic_auth("ann", Some("s3cret")).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(get(path).bearer_auth("s3cret").send().await.unwrap().status(), StatusCode::OK);
    }
    let action: Value = until("the queue is known, and paused", PATIENCE, async || {
        let request = http::client().post(format!("{}/api/queues/default/pause", monitor.url));
        let answer = request.basic_auth("zoe", Some("s3cret")).json(&json!({})).send().await.unwrap();
        if answer.status() == StatusCode::ACCEPTED { Ok(answer.json().await.unwrap()) } else { Err(answer.status()) }
    })
    .await;
    assert_eq!(action["action"]["by"], "zoe");
}
