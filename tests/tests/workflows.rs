//! Workflows: each step starts after those before it, with their results, once, whoever dies.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Map, Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Mill, Pool, Process,
    broker::{headers, message},
    mill::states,
    pool::PATIENCE,
    until,
    wait::unhurried,
};

fn step(plan: impl Into<Value>, after: impl Into<Value>) -> Value {
    json!({"task": {"kind": "step", "payload": plan.into()}, "after": after.into()})
}

#[tokio::test]
async fn a_step_starts_after_those_before_it_and_gets_their_results() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    let steps = json!({
        "a": step(json!({"ms": 50}), json!([])),
        "b": step(json!({}), json!([])),
        "c": step(json!({}), json!(["a", "b"])),
        "d": {"workflow": {"steps": {"x": step(json!({}), json!([])), "y": step(json!({}), json!("x"))}}, "after": "c"},
        "e": step(json!({}), json!("d")),
    });
    let id = mill.submit(json!({"steps": steps})).await;
    let view = mill.ends(&id, "succeeded").await;
    assert_eq!(
        states(&view),
        "a=succeeded b=succeeded c=succeeded d=succeeded e=succeeded d/x=succeeded d/y=succeeded"
    );
    let task = |step: &str| format!("flow:{id}:{step}");
    assert_eq!(mill.result(&id, "a").await, json!({"of": task("a"), "saw": {}, "failures": {}}));
    assert_eq!(mill.result(&id, "c").await["saw"], json!({"a": task("a"), "b": task("b")}));
    assert_eq!(mill.result(&id, "d/x").await["saw"], json!({"c": task("c")}), "it gets what its workflow waits for");
    assert_eq!(mill.result(&id, "e").await["saw"]["d"]["y"]["of"], task("d/y"));
    let ran = mill.ran();
    for (after, before) in [("c", "a"), ("c", "b"), ("d/x", "c"), ("d/y", "d/x"), ("e", "d/y")] {
        let (after, before) = (&ran[&task(after)][&1][0], &ran[&task(before)][&1][0]);
        assert!(Some(after.begun) >= before.done, "{after:?} {before:?}");
    }
    // A step is a task like any other.
    let shown = mill.monitors[0].task(&task("c"), TaskState::Succeeded).await;
    assert_eq!(shown["kind"], "step");
}

#[tokio::test]
async fn what_follows_a_failure_is_chosen_and_a_retry_goes_on_from_there() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    let hopeless = json!({"hopeless": true});
    let behind = |policy: &str| json!([{"step": "a", "on_failure": policy}]);
    let with = |policy: &str| json!({"steps": {"a": step(hopeless.clone(), json!([])), "b": step(json!({}), behind(policy)), "c": step(json!({}), json!("b"))}});
    let [stop, skip, go_on] = ["stop", "skip", "go_on"].map(with);
    let (stop, skip, go_on) = (mill.submit(stop).await, mill.submit(skip).await, mill.submit(go_on).await);
    let view = mill.ends(&stop, "failed").await;
    assert_eq!(states(&view), "a=failed b=stopped c=stopped");
    assert!(view["error"].as_str().is_some_and(|error| error.contains("as was asked for")), "{view}");
    assert_eq!(states(&mill.ends(&skip, "succeeded").await), "a=failed b=skipped c=skipped");
    assert_eq!(states(&mill.ends(&go_on, "succeeded").await), "a=failed b=succeeded c=succeeded");
    let told = mill.result(&go_on, "b").await;
    assert_eq!((&told["saw"], &told["failures"]["a"]), (&json!({}), &json!("as was asked for")));

    // The second round of the step is another task, and its first attempt as hopeless: so the third is replayed.
    let (status, view) = mill.ask(Method::POST, &format!("/{stop}/retry"), None).await;
    assert_eq!(status, 202, "{view}");
    let second = format!("flow:{stop}:a.2");
    mill.monitors[0].task(&second, TaskState::Dead).await;
    mill.ends(&stop, "failed").await;
    let replay = format!("{}/api/dead/{second}/replay", mill.monitors[0].url);
    let request = warren_tests::http::client().post(replay).json(&json!({}));
    let answer = request.send().await.expect("the monitor answers");
    assert_eq!(answer.status().as_u16(), 202, "{:?}", answer.text().await);
    let view = mill.ends(&stop, "succeeded").await;
    assert_eq!(states(&view), "a=succeeded b=succeeded c=succeeded");
    assert_eq!(mill.result(&stop, "b").await["saw"]["a"], second);
    let (status, problem) = mill.ask(Method::POST, &format!("/{stop}/retry"), None).await;
    assert_eq!(status, 409, "{problem}");
}

#[tokio::test]
async fn a_cancelled_workflow_starts_nothing_more_and_its_tasks_end() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    let patient = json!({"task": {"kind": "patient"}});
    let id = mill.submit(json!({"steps": {"a": patient, "b": step(json!({}), json!("a"))}})).await;
    mill.monitors[0].task(&format!("flow:{id}:a"), TaskState::Running).await;
    let (status, view) = mill.ask(Method::POST, &format!("/{id}/cancel"), None).await;
    assert_eq!(status, 202, "{view}");
    let view = mill.ends(&id, "cancelled").await;
    assert_eq!(states(&view), "a=cancelled b=cancelled");
    assert_eq!(mill.ask(Method::POST, &format!("/{id}/cancel"), None).await.0, 409);
    let actions = mill.monitors[0].get("/api/actions").await.expect("the audit trail");
    assert!(actions.to_string().contains("cancel_workflow"), "{actions}");
}

#[tokio::test]
async fn a_problem_names_its_field_and_the_same_id_is_the_same_workflow() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    for (body, field) in [
        (json!({}), "steps"),
        (json!({"steps": {"a": {"task": {"kind": "a", "delay": "soon"}}}}), "steps.a.task.delay"),
        (json!({"steps": {"a": step(json!({}), json!("b"))}}), "steps.a.after"),
        (json!({"steps": {"a": step(json!({}), json!("b")), "b": step(json!({}), json!("a"))}}), "steps"),
    ] {
        let (status, problem) = mill.ask(Method::POST, "", Some(body)).await;
        assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{problem}");
    }
    let one = json!({"id": "mine", "steps": {"a": step(json!({}), json!([]))}});
    for _ in 0..2 {
        assert_eq!(mill.submit(one.clone()).await, "mine");
    }
    let other = json!({"id": "mine", "steps": {"b": step(json!({}), json!([]))}});
    assert_eq!(mill.ask(Method::POST, "", Some(other)).await.0, 409);
    mill.ends("mine", "succeeded").await;
    let yaml = "id: yours\nsteps: { a: { task: { kind: step, payload: {} } } }";
    let request = warren_tests::http::client().post(format!("{}/workflows", mill.gateways[0].url));
    let answer = request.header("content-type", "application/yaml").body(yaml).send().await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 202, "{:?}", answer.text().await);
    mill.ends("yours", "succeeded").await;
    assert_eq!(mill.ran()["flow:mine:a"][&1].len(), 1);
    assert_eq!(mill.ask(Method::GET, "/nothing", None).await.0, 404);
    assert_eq!(mill.ask(Method::GET, "/mine/results/b", None).await.0, 404);
    let (_, list) = mill.ask(Method::GET, "?limit=5", None).await;
    assert_eq!((&list["workflows"][0]["id"], list["workflows"].as_array().map(Vec::len)), (&json!("yours"), Some(2)));
}

#[tokio::test]
async fn a_thousand_steps_run_in_a_row_and_a_thousand_side_by_side() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    let name = |n: usize| format!("s{n:04}");
    let chain: Map<String, Value> =
        (0..1_000).map(|n| (name(n), step(json!({}), if n == 0 { json!([]) } else { json!(name(n - 1)) }))).collect();
    let mut fan: Map<String, Value> = (1..1_000).map(|n| (name(n), step(json!({}), json!("s0000")))).collect();
    let all: Vec<_> = fan.keys().cloned().collect();
    fan.insert(name(0), step(json!({}), json!([])));
    fan.insert("last".to_owned(), step(json!({}), json!(all)));
    for (what, steps) in [("side by side", fan), ("in a row", chain)] {
        let begun = Instant::now();
        let id = mill.submit(json!({ "steps": steps })).await;
        let view = mill.stands(&id, unhurried(PATIENCE * 4), |view| view["ended"].is_string()).await;
        assert_eq!(view["state"], "succeeded", "{what}");
        eprintln!("a thousand steps {what}: {:?}", begun.elapsed());
        if what == "side by side" {
            let saw = mill.result(&id, "last").await["saw"].as_object().map(Map::len);
            assert_eq!(saw, Some(999));
        }
    }
    let twice: Vec<_> =
        mill.ran().into_iter().filter(|(_, attempts)| attempts.len() > 1 || attempts[&1].len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test]
async fn a_list_of_a_hundred_thousand_is_split_and_its_results_are_joined_in_order() {
    let mill = Mill::set(Pool::new(), 1, 2).await;
    let items: Vec<i64> = (0..100_000).collect();
    let steps = json!({
        "double": {"task": {"kind": "step"}, "split": {"items": items, "size": 1_000}},
        "some": {"task": {"kind": "step", "payload": {"list": [1, 2, 3, 4, 5]}}},
        "each": {"task": {"kind": "step"}, "split": {"from": "some", "count": 2}},
        "last": step(json!({}), json!("each")),
    });
    let id = mill.submit(json!({ "steps": steps })).await;
    let view = mill.stands(&id, unhurried(PATIENCE * 2), |view| view["ended"].is_string()).await;
    assert_eq!(view["state"], "succeeded", "{view}");
    let doubled: Vec<i64> = items.iter().map(|item| item * 2).collect();
    assert_eq!(mill.result(&id, "double").await, json!(doubled));
    assert_eq!(mill.result(&id, "each").await, json!([2, 4, 6, 8, 10]));
    assert_eq!(mill.result(&id, "last").await["saw"]["each"], json!([2, 4, 6, 8, 10]));
    let chunks = mill.ran().keys().filter(|task| task.starts_with(&format!("flow:{id}:double:"))).count();
    assert_eq!(chunks, 100);
}

#[tokio::test]
async fn any_client_makes_tasks_wait_for_each_other_by_headers() {
    let (mill, broker) = (Mill::set(Pool::new(), 1, 1).await, Broker::connect().await);
    let monitor = &mill.monitors[0];
    let publish = async |id: &str, plan: Value, notes: &[(&str, Value)]| {
        let message = message("step", id).with_headers(headers(notes));
        broker.publish("", &mill.pool.queue(), message, plan.to_string().as_bytes()).await;
    };
    publish("old", json!({}), &[]).await;
    monitor.task("old", TaskState::Succeeded).await;
    // In any order, and after one that ended long ago.
    publish("last", json!({"n": 1}), &[("after", json!(["first", "second", "old"]))]).await;
    publish("second", json!({}), &[("after", json!("first"))]).await;
    until("what waits says for what", PATIENCE, async || {
        let why = monitor.get("/api/tasks/second/waiting").await?;
        if why["summary"] == "It waits: it waits for first to end." { Ok(()) } else { Err(why.to_string()) }
    })
    .await;
    publish("first", json!({"ms": 200}), &[]).await;
    let last = monitor.task("last", TaskState::Succeeded).await;
    assert_eq!(last["result"]["saw"], json!({"first": "first", "second": "second", "old": "old"}), "{last}");
    let ran = mill.ran();
    for (after, before) in [("second", "first"), ("last", "second")] {
        assert!(Some(ran[after][&1][0].begun) >= ran[before][&1][0].done, "{after} {before}");
        assert_eq!(ran[after][&1].len(), 1);
    }

    // The README's line: by the gateway, too, it is a header.
    let task = json!({"kind": "step", "payload": {}, "id": "handed-in", "headers": {"after": "first"}});
    let url = format!("{}/tasks", mill.gateways[0].url);
    let answer = warren_tests::http::client().post(url).json(&task).send().await.expect("an answer");
    assert_eq!(answer.status(), 201, "{answer:?}");
    let handed_in = monitor.task("handed-in", TaskState::Succeeded).await;
    assert_eq!(handed_in["result"]["saw"], json!({"first": "first"}), "{handed_in}");

    publish("broken", json!({"hopeless": true}), &[]).await;
    publish("stopped", json!({}), &[("after", json!("first, broken"))]).await;
    publish("told", json!({}), &[("after", json!("broken")), ("on_failure", json!("go_on"))]).await;
    let told = monitor.task("told", TaskState::Succeeded).await;
    assert_eq!(told["result"]["failures"], json!({"broken": "as was asked for"}), "{told}");
    let stopped = monitor.task("stopped", TaskState::Dead).await;
    assert_eq!(stopped["error"], "task broken, which it was after, did not succeed: as was asked for", "{stopped}");

    let ten_thousand_and_one = json!(vec![0; 10_001]);
    for (id, payload, note, error) in [
        ("wrong", json!({}), ("after", json!("a b")), "after: "),
        ("no-list", json!({}), ("chunk_size", json!(2)), "payload: expected a list"),
        ("too-many", ten_thousand_and_one, ("chunk_size", json!(1)), "payload: expected at most 10000 chunks"),
    ] {
        publish(id, payload, &[note]).await;
        let dead = monitor.task(id, TaskState::Dead).await;
        assert!(dead["error"].as_str().is_some_and(|told| told.starts_with(error)), "{dead}");
    }
}

#[tokio::test]
async fn a_list_is_split_by_a_header_and_its_results_come_back_joined() {
    let (mill, broker) = (Mill::set(Pool::new(), 1, 1).await, Broker::connect().await);
    let (queue, mut replies) = broker.reply_queue().await;
    let message = message("step", "doubles").with_reply_to(queue.as_str().into());
    let message = message.with_headers(headers(&[("chunk_size", json!(3))]));
    let items: Vec<i64> = (1..=10).collect();
    broker.publish("", &mill.pool.queue(), message, json!(items).to_string().as_bytes()).await;
    let task = mill.monitors[0].task("doubles", TaskState::Succeeded).await;
    let doubled: Vec<_> = items.iter().map(|item| item * 2).collect();
    assert_eq!(task["result"], json!(doubled), "{task}");
    let reply = Broker::reply(&mut replies).await;
    assert_eq!(serde_json::from_slice::<Value>(&reply.data).expect("JSON"), json!(doubled));
    assert_eq!(mill.ran().len(), 4, "a task for each chunk");
}

// The files in examples/workflows, as they are.
#[tokio::test]
async fn the_example_runs_from_the_command_line() {
    let mill = Mill::set(Pool::new(), 1, 0).await;
    let example = warren_tests::servers::root().join("examples/workflows");
    let handlers = std::fs::read_to_string(example.join("worker.toml")).expect("the example");
    let handlers = handlers.replace("words.py", &example.join("words.py").display().to_string());
    let _worker = mill.pool.worker(&handlers).await;
    let run = |arguments: &[&str]| {
        let mut process =
            Process::start("warren-producer", &[&["workflows"], arguments].concat(), &mill.pool.variables());
        async move {
            let code = process.ended(PATIENCE).await.code();
            (code, process.output())
        }
    };
    let file = example.join("words.yaml").display().to_string();
    let (code, output) = run(&["run", &file, "--id", "words", "--wait"]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.starts_with("words succeeded\n"), "{output}");
    let (code, output) = run(&["result", "words", "most"]).await;
    assert_eq!(code, Some(0), "{output}");
    let result: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(result, json!({"word": "the", "times": 4}));
    let (_, list) = run(&["list", "--json"]).await;
    assert!(list.contains(r#""state": "succeeded""#), "{list}");
    assert_eq!(run(&["show", "nothing"]).await, (Some(1), "error: there is no workflow nothing\n".to_owned()));
    let broken = mill.pool.file("broken.yaml", "steps: { a: { task: { kind: a }, after: b } }");
    let (code, output) = run(&["run", &broken]).await;
    assert_eq!((code, output.as_str()), (Some(2), "error: steps.a.after: there is no step b in this workflow\n"));
}
