//! How far a reader has come in the event log.

use warren_core::event::Batch;

/// A place in the log, and what lies there: an offset alone cannot tell whether the log is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The offset of the last message that was applied.
    pub offset: u64,
    /// Which message that was.
    pub batch: BatchId,
}

/// What tells one message of the log from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchId(String);

impl BatchId {
    /// Of a batch.
    pub fn of(batch: &Batch) -> Self {
        Self::named(&batch.source, batch.seq)
    }

    /// Of the batch with this number of this source.
    pub fn named(source: &str, seq: u64) -> Self {
        Self(format!("{source}:{seq}"))
    }

    /// Of a message that cannot be read.
    pub fn unreadable(body: &[u8]) -> Self {
        Self(format!("unreadable:{}", body.len()))
    }

    /// As it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
