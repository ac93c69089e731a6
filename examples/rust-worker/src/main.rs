//! A worker with one handler in Rust: counts the lines, words and bytes of a file, as `wc` does.

use serde_json::{Value, json};
use tokio::fs;
use warren_worker::{Context, Failure, Job, Worker};

async fn count(job: Job, context: Context) -> Result<Value, Failure> {
    let paths: Vec<String> = job.json()?;
    let (mut lines, mut words, mut bytes) = (0, 0, 0);
    for (done, path) in paths.iter().enumerate() {
        context.progress(json!({ "done": done, "of": paths.len() }));
        // Any error fails the attempt and is tried again; one that will not change says so.
        let data = fs::read(path).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::permanent(format_args!("{path}: {error}")),
            _ => Failure::retry(format_args!("{path}: {error}")),
        })?;
        let text = String::from_utf8_lossy(&data);
        lines += text.matches('\n').count();
        words += text.split_ascii_whitespace().count();
        bytes += data.len();
    }
    Ok(json!({ "lines": lines, "words": words, "bytes": bytes }))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Worker::builder().task("count", count).run().await
}
