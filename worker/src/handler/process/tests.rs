use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use warren_core::{Attempt, Output, TaskId};

use super::*;
use crate::handler::testing::{DEADLINE, Folder, is_alive, job, run, until};

// What the payload asks for decides what this program does.
const PYTHON: &str = r#"
import json, os, sys, time, subprocess

served = 0
for line in sys.stdin:
    task = json.loads(line)
    served += 1
    def say(**what):
        print(json.dumps({"id": task["id"], **what}), flush=True)
    match task["payload"]:
        case "who": say(result={"pid": os.getpid(), "served": served})
        case {"echo": _}: say(result=task)
        case {"sum": numbers}:
            for done in range(len(numbers)):
                say(progress=done / len(numbers))
            say(result=sum(numbers))
        case "busy": say(error="come back later")
        case "bad": say(error="never", retry=False)
        case "stray": print("loading the model", flush=True); say(result=1)
        case "other": print(json.dumps({"id": "x", "result": 1}), flush=True)
        case "long": say(result="x" * (2 << 20))
        case "die":
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(3)
        case "deaf":
            sys.stdout.close(); os.close(1); time.sleep(600)
        case "answer and die": say(result=os.getpid()); os._exit(0)
        case "twice": say(result=1); say(result=os.getpid()); open("said", "w").write("twice\n")
        case "hang":
            inner = subprocess.Popen(["sleep", "600"])
            with open("hanging", "w") as file: print(os.getpid(), inner.pid, file=file)
            time.sleep(600)
        case _ if isinstance(task["payload"], list): say(result=len(task["payload"]))
"#;

fn limits(processes: u32) -> ProcessLimits {
    let processes = NonZeroU32::new(processes).unwrap();
    ProcessLimits { processes, max_tasks: None, kill_grace: Duration::from_secs(5) }
}

fn pool(limits: ProcessLimits, folder: Option<&Folder>) -> Process {
    program(&["python3", "-c", PYTHON], limits, folder)
}

fn program(argv: &[&str], limits: ProcessLimits, folder: Option<&Folder>) -> Process {
    let argv: Vec<_> = argv.iter().map(|text| (*text).to_owned()).collect();
    Process::new(Program::new(&argv, folder.map(|folder| folder.0.clone()), Vec::new()).unwrap(), limits)
}

fn json_of(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Success { output: Some(Output::Json(value)) } => value,
        other => panic!("{other:?}"),
    }
}

async fn who(pool: &Process) -> (u64, u64) {
    let value = json_of(run(pool, &job("\"who\"")).await);
    (value["pid"].as_u64().unwrap(), value["served"].as_u64().unwrap())
}

#[tokio::test]
async fn a_program_stays_warm_from_task_to_task() {
    let pool = pool(limits(2), None);
    let (first, _) = who(&pool).await;
    assert_eq!(who(&pool).await, (first, 2));
    assert_eq!(who(&pool).await, (first, 3));
}

#[tokio::test]
async fn it_is_told_the_task() {
    let pool = pool(limits(1), None);
    let task =
        Job { attempt: Attempt::new(7).unwrap(), id: TaskId::parse("ü-1").unwrap(), ..job(r#"{"echo": [1.50]}"#) };
    let expected = json!({"id": "ü-1", "kind": "test", "attempt": 7, "payload": {"echo": [1.5]}});
    assert_eq!(json_of(run(&pool, &task).await), expected);
}

#[tokio::test]
async fn a_payload_larger_than_a_pipe_arrives() {
    let pool = pool(limits(1), None);
    let numbers = format!("[{}1]", "1,\n".repeat(499_999));
    assert_eq!(json_of(run(&pool, &job(numbers)).await), json!(500_000));
}

#[tokio::test]
async fn its_answer_is_the_outcome() {
    let pool = pool(limits(1), None);
    assert_eq!(run(&pool, &job("\"busy\"")).await, Outcome::retryable("come back later"));
    assert_eq!(run(&pool, &job("\"bad\"")).await, Outcome::permanent("never"));
    assert_eq!(who(&pool).await.1, 3, "an error of a task does not end the program");
}

#[tokio::test]
async fn progress_is_passed_on() {
    let pool = pool(limits(1), None);
    let (context, mut progress) = Context::new(CancellationToken::new());
    let task = job(r#"{"sum": [1, 2, 3, 4]}"#);
    let outcome = tokio::time::timeout(DEADLINE, pool.run(&task, &context)).await.unwrap();
    assert_eq!(json_of(outcome), json!(10));
    assert_eq!(*progress.borrow_and_update(), json!(0.75));
}

#[tokio::test]
async fn several_programs_work_side_by_side_and_no_more_than_allowed() {
    let folder = Folder::new();
    // It answers only when a second one has been asked too.
    let script = "import json,os,sys,time\n\
                  for line in sys.stdin:\n\
                  \x20 open(f'begun-{os.getpid()}', 'w').close()\n\
                  \x20 while len([f for f in os.listdir() if f.startswith('begun')]) < 2: time.sleep(0.01)\n\
                  \x20 print(json.dumps({'id': json.loads(line)['id'], 'result': os.getpid()}), flush=True)";
    let pool = program(&["python3", "-c", script], limits(2), Some(&folder));
    let task = job("");
    let (a, b, c) = tokio::join!(run(&pool, &task), run(&pool, &task), run(&pool, &task));
    let mut programs = [json_of(a).as_u64(), json_of(b).as_u64(), json_of(c).as_u64()].to_vec();
    programs.sort_unstable();
    programs.dedup();
    assert_eq!(programs.len(), 2);
}

#[tokio::test]
async fn a_death_during_a_task_is_a_crash_and_the_program_is_replaced() {
    let pool = pool(limits(1), None);
    let (first, _) = who(&pool).await;
    let expected = Outcome::Crashed { error: "the program exited with status 3: out of luck".into() };
    assert_eq!(run(&pool, &job("\"die\"")).await, expected);
    let (second, served) = who(&pool).await;
    assert!(second != first && served == 1);
}

#[tokio::test]
async fn a_death_between_tasks_costs_nothing() {
    let pool = pool(limits(1), None);
    let first = json_of(run(&pool, &job("\"answer and die\"")).await).to_string();
    until("the program has ended", || !is_alive(&first)).await;
    assert_eq!(who(&pool).await.1, 1);
}

#[tokio::test]
async fn a_second_answer_reaches_no_other_attempt() {
    let folder = Folder::new();
    let pool = pool(limits(1), Some(&folder));
    assert_eq!(json_of(run(&pool, &job("\"twice\"")).await), json!(1));
    until("it has said it", || folder.said("said").is_some()).await;
    assert_eq!(who(&pool).await.1, 1);
}

#[tokio::test]
async fn who_breaks_the_protocol_is_replaced() {
    let pool = pool(limits(1), None);
    for (payload, complaint) in [
        ("\"stray\"", r#"expected a JSON object on a line of its own, got "loading the model""#),
        ("\"other\"", r#"expected the id "task-1", got "x""#),
        ("\"long\"", "a line of more than 1048576 bytes"),
        ("\"deaf\"", "closed its standard output"),
    ] {
        let (before, _) = who(&pool).await;
        let expected = Outcome::retryable(format!("the program broke the protocol: {complaint}"));
        assert_eq!(run(&pool, &job(payload)).await, expected);
        until("it is gone", || !is_alive(&before.to_string())).await;
        assert_eq!(who(&pool).await.1, 1);
    }
}

#[tokio::test]
async fn who_closes_its_input_is_replaced() {
    let pool = program(&["sh", "-c", "exec 0<&-; exec sleep 600"], limits(1), None);
    let outcome = run(&pool, &job(vec![b'x'; 1_000_000])).await;
    assert_eq!(outcome, Outcome::retryable("the program broke the protocol: closed its standard input"));
}

#[tokio::test]
async fn what_cannot_be_started_is_named_and_tried_less_and_less_often() {
    let pool = program(&["no-such-program"], limits(1), None);
    let begun = Instant::now();
    for _ in 0..3 {
        let error = run(&pool, &job("")).await.error().unwrap();
        assert!(error.starts_with(r#"program "no-such-program" is not found in PATH"#), "{error}");
    }
    assert!(begun.elapsed() >= FIRST_PAUSE * 3, "one pause, and another of twice its length");
}

#[tokio::test]
async fn stopping_ends_the_program_with_its_children_and_replaces_it() {
    let folder = Folder::new();
    let pool = pool(limits(1), Some(&folder));
    let (first, _) = who(&pool).await;
    let (context, _progress) = Context::new(CancellationToken::new());
    let task = job("\"hang\"");
    let attempt = pool.run(&task, &context);
    let stopping = async {
        until("the program hangs", || folder.said("hanging").is_some()).await;
        context.stop.cancel();
    };
    let (outcome, ()) = tokio::time::timeout(DEADLINE, async { tokio::join!(attempt, stopping) }).await.unwrap();
    assert_eq!(outcome, Outcome::retryable("stopped"));
    for id in folder.said("hanging").unwrap().split(' ') {
        assert!(!is_alive(id), "{id}");
    }
    let (second, served) = who(&pool).await;
    assert!(second != first && served == 1);
}

#[tokio::test]
async fn a_dropped_attempt_ends_its_program() {
    let folder = Folder::new();
    let pool = pool(limits(1), Some(&folder));
    let (task, (context, _progress)) = (job("\"hang\""), Context::new(CancellationToken::new()));
    tokio::select! {
        outcome = pool.run(&task, &context) => panic!("{outcome:?}"),
        () = until("the program hangs", || folder.said("hanging").is_some()) => {}
    }
    for id in folder.said("hanging").unwrap().split(' ') {
        until("it is gone", || !is_alive(id)).await;
    }
    assert_eq!(who(&pool).await.1, 1);
}

#[tokio::test]
async fn who_waits_for_a_program_can_be_stopped_too() {
    let folder = Folder::new();
    let pool = Arc::new(pool(limits(1), Some(&folder)));
    let (task, (first, _one)) = (job("\"hang\""), Context::new(CancellationToken::new()));
    let (second, _two) = Context::new(CancellationToken::new());
    let waiting = async {
        until("the program hangs", || folder.said("hanging").is_some()).await;
        second.stop.cancel();
        let outcome = pool.run(&task, &second).await;
        first.stop.cancel();
        outcome
    };
    let (_, outcome) =
        tokio::time::timeout(DEADLINE, async { tokio::join!(pool.run(&task, &first), waiting) }).await.unwrap();
    assert_eq!(outcome, Outcome::retryable("stopped"));
}

#[tokio::test]
async fn a_worn_program_is_replaced() {
    let pool = pool(ProcessLimits { max_tasks: NonZeroU32::new(2), ..limits(1) }, None);
    let (first, _) = who(&pool).await;
    assert_eq!(who(&pool).await, (first, 2));
    assert_ne!(who(&pool).await.0, first);
    until("the first is gone", || !is_alive(&first.to_string())).await;
}

#[tokio::test]
async fn closing_lets_programs_end_by_themselves_and_kills_the_others() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    let script = "import json,sys,os,time\n\
                  for line in sys.stdin:\n\
                  \x20 print(json.dumps({'id': json.loads(line)['id'], 'result': os.getpid()}), flush=True)\n\
                  print('bye', file=open('farewell', 'w'))";
    let polite = program(&["python3", "-c", script], limits(1), Some(&folder));
    let stubborn = program(&["python3", "-c", &format!("{script}\ntime.sleep(600)")], limits(1), Some(&elsewhere));
    let (task, mut ids) = (job(""), Vec::new());
    for pool in [&polite, &stubborn] {
        ids.push(json_of(run(pool, &task).await).to_string());
        tokio::time::timeout(DEADLINE, pool.close()).await.unwrap();
    }
    assert_eq!(folder.said("farewell").as_deref(), Some("bye"));
    for id in ids {
        until("it is gone", || !is_alive(&id)).await;
    }
    assert_eq!(run(&polite, &task).await, Outcome::retryable("stopped"));
}
