//! `warren-producer`, as people and scripts use it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{Pool, process::path_of};

fn enqueue(pool: &Pool, arguments: &[&str], input: &str) -> Output {
    run(pool, &[&["enqueue"], arguments].concat(), input)
}

fn run(pool: &Pool, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(path_of("warren-producer"));
    command.env_clear().envs(pool.variables()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that ends early does not read its input.
    drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
    child.wait_with_output().expect("the program ends")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

#[tokio::test]
async fn one_task_from_flags_and_its_result() {
    let pool = Pool::new();
    let _worker = pool.worker("").await;
    let output = enqueue(&pool, &["--kind", "echo", "--payload", r#"{"x":1}"#, "--id", "cli", "--wait", "--json"], "");
    assert!(output.status.success(), "{output:?}");
    let last = lines(&output).pop().unwrap();
    assert_eq!((&last["id"], &last["outcome"], &last["result"]), (&json!("cli"), &json!("success"), &json!({"x": 1})));
}

#[tokio::test]
async fn many_tasks_from_json_lines() {
    let pool = Pool::new();
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let lines: Vec<_> = (0..300).map(|n| json!({"kind": "echo", "payload": n}).to_string()).collect();
    let input = lines.join("\n");
    let output = enqueue(&pool, &["--file", "-"], &input);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("300")
            || String::from_utf8_lossy(&output.stdout).contains("300")
    );
    monitor.count(TaskState::Succeeded, 300).await;
}

#[tokio::test]
async fn the_exit_code_says_whether_all_were_confirmed() {
    let pool = Pool::new();
    let _worker = pool.worker("").await;
    let bad = "{\"kind\":\"echo\"}\n{\"kind\":\"echo\",\"delay\":\"soon\"}\nnot json\n";
    let output = enqueue(&pool, &["--file", "-", "--json"], bad);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("delay") && text.contains("\"line\":2") && text.contains("\"line\":3"), "{text}");

    let unknown = enqueue(&pool, &["--kind", "echo", "--queue", "nowhere"], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nowhere"), "{unknown:?}");

    let failing = enqueue(&pool, &["--kind", "sleep", "--payload", "{}", "--max-attempts", "1", "--wait"], "");
    assert_eq!(failing.status.code(), Some(1), "a task that did not succeed: {failing:?}");
}

#[tokio::test]
async fn a_workflow_on_standard_input_is_read_as_what_it_looks_like() {
    let pool = Pool::new();
    let refused = |input: &str| {
        let output = run(&pool, &["workflows", "run", "-"], input);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let no_step = "error: steps.a.after: there is no step b in this workflow\n";
    assert_eq!(refused("steps:\n  a: { task: { kind: a }, after: b }\n"), no_step);
    assert_eq!(refused(r#"{"steps": {"a": {"task": {"kind": "a"}, "after": "b"}}}"#), no_step);
    assert!(refused(r#"{"steps": "#).starts_with("error: expected JSON: EOF"));
    assert!(refused("steps: [").starts_with("error: expected a workflow in YAML: "));
}
