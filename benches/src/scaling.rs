//! More workers, more tasks a second: with tasks that wait rather than compute, so that the machine is not the limit.

use serde::Serialize;
use warren_producer::NewTask;
use warren_tests::Stand;

use crate::{
    ground::{Ground, ended, reached},
    pace::number,
};

const TASK_MS: u64 = 20;
const WORKERS: [usize; 4] = [1, 2, 4, 8];

/// Tasks a second with so many workers.
#[derive(Debug, Clone, Serialize)]
pub struct Scale {
    /// How many.
    pub workers: usize,
    /// Together.
    pub per_second: f64,
}

/// With 1, 2, 4 and 8 workers of four slots each; each works for about `seconds`.
pub async fn measure(
    stand: &Stand,
    profile: warren_runtime::amqp::Profile,
    seconds: usize,
) -> anyhow::Result<Vec<Scale>> {
    let mut scales = Vec::new();
    for workers in WORKERS {
        let ground = Ground::new(stand, profile).await?;
        // 50 tasks a second in each of four slots.
        let count = workers * 200 * seconds;
        let producer = ground.producer().await?;
        let task = NewTask::new("sleep").json(&serde_json::json!({"ms": TASK_MS}));
        for result in producer.enqueue_many(std::iter::repeat_n(task, count)).await {
            result?;
        }
        producer.close().await;
        let mut all = Vec::new();
        for _ in 0..workers {
            all.push(ground.start("warren-worker", "slots = 4\nprefetch = 8\n").await);
        }
        let counting = async || {
            let counts = futures::future::join_all(all.iter().map(ended)).await;
            counts.into_iter().sum::<Option<usize>>()
        };
        // Those that started first have been working while the others started: from here on all of them are.
        let (begun, before) = reached(1, counting).await?;
        let (end, after) = reached(before + (count - before) * 9 / 10, counting).await?;
        scales.push(Scale { workers, per_second: number(after - before) / (end - begun).as_secs_f64() });
    }
    Ok(scales)
}
