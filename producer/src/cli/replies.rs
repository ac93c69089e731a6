//! Results, as they come back on a queue of one's own.

use futures::{StreamExt, stream, stream::BoxStream};
use lapin::{
    Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::Value;
use warren_core::{
    TaskId,
    header::{self, Value as Header},
};
use warren_producer::NewTask;
use warren_runtime::{
    amqp::{Connector, Error, Link, message::incoming, settle},
    clock,
};

use super::source::{Refusal, Tasks};

const PREFETCH: u16 = 500;

/// A queue that only this connection sees, and that ends with it.
pub struct Replies {
    link: Link,
    queue: String,
    arriving: BoxStream<'static, Result<Reply, Error>>,
}

/// How a task ended.
#[derive(Debug)]
pub struct Reply {
    pub id: TaskId,
    pub outcome: String,
    /// Its result, or its error.
    pub result: Result<Value, String>,
}

impl Replies {
    pub async fn open(connector: &Connector) -> Result<Self, Error> {
        let link = connector.connect("replies").await?;
        let channel = link.consuming_channel(PREFETCH).await?;
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| Error::Broker { what, source }
        };
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare("".into(), options, FieldTable::default()).await;
        let queue = declared.map_err(failed("make a queue for the replies"))?.name().to_string();
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let consuming = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await;
        let consumer = consuming.map_err(failed("consume the replies"))?;
        Ok(Self { link, queue, arriving: read(consumer) })
    }

    /// The queue's name, for `reply_to`.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The next reply. Cancel safe.
    pub async fn next(&mut self) -> Result<Reply, Error> {
        self.arriving.next().await.unwrap_or(Err(Error::Lost))
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}

/// The same tasks, each asking for its reply on this queue under its id.
pub fn asked_for(tasks: Tasks, queue: &str) -> Tasks {
    let queue = queue.to_owned();
    tasks.map(move |(number, task)| (number, task.and_then(|task| ask(task, &queue)))).boxed()
}

fn ask(task: NewTask, queue: &str) -> Result<NewTask, Refusal> {
    if task.chosen_reply_to().is_some() {
        let detail = "expected none, for with --wait the replies come here".to_owned();
        return Err(Refusal::Field { field: "reply_to", detail });
    }
    let id = task.chosen_id().cloned().unwrap_or_else(clock::task_id);
    Ok(task.id(id.as_str()).correlation_id(id.as_str()).reply_to(queue))
}

// Acknowledged as many at a time as are there. Nobody else could ever see them again, so that is not waited upon.
fn read(consumer: Consumer) -> BoxStream<'static, Result<Reply, Error>> {
    let chunks = consumer.ready_chunks(usize::from(PREFETCH / 2)).then(async |chunk| {
        if let Some(Ok(last)) = chunk.iter().rfind(|delivery| delivery.is_ok()) {
            drop(settle::acknowledge(&last.acker, true).await);
        }
        chunk
    });
    let replies = chunks.flat_map(stream::iter).filter_map(async |delivery| match delivery {
        Ok(delivery) => reply(&delivery).map(Ok),
        Err(source) => Some(Err(Error::Broker { what: "consume the replies".to_owned(), source })),
    });
    replies.boxed()
}

// A message without a correlation id answers nothing.
fn reply(delivery: &Delivery) -> Option<Reply> {
    let id = delivery.properties.correlation_id().as_ref()?;
    let id = TaskId::parse(id.as_str()).ok()?;
    let headers = incoming(delivery).headers;
    let text = |name| match headers.get(name) {
        Some(Header::Text(text)) => Some(text.clone()),
        Some(Header::Integer(_) | Header::Texts(_) | Header::Flag(_) | Header::Other(_)) | None => None,
    };
    let outcome = text(header::REPLY_OUTCOME).unwrap_or_else(|| "unknown".to_owned());
    let result = if outcome == "success" {
        Ok(value(&delivery.data))
    } else {
        Err(text(header::REPLY_ERROR).unwrap_or_else(|| String::from_utf8_lossy(&delivery.data).into_owned()))
    };
    Some(Reply { id, outcome, result })
}

// JSON where it is JSON, else text.
fn value(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}
