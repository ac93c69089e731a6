//! How the monitor's API does with a great many tasks: writes their events straight to the log, waits until the monitor has
//! taken them in, and asks everything a number of times.
//!
//! `cargo build --release -p warren-monitor -p warren-tests && target/release/million`

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use warren_core::{
    Attempt, Kind, Outcome, Priority, QueueName, Reason, TaskId, TaskState, Timestamp, Verdict, WorkerId,
    event::{About, Buried, Deferred, Ended, Event, Run, Started, Submitted},
};
use warren_runtime::{
    Uplink,
    amqp::{self, Connector, Names},
    clock,
    config::Secret,
};
use warren_tests::{Pool, Stand, http, pool::Service};

/// Measures the monitor's API with a great many tasks in the projection.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many tasks.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    tasks: u64,
    /// How often each question is asked.
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// All tasks have succeeded, so that the memory of one can be told; else they are in every state.
    #[arg(long)]
    finished: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug)]
struct Asked {
    path: String,
    median: f64,
    slowest: f64,
    bytes: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stand = Stand::start().await;
    let pool = Pool::on(&stand);
    let monitor = pool.monitor().await;
    let before = memory(&stand).await;
    let begun = Instant::now();
    write(&pool, &stand, &arguments).await;
    let written = begun.elapsed();
    caught_up(&monitor, arguments.tasks).await;
    let projected = begun.elapsed();
    let bytes = memory(&stand).await.saturating_sub(before) / arguments.tasks;
    let mut answers = Vec::new();
    for path in questions(&arguments) {
        answers.push(ask(&monitor, &path, arguments.rounds).await);
    }
    if arguments.json {
        let asked = answers.iter().map(|asked| {
            json!({"path": asked.path, "median_ms": asked.median, "slowest_ms": asked.slowest, "bytes": asked.bytes})
        });
        let report = json!({
            "tasks": arguments.tasks,
            "written_seconds": written.as_secs_f64(),
            "projected_seconds": projected.as_secs_f64(),
            "redis_bytes_a_task": bytes,
            "monitor_resident_kib": monitor.process.resident(),
            "asked": asked.collect::<Vec<_>>(),
        });
        println!("{report:#}");
    } else {
        println!("{} tasks, written in {written:.1?}, projected after {projected:.1?}", arguments.tasks);
        println!("{bytes} bytes of Redis a task");
        println!("{:>10} {:>10} {:>9}  path", "median ms", "slowest", "bytes");
        for Asked { path, median, slowest, bytes } in &answers {
            println!("{median:>10.1} {slowest:>10.1} {bytes:>9}  {path}");
        }
    }
    ExitCode::SUCCESS
}

fn questions(arguments: &Arguments) -> Vec<String> {
    // Neither among the newest nor among the oldest.
    let some = arguments.tasks / 13;
    let mut questions: Vec<String> = [
        "/api/overview",
        "/api/queues",
        "/api/series?range=15m",
        "/api/series?range=7d",
        "/api/tasks",
        "/api/tasks?limit=500",
        "/api/tasks?queue=q2",
        "/api/tasks?kind=kind-3",
        "/api/tasks?queue=q1&kind=kind-4&state=succeeded",
        "/api/tasks?q=nowhere-to-be-found",
        "/api/tasks?worker=worker-3",
        "/api/tasks?priority=5",
    ]
    .map(str::to_owned)
    .into();
    questions.extend([format!("/api/tasks?q={}", id(some)), format!("/api/tasks/{}", id(some))]);
    if !arguments.finished {
        let of_states = [
            "/api/tasks?state=queued",
            "/api/tasks?state=queued&priority=9",
            "/api/tasks?state=dead&kind=kind-2",
            "/api/tasks?state=running",
            "/api/dead?queue=q3",
        ];
        questions.extend(of_states.map(str::to_owned));
        questions.push(format!("/api/tasks/{}/waiting", id(6)));
    }
    questions
}

async fn ask(monitor: &Service, path: &str, rounds: usize) -> Asked {
    let client = http::client();
    let mut times = Vec::with_capacity(rounds);
    let mut bytes = 0;
    for _ in 0..rounds {
        let begun = Instant::now();
        let answer = client.get(format!("{}{path}", monitor.url)).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        bytes = answer.bytes().await.expect("a whole answer").len();
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    Asked { path: path.to_owned(), median: times[rounds / 2], slowest: times[rounds - 1], bytes }
}

async fn write(pool: &Pool, stand: &Stand, arguments: &Arguments) {
    let config = amqp::Config { url: Secret::new(stand.amqp()), ..amqp::Config::default() };
    let process = clock::process_name();
    let names = Names::new(&QueueName::parse(pool.names().namespace()).expect("the name of a pool"));
    let uplink = Uplink::start(Connector::new(config, &process), &names, &process, None);
    let bar = ProgressBar::new(arguments.tasks);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec}").expect("the template is valid"));
    let last = clock::now();
    for number in 0..arguments.tasks {
        // Spread over the last six hours.
        let at = last.minus(Duration::from_millis((arguments.tasks - number) * 21_600_000 / arguments.tasks));
        for event in history(number, at, arguments.finished) {
            uplink.log.note(&event).await.expect("the log is open");
        }
        bar.inc(1);
    }
    uplink.close().await;
    bar.finish_and_clear();
}

// As long as those that the library makes.
fn id(number: u64) -> String {
    format!("01931d3e-2f7b-7c6c-a5f0-{number:012}")
}

// Of a hundred tasks 80 have succeeded, the others are in every other state.
fn history(number: u64, at: Timestamp, finished: bool) -> Vec<Event> {
    let task = TaskId::parse(&id(number)).expect("a valid id");
    let priority = Priority::from(u8::try_from(number / 7 % 10).unwrap_or_default());
    let about = About {
        kind: Kind::parse(&format!("kind-{}", number / 3 % 6)).ok(),
        queue: QueueName::parse(&format!("q{}", number % 5)).expect("a valid name"),
        priority,
    };
    let worker = WorkerId::parse(&format!("worker-{}", number % 8)).expect("a valid name");
    let started = at.plus(Duration::from_millis(15));
    let ended = started.plus(Duration::from_millis(number % 400));
    let attempt = Attempt::FIRST;
    let submission = Event::Submitted(Submitted {
        task: task.clone(),
        at,
        about: about.clone(),
        size: 0,
        due: None,
        deadline: None,
        app: None,
        order_key: None,
        transient: false,
        preview: None,
    });
    let start = Event::Started(Started {
        task: task.clone(),
        at: started,
        about: about.clone(),
        attempt,
        worker: worker.clone(),
        limit: ended.plus(Duration::from_hours(24)),
        traceparent: None,
        transient: false,
    });
    let end = |outcome, verdict| {
        let run = Run { started, worker: worker.clone() };
        Event::Ended(Ended { task: task.clone(), at: ended, about: about.clone(), attempt, run, outcome, verdict })
    };
    let share = if finished { 99 } else { number / 5 % 100 };
    let rest = match share {
        0..=9 => vec![],
        10..=12 => {
            let due = at.plus(Duration::from_hours(48));
            vec![Event::Deferred(Deferred { task: task.clone(), at, about: about.clone(), attempt, due })]
        }
        13 => vec![start],
        14..=17 => {
            let verdict = Verdict::DeadLetter { reason: Reason::AttemptsExhausted };
            vec![start, end(Outcome::retryable(format!("no route to host {}", number % 50)), verdict)]
        }
        18 => vec![start, end(Outcome::Cancelled, Verdict::Cancel)],
        19 => {
            let error = "it was not started within its time".to_owned();
            let reason = Reason::Expired;
            vec![Event::Buried(Buried { task: task.clone(), at: ended, about: about.clone(), attempt, reason, error })]
        }
        _ => vec![start, end(Outcome::success(None), Verdict::Complete)],
    };
    std::iter::once(submission).chain(rest).collect()
}

async fn caught_up(monitor: &Service, tasks: u64) {
    loop {
        let overview = monitor.get("/api/overview").await.unwrap_or(Value::Null);
        let known: u64 = TaskState::ALL.iter().filter_map(|state| overview["states"][state.name()].as_u64()).sum();
        if known >= tasks && overview["lag_seconds"].as_f64().is_some_and(|lag| lag < 1.0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn memory(stand: &Stand) -> u64 {
    let redis::Value::BulkString(text) = stand.redis_command(&["INFO", "memory"]).await else {
        panic!("INFO answers with text")
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("Redis tells its memory");
    line.trim().parse().expect("a number")
}
