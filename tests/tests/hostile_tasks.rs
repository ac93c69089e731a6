//! Programs that do what no handler should: each task gets its outcome, nothing is left behind, and the worker goes on.

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    pool::{PATIENCE, Service},
    until,
};

// Every process that a task starts bears this in its command line.
fn mark(pool: &Pool) -> String {
    pool.folder().display().to_string()
}

fn left_behind(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    // The worker itself has its configuration there by the environment only.
    lines.filter(|line| line.contains(mark)).map(|line| line.replace('\0', " ")).collect()
}

async fn nobody_is_left(pool: &Pool) {
    let mark = mark(pool);
    until("nobody is left behind", PATIENCE, async || match left_behind(&mark) {
        left if left.is_empty() => Ok(()),
        left => Err(left),
    })
    .await;
}

// By kind: the text of a program, and what begins the table of its handler.
fn configuration(pool: &Pool, kinds: &[(&str, &str, &str)]) -> String {
    let mut tables = vec!["slots = 2\nheartbeat = '500ms'\n[defaults]\nmax_attempts = 1\n".to_owned()];
    for (kind, head, script) in kinds {
        let interpreter = if head.contains("process") { "python3" } else { "bash" };
        let script = pool.file(&format!("{kind}.txt"), &script.replace("FOLDER", &mark(pool)));
        tables.push(format!("[handlers.{kind}]\n{head}\ncommand = ['{interpreter}', '{script}']\n"));
    }
    tables.concat()
}

fn said(task: &Value) -> String {
    format!("{} {}", task["attempts"][0]["outcome"].as_str().unwrap_or("none"), task["error"].as_str().unwrap_or(""))
}

// The error, or the result where there is none.
async fn ends(monitor: &Service, id: &str, state: TaskState, what: &str) {
    let task = monitor.task(id, state).await;
    assert!(said(&task).contains(what), "{id}: expected {what}: {task}");
}

const COMMAND: &str = "type = 'command'";
const IMPATIENT: &str = "type = 'command'\ntimeout = '1s'\nkill_grace = '300ms'";
const PROCESS: &str = "type = 'process'\ntimeout = '20s'\nkill_grace = '300ms'\nprocesses = 1";

const COMMANDS: [(&str, &str, &str); 11] = [
    ("orphan", COMMAND, "bash -c 'while :; do sleep 1; done' FOLDER > /dev/null 2>&1 < /dev/null &\nexit 0"),
    ("holder", COMMAND, "bash -c 'while :; do sleep 1; done' FOLDER &\necho held"),
    ("chatty", IMPATIENT, "exec cat /dev/zero FOLDER"),
    ("complaining", IMPATIENT, "exec cat /dev/zero FOLDER >&2"),
    ("prolific", COMMAND, "head -c 50000000 /dev/zero"),
    ("deaf", COMMAND, "exit 0"),
    ("stubborn", IMPATIENT, "trap '' TERM\nbash -c \"trap '' TERM; while :; do sleep 1; done\" FOLDER"),
    ("killed", COMMAND, "kill -KILL $$"),
    ("aborted", COMMAND, "kill -ABRT $$"),
    ("stopped", IMPATIENT, "kill -STOP $$"),
    ("latin", COMMAND, "printf 'caf\\xe9\\xff'; printf 'caf\\xe9' >&2; exit 3"),
];

#[tokio::test]
async fn programs_that_misbehave_get_their_outcome_and_leave_nothing() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (worker, monitor) = (pool.worker(&configuration(&pool, &COMMANDS)).await, pool.monitor().await);
    let before = worker.process.resident().expect("it runs");
    let payload = vec![b'x'; 1 << 20];
    for (kind, ..) in COMMANDS {
        broker.publish("", &pool.queue(), message(kind, kind), &payload).await;
    }
    for (kind, state, what) in [
        ("orphan", TaskState::Succeeded, "success"),
        ("holder", TaskState::Succeeded, "success"),
        ("chatty", TaskState::Dead, "timeout"),
        ("complaining", TaskState::Dead, "timeout"),
        ("prolific", TaskState::Succeeded, "success"),
        ("deaf", TaskState::Succeeded, "success"),
        ("stubborn", TaskState::Dead, "timeout"),
        ("killed", TaskState::Dead, "crashed the program was killed by SIGKILL"),
        ("aborted", TaskState::Dead, "crashed the program was killed by SIGABRT"),
        ("stopped", TaskState::Dead, "timeout"),
        ("latin", TaskState::Dead, "retryable the program exited with status 3: caf\u{fffd}"),
    ] {
        ends(&monitor, kind, state, what).await;
    }
    let task = monitor.task("prolific", TaskState::Succeeded).await;
    assert_eq!(task["result_bytes"], 50_000_000);
    assert_eq!(monitor.task("holder", TaskState::Succeeded).await["result"], "held");
    let peak = worker.process.peak().expect("it runs");
    assert!(peak < before + 60_000, "a worker of {before} KiB grew to {peak} KiB");
    nobody_is_left(&pool).await;
    broker.publish("", &pool.queue(), message("echo", "after"), b"1").await;
    monitor.task("after", TaskState::Succeeded).await;
}

// Each answers as it should where the payload is nice.
const LOOP: &str = "import json, os, signal, sys, time\ndef say(o): print(json.dumps(o), flush=True)\nfor line in \
                    sys.stdin:\n    job = json.loads(line)\n    if job['payload'] == 'nice': say({'id': job['id'], \
                    'result': os.getpid()}); continue\n    ";

#[tokio::test]
async fn long_lived_programs_that_misbehave_are_replaced() {
    let misdeeds = [
        ("garbage", "print('\\x00\\xff{[', flush=True)", "the program broke the protocol"),
        ("binary", "sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()", "the program broke the protocol"),
        ("endless", "os.execvp('cat', ['cat', '/dev/zero'])", "a line of more than"),
        ("silent", "time.sleep(60)", "timeout"),
        ("stranger", "say({'id': 'another', 'result': 1})", "the program broke the protocol"),
        ("dying", "os.kill(os.getpid(), signal.SIGKILL)", "crashed the program was killed by SIGKILL"),
        ("leaving", "sys.exit(7)", "crashed the program exited with status 7"),
        ("closing", "os.close(1); time.sleep(60)", "the program broke the protocol"),
        (
            "forking",
            "os.system(\"bash -c 'while :; do sleep 1; done' FOLDER &\"); say({'id': job['id'], 'error': 'no'})",
            "retryable no",
        ),
    ];
    let scripts: Vec<_> = misdeeds.iter().map(|(kind, deed, _)| (*kind, format!("{LOOP}{deed}\n"))).collect();
    let kinds: Vec<_> = scripts.iter().map(|(kind, script)| (*kind, PROCESS, script.as_str())).collect();
    let limit = |kind: &str| json!(if kind == "silent" { 1_000 } else { 20_000 });
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (mut worker, monitor) = (pool.worker(&configuration(&pool, &kinds)).await, pool.monitor().await);
    let before = worker.process.resident().expect("it runs");
    for (kind, _, what) in misdeeds {
        let limited = message(kind, kind).with_headers(headers(&[("timeout", limit(kind))]));
        broker.publish("", &pool.queue(), limited, b"\"wicked\"").await;
        let id = format!("{kind}-nice");
        broker.publish("", &pool.queue(), message(kind, &id), b"\"nice\"").await;
        ends(&monitor, kind, TaskState::Dead, what).await;
        monitor.task(&id, TaskState::Succeeded).await;
    }
    let peak = worker.process.peak().expect("it runs");
    assert!(peak < before + 60_000, "a worker of {before} KiB grew to {peak} KiB");
    worker.process.terminate();
    assert!(worker.process.ended(PATIENCE).await.success());
    nobody_is_left(&pool).await;
}

#[tokio::test]
async fn what_a_program_says_or_does_between_two_tasks_reaches_no_task() {
    let twice = format!("{LOOP}for _ in range(2): say({{'id': job['id'], 'result': 'twice'}})\n");
    let dies = format!("{LOOP}say({{'id': job['id'], 'result': 'last'}}); os.kill(os.getpid(), signal.SIGKILL)\n");
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let kinds = [("twice", PROCESS, twice.as_str()), ("dies", PROCESS, dies.as_str())];
    let worker = pool.worker(&configuration(&pool, &kinds)).await;
    let monitor = pool.monitor().await;
    for kind in ["twice", "dies"] {
        for n in 0..3 {
            for payload in ["wicked", "nice"] {
                let id = format!("{kind}-{payload}-{n}");
                let again = headers(&[("max_attempts", json!(3)), ("backoff", json!("fixed:50"))]);
                let task = message(kind, &id).with_headers(again);
                broker.publish("", &pool.queue(), task, format!("\"{payload}\"").as_bytes()).await;
                monitor.task(&id, TaskState::Succeeded).await;
            }
        }
    }
    for n in 0..3 {
        assert!(monitor.task(&format!("twice-nice-{n}"), TaskState::Succeeded).await["result"].is_number());
    }
    worker.ready().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_leaves_none_of_its_programs_behind() {
    let stays = "bash -c 'while :; do sleep 1; done' FOLDER &\nwhile :; do sleep 1; done";
    let serves = format!("{LOOP}os.system(\"bash -c 'while :; do sleep 1; done' FOLDER &\"); time.sleep(60)\n");
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let kinds = [("stays", COMMAND, stays), ("serves", PROCESS, serves.as_str())];
    let mut worker = pool.worker(&configuration(&pool, &kinds)).await;
    for kind in ["stays", "serves"] {
        broker.publish("", &pool.queue(), message(kind, kind), b"\"wicked\"").await;
    }
    let mark = mark(&pool);
    until("each program and its child run", PATIENCE, async || match left_behind(&mark) {
        running if running.len() >= 4 => Ok(()),
        running => Err(running),
    })
    .await;
    worker.process.kill();
    let killed = std::time::Instant::now();
    nobody_is_left(&pool).await;
    eprintln!("gone {:?} after the worker", killed.elapsed());
    assert!(killed.elapsed() < std::time::Duration::from_secs(1));
}
