//! Schedules: each tick gives one task, whoever dies; and what was missed, paused or not over is as its policy says.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Pool, Process, Proxy, Rota, Wire,
    http::client,
    ledger::{self, Execution},
    pool::PATIENCE,
    rota::missing,
    servers, until,
};

const SECOND: Duration = Duration::from_secs(1);
const EVERY_SECOND: &str = "[schedules.tick]\nevery = '1s'\ntask = { kind = 'ledger', payload = {} }\n";

fn twice(ran: &BTreeMap<u64, Vec<Execution>>) -> Vec<(&u64, &Vec<Execution>)> {
    ran.iter().filter(|(_, executions)| executions.len() != 1).collect()
}

// The leader is killed three times and frozen once, for longer than its lease, in the two minutes.
#[tokio::test]
async fn each_tick_of_two_minutes_runs_once_while_the_leader_is_killed_and_frozen() {
    let mut rota = Rota::set(Pool::new(), 2, EVERY_SECOND).await;
    let begun = Instant::now();
    rota.runs("tick", 3).await;
    for strike in [15, 40, 65] {
        rota.reaches(strike, begun).await;
        let leader = rota.leader().await;
        rota.gateways[leader].process.kill();
        rota.gateways.remove(leader);
        rota.add_gateway();
    }
    rota.reaches(90, begun).await;
    let frozen = rota.leader().await;
    let old = rota.gateways.remove(frozen);
    old.process.freeze();
    // Another leads, and has made up for what was late.
    rota.leader().await;
    rota.reaches(108, begun).await;
    old.process.thaw();
    rota.gateways.push(old);
    rota.reaches(120, begun).await;

    let last = ledger::now() / 1_000 * 1_000;
    let ran = until("every tick so far has run", PATIENCE, async || {
        let ran = rota.ran("tick");
        if ran.contains_key(&last) && missing(&ran, SECOND).is_empty() { Ok(ran) } else { Err(missing(&ran, SECOND)) }
    })
    .await;
    assert!(ran.len() >= 118, "{} ticks", ran.len());
    assert_eq!(missing(&ran, SECOND), Vec::<u64>::new(), "none is missing");
    assert!(twice(&ran).is_empty(), "{:?}", twice(&ran));
    let late = ran.iter().map(|(tick, executions)| executions[0].begun - tick).max();
    eprintln!("{} ticks, each once; the latest by {late:?} ms", ran.len());
    let (_, view) = rota.ask(Method::GET, "/tick", None).await;
    assert_eq!(view["counts"]["missed"], 0, "{view}");
}

#[tokio::test]
async fn a_schedule_is_put_shown_paused_resumed_run_and_removed() {
    let rota = Rota::set(Pool::new(), 1, EVERY_SECOND).await;
    let view = rota.put("mine", json!({"every": "1s", "jitter": "100ms"})).await;
    assert_eq!((view["origin"].as_str(), view["schedule"]["every"].as_str()), (Some("api"), Some("1s")));
    rota.runs("mine", 2).await;

    let (status, paused) = rota.ask(Method::POST, "/mine/pause", None).await;
    assert_eq!((status, &paused["schedule"]["paused"], &paused["next"]), (200, &json!(true), &Value::Null));
    let (_, next) = rota.ask(Method::GET, "/mine/next", None).await;
    assert_eq!(next["next"], json!([]));
    // Of another schedule several ticks pass; of this one, at most what was on its way.
    let before = rota.ran("mine").len();
    let others = rota.ran("tick").len();
    rota.runs("tick", others + 4).await;
    assert!(rota.ran("mine").len() <= before + 1);

    let (status, now) = rota.ask(Method::POST, "/mine/run-now", None).await;
    assert_eq!(status, 201, "also while it is paused: {now}");
    rota.succeeded(now["id"].as_str().expect("an id")).await;

    let resumed = ledger::now();
    rota.ask(Method::POST, "/mine/resume", None).await;
    let ran = rota.runs("mine", before + 3).await;
    assert!(twice(&ran).is_empty());
    let after = ran.keys().filter(|tick| **tick > resumed).count();
    assert!(ran.len() - after <= before + 1, "ticks of the pause are not made up for");

    let (_, next) = rota.ask(Method::GET, "/mine/next?count=3", None).await;
    let ticks: Vec<_> = next["next"].as_array().expect("ticks").iter().map(|tick| tick["task"].clone()).collect();
    assert_eq!(ticks.len(), 3);
    let (_, all) = rota.ask(Method::GET, "", None).await;
    let names: Vec<_> = all["schedules"].as_array().expect("schedules").iter().map(|view| &view["name"]).collect();
    assert_eq!(names, ["mine", "tick"]);

    assert_eq!(rota.ask(Method::DELETE, "/mine", None).await.0, 204);
    assert_eq!(rota.ask(Method::GET, "/mine", None).await.0, 404);
    assert_eq!(rota.ask(Method::DELETE, "/mine", None).await.0, 404);

    let deeds = ["remove_schedule", "resume_schedule", "run_schedule", "pause_schedule", "put_schedule"];
    until("the audit trail tells who did all that, newest first", PATIENCE, async || {
        let known = rota.monitor.get("/api/actions").await?;
        let actions = known["actions"].as_array().into_iter().flatten();
        let found: Vec<_> =
            actions.map(|one| (one["what"].clone(), one["by"].clone(), one["target"].clone())).collect();
        let wanted = deeds.map(|deed| (json!(deed), json!("gateway"), json!("mine")));
        if found == wanted { Ok(()) } else { Err(known.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_problem_names_its_field_and_a_files_schedule_is_changed_in_the_file() {
    let rota = Rota::set(Pool::new(), 1, EVERY_SECOND).await;
    for (body, field) in [
        (json!({"every": "soon", "task": {"kind": "a"}}), "every"),
        (json!({"cron": "61 * * * *", "task": {"kind": "a"}}), "cron"),
        (json!({"cron": "0 0 * * *", "zone": "Mars", "task": {"kind": "a"}}), "zone"),
        (json!({"every": "1s", "task": {"kind": "a", "delay": "soon"}}), "task.delay"),
        (json!({"every": "1s"}), "task"),
    ] {
        let (status, problem) = rota.ask(Method::PUT, "/mine", Some(body)).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{problem}");
    }
    let two = json!({"every": "soon", "colour": "red", "task": {"kind": "a"}});
    let (_, problem) = rota.ask(Method::PUT, "/mine", Some(two)).await;
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "{problem}");
    assert_eq!(rota.ask(Method::PUT, "/no.name", Some(json!({}))).await.0, 422);
    assert_eq!(rota.ask(Method::GET, "/tick/next?count=0", None).await.0, 422);
    let mine = json!({"every": "1s", "task": {"kind": "a"}});
    for (method, body) in [(Method::PUT, Some(mine)), (Method::DELETE, None)] {
        let (status, problem) = rota.ask(method, "/tick", body).await;
        assert_eq!(status, 409, "{problem}");
    }
    assert_eq!(rota.ask(Method::POST, "/tick/pause", None).await.0, 200);
}

#[tokio::test]
async fn after_a_flush_of_redis_schedules_come_back_paused_ones_as_paused() {
    let rota = Rota::set(Pool::new(), 1, EVERY_SECOND).await;
    rota.put("mine", json!({"every": "1s"})).await;
    rota.put("resting", json!({"every": "1s", "paused": true})).await;
    rota.put("gone", json!({"every": "1s"})).await;
    assert_eq!(rota.ask(Method::DELETE, "/gone", None).await.0, 204);
    rota.ask(Method::POST, "/tick/pause", None).await;
    rota.runs("mine", 2).await;

    let client = redis::Client::open(servers::redis()).expect("an address");
    let mut redis = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let keys: Vec<String> = redis.keys(format!("{{{}}}:*", rota.pool.names().namespace())).await.expect("keys");
    let _: u64 = redis.del(keys).await.expect("they are flushed");

    let flushed = ledger::now();
    until("the schedules are back", PATIENCE * 2, async || {
        let (_, all) = rota.ask(Method::GET, "", None).await;
        let shown = |view: &Value| (view["name"].clone(), view["schedule"]["paused"].clone());
        let shown: Vec<_> = all["schedules"].as_array().into_iter().flatten().map(shown).collect();
        let expected = [("mine", false), ("resting", true), ("tick", true)];
        if shown == expected.map(|(name, paused)| (json!(name), json!(paused))) { Ok(()) } else { Err(all) }
    })
    .await;
    // Whoever leads knows how far it was.
    let ran = rota.runs_without_a_gap("mine", flushed).await;
    assert!(twice(&ran).is_empty(), "{:?}", twice(&ran));
}

#[tokio::test]
async fn with_redis_down_nothing_is_scheduled_and_the_misfire_policy_holds_at_its_return() {
    let proxy = Proxy::to(&servers::redis()).await;
    let pool = Pool::at(&servers::amqp(), proxy.url());
    let schedule = |name: &str, policy: &str| {
        format!(
            "[schedules.{name}]\nevery = '1s'\nmisfire_after = '2s'\nmisfire = '{policy}'\n\
             task = {{ kind = 'ledger', payload = {{}} }}\n"
        )
    };
    let policies = [("skipping", "skip"), ("once", "once"), ("all", "all")];
    let configuration: String = policies.iter().map(|(name, policy)| schedule(name, policy)).collect();
    let rota = Rota::set(pool, 1, &configuration).await;
    for (name, _) in policies {
        rota.runs(name, 2).await;
    }

    proxy.set(Wire::Cut);
    until("its readiness says so", PATIENCE, async || match rota.gateways[0].get("/ready").await {
        Ok(ready) => Err(ready.to_string()),
        Err(missing) if missing.contains("nothing is scheduled") => Ok(()),
        Err(other) => Err(other),
    })
    .await;
    let away = ledger::now();
    // Tasks are taken all the same.
    let task = json!({"kind": "ledger", "id": "beside", "payload": {}});
    let url = format!("{}/tasks", rota.gateways[0].url);
    let answer = client().post(url).json(&task).send().await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 201);
    until("some ticks have passed", PATIENCE, async || match ledger::now() - away {
        8_000.. => Ok(()),
        passed => Err(passed),
    })
    .await;
    proxy.set(Wire::Open);
    let back = ledger::now();
    rota.gateways[0].ready().await;

    // How many of the ticks have run that were due while it was away.
    let made_up_for = async |name: &str| {
        let ran = until("it goes on", PATIENCE, async || {
            let ran = rota.ran(name);
            if ran.keys().any(|tick| *tick > back + 3_000) { Ok(ran) } else { Err(ran.len()) }
        })
        .await;
        assert!(twice(&ran).is_empty(), "{:?}", twice(&ran));
        ran.keys().filter(|tick| (away + 1_000..back - 3_000).contains(*tick)).count()
    };
    assert_eq!(made_up_for("skipping").await, 0, "what was missed is dropped");
    assert_eq!(made_up_for("once").await, 0, "of all that is due, only the latest is run");
    let all = made_up_for("all").await;
    assert!(all >= 3, "everything is made up for, not {all}");
    rota.runs_without_a_gap("all", back).await;
    let (_, view) = rota.ask(Method::GET, "/skipping", None).await;
    assert!(view["counts"]["missed"].as_u64() >= Some(3), "what was dropped is counted: {view}");
}

fn overlapping(ran: &BTreeMap<u64, Vec<Execution>>) -> usize {
    let spans: Vec<_> = ran.values().flatten().map(|one| (one.begun, one.done.unwrap_or(u64::MAX))).collect();
    spans.iter().zip(spans.iter().skip(1)).filter(|(before, after)| after.0 < before.1).count()
}

#[tokio::test]
async fn a_tick_meets_the_task_before_as_its_policy_says() {
    let rota = Rota::set(Pool::new(), 1, "").await;
    let task = json!({"kind": "ledger", "payload": {"ms": 2_500}});
    for policy in ["allow", "skip"] {
        rota.put(policy, json!({"every": "1s", "overlap": policy, "task": task})).await;
    }
    let allowed = rota.runs("allow", 6).await;
    assert!(overlapping(&allowed) >= 3, "they run beside each other: {allowed:?}");
    let skipped = rota.runs("skip", 3).await;
    assert_eq!(overlapping(&skipped), 0, "{skipped:?}");
    let (_, view) = rota.ask(Method::GET, "/skip", None).await;
    assert!(view["counts"]["overlapped"].as_u64() >= Some(2), "what was dropped is counted: {view}");
}

#[tokio::test]
async fn a_tick_whose_queue_is_not_there_waits_for_it_and_says_so() {
    let rota = Rota::set(Pool::new(), 1, "").await;
    let task = json!({"kind": "ledger", "payload": {}, "queue": "later"});
    rota.put("mine", json!({"every": "1s", "misfire_after": "1d", "task": task})).await;
    until("the problem is shown", PATIENCE, async || {
        let (_, view) = rota.ask(Method::GET, "/mine", None).await;
        let problem = view["problem"].as_str().unwrap_or_default();
        if problem.contains("queue later does not exist") { Ok(()) } else { Err(view) }
    })
    .await;
    let ledger = rota.pool.folder().join("executions").display().to_string();
    let file = rota.pool.file("later.toml", "queues = [{ name = 'later' }]");
    let _worker = rota.pool.start("ledger-worker", &[], &[("LEDGER", ledger), ("WARREN_CONFIG", file)]).await;
    let ran = rota.runs_without_a_gap("mine", ledger::now()).await;
    assert!(twice(&ran).is_empty(), "{:?}", twice(&ran));
}

#[tokio::test]
async fn a_tick_cancels_the_task_before_where_that_is_wished() {
    let rota = Rota::set(Pool::new(), 1, "").await;
    let task = json!({"kind": "ledger", "payload": {"ms": 60_000}});
    rota.put("mine", json!({"every": "2s", "overlap": "cancel_previous", "task": task})).await;
    let ran = rota.runs("mine", 3).await;
    let first = ran.keys().next().expect("it ran");
    rota.monitor.task(&format!("schedule:mine:{first}"), TaskState::Cancelled).await;
}

// The files in examples/schedules, as they are.
#[tokio::test]
async fn the_example_runs_and_work_that_reschedules_itself_runs_each_round_once() {
    let example = servers::root().join("examples/schedules");
    let configuration = std::fs::read_to_string(example.join("gateway.toml")).expect("the example");
    let rota = Rota::set(Pool::new(), 1, &configuration).await;
    let (_, all) = rota.ask(Method::GET, "", None).await;
    for view in all["schedules"].as_array().expect("schedules") {
        assert!(view["next"].is_string() && view["problem"].is_null(), "{view}");
    }

    let handler = std::fs::read_to_string(example.join("worker.toml")).expect("the example");
    let handler = handler.replace("poll.py", &example.join("poll.py").display().to_string());
    let gateway = &rota.gateways[0].url;
    let worker =
        [("WARREN_CONFIG", rota.pool.file("poll.toml", &format!("queues = [{{ name = 'poll' }}]\n{handler}")))];
    let worker = [worker.as_slice(), &[("GATEWAY", gateway.clone())]].concat();
    let _worker = rota.pool.start("warren-worker", &[], &worker).await;
    let payload = json!({"name": "shop", "round": 1, "rounds": 3, "wait": "500ms"});
    let first = json!({"kind": "poll", "queue": "poll", "id": "poll:shop:1", "once": true, "payload": payload});
    // Twice, as whoever got no answer would.
    for _ in 0..2 {
        let answer = client().post(format!("{gateway}/tasks")).json(&first).send().await.expect("it answers");
        assert_eq!(answer.status().as_u16(), 201);
    }
    rota.succeeded("poll:shop:3").await;
    for round in 1..=3 {
        let task = rota.succeeded(&format!("poll:shop:{round}")).await;
        let runs = task["attempts"].as_array().expect("attempts").len();
        assert_eq!((runs, &task["result"]["round"]), (1, &json!(round)), "{task}");
    }
}

#[tokio::test]
async fn the_command_line_shows_pauses_and_runs() {
    let rota = Rota::set(Pool::new(), 1, EVERY_SECOND).await;
    rota.runs("tick", 1).await;
    let run = |arguments: &[&str]| {
        let mut process =
            Process::start("warren-producer", &[&["schedules"], arguments].concat(), &rota.pool.variables());
        async move {
            let code = process.ended(PATIENCE).await.code();
            (code, process.output())
        }
    };
    let (code, list) = run(&["list"]).await;
    assert!(code == Some(0) && list.contains("every 1s") && list.contains("HANDED IN"), "{list}");
    let (_, next) = run(&["next", "tick", "--count", "2", "--json"]).await;
    let next: Value = serde_json::from_str(&next).expect("JSON");
    assert_eq!(next["next"].as_array().map(Vec::len), Some(2));
    let (code, paused) = run(&["pause", "tick"]).await;
    assert_eq!((code, paused.trim()), (Some(0), "tick is paused"));
    let (_, shown) = run(&["show", "tick"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["schedule"]["paused"], true);
    let (_, id) = run(&["run", "tick"]).await;
    rota.succeeded(id.trim()).await;
    assert_eq!(run(&["resume", "tick"]).await.0, Some(0));
    let (code, error) = run(&["pause", "nothing"]).await;
    assert_eq!((code, error.trim()), (Some(1), "error: there is no schedule nothing"));
    assert_eq!(run(&["pause", "no name"]).await.0, Some(2));
    // What the monitor shows of it.
    let all = rota.monitor.get("/api/schedules").await.expect("the monitor answers");
    assert_eq!((&all["schedules"][0]["name"], &all["schedules"][0]["kind"]), (&json!("tick"), &json!("ledger")));
}
