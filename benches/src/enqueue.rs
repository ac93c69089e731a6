//! Handing tasks in through the library, every one confirmed and reported to the log.

use futures::{StreamExt, stream};
use tokio::time::Instant;
use warren_producer::{NewTask, Producer};

use crate::{
    cost,
    ground::{Ground, payload},
    pace::Pace,
};

/// Hands so many tasks in, of all ten priorities in turn. The submissions are in the log before the time is taken.
pub async fn enqueue(ground: &Ground, count: usize) -> anyhow::Result<Pace> {
    let producer = ground.producer().await?;
    let (begun, busy) = (Instant::now(), cost::own());
    hand_in(&producer, count).await?;
    producer.close().await;
    Ok(Pace::of(count, begun.elapsed(), cost::own().saturating_sub(busy)))
}

/// The same through a library that is connected already, and stays so.
pub async fn hand_in(producer: &Producer, count: usize) -> anyhow::Result<()> {
    let task = |number: usize| {
        let priority = u8::try_from(number % 10).expect("below ten");
        ((), Ok::<_, warren_producer::Error>(NewTask::new("echo").payload(payload()).priority(priority)))
    };
    let tasks = stream::iter((0..count).map(task));
    let mut results = std::pin::pin!(producer.pipeline(tasks));
    while let Some(((), result)) = results.next().await {
        result?;
    }
    Ok(())
}
