//! `warren-monitor` on the command line: what it shows of a real pool, to people and to scripts, and how it ends.

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{headers, message},
    pool::{PATIENCE, Service},
    process::path_of,
    until,
};

/// A pool with a task in each state that can be looked at.
pub struct Scene {
    pub pool: Pool,
    _worker: Service,
    pub monitor: Service,
    worker_id: String,
}

impl Scene {
    pub async fn new() -> Self {
        let (pool, broker) = (Pool::new(), Broker::connect().await);
        let failing =
            "[handlers.fail]\ntype = 'command'\ncommand = ['sh', '-c', 'echo no such recipient >&2; exit 65']\n";
        let worker = pool.worker(&format!("slots = 1\nheartbeat = '500ms'\n{}{failing}", pool.gate())).await;
        let monitor = pool.monitor().await;
        let submit = async |kind, id, more: &[(&str, Value)], state| {
            let properties = message(kind, id).with_headers(headers(more));
            broker.publish(&pool.names().tasks(), "default", properties, b"{\"x\":1}").await;
            monitor.task(id, state).await;
        };
        submit("echo", "done", &[], TaskState::Succeeded).await;
        submit("fail", "broken", &[], TaskState::Dead).await;
        submit("echo", "later", &[("delay", json!(3_600_000))], TaskState::Delayed).await;
        submit("gate", "busy", &[], TaskState::Running).await;
        submit("echo", "waiting", &[], TaskState::Queued).await;
        let worker_id = until("the worker says what it runs", PATIENCE, async || {
            let workers = monitor.get("/api/workers").await?;
            let queues = monitor.get("/api/queues").await?;
            let told = workers["workers"][0]["running"][0]["task"] == "busy" && queues["queues"][0]["consumers"] == 1;
            let id = workers["workers"][0]["id"].as_str().unwrap_or_default().to_owned();
            if told { Ok(id) } else { Err(workers.to_string()) }
        })
        .await;
        Self { pool, _worker: worker, monitor, worker_id }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(&self.monitor.url, arguments, &[])
    }

    /// What is printed for people, without what differs from run to run.
    fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        self.redact(&String::from_utf8(output.stdout).expect("text"))
    }

    fn redact(&self, text: &str) -> String {
        let namespace = self.pool.variables()[0].1.clone();
        let text = text.replace(&self.worker_id, "WORKER").replace(&namespace, "POOL");
        let lines = text.lines().map(|line| line.split_whitespace().map(redact).collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What is printed for scripts.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }
}

pub fn run(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(path_of("warren-monitor"));
    command.env_clear().env("WARREN_MONITOR_URL", url).envs(variables.iter().copied()).args(arguments);
    command.stdin(Stdio::null()).output().expect("the program runs")
}

pub fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// Times, rates, sizes and loads, which are never the same twice.
fn redact(word: &str) -> String {
    let inner = word.trim_matches(|c| "(),".contains(c));
    let measured = |unit: &str| inner.strip_suffix(unit).is_some_and(|number| number.parse::<f64>().is_ok());
    let minutes = |(a, b): (&str, &str)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok();
    let long = inner.trim_end_matches(['s', 'm', 'h']).split_once(['m', 'h', 'd']).is_some_and(minutes);
    if measured("ms") || measured("s") || long {
        return word.replace(inner, "TIME");
    }
    if inner.len() == 24 && inner.ends_with('Z') {
        return word.replace(inner, "WHEN");
    }
    if inner.ends_with("/s") {
        return "RATE".to_owned();
    }
    if inner.contains('.') && inner.parse::<f64>().is_ok() { word.replace(inner, "N") } else { word.to_owned() }
}

#[tokio::test]
async fn everything_can_be_looked_at() {
    let scene = Scene::new().await;
    assert_snapshot!("queues", scene.shown(&["queues"]));
    assert_snapshot!("tasks", scene.shown(&["tasks"]));
    assert_snapshot!("tasks_of_two_states", scene.shown(&["tasks", "--state", "dead,running", "--queue", "default"]));
    assert_snapshot!("task_done", scene.shown(&["task", "done"]));
    assert_snapshot!("task_broken", scene.shown(&["task", "broken"]));
    assert_snapshot!("task_running", scene.shown(&["task", "busy"]));
    assert_snapshot!("dead", scene.shown(&["dead"]));
    assert_snapshot!("dead_groups", scene.shown(&["dead", "groups"]));

    // What the machine is like comes into these: only what it does not touch is looked at.
    let workers = scene.shown(&["workers", "--running"]);
    assert!(workers.contains("WORKER alive 1/1 ") && workers.contains("\nbusy gate 1 TIME WORKER"), "{workers}");
    let overview = scene.shown(&["overview"]);
    assert!(overview.contains("1 queued, 1 delayed, 1 running, 1 succeeded, 1 dead, 0 cancelled"), "{overview}");
    assert!(overview.contains("workers 1 alive; 1 of 1 slots busy"), "{overview}");
}

#[tokio::test]
async fn scripts_get_the_documents_of_the_api() {
    let scene = Scene::new().await;
    for (arguments, place, expected) in [
        (&["overview"][..], "/states/running", json!(1)),
        (&["queues"], "/queues/0/queue", json!("default")),
        (&["workers"], "/workers/0/id", json!(scene.worker_id)),
        (&["tasks", "--state", "queued"], "/tasks/0/id", json!("waiting")),
        (&["task", "done"], "/result", json!({"x": 1})),
        (&["dead", "--kind", "fail"], "/dead/0/id", json!("broken")),
        (&["dead", "groups"], "/groups/0/sample", json!("broken")),
    ] {
        let document = scene.json(arguments);
        assert_eq!(document.pointer(place), Some(&expected), "{arguments:?}: {document}");
    }

    // Two pages of the API, one document: newest first, and where it goes on.
    let first = scene.json(&["tasks", "--limit", "3"]);
    let next = first["next"].as_str().expect("there are more");
    let rest = scene.json(&["tasks", "--cursor", next]);
    let ids =
        |list: &Value| list["tasks"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect::<Vec<_>>();
    assert_eq!([ids(&first), ids(&rest)].concat(), ["waiting", "busy", "later", "broken", "done"]);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_table_fits_its_terminal_and_is_coloured_there_alone() {
    let scene = Scene::new().await;
    // A terminal of 60 columns; util-linux' script gives one to a program.
    let program = path_of("warren-monitor");
    let line = format!("stty cols 60; {} tasks", program.display());
    let in_terminal = |variables: &[(&str, &str)]| {
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("WARREN_MONITOR_URL", &scene.monitor.url).env("TERM", "xterm");
        command.env_remove("NO_COLOR").envs(variables.iter().copied()).stdin(Stdio::null());
        let output = command.output().expect("script is part of every Debian");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let coloured = in_terminal(&[]);
    assert!(coloured.contains("\u{1b}[31mdead\u{1b}[0m"), "{coloured}");
    let plain = in_terminal(&[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}') && plain.contains("broken"), "{plain}");
    let widest = plain.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| (30..=60).contains(&widest)), "{widest:?} columns: {plain}");
    let piped = String::from_utf8(scene.run(&["tasks"]).stdout).unwrap();
    assert!(!piped.contains('\u{1b}') && piped.contains("no such recipient"), "{piped}");
}

#[tokio::test]
async fn exit_codes_tell_what_is_wrong_and_the_message_what_to_do() {
    let pool = Pool::new();
    let monitor = pool.monitor().await;
    let unknown = run(&monitor.url, &["task", "nobody"], &[]);
    assert_eq!((unknown.status.code(), error(&unknown).as_str()), (Some(1), "error: no task \"nobody\" is known\n"));

    for (arguments, named) in [
        (&["tasks", "--state", "sleeping"][..], "--state"),
        (&["tasks", "--since", "yesterday"], "--since"),
        (&["tasks", "--limit", "0"], "--limit"),
        (&["tasks", "--cursor", "x"], "cursor"),
        (&["task", "two words"], "<ID>"),
        (&["tasks", "--user", "a:b"], "--user"),
        (&["tasks", "--url", "ftp://here"], "--url"),
        (&["dance"], "dance"),
    ] {
        let output = run(&monitor.url, arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(error(&output).contains(named), "{arguments:?}: {output:?}");
    }

    // Nobody has that port.
    let away = run("http://127.0.0.1:1", &["queues"], &[]);
    assert_eq!(away.status.code(), Some(3), "{away:?}");
    assert!(error(&away).contains("http://127.0.0.1:1") && error(&away).contains("scripts/status"), "{away:?}");
}

#[tokio::test]
async fn a_token_is_taken_from_a_file_or_a_variable() {
    let pool = Pool::new();
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_HTTP__TOKEN", "s3cret".to_owned())]).await;
    let refused = run(&monitor.url, &["queues"], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(error(&refused).contains("--token-file"), "{refused:?}");
    let wrong = run(&monitor.url, &["queues"], &[("WARREN_HTTP__TOKEN", "guess")]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let variable = run(&monitor.url, &["queues"], &[("WARREN_HTTP__TOKEN", "s3cret")]);
    assert!(variable.status.success(), "{variable:?}");
    let file = pool.file("token", "s3cret\n");
    let from_file = run(&monitor.url, &["queues", "--token-file", &file], &[]);
    assert!(from_file.status.success(), "{from_file:?}");
}

#[tokio::test]
async fn what_is_done_is_confirmed_recorded_and_asked_for_where_it_is_dangerous() {
    let scene = Scene::new().await;
    let ann = |arguments: &[&str]| scene.run(&[arguments, &["--user", "ann"]].concat());
    let done = |arguments: &[&str]| {
        let output = ann(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };

    assert!(done(&["pause", "default", "--reason", "the mail server is down"]).contains("pause default"));
    let paused = until("the pause is shown", PATIENCE, async || {
        let shown = scene.shown(&["queues"]);
        if shown.contains("paused") { Ok(shown) } else { Err(shown) }
    })
    .await;
    assert!(paused.contains("paused by ann TIME ago: the mail server is down"), "{paused}");
    let again = ann(&["pause", "default"]);
    assert_eq!(again.status.code(), Some(1), "what makes no sense is refused: {again:?}");
    done(&["resume", "default"]);
    done(&["drain", &scene.worker_id]);
    done(&["resume", "--worker", &scene.worker_id]);
    done(&["run-now", "later"]);

    // Several at once want a word that nobody can give here.
    let many = ann(&["cancel", "waiting", "busy"]);
    assert_eq!((many.status.code(), error(&many).contains("--yes")), (Some(2), true), "{many:?}");
    let some = ann(&["cancel", "--yes", "waiting", "done", "nobody"]);
    assert_eq!(some.status.code(), Some(1), "{some:?}");
    let told = String::from_utf8_lossy(&some.stdout).into_owned();
    assert!(told.contains("1 accepted, 2 refused") && told.contains("nobody  refused: "), "{told}");
    let unknown = ann(&["cancel", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");

    let actions = scene.json(&["actions"]);
    let recorded: Vec<_> = actions["actions"].as_array().expect("a list").iter().rev().collect();
    let whats: Vec<_> = recorded.iter().map(|action| action["what"].as_str().expect("text")).collect();
    assert_eq!(whats, ["pause", "resume", "drain", "resume_worker", "run_now", "cancel"], "{actions}");
    assert!(recorded.iter().all(|action| action["by"] == "ann"), "{actions}");
    assert!(scene.shown(&["actions"]).contains("ann pause default the mail server is down"));
}

#[tokio::test]
async fn dead_letters_are_replayed_after_a_canary_and_thrown_away() {
    let scene = Scene::new().await;
    // Dead again each time, so that the same letter serves for everything; its slot has to be free for that.
    scene.pool.open_gate();
    scene.monitor.task("busy", TaskState::Succeeded).await;
    let groups = scene.json(&["dead", "groups"]);
    let fingerprint = groups["groups"][0]["fingerprint"].as_str().expect("text").to_owned();

    let whole = scene.run(&["retry", "--fingerprint", &fingerprint]);
    assert_eq!((whole.status.code(), error(&whole).contains("--yes")), (Some(2), true), "{whole:?}");
    let canary = scene.json(&["retry", "--fingerprint", &fingerprint, "--canary", "--reason", "try one"]);
    let job = canary["job"].as_str().expect("a job").to_owned();
    let waits = until("the canary has ended and the job waits", PATIENCE, async || {
        let shown = scene.shown(&["jobs"]);
        if shown.contains("canary") && shown.contains("broken dead") { Ok(shown) } else { Err(shown) }
    })
    .await;
    assert!(waits.contains(&format!("{job} replay group {fingerprint}")), "{waits}");
    let goes_on = scene.run(&["jobs", "--continue", &job]);
    assert!(goes_on.status.success(), "{goes_on:?}");
    until("the job is done", PATIENCE, async || {
        let jobs = scene.json(&["jobs"]);
        if jobs["jobs"][0]["state"] == "done" { Ok(()) } else { Err(jobs.to_string()) }
    })
    .await;
    let over = scene.run(&["jobs", "--stop", &job]);
    assert_eq!(over.status.code(), Some(1), "what is over cannot be stopped: {over:?}");

    assert!(scene.shown(&["dead", "show", "broken"]).contains("Payload, 7 B\n{\"x\":1}"));
    let unsure = scene.run(&["discard", "broken"]);
    assert_eq!((unsure.status.code(), error(&unsure).contains("--yes")), (Some(2), true), "{unsure:?}");
    let discarded = scene.run(&["discard", "broken", "--yes"]);
    assert!(discarded.status.success(), "{discarded:?}");
    scene.monitor.task("broken", TaskState::Cancelled).await;
    assert!(scene.shown(&["task", "broken"]).contains("\ndiscarded by "));
}
