//! The HTTP gateway: it answers when the broker has confirmed, and says what is wrong by its field.

use reqwest::Response;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Pool,
    http::client,
    pool::{PATIENCE, Service},
    until,
};

async fn post(gateway: &Service, body: &Value) -> Response {
    client().post(format!("{}/tasks", gateway.url)).json(body).send().await.expect("the gateway answers")
}

async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, response.json().await.expect("a problem in JSON"))
}

#[tokio::test]
async fn one_task_and_many_are_accepted_and_run() {
    let pool = Pool::new();
    let (_worker, monitor, gateway) = (pool.worker("").await, pool.monitor().await, pool.gateway(&[]).await);
    let one = post(&gateway, &json!({"kind": "echo", "id": "one", "payload": {"n": 1}, "priority": 4})).await;
    assert_eq!(one.status().as_u16(), 201);
    assert_eq!(one.json::<Value>().await.unwrap()["id"], "one");
    let task = monitor.task("one", TaskState::Succeeded).await;
    assert_eq!((&task["result"], &task["priority"]), (&json!({"n": 1}), &json!(4)));
    until("the producer reports its submissions", PATIENCE, async || {
        let task = monitor.get("/api/tasks/one").await?;
        if task["submitted"].is_string() { Ok(()) } else { Err(task.to_string()) }
    })
    .await;

    let many: Vec<_> = (0..50).map(|n| json!({"kind": "echo", "payload": n})).collect();
    let many = post(&gateway, &json!(many)).await;
    assert_eq!(many.status().as_u16(), 201);
    assert_eq!(many.json::<Vec<Value>>().await.unwrap().len(), 50);
    monitor.count(TaskState::Succeeded, 51).await;
}

#[tokio::test]
async fn a_problem_names_its_field() {
    let pool = Pool::new();
    let (_worker, gateway) = (pool.worker("").await, pool.gateway(&[("WARREN_MAX_BODY_BYTES", "2000".into())]).await);
    for (body, status, field) in [
        (json!({"payload": 1}), 422, "kind"),
        (json!({"kind": "a b"}), 422, "kind"),
        (json!({"kind": "echo", "delay": "soon"}), 422, "delay"),
        (json!({"kind": "echo", "priorty": 3}), 422, "priorty"),
        (json!([{"kind": "echo"}, {"kind": "echo", "queue": "Big"}]), 422, "[1].queue"),
        (json!({"kind": "echo", "queue": "nowhere"}), 404, "queue"),
    ] {
        let (seen, problem) = problem(post(&gateway, &body).await).await;
        assert_eq!((seen, problem["field"].as_str()), (status, Some(field)), "{body}: {problem}");
    }
    let large = json!({"kind": "echo", "payload": "x".repeat(3_000)});
    assert_eq!(problem(post(&gateway, &large).await).await.0, 413);
    let broken = client().post(format!("{}/tasks", gateway.url)).header("content-type", "application/json").body("{");
    assert_eq!(problem(broken.send().await.unwrap()).await.0, 400);
}

#[tokio::test]
async fn with_a_token_only_its_bearer_gets_in() {
    let pool = Pool::new();
    let (_worker, gateway) = (pool.worker("").await, pool.gateway(&[("WARREN_HTTP__TOKEN", "s3cret".into())]).await);
    let body = json!({"kind": "echo"});
    assert_eq!(problem(post(&gateway, &body).await).await.0, 401);
    let shown = client().post(format!("{}/tasks", gateway.url)).bearer_auth("s3cret").json(&body).send().await.unwrap();
    assert_eq!(shown.status().as_u16(), 201);
    for open in ["/live", "/ready", "/metrics"] {
        assert!(client().get(format!("{}{open}", gateway.url)).send().await.unwrap().status().is_success());
    }
}

#[tokio::test]
async fn outside_of_loopback_it_wants_a_token_or_a_clear_word() {
    let pool = Pool::new();
    for program in ["warren-producer", "warren-monitor"] {
        let arguments: &[&str] = if program == "warren-producer" { &["serve"] } else { &[] };
        let mut service = pool.launch(program, arguments, &[("WARREN_HTTP__LISTEN", "0.0.0.0:0".into())]);
        assert_eq!(service.process.ended(warren_tests::pool::PATIENCE).await.code(), Some(2));
        assert!(service.process.output().contains("http.listen"), "{}", service.process.output());
    }
}
