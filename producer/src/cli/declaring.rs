//! Making each queue before its first task.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use warren_core::QueueName;
use warren_producer::{Error, Producer};

use super::source::Tasks;

/// Makes the queues that are not there yet.
#[derive(Debug)]
pub struct Declaring {
    producer: Producer,
    done: HashSet<QueueName>,
}

impl Declaring {
    pub fn new(producer: Producer) -> Self {
        Self { producer, done: HashSet::new() }
    }

    /// The same tasks, each once its queue is there. One whose queue cannot be made is refused.
    pub fn before(self, tasks: Tasks) -> Tasks {
        let declared = stream::unfold((self, tasks), async |(mut declaring, mut tasks)| {
            let (number, mut task) = tasks.next().await?;
            if let Ok(sound) = &task
                && let Err(error) = declaring.declare(sound.chosen_queue()).await
            {
                task = Err(error.into());
            }
            Some(((number, task), (declaring, tasks)))
        });
        declared.boxed()
    }

    async fn declare(&mut self, queue: &QueueName) -> Result<(), Error> {
        if !self.done.contains(queue) {
            self.producer.declare(queue).await?;
            self.done.insert(queue.clone());
        }
        Ok(())
    }
}
