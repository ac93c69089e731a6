//! Dead letters: seen by what they have in common, looked at, replayed, thrown away.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use warren_core::{QueueName, TaskState};
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    http,
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

async fn post(monitor: &Service, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = http::client().post(format!("{}{path}", monitor.url)).basic_auth("ann", Some("")).json(body);
    let answer = request.send().await.expect("the monitor answers");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
}

async fn undertake(monitor: &Service, path: &str, body: &Value) -> String {
    let (status, answer) = post(monitor, path, body).await;
    assert_eq!((status, &answer["action"]["by"]), (StatusCode::ACCEPTED, &json!("ann")), "{path}: {answer}");
    answer["job"].as_str().expect("a job").to_owned()
}

async fn job(monitor: &Service, id: &str, is_as_expected: impl Fn(&Value) -> bool) -> Value {
    until(&format!("job {id}"), PATIENCE * 2, async || {
        let jobs = monitor.get("/api/jobs").await?;
        let job = jobs["jobs"].as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == id));
        job.filter(|job| is_as_expected(job)).cloned().ok_or_else(|| jobs.to_string())
    })
    .await
}

async fn done(monitor: &Service, id: &str) -> Value {
    job(monitor, id, |job| job["state"] == "done").await
}

async fn only_group(monitor: &Service, count: u64) -> String {
    let group = until(&format!("a group of {count}"), PATIENCE * 2, async || {
        let answer = monitor.get("/api/dead/groups").await?;
        let group = answer["groups"][0].clone();
        if group["count"] == count { Ok(group) } else { Err(answer.to_string()) }
    })
    .await;
    group["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

#[tokio::test]
async fn a_letter_is_looked_at_and_replayed_and_its_history_goes_on() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (monitor, dead) = (pool.monitor().await, pool.names().dead(&QueueName::default()));
    let _worker = pool.worker(&failing(&pool)).await;
    let properties =
        message("fails", "t1").with_headers(headers(&[("max_attempts", json!(2)), ("tenant", json!("acme"))]));
    broker.publish("", &pool.queue(), properties, br#"{"n":1}"#).await;
    monitor.task("t1", TaskState::Dead).await;

    let letter = monitor.get("/api/dead/t1").await.expect("the letter");
    assert_eq!((&letter["payload"]["text"], &letter["headers"]["tenant"]), (&json!(r#"{"n":1}"#), &json!("acme")));
    assert_eq!(
        (&letter["reason"], &letter["attempts"], &letter["editable"]),
        (&json!("permanent"), &json!(1), &json!(true))
    );
    // Looking takes nothing.
    assert_eq!(monitor.get("/api/dead/t1").await.expect("the letter"), letter);

    let wish = json!({"reason": "mended"});
    let first = undertake(&monitor, "/api/dead/t1/replay", &wish).await;
    done(&monitor, &first).await;
    let task = until("it is dead again", PATIENCE, async || {
        let task = monitor.get("/api/tasks/t1").await?;
        if task["state"] == "dead" && task["attempts"][1].is_object() { Ok(task) } else { Err(task.to_string()) }
    })
    .await;
    assert_eq!((&task["replays"][0]["by"], &task["replays"][0]["attempt"]), (&json!("ann"), &json!(2)), "{task}");
    assert_eq!(task["replays"][0]["reason"], json!("mended"));

    pool.open_gate();
    let second = undertake(&monitor, "/api/tasks/t1/retry", &json!({})).await;
    done(&monitor, &second).await;
    let task = monitor.task("t1", TaskState::Succeeded).await;
    let numbers: Vec<_> =
        task["attempts"].as_array().unwrap().iter().map(|attempt| attempt["number"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    broker.holds(&dead, 0).await;

    assert_eq!(post(&monitor, "/api/dead/t1/replay", &json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(post(&monitor, "/api/dead/nobody/replay", &json!({})).await.0, StatusCode::NOT_FOUND);
    let trail = monitor.get("/api/actions").await.expect("a trail");
    assert_eq!(
        (&trail["actions"][1]["what"], &trail["actions"][1]["target"]),
        (&json!("replay"), &json!("t1")),
        "{trail}"
    );
    assert_eq!(trail["actions"][1]["reason"], json!("mended"));
}

#[tokio::test]
async fn a_replayed_task_has_all_its_attempts_anew() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let _worker = pool.worker("[handlers.breaks]\ntype = 'command'\ncommand = ['false']\n").await;
    let policy = headers(&[("max_attempts", json!(2)), ("backoff", json!("fixed:10"))]);
    broker.publish("", &pool.queue(), message("breaks", "t").with_headers(policy), b"").await;
    monitor.task("t", TaskState::Dead).await;
    done(&monitor, &undertake(&monitor, "/api/tasks/t/retry", &json!({})).await).await;
    until("four attempts were made", PATIENCE, async || {
        let task = monitor.get("/api/tasks/t").await?;
        let attempts = task["attempts"].as_array().map(Vec::len);
        if task["state"] == "dead" && attempts == Some(4) { Ok(()) } else { Err(task.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_group_is_replayed_after_its_canary_at_the_pace_that_was_asked_for() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (monitor, dead) = (pool.monitor().await, pool.names().dead(&QueueName::default()));
    let _worker = pool.worker(&failing(&pool)).await;
    for n in 0..12 {
        broker.publish("", &pool.queue(), message("fails", &format!("order-{n}")), b"{}").await;
    }
    // One that belongs to another group stays.
    broker.publish("", &pool.queue(), message("nobody", "odd"), b"{}").await;
    monitor.count(TaskState::Dead, 13).await;
    let fingerprint = only_group(&monitor, 12).await;
    pool.open_gate();

    let path = format!("/api/dead/groups/{fingerprint}/replay");
    let (status, problem) = post(&monitor, &path, &json!({"rate_per_second": 0})).await;
    assert_eq!((status.as_u16(), &problem["field"]), (422, &json!("rate_per_second")));
    let id = undertake(&monitor, &path, &json!({"canary": true, "rate_per_second": 5})).await;
    let waiting = job(&monitor, &id, |job| job["state"] == "canary" && job["canary"]["state"] == "succeeded").await;
    assert_eq!((&waiting["done"], &waiting["total"]), (&json!(1), &json!(12)), "{waiting}");
    monitor.count(TaskState::Succeeded, 1).await;

    let begun = Instant::now();
    assert_eq!(post(&monitor, &format!("/api/jobs/{id}/continue"), &json!({})).await.0, StatusCode::ACCEPTED);
    let over = done(&monitor, &id).await;
    assert_eq!((&over["done"], &over["failed"]), (&json!(12), &json!(0)), "{over}");
    assert!(begun.elapsed() >= Duration::from_millis(1_500), "eleven at five a second took {:?}", begun.elapsed());
    monitor.count(TaskState::Succeeded, 12).await;
    assert_eq!(post(&monitor, &format!("/api/jobs/{id}/stop"), &json!({})).await.0, StatusCode::CONFLICT);
    // The odd one.
    broker.holds(&dead, 1).await;
}

#[tokio::test]
async fn a_letter_is_edited_before_its_replay_and_a_bad_edit_is_refused_by_its_field() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    let _worker = pool.worker("").await;
    let bad = headers(&[("timeout", json!("for ever")), ("tenant", json!("acme"))]);
    broker.publish("", &pool.queue(), message("ehco", "t").with_headers(bad), b"x").await;
    monitor.task("t", TaskState::Dead).await;
    for (edit, field) in [
        (json!({"headers": {"timeout": -1}}), "headers.timeout"),
        (json!({"kind": "echo"}), "headers.timeout"),
        (json!({"headers": {"warren-attempt": 9}}), "headers.warren-attempt"),
        (json!({"kind": "a b"}), "kind"),
        (json!({"payload": {"base64": "?"}}), "payload.base64"),
        (json!({"playload": 1}), "playload"),
    ] {
        let (status, problem) = post(&monitor, "/api/dead/t/replay", &edit).await;
        assert_eq!((status.as_u16(), &problem["field"]), (422, &json!(field)), "{edit}: {problem}");
    }
    let edit = json!({"kind": "echo", "payload": {"n": [1]}, "headers": {"timeout": 9000, "tenant": null}});
    done(&monitor, &undertake(&monitor, "/api/dead/t/replay", &edit).await).await;
    let task = monitor.task("t", TaskState::Succeeded).await;
    assert_eq!(task["result"], json!({"n": [1]}), "{task}");
}

#[tokio::test]
async fn a_letter_that_was_thrown_away_counts_among_the_dead_no_more() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (monitor, dead) = (pool.monitor().await, pool.names().dead(&QueueName::default()));
    let _worker = pool.worker(&failing(&pool)).await;
    for id in ["order-1", "order-2", "order-3"] {
        broker.publish("", &pool.queue(), message("fails", id), b"{}").await;
    }
    monitor.count(TaskState::Dead, 3).await;
    let one = undertake(&monitor, "/api/dead/order-1/discard", &json!({"reason": "no use"})).await;
    done(&monitor, &one).await;
    let task = monitor.task("order-1", TaskState::Cancelled).await;
    assert_eq!((&task["discarded"]["by"], &task["discarded"]["reason"]), (&json!("ann"), &json!("no use")), "{task}");
    only_group(&monitor, 2).await;
    assert_eq!(post(&monitor, "/api/tasks/order-1/retry", &json!({})).await.0, StatusCode::CONFLICT);

    let body = json!({"action": "discard", "ids": ["order-1", "order-2", "order-3"]});
    let (_, answer) = post(&monitor, "/api/tasks/actions", &body).await;
    assert_eq!(
        (&answer["accepted"], &answer["refused"][0]["id"]),
        (&json!(["order-2", "order-3"]), &json!("order-1")),
        "{answer}"
    );
    done(&monitor, answer["job"].as_str().expect("a job")).await;
    monitor.count(TaskState::Cancelled, 3).await;
    broker.holds(&dead, 0).await;
    groups(&monitor, "", 0).await;
}

#[tokio::test]
async fn what_the_broker_itself_let_expire_can_be_replayed() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let monitor = pool.monitor().await;
    pool.worker("").await.process.terminate();
    broker.publish(&pool.names().tasks(), "default", message("echo", "late").with_expiration("1".into()), b"7").await;
    monitor.task("late", TaskState::Expired).await;
    let _worker = pool.worker("").await;
    done(&monitor, &undertake(&monitor, "/api/dead/late/replay", &json!({})).await).await;
    monitor.task("late", TaskState::Succeeded).await;
}
