//! What orders do: to tasks that wait, are delayed or run; to queues, across restarts of workers and of the broker; and to
//! workers.

use serde_json::{Value, json};
use warren_core::{QueueName, TaskState};
use warren_tests::{
    Broker, Pool, Stand,
    broker::{header, headers, message},
    orders::{accepted, order, queue, worker},
    pool::{PATIENCE, Service},
    until,
};

const SECOND: &str = "heartbeat = '1s'\n";

const MANY: usize = 200;

fn attempts(task: &Value) -> usize {
    task["attempts"].as_array().map_or(0, Vec::len)
}

// A task on the queue `other` that has run: what was ordered before has arrived at the worker that ran it.
async fn other_runs(broker: &Broker, pool: &Pool, monitor: &Service, id: &str) {
    broker.publish(&pool.names().tasks(), "other", message("echo", id), b"1").await;
    monitor.task(id, TaskState::Succeeded).await;
}

fn two_queues() -> String {
    format!("slots = 2\n{SECOND}[[queues]]\nname = 'default'\n[[queues]]\nname = 'other'\n")
}

#[tokio::test]
async fn a_cancelled_task_that_waits_never_starts() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&format!("slots = 1\n{}", pool.gate())).await, pool.monitor().await);
    let (reply_to, mut replies) = broker.reply_queue().await;
    broker.publish(&pool.names().tasks(), "default", message("gate", "busy"), b"").await;
    monitor.task("busy", TaskState::Running).await;
    let wants_reply = |id: &str| message("echo", id).with_reply_to(reply_to.as_str().into());
    broker.publish(&pool.names().tasks(), "default", wants_reply("waits"), b"1").await;
    monitor.task("waits", TaskState::Queued).await;
    let later = wants_reply("later").with_headers(headers(&[("delay", json!(3_600_000))]));
    broker.publish(&pool.names().tasks(), "default", message("echo", "next"), b"1").await;

    accepted(&monitor, "/api/tasks/waits/cancel").await;
    // It lies in its queue still, and is shown as what it will come to.
    monitor.task("waits", TaskState::Cancelled).await;
    pool.open_gate();
    monitor.task("next", TaskState::Succeeded).await;
    let reply = Broker::reply(&mut replies).await;
    assert_eq!(header(&reply, "outcome").as_deref(), Some("cancelled"));
    assert_eq!(reply.properties.message_id().as_ref().unwrap().as_str(), "waits");
    broker.holds(&pool.queue(), 0).await;
    assert_eq!(attempts(&monitor.task("waits", TaskState::Cancelled).await), 0);

    broker.publish(&pool.names().tasks(), "default", later, b"1").await;
    until("a worker has put it on the ladder", PATIENCE, async || {
        let queues = monitor.get("/api/queues").await?;
        let task = monitor.get("/api/tasks/later").await?;
        let rests = broker.depth(&pool.queue()).await == Some(0);
        if rests && task["state"] == "delayed" { Ok(()) } else { Err(queues.to_string()) }
    })
    .await;
    accepted(&monitor, "/api/tasks/later/cancel").await;
    let reply = Broker::reply(&mut replies).await;
    assert_eq!(reply.properties.message_id().as_ref().unwrap().as_str(), "later");
    assert_eq!(attempts(&monitor.task("later", TaskState::Cancelled).await), 0);
    let again = order(&monitor, "/api/tasks/later/cancel", &json!({})).await;
    assert_eq!(again.status().as_u16(), 409);
}

#[tokio::test]
async fn a_cancelled_task_that_runs_is_asked_to_end_and_then_ended() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (pid, heard) = (pool.folder().join("pid"), pool.folder().join("heard"));
    let script = format!(
        "echo $$ > {}\ntrap 'echo asked > {}' TERM\nwhile :; do sleep 0.05; done\n",
        pid.display(),
        heard.display()
    );
    let script = pool.file("deaf.sh", &script);
    let deaf = format!("[handlers.deaf]\ntype = 'command'\ncommand = ['sh', '{script}']\nkill_grace = '300ms'\n");
    let file = pool.file("worker.toml", &format!("slots = 3\n{deaf}"));
    let ledger = pool.folder().join("executions").display().to_string();
    let variables = [("WARREN_CONFIG", file), ("LEDGER", ledger)];
    let (_worker, monitor) = (pool.start("ledger-worker", &[], &variables).await, pool.monitor().await);
    for (kind, id) in [("deaf", "deaf"), ("patient", "patient"), ("finisher", "finisher")] {
        broker.publish(&pool.names().tasks(), "default", message(kind, id), b"{}").await;
        monitor.task(id, TaskState::Running).await;
    }
    let pid: u32 =
        until("the program runs", PATIENCE, async || std::fs::read_to_string(&pid).unwrap_or_default().trim().parse())
            .await;
    for id in ["deaf", "patient", "finisher"] {
        accepted(&monitor, &format!("/api/tasks/{id}/cancel")).await;
    }
    for id in ["deaf", "patient"] {
        let task = monitor.task(id, TaskState::Cancelled).await;
        let attempt = &task["attempts"][0];
        assert_eq!((&attempt["outcome"], &attempt["verdict"]), (&json!("cancelled"), &json!("cancel")), "{task}");
        assert_eq!(task["cancel"]["by"], "ann");
    }
    assert!(heard.exists(), "the program was asked before it was killed");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the program is gone");
    // It had done its work when it was asked to stop: that counts.
    let task = monitor.task("finisher", TaskState::Succeeded).await;
    assert_eq!(task["cancel"]["by"], "ann");
    broker.holds(&pool.queue(), 0).await;
}

#[tokio::test]
async fn a_paused_queue_is_not_taken_from_while_what_runs_goes_on() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let taker = pool.worker(&format!("{}{}", two_queues(), pool.gate())).await;
    let monitor = pool.monitor().await;
    broker.publish(&pool.names().tasks(), "default", message("gate", "runs"), b"").await;
    monitor.task("runs", TaskState::Running).await;
    accepted(&monitor, "/api/queues/default/pause").await;
    other_runs(&broker, &pool, &monitor, "first").await;
    for n in 0..5 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("t{n}")), b"1").await;
    }
    other_runs(&broker, &pool, &monitor, "second").await;
    assert_eq!(broker.depth(&pool.queue()).await, Some(5), "none is taken, and none is held");
    pool.open_gate();
    monitor.task("runs", TaskState::Succeeded).await;
    let shown = worker(&monitor, |worker| worker["paused"] == json!(["default"])).await;
    assert_eq!(shown["health"], "alive", "{shown}");
    let ready = taker.get("/ready").await.expect("a worker with a paused queue is ready");
    assert!(ready["notes"].to_string().contains("default"), "{ready}");
    assert_eq!(monitor.get("/api/findings").await.unwrap()["findings"], json!([]));
    accepted(&monitor, "/api/queues/default/resume").await;
    monitor.count(TaskState::Succeeded, 8).await;
    assert_eq!(taker.get("/ready").await.unwrap()["notes"], json!([]));
}

#[tokio::test]
async fn pause_and_cancel_hold_when_all_workers_and_the_broker_are_killed() {
    let stand = Stand::start().await;
    let pool = Pool::on(&stand);
    let broker = Broker::at(stand.amqp()).await;
    let (mut first, monitor) = (pool.worker(&two_queues()).await, pool.monitor().await);
    queue(&monitor, "default", |queue| queue["consumers"] == 1).await;
    accepted(&monitor, "/api/queues/default/pause").await;
    other_runs(&broker, &pool, &monitor, "before").await;
    for n in 0..3 {
        broker.publish(&pool.names().tasks(), "default", message("echo", &format!("t{n}")), b"1").await;
    }
    monitor.task("t1", TaskState::Queued).await;
    accepted(&monitor, "/api/tasks/t1/cancel").await;
    first.process.kill();
    stand.kill_broker().await;
    stand.restore_broker().await;

    let broker = Broker::at(stand.amqp()).await;
    let _second = pool.worker(&two_queues()).await;
    other_runs(&broker, &pool, &monitor, "after").await;
    assert_eq!(broker.depth(&pool.queue()).await, Some(3), "a worker that starts during a pause does not take");
    queue(&monitor, "default", |queue| queue["paused"]["by"] == "ann").await;
    accepted(&monitor, "/api/queues/default/resume").await;
    for id in ["t0", "t2"] {
        monitor.task(id, TaskState::Succeeded).await;
    }
    broker.holds(&pool.queue(), 0).await;
    assert_eq!(attempts(&monitor.task("t1", TaskState::Cancelled).await), 0);
}

#[tokio::test]
async fn what_is_in_force_survives_the_loss_of_the_command_log() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_first, monitor) = (pool.worker(&two_queues()).await, pool.monitor().await);
    queue(&monitor, "default", |queue| queue["consumers"] == 1).await;
    accepted(&monitor, "/api/queues/default/pause").await;
    other_runs(&broker, &pool, &monitor, "before").await;
    broker.delete(&pool.names().commands()).await;
    until("the monitor that leads has stated it anew", PATIENCE, async || {
        match broker.depth(&pool.names().commands()).await {
            Some(messages) if messages > 0 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let _second = pool.worker(&two_queues()).await;
    broker.publish(&pool.names().tasks(), "default", message("echo", "waits"), b"1").await;
    other_runs(&broker, &pool, &monitor, "after").await;
    assert_eq!(broker.depth(&pool.queue()).await, Some(1));
    accepted(&monitor, "/api/queues/default/resume").await;
    monitor.task("waits", TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_drained_worker_takes_nothing_more_until_it_is_resumed() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let drained = pool.worker(&format!("slots = 1\n{SECOND}{}", pool.gate())).await;
    let monitor = pool.monitor().await;
    broker.publish(&pool.names().tasks(), "default", message("gate", "runs"), b"").await;
    let name = monitor.task("runs", TaskState::Running).await["attempts"][0]["worker"].as_str().unwrap().to_owned();
    accepted(&monitor, &format!("/api/workers/{name}/drain")).await;
    let shown = worker(&monitor, |worker| worker["health"] == "draining").await;
    assert_eq!((&shown["id"], &shown["draining_by"]["by"]), (&json!(name), &json!("ann")));
    let _other = pool.worker(&format!("slots = 1\n{SECOND}")).await;
    pool.open_gate();
    monitor.task("runs", TaskState::Succeeded).await;
    for n in 0..10 {
        let id = format!("t{n}");
        broker.publish(&pool.names().tasks(), "default", message("echo", &id), b"1").await;
        let task = monitor.task(&id, TaskState::Succeeded).await;
        assert_ne!(task["attempts"][0]["worker"], json!(name), "{task}");
    }
    drained.ready().await;
    accepted(&monitor, &format!("/api/workers/{name}/resume")).await;
    worker(&monitor, |worker| worker["id"] == name.as_str() && worker["health"] == "alive").await;
    let mut tries = 0;
    until("it takes tasks again", PATIENCE, async || {
        tries += 1;
        let id = format!("again{tries}");
        broker.publish(&pool.names().tasks(), "default", message("echo", &id), b"1").await;
        let task = monitor.task(&id, TaskState::Succeeded).await;
        if task["attempts"][0]["worker"] == name.as_str() { Ok(()) } else { Err(task.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_delayed_task_runs_now_however_many_rest_before_it() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("slots = 4").await, pool.monitor().await);
    for n in 0..MANY {
        let task = message("echo", &format!("t{n}")).with_headers(headers(&[("delay", json!(7_200_000))]));
        broker.publish(&pool.names().tasks(), "default", task, b"1").await;
    }
    monitor.count(TaskState::Delayed, MANY as u64).await;
    broker.holds(&pool.queue(), 0).await;
    for id in ["t0", &format!("t{}", MANY - 1)] {
        accepted(&monitor, &format!("/api/tasks/{id}/run-now")).await;
        let task = monitor.task(id, TaskState::Succeeded).await;
        assert_eq!(task["actions"][0]["what"], "run_now");
    }
    let overview = monitor.get("/api/overview").await.unwrap();
    assert_eq!(overview["states"]["delayed"], MANY - 2, "nothing else came off the ladder");
    // Those that were looked at lie in their places again, and come at the word like any other.
    accepted(&monitor, &format!("/api/tasks/t{}/run-now", MANY / 2)).await;
    monitor.task(&format!("t{}", MANY / 2), TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_bulk_cancel_stops_all_that_is_meant_and_nothing_else() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&two_queues()).await, pool.monitor().await);
    queue(&monitor, "default", |queue| queue["consumers"] == 1).await;
    accepted(&monitor, "/api/queues/default/pause").await;
    other_runs(&broker, &pool, &monitor, "before").await;
    let ids: Vec<_> = (0..60).map(|n| format!("t{n}")).collect();
    for id in &ids {
        broker.publish(&pool.names().tasks(), "default", message("echo", id), b"1").await;
    }
    monitor.count(TaskState::Queued, 60).await;
    let answer: Value = order(&monitor, "/api/tasks/actions", &json!({"action": "cancel", "ids": &ids[..50]}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer["accepted"].as_array().unwrap().len(), 50, "{answer}");
    monitor.count(TaskState::Cancelled, 50).await;
    accepted(&monitor, "/api/queues/default/resume").await;
    monitor.count(TaskState::Succeeded, 11).await;
    broker.holds(&pool.names().queue(&QueueName::default()), 0).await;
    monitor.count(TaskState::Cancelled, 50).await;
    assert_eq!(attempts(&monitor.task("t0", TaskState::Cancelled).await), 0);
}
