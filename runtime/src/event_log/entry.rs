//! One message of the event log, read.

use lapin::{message::Delivery, types::AMQPValue};
use serde::Deserialize;
use warren_core::event::{Batch, Event};

use super::cursor::{BatchId, Cursor};

const OFFSET: &str = "x-stream-offset";

/// A message of the log with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it lies, and which one it is.
    pub cursor: Cursor,
    /// What it holds.
    pub content: Content,
}

/// What a message of the log holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A batch of events.
    Batch(Batch),
    /// Nothing that this version can read, for this reason.
    Unreadable(String),
}

/// The broker delivered something from the log that bears no offset, so it is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the event log bears no offset: the queue is not a stream")]
pub struct NoOffset;

/// A message of the log of which only the head was read: for whoever is concerned by few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// Where it lies, and which one it is.
    pub cursor: Cursor,
}

#[derive(Deserialize)]
struct Head {
    source: String,
    seq: u64,
}

impl Passing {
    /// Reads a delivery's head. Of a message that cannot be read, [`Entry::read`] may say the same or not.
    pub fn read(delivery: &Delivery) -> Result<Self, NoOffset> {
        let offset = offset(delivery)?;
        let batch = match serde_json::from_slice::<Head>(&delivery.data) {
            Ok(Head { source, seq }) => BatchId::named(&source, seq),
            Err(_) => BatchId::unreadable(&delivery.data),
        };
        Ok(Self { cursor: Cursor { offset, batch } })
    }
}

fn offset(delivery: &Delivery) -> Result<u64, NoOffset> {
    let headers = delivery.properties.headers().as_ref().ok_or(NoOffset)?;
    match headers.inner().get(OFFSET) {
        Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset).map_err(|_| NoOffset),
        _ => Err(NoOffset),
    }
}

impl Entry {
    /// Reads a delivery.
    pub fn read(delivery: &Delivery) -> Result<Self, NoOffset> {
        Ok(Self::decode(offset(delivery)?, &delivery.data))
    }

    /// Reads a message's body.
    pub fn decode(offset: u64, body: &[u8]) -> Self {
        match Batch::decode(body) {
            Ok(batch) => Self { cursor: Cursor { offset, batch: BatchId::of(&batch) }, content: Content::Batch(batch) },
            Err(error) => Self {
                cursor: Cursor { offset, batch: BatchId::unreadable(body) },
                content: Content::Unreadable(error.to_string()),
            },
        }
    }

    /// The batch, if it could be read.
    pub fn batch(&self) -> Option<&Batch> {
        match &self.content {
            Content::Batch(batch) => Some(batch),
            Content::Unreadable(_) => None,
        }
    }

    /// Its events; none if it could not be read.
    pub fn events(&self) -> &[Event] {
        self.batch().map(|batch| batch.events.as_slice()).unwrap_or_default()
    }
}
