//! What other projects' workers do with as many tasks on the same broker, as safe as Warren: `benches/peers`.

use std::{env, process::Stdio};

use serde_json::Value;
use tokio::process::Command;
use warren_tests::Stand;

/// A Python that has them; `scripts/bench --peers` makes one.
const PYTHON: &str = "WARREN_BENCH_PEERS";
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
const PEERS: [&str; 3] = ["celery", "dramatiq", "taskiq"];

/// Those that there are, if they are wished for.
pub fn wanted() -> &'static [&'static str] {
    if env::var_os(PYTHON).is_some() { &PEERS } else { &[] }
}

/// Hands so many tasks in, works them off, and says how fast that was and what it cost. `None`, with a word, where it cannot be run.
pub async fn measure(stand: &Stand, peer: &str, tasks: usize) -> Option<Value> {
    let mut python = Command::new(env::var_os(PYTHON)?);
    python.arg(format!("{SCRIPTS}/{peer}_drain.py")).arg(tasks.to_string()).env("AMQP_URL", stand.amqp());
    let output = match python.stdin(Stdio::null()).kill_on_drop(true).output().await {
        Ok(output) => output,
        Err(error) => {
            eprintln!("{peer} is left out: {error}");
            return None;
        }
    };
    let report =
        String::from_utf8_lossy(&output.stdout).lines().next_back().and_then(|line| serde_json::from_str(line).ok());
    if report.is_none() {
        let said = String::from_utf8_lossy(&output.stderr);
        eprintln!("{peer} is left out: {}", said.lines().next_back().unwrap_or("it said nothing"));
    }
    report
}
