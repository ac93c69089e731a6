//! What the death of whoever hands tasks in costs: nothing that was confirmed, and never half a task.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::process::Command;
use warren_tests::{
    Stage, http,
    ledger::{self, Ledger},
    process::path_of,
    projection::tasks,
    stage::Size,
};

// What was not confirmed may have arrived or not; what arrived is whole, and comes to its end.
async fn settle(stage: &mut Stage) {
    let balance = stage.balance().await;
    eprintln!("{} confirmed, {} succeeded, {} dead", balance.confirmed, balance.succeeded, balance.dead);
    balance.assert_even();
    assert!(balance.duplicates.is_empty(), "{:?}", balance.duplicates);
    let confirmed = ledger::confirmed(&stage.books.confirmed);
    let shown = tasks(&stage.monitors[0]).await;
    let ended = |task: &Value| matches!(task["state"].as_str(), Some("succeeded" | "dead"));
    let half: Vec<_> = shown.values().filter(|task| !ended(task) || task["kind"] != "ledger").collect();
    assert!(half.is_empty(), "half there: {half:?}");
    let begun = ledger::executions(stage.ledger());
    assert!(begun.keys().all(|task| shown.contains_key(task)), "what ran is shown");
    eprintln!("{} more than was confirmed have run", begun.keys().filter(|task| !confirmed.contains(*task)).count());
}

#[tokio::test]
async fn a_producer_killed_in_the_middle_of_its_batches_leaves_no_task_behind_that_it_holds_a_confirm_for() {
    let mut stage = Stage::set(Size { workers: 2, monitors: 1, producers: 1, rate: 200 }).await;
    for _ in 0..5 {
        stage.flow(60).await;
        stage.producers[0].kill();
        stage.tend();
    }
    settle(&mut stage).await;
}

// Twice as many as are on their way or made ready at a time: at the first confirms the batch is not over.
const LINES: usize = 6_000;

#[tokio::test]
async fn a_batch_through_a_restart_of_the_broker_tells_of_each_line_whether_it_was_confirmed() {
    let mut stage = Stage::set(Size { workers: 2, monitors: 1, producers: 0, rate: 1 }).await;
    // RabbitMQ writes down within three seconds that it has streams at all (dets, `delayed_write`). Killed before that, it
    // never finds its first stream again.
    stage.stand.control(&["eval", "[dets:sync(Table) || Table <- dets:all()]."]).await;
    let task = |line| json!({"kind": "ledger", "id": format!("line-{line}"), "payload": {}}).to_string();
    let lines: Vec<_> = (1..=LINES).map(task).collect();
    let file = stage.pool.file("batch.jsonl", &lines.join("\n"));
    let printed = stage.pool.folder().join("printed");
    let output = std::fs::File::create(&printed).expect("a file for what it prints");
    let mut command = Command::new(path_of("warren-producer"));
    command.env_clear().envs(stage.pool.variables()).args(["enqueue", "--json", "--file", &file]);
    let mut child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().expect("it starts");
    let begun = Instant::now();
    while ledger::lines(&printed) < LINES / 10 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is confirmed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.stand.kill_broker().await;
    assert!(ledger::lines(&printed) < LINES, "it was in the middle of it");
    stage.stand.restore().await;
    let ended = tokio::time::timeout(Duration::from_mins(1), child.wait()).await.expect("it ends").expect("a child");

    let (mut confirmed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for line in std::fs::read_to_string(&printed).expect("what it printed").lines() {
        let said: Value = serde_json::from_str(line).expect("a line of JSON");
        match (said["id"].as_str(), said["line"].as_u64()) {
            (Some(id), None) => assert!(confirmed.insert(id.to_owned()), "{id} twice"),
            (None, Some(line)) => assert!(refused.insert(format!("line-{line}")), "{line} twice"),
            _ => panic!("neither confirmed nor refused: {line}"),
        }
    }
    eprintln!("{} lines confirmed, {} refused, {ended}", confirmed.len(), refused.len());
    assert!(confirmed.is_disjoint(&refused), "a line is confirmed or it is not");
    assert_eq!(confirmed.len() + refused.len(), LINES, "every line is told of");
    assert_eq!(ended.code(), Some(i32::from(!refused.is_empty())), "the exit code says whether all were confirmed");
    let ledger = Ledger::open(&stage.books.confirmed).expect("the ledger can be opened");
    for id in &confirmed {
        ledger.write(id).expect("the ledger takes a line");
    }
    // The broker's death alone may run a task twice; that is not this test's matter.
    let balance = stage.balance().await;
    balance.assert_even();
    assert_eq!(balance.succeeded, confirmed.len());
}

#[tokio::test]
async fn a_gateway_killed_in_the_middle_of_requests_has_lost_nothing_that_it_answered() {
    let mut stage = Stage::set(Size { workers: 2, monitors: 1, producers: 0, rate: 1 }).await;
    let ledger = Ledger::open(&stage.books.confirmed).expect("the ledger can be opened");
    for round in 0..3 {
        let mut gateway = stage.pool.gateway(&[]).await;
        let (client, url) = (http::client(), format!("{}/tasks", gateway.url));
        let requests = stream::iter(0..2_000).map(|request| {
            let ids = [0, 1, 2].map(|n| format!("r{round}-{request}-{n}"));
            let body = ids.clone().map(|id| json!({"kind": "ledger", "id": id, "payload": {}}));
            let sent = client.post(&url).json(&body).send();
            async move { sent.await.ok().filter(|answer| answer.status().is_success()).map(|_| ids) }
        });
        let mut answers = requests.buffer_unordered(20);
        let (mut answered, mut broken) = (0, 0);
        while let Some(answer) = answers.next().await {
            match answer {
                Some(ids) => ids.iter().for_each(|id| ledger.write(id).expect("the ledger takes a line")),
                None => broken += 1,
            }
            answered += 1;
            if answered == 100 {
                gateway.process.kill();
            }
            // What is sent afterwards is refused at once.
            if broken >= 20 {
                break;
            }
        }
        assert!(broken >= 20, "it died in the middle of requests");
    }
    settle(&mut stage).await;
}
