//! Results, as they come back on a queue of one's own.

use futures::StreamExt;
use lapin::{
    Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::Value;
use warren_core::{
    TaskId,
    header::{self, Value as Header},
};
use warren_runtime::amqp::{Connector, Error, Link, message::incoming};

const PREFETCH: u16 = 500;

/// A queue that only this connection sees, and that ends with it.
#[derive(Debug)]
pub struct Replies {
    link: Link,
    consumer: Consumer,
    queue: String,
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
        Ok(Self { link, consumer, queue })
    }

    /// The queue's name, for `reply_to`.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The next reply. Cancel safe.
    pub async fn next(&mut self) -> Result<Reply, Error> {
        loop {
            let Some(delivery) = self.consumer.next().await else { return Err(Error::Lost) };
            let delivery =
                delivery.map_err(|source| Error::Broker { what: "consume the replies".to_owned(), source })?;
            let reply = read(&delivery);
            // Nobody else could ever see it again, so there is nothing to wait for.
            drop(delivery.ack(BasicAckOptions::default()).await);
            match reply {
                Some(reply) => return Ok(reply),
                None => tracing::debug!("a reply without a correlation id was passed over"),
            }
        }
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}

fn read(delivery: &Delivery) -> Option<Reply> {
    let id = delivery.properties.correlation_id().as_ref()?;
    let id = TaskId::parse(id.as_str()).ok()?;
    let headers = incoming(delivery).headers;
    let text = |name| match headers.get(name) {
        Some(Header::Text(text)) => Some(text.clone()),
        Some(Header::Integer(_) | Header::Flag(_) | Header::Other(_)) | None => None,
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
