//! The broker as a test sees it: a foreign client of its own, and the management API.

use std::time::Duration;

use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;

use crate::{http, pool::PATIENCE, servers, until};

/// A connection that knows nothing of Warren.
#[derive(Debug)]
pub struct Broker {
    channel: Channel,
    connection: Connection,
}

/// The properties of a persistent message of this kind, with this id.
pub fn message(kind: &str, id: &str) -> BasicProperties {
    BasicProperties::default().with_type(kind.into()).with_message_id(id.into()).with_delivery_mode(2)
}

/// Headers from text and whole numbers.
pub fn headers(entries: &[(&str, Value)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        let value = match value {
            Value::Number(number) => AMQPValue::LongLongInt(number.as_i64().expect("a whole number")),
            Value::String(text) => AMQPValue::LongString(text.as_str().into()),
            Value::Array(texts) => AMQPValue::FieldArray(
                texts
                    .iter()
                    .map(|text| AMQPValue::LongString(text.as_str().expect("text").into()))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            other => panic!("no header for {other}"),
        };
        table.insert((*name).into(), value);
    }
    table
}

impl Broker {
    /// Connects to the broker of this test run.
    pub async fn connect() -> Self {
        Self::at(&servers::amqp()).await
    }

    /// Connects to the broker of this address.
    pub async fn at(url: &str) -> Self {
        let connecting = Connection::connect(url, ConnectionProperties::default());
        let connection = connecting.await.expect("the test's broker answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { channel, connection }
    }

    /// A channel of its own.
    pub async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("a channel")
    }

    /// Publishes a message and waits for the broker's confirm.
    pub async fn publish(&self, exchange: &str, key: &str, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
        let confirmation = published.expect("an open channel").await.expect("a confirm");
        assert!(confirmation.is_ack() && confirmation.take_message().is_none(), "{key} took the message");
    }

    /// Publishes a message on a connection of its own; an error where it is not confirmed.
    pub async fn try_publish(
        url: &str,
        exchange: &str,
        key: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), lapin::Error> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await?;
        if !published.is_ack() {
            return Err(lapin::ErrorKind::InvalidChannelState(lapin::ChannelState::Error, "refused").into());
        }
        connection.close(200, "done".into()).await
    }

    /// How many messages are ready in a queue; `None` if there is no such queue.
    pub async fn depth(&self, queue: &str) -> Option<u32> {
        let channel = self.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        declared.ok().map(|queue| queue.message_count())
    }

    /// Takes a message out of a queue, once there is one.
    pub async fn take(&self, queue: &str) -> Delivery {
        let patience = Duration::from_secs(20);
        until(&format!("a message in {queue}"), patience, async || {
            let got =
                self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.map_err(|e| e.to_string())?;
            let got = got.ok_or_else(|| "empty".to_owned())?;
            got.acker.ack(BasicAckOptions::default()).await.map_err(|e| e.to_string())?;
            Ok::<_, String>(got.delivery)
        })
        .await
    }

    /// Waits until so many messages are ready in a queue, and no more.
    pub async fn holds(&self, queue: &str, count: u32) {
        until(&format!("{queue} holds {count}"), PATIENCE, async || match self.depth(queue).await {
            Some(depth) if depth == count => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Takes all messages out of a queue, once it holds so many.
    pub async fn take_all(&self, queue: &str, count: u32) -> Vec<Delivery> {
        self.holds(queue, count).await;
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.take(queue).await);
        }
        taken
    }

    /// A queue of one's own, for replies.
    pub async fn reply_queue(&self) -> (String, lapin::Consumer) {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a reply queue");
        let name = queue.name().to_string();
        let consume = lapin::options::BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = self.channel.basic_consume(name.as_str().into(), "".into(), consume, FieldTable::default());
        (name, consumer.await.expect("a consumer of replies"))
    }

    /// The next reply.
    pub async fn reply(consumer: &mut lapin::Consumer) -> Delivery {
        let next = tokio::time::timeout(Duration::from_secs(20), consumer.next());
        next.await.expect("a reply in time").expect("an open consumer").expect("a reply")
    }

    /// Makes a queue of no particular kind.
    pub async fn declare(&self, queue: &str) {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        declared.expect("a queue of our own");
    }

    /// Deletes a queue, whatever is in it.
    pub async fn delete(&self, queue: &str) {
        let options = lapin::options::QueueDeleteOptions::default();
        self.channel.queue_delete(queue.into(), options).await.expect("a queue to delete");
    }
}

/// A header of a message, as text.
pub fn header(delivery: &Delivery, name: &str) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::Boolean(flag) => Some(flag.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// Asks the management API.
pub async fn management(method: reqwest::Method, path: &str) -> Option<Value> {
    let url = format!("{}{path}", servers::management());
    let answer = http::client().request(method, url).send().await.expect("the management API answers");
    let text = answer.error_for_status().ok()?.text().await.ok()?;
    serde_json::from_str(&text).ok()
}

/// Closes every connection whose name begins with this, from the broker's side, once there is one.
pub async fn close_connections(prefix: &str) -> usize {
    until("connections to close", Duration::from_secs(20), async || {
        let connections = management(reqwest::Method::GET, "/api/connections").await.unwrap_or_default();
        let connections = connections.as_array().cloned().unwrap_or_default();
        let ours = connections
            .iter()
            .filter(|c| c["client_properties"]["connection_name"].as_str().is_some_and(|name| name.contains(prefix)));
        let names: Vec<_> = ours.filter_map(|c| c["name"].as_str().map(str::to_owned)).collect();
        for name in &names {
            let path = format!("/api/connections/{}", name.replace(' ', "%20").replace('>', "%3E"));
            management(reqwest::Method::DELETE, &path).await;
        }
        if names.is_empty() { Err("none") } else { Ok(names.len()) }
    })
    .await
}
