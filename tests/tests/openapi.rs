//! The monitor's API against its own description: schemathesis makes requests of every sort that `/api/openapi.json`
//! describes, and of sorts that it excludes, and looks whether each answer is one that the document has foreseen.

use std::{path::Path, time::Duration};

use reqwest::StatusCode;
use serde_json::json;
use tokio::process::Command;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    http,
    pool::Service,
    servers,
};

const TOKEN: &str = "s3cret";
// What it may take on a machine that is busy with other tests; by itself it is done in half a minute.
const PATIENCE: Duration = Duration::from_secs(150);

#[tokio::test]
async fn every_answer_is_one_that_the_description_foresees() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let failing = "[handlers.fail]\ntype = 'command'\ncommand = ['false']\n";
    let _worker = pool.worker(&format!("slots = 1\n{}{failing}", pool.gate())).await;
    let open = pool.monitor().await;
    // Something of everything, so that there is no answer without content.
    for (kind, id, state) in [
        ("echo", "done", TaskState::Succeeded),
        ("nothing", "broken", TaskState::Dead),
        ("gate", "busy", TaskState::Running),
        ("echo", "waiting", TaskState::Queued),
    ] {
        let properties = message(kind, id).with_headers(headers(&[("max_attempts", json!(1))]));
        broker.publish(&pool.names().tasks(), "default", properties, b"{\"x\":1}").await;
        open.task(id, state).await;
    }
    // With a token: whether each route really wants it is among what is looked at.
    let locked = pool.start("warren-monitor", &[], &[("WARREN_HTTP__TOKEN", TOKEN.to_owned())]).await;
    try_everything(&locked, &pool).await;
}

async fn try_everything(monitor: &Service, pool: &Pool) {
    let program = Path::new(&servers::python()).with_file_name("schemathesis");
    let mut command = Command::new(program);
    command.current_dir(pool.folder()).kill_on_drop(true);
    command.args(["run", &format!("{}/api/openapi.json", monitor.url)]);
    command.args(["--auth", &format!("tests:{TOKEN}"), "--checks", "all", "--generation-database", "none"]);
    // One seed, so that what passes here passes everywhere; and no more requests than are made in half a minute.
    command.args(["--seed", "1", "--max-examples", "12", "--workers", "1", "--request-timeout", "10"]);
    // A POST is asked for its content type before anything is asked for its route, so that no route can forget to ask: what
    // becomes of other methods is looked at below.
    command.args(["--exclude-checks", "unsupported_method"]);
    // A stream of events does not end, and nothing here waits for that.
    command.args(["--exclude-path", "/api/live", "--no-color"]);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("schemathesis ends in time");
    let output = output.expect("schemathesis is installed by scripts/test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn what_no_route_takes_is_refused_with_what_it_takes() {
    let pool = Pool::new();
    let monitor = pool.monitor().await;
    let document = monitor.get("/api/openapi.json").await.expect("the description");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let described: Vec<_> =
            methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        for method in
            ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().filter(|m| !described.iter().any(|d| d == m))
        {
            let address = format!("{}{}", monitor.url, path.replace(['{', '}'], ""));
            let request = http::client().request(method.parse().expect("a method"), address).json(&json!({}));
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let allowed = answer.headers()["allow"].to_str().expect("text").to_owned();
            assert!(described.iter().all(|described| allowed.contains(described)), "{method} {path}: {allowed}");
        }
    }
}
