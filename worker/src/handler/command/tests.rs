use std::time::Instant;

use serde_json::json;
use warren_core::Output;

use super::*;
use crate::handler::testing::{DEADLINE, Folder, is_alive, job, run, until};

fn command(argv: &[&str]) -> Command {
    configured(argv, Duration::from_secs(5), None, &[])
}

fn shell(script: &str) -> Command {
    command(&["sh", "-c", script])
}

fn in_folder(script: &str, kill_grace: Duration, folder: &Folder) -> Command {
    configured(&["sh", "-c", script], kill_grace, Some(folder), &[])
}

fn configured(argv: &[&str], kill_grace: Duration, folder: Option<&Folder>, visible: &[&str]) -> Command {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let program = Program::new(&owned(argv), folder.map(|folder| folder.0.clone()), owned(visible)).unwrap();
    Command::new(program, kill_grace, 64 * 1024)
}

async fn stopped_once(handler: &Command, ready: impl FnMut() -> bool) -> Outcome {
    let job = job("");
    let (context, _progress) = Context::new(CancellationToken::new());
    let attempt = handler.run(&job, &context);
    let stopping = async {
        until("the program runs", ready).await;
        context.stop.cancel();
    };
    tokio::time::timeout(DEADLINE, async { tokio::join!(attempt, stopping).0 }).await.expect("it ends in time")
}

#[tokio::test]
async fn the_exit_status_decides() {
    let text = |text: &str| Outcome::success(Some(Output::Text(text.into())));
    let crashed = |error: &str| Outcome::Crashed { error: error.into() };
    for (script, expected) in [
        ("true", Outcome::success(None)),
        ("echo done", text("done")),
        (r#"echo '{"a":1}'"#, Outcome::success(Some(Output::Json(json!({"a": 1}))))),
        ("echo noise >&2", Outcome::success(None)),
        ("echo no such order >&2; exit 65", Outcome::permanent("the program exited with status 65: no such order")),
        ("echo busy >&2; exit 1", Outcome::retryable("the program exited with status 1: busy")),
        ("exit 66", Outcome::retryable("the program exited with status 66")),
        ("exit 255", Outcome::retryable("the program exited with status 255")),
        ("echo last words >&2; kill -SEGV $$", crashed("the program was killed by SIGSEGV: last words")),
        ("kill -KILL $$", crashed("the program was killed by SIGKILL")),
    ] {
        assert_eq!(run(&shell(script), &job("")).await, expected, "{script}");
    }
}

#[tokio::test]
async fn the_payload_is_the_input_whatever_its_size() {
    assert_eq!(run(&command(&["cat"]), &job("[1,2]")).await, Outcome::success(Some(Output::Json(json!([1, 2])))));
    let counted = run(&command(&["wc", "-c"]), &job(vec![b'x'; 3_000_000])).await;
    assert_eq!(counted, Outcome::success(Some(Output::Json(json!(3_000_000)))));
}

#[tokio::test]
async fn input_that_nobody_reads_is_no_error() {
    for script in ["echo done", "exec 0<&-; echo done", "head -c 5 >/dev/null; echo done"] {
        let outcome = run(&shell(script), &job(vec![b'x'; 3_000_000])).await;
        assert_eq!(outcome, Outcome::success(Some(Output::Text("done".into()))), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = run(&command(&["no-such-program"]), &job("")).await.error().unwrap();
    assert!(error.starts_with(r#"program "no-such-program" is not found in PATH ("#), "{error}");
}

#[tokio::test]
async fn only_the_allowed_environment_is_seen() {
    // Variables that cargo sets for every test.
    let handler = configured(&["env"], Duration::ZERO, None, &["CARGO_PKG_NAME", "NOT_SET_ANYWHERE"]);
    let task = Job { traceparent: Some("00-aa-bb-01".into()), ..job("") };
    let Outcome::Success { output: Some(Output::Text(text)) } = run(&handler, &task).await else { panic!() };
    let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with("PATH=")).collect();
    lines.sort_unstable();
    let expected = [
        "CARGO_PKG_NAME=warren-worker",
        "TRACEPARENT=00-aa-bb-01",
        "WARREN_ATTEMPT=1",
        "WARREN_KIND=test",
        "WARREN_PRIORITY=0",
        "WARREN_QUEUE=default",
        "WARREN_TASK_ID=task-1",
        "WARREN_TASK_KIND=test",
        "WARREN_TIMEOUT_MS=60000",
    ];
    assert_eq!(lines, expected);
    assert_eq!(text.lines().count(), expected.len() + 1, "PATH is seen too");
}

#[tokio::test]
async fn runs_in_its_directory() {
    let folder = Folder::new();
    let outcome = run(&in_folder("pwd -P", Duration::ZERO, &folder), &job("")).await;
    let expected = folder.0.canonicalize().unwrap().display().to_string();
    assert_eq!(outcome, Outcome::success(Some(Output::Text(expected))));
}

#[tokio::test]
async fn a_long_result_is_counted_and_not_kept() {
    let outcome = run(&shell("head -c 65537 /dev/zero"), &job("")).await;
    assert_eq!(outcome, Outcome::success(Some(Output::TooLong(65537))));
}

#[tokio::test]
async fn output_without_end_is_bounded_and_stopped() {
    let folder = Folder::new();
    let script = "echo go > ready; while :; do echo yes; echo no >&2; done & yes";
    let handler = in_folder(script, Duration::from_secs(5), &folder);
    let outcome = stopped_once(&handler, || folder.said("ready").is_some()).await;
    assert_eq!(outcome, Outcome::retryable("stopped"));
}

#[tokio::test]
async fn of_its_complaints_the_last_are_kept() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
    let error = run(&shell(script), &job("")).await.error().unwrap();
    assert!(error.starts_with("the program exited with status 1: …"), "{error}");
    assert!(error.ends_with("line 1999") && error.len() < ERROR_TAIL + 100, "{error}");
}

#[tokio::test]
async fn stopping_ends_the_whole_group() {
    let folder = Folder::new();
    let script = "sh -c 'echo $$ > grandchild; sleep 600; :' & echo $$ > child; wait";
    let handler = in_folder(script, Duration::from_secs(5), &folder);
    let ready = || folder.said("grandchild").is_some() && folder.said("child").is_some();
    assert_eq!(stopped_once(&handler, ready).await, Outcome::retryable("stopped"));
    for name in ["child", "grandchild"] {
        assert!(!is_alive(&folder.said(name).unwrap()), "{name}");
    }
}

#[tokio::test]
async fn a_stopped_program_may_tidy_up_even_inside_a_shell_that_dies_at_once() {
    let folder = Folder::new();
    let tidy = "trap 'sleep 0.2; echo yes > tidied; exit' TERM; echo go > ready; while :; do sleep 0.05; done";
    std::fs::write(folder.0.join("tidy.sh"), tidy).unwrap();
    let handler = in_folder("sh tidy.sh; :", Duration::from_secs(20), &folder);
    let outcome = stopped_once(&handler, || folder.said("ready").is_some()).await;
    assert_eq!((outcome, folder.said("tidied")), (Outcome::retryable("stopped"), Some("yes".into())));
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let folder = Folder::new();
    let grace = Duration::from_millis(300);
    let script = "trap '' TERM; echo $$ > child; while :; do sleep 600; done";
    let handler = in_folder(script, grace, &folder);
    let begun = Instant::now();
    let outcome = stopped_once(&handler, || folder.said("child").is_some()).await;
    assert_eq!(outcome, Outcome::retryable("stopped"));
    assert!(begun.elapsed() >= grace, "the grace was kept");
    assert!(!is_alive(&folder.said("child").unwrap()));
}

#[tokio::test]
async fn what_outlives_the_program_is_killed() {
    let folder = Folder::new();
    let script =
        "sh -c 'echo $$ > grandchild; sleep 600; :' & while [ ! -s grandchild ]; do sleep 0.01; done; echo done";
    let outcome = run(&in_folder(script, Duration::ZERO, &folder), &job("")).await;
    assert_eq!(outcome, Outcome::success(Some(Output::Text("done".into()))));
    let grandchild = folder.said("grandchild").unwrap();
    until("the grandchild is gone", || !is_alive(&grandchild)).await;
}

#[tokio::test]
async fn who_left_the_group_and_holds_the_output_does_not_hang_the_attempt() {
    let folder = Folder::new();
    let script =
        "setsid sh -c 'echo $$ > escaped; sleep 600; :' & while [ ! -s escaped ]; do sleep 0.01; done; echo done";
    let outcome = run(&in_folder(script, Duration::ZERO, &folder), &job("")).await;
    assert_eq!(outcome, Outcome::success(Some(Output::Text("done".into()))));
    let escaped = folder.said("escaped").unwrap().parse().unwrap();
    let escaped = rustix::process::Pid::from_raw(escaped).unwrap();
    rustix::process::kill_process_group(escaped, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_dropped_attempt_leaves_nothing_running() {
    let folder = Folder::new();
    let script = "sh -c 'trap \"\" TERM; echo $$ > grandchild; sleep 600; :' & wait";
    let handler = in_folder(script, Duration::from_secs(5), &folder);
    let (job, (context, _progress)) = (job(""), Context::new(CancellationToken::new()));
    tokio::select! {
        outcome = handler.run(&job, &context) => panic!("{outcome:?}"),
        () = until("the program runs", || folder.said("grandchild").is_some()) => {}
    }
    let grandchild = folder.said("grandchild").unwrap();
    until("the grandchild is gone", || !is_alive(&grandchild)).await;
}
