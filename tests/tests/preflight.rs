//! `warren-worker check`: what would fail, said before it does.

use serde_json::Value;
use warren_tests::{Pool, Process, pool::PATIENCE};

async fn check(pool: &Pool, configuration: &str, more: &[(&'static str, String)]) -> (Option<i32>, Vec<Value>) {
    let mut variables = pool.variables();
    variables.push(("WARREN_CONFIG", pool.file("worker.toml", configuration)));
    variables.extend_from_slice(more);
    let mut process = Process::start("warren-worker", &["check", "--json"], &variables);
    let code = process.ended(PATIENCE).await.code();
    let output = process.output();
    let start = output.find('[').unwrap_or_else(|| panic!("no JSON: {output}"));
    (code, serde_json::from_str(&output[start..]).expect("a list of findings"))
}

fn of<'a>(findings: &'a [Value], what: &str) -> &'a Value {
    findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what} in {findings:?}"))
}

#[tokio::test]
async fn a_sound_worker_passes() {
    let (code, findings) = check(&Pool::new(), "", &[]).await;
    assert_eq!(code, Some(0), "{findings:?}");
    assert!(findings.iter().all(|finding| finding["level"] == "good"), "{findings:?}");
}

#[tokio::test]
async fn a_task_may_run_for_hours_and_what_the_broker_does_not_bear_is_told() {
    let long = "[handlers.long]\ntype = 'command'\ncommand = ['true']\ntimeout = '6h'\n";
    let (code, findings) = check(&Pool::new(), long, &[]).await;
    let told = of(&findings, "timeouts");
    assert_eq!((code, told["level"].as_str()), (Some(0), Some("warning")));
    assert!(
        told["detail"].as_str().is_some_and(|detail| detail.contains("long") && detail.contains("consumer_timeout"))
    );

    let (_, findings) = check(&Pool::new(), long, &[("WARREN_AMQP__CONSUMER_TIMEOUT", "24h".into())]).await;
    assert!(findings.iter().all(|finding| finding["what"] != "timeouts"), "{findings:?}");
}

#[tokio::test]
async fn what_is_missing_is_named_and_fails() {
    let missing = "[handlers.gone]\ntype = 'command'\ncommand = ['/no/such/program']\n";
    let nowhere = ("WARREN_AMQP__URL", "amqp://guest:guest@127.0.0.1:1/%2f".to_owned());
    let (code, findings) = check(&Pool::new(), missing, &[nowhere]).await;
    assert_eq!(code, Some(1));
    assert_eq!(of(&findings, "broker")["level"], "bad");
    assert!(of(&findings, "handlers")["detail"].as_str().is_some_and(|detail| detail.contains("handlers.gone")));
}

#[tokio::test]
async fn one_node_that_answers_is_enough_and_no_password_is_shown() {
    let (pool, dead) = (Pool::new(), "amqp://guest:unshown@127.0.0.1:1/%2f");
    let nodes = ("WARREN_AMQP__URL", format!("{dead},{},{dead}", warren_tests::servers::amqp()));
    let (code, findings) = check(&pool, "", &[nodes]).await;
    assert_eq!((code, of(&findings, "broker")["level"].as_str()), (Some(0), Some("good")), "{findings:?}");
    let (code, findings) = check(&pool, "", &[("WARREN_AMQP__URL", format!("{dead},{dead}"))]).await;
    let detail = of(&findings, "broker")["detail"].to_string();
    assert!(code == Some(1) && detail.contains("127.0.0.1:1") && !detail.contains("unshown"), "{detail}");
}
