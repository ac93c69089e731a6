//! Why a task was not handed in.

use std::time::Duration;

use warren_core::QueueName;
use warren_runtime::amqp::{self, PublishError};

use crate::field::Invalid;

/// Why a task was not handed in, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not written in JSON.
    #[error("expected JSON")]
    Malformed(#[source] serde_json::Error),
    /// Fields of it cannot be accepted.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its payload is larger than is allowed.
    #[error("a payload of {size} bytes is too large: at most {limit} (max_body_bytes)")]
    TooLarge {
        /// Bytes of payload.
        size: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Its queue does not exist.
    #[error("queue {queue} does not exist ({place}): start a worker that serves it, or declare it first")]
    Returned {
        /// The queue.
        queue: QueueName,
        /// The name under which the broker was asked for it: the queue's own, or a level of the delay ladder.
        place: String,
    },
    /// The broker could not store it.
    #[error("the broker refused the task for queue {queue}")]
    Nacked {
        /// The queue.
        queue: QueueName,
    },
    /// The broker did not confirm in time; the task may or may not have arrived.
    #[error("the broker did not confirm within {0:?}: the task may or may not have arrived")]
    TimedOut(Duration),
    /// The broker takes nothing at present: it is short of memory or disk.
    #[error("the broker takes no tasks at present: it is short of memory or disk")]
    Blocked,
    /// There is no connection to the broker, or it broke; the task may or may not have arrived.
    #[error("there is no connection to the broker: if it broke just now, the task may or may not have arrived")]
    Disconnected,
    /// The first connection cannot be made.
    #[error("cannot begin to produce")]
    Connect(#[source] amqp::Error),
    /// A queue cannot be declared.
    #[error("cannot declare queue {queue}")]
    Declare {
        /// The queue.
        queue: QueueName,
        /// Why not.
        source: amqp::Error,
    },
}

impl Error {
    pub(crate) fn publish(error: PublishError, queue: &QueueName, limit: usize) -> Self {
        match error {
            PublishError::Returned { key } => Self::Returned { queue: queue.clone(), place: key },
            PublishError::Nacked { .. } => Self::Nacked { queue: queue.clone() },
            PublishError::TimedOut(limit) => Self::TimedOut(limit),
            PublishError::Blocked => Self::Blocked,
            PublishError::Disconnected => Self::Disconnected,
            PublishError::TooLarge(size) => Self::TooLarge { size, limit },
        }
    }

    /// Whether the same task may be accepted later. Where it may have arrived already, only a task with an id of its
    /// own can be recognised as the same.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Nacked { .. } | Self::TimedOut(_) | Self::Blocked | Self::Disconnected | Self::Connect(_) => true,
            Self::Malformed(_)
            | Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::Returned { .. }
            | Self::Declare { .. } => false,
        }
    }

    /// Its name, in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::Returned { .. } => "returned",
            Self::Nacked { .. } => "nacked",
            Self::TimedOut(_) => "timed_out",
            Self::Blocked => "blocked",
            Self::Disconnected | Self::Connect(_) => "disconnected",
            Self::Declare { .. } => "undeclared",
        }
    }

    /// The first field that it is about, if it is about one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid(invalid) => {
                invalid.problems().first().map(|problem| problem.field.as_str()).filter(|field| !field.is_empty())
            }
            Self::TooLarge { .. } => Some("payload"),
            Self::Returned { .. } => Some("queue"),
            Self::Malformed(_)
            | Self::Nacked { .. }
            | Self::TimedOut(_)
            | Self::Blocked
            | Self::Disconnected
            | Self::Connect(_)
            | Self::Declare { .. } => None,
        }
    }
}
