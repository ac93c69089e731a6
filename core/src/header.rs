//! The headers of a message: their names and the few value shapes that Warren reads.
//!
//! Names without a prefix are the public interface (docs/protocol.md). Names with `warren-` are notes that Warren's own
//! processes leave for each other on a task's copies.

use std::{borrow::Cow, collections::BTreeMap};

/// The kind, for clients that cannot set the property `type`.
pub const TASK: &str = "task";
/// Milliseconds to wait before the first start.
pub const DELAY: &str = "delay";
/// The time before which the task does not start.
pub const ETA: &str = "eta";
/// The time after which no attempt of the task starts.
pub const DEADLINE: &str = "deadline";
/// Another message with this id may exist: what has run under it is not run again.
pub const ONCE: &str = "once";
/// Tasks of a queue with the same key run one at a time, in the order in which they came.
pub const ORDER_KEY: &str = "order_key";
/// The ids of the tasks that must have ended before it starts: an array of text, or text separated by commas.
pub const AFTER: &str = "after";
/// With [`AFTER`]: `stop` or `go_on`, for when one of those fails.
pub const ON_FAILURE: &str = "on_failure";
/// The payload is a JSON array, of which chunks of this many items are tasks of their own.
pub const CHUNK_SIZE: &str = "chunk_size";
/// The payload is a JSON array, of which so many chunks are tasks of their own.
pub const CHUNKS: &str = "chunks";
/// How many attempts the task has, the first included.
pub const MAX_ATTEMPTS: &str = "max_attempts";
/// Milliseconds that an attempt may take.
pub const TIMEOUT: &str = "timeout";
/// `fixed:MS` or `exponential:FIRST_MS:MAX_MS`.
pub const BACKOFF: &str = "backoff";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, vendor part.
pub const TRACESTATE: &str = "tracestate";

/// The attempt that this copy will run as.
pub const ATTEMPT: &str = "warren-attempt";
/// The queue that a copy on the delay ladder, or a dead letter, belongs to.
pub const QUEUE: &str = "warren-queue";
/// When a copy on the delay ladder may start.
pub const DUE: &str = "warren-due";
/// When a copy on the delay ladder leaves its present level.
pub const LEAVE: &str = "warren-leave";
/// The time after which this attempt is no longer started: what is left of the message's expiration.
pub const EXPIRES: &str = "warren-deadline";
/// When the task was first seen by Warren, where its id does not [tell](crate::TaskId::made).
pub const SUBMITTED: &str = "warren-submitted";
/// This copy may be a second one: ask the record before running it.
pub const CHECK: &str = "warren-check";
/// The attempt from which the policy counts, where that is not the first: a task that was replayed has all its attempts
/// anew.
pub const COUNTED_FROM: &str = "warren-counted-from";
/// Nobody knows whether this copy's twin reached the queue as well: begin only when the record is certain.
pub const TWIN: &str = "warren-twin";
/// The workers that were lost while they ran this attempt, separated by commas.
pub const CRASHED: &str = "warren-crashed";
/// How many workers were lost while they ran this attempt, those without a name among them.
pub const CRASHES: &str = "warren-crashes";
/// Why the task is dead.
pub const REASON: &str = "warren-reason";
/// The last error.
pub const ERROR: &str = "warren-error";
/// The client's headers that a copy could not bear, separated by commas.
pub const SHED: &str = "warren-shed";
/// When the first attempt failed.
pub const FIRST_FAILURE: &str = "warren-first-failure";
/// When the last attempt failed.
pub const LAST_FAILURE: &str = "warren-last-failure";

/// On a reply: how the task ended.
pub const REPLY_OUTCOME: &str = "outcome";
/// On a reply: the error of a task that did not succeed.
pub const REPLY_ERROR: &str = "error";

/// A header's value, as far as Warren reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text; numbers may come as text, since some clients know no other headers.
    Text(String),
    /// Any of AMQP's integer types.
    Integer(i64),
    /// An array of text.
    Texts(Vec<String>),
    /// A boolean.
    Flag(bool),
    /// A type that Warren never reads, by its name.
    Other(&'static str),
}

impl Value {
    /// As text, if it is that, or a number that can be written so.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Texts(_) | Self::Flag(_) | Self::Other(_) => None,
        }
    }
}

/// Whether Warren's own processes alone write this header.
pub fn is_warrens_own(name: &str) -> bool {
    name.starts_with("warren-")
}

/// Headers by name.
pub type Headers = BTreeMap<String, Value>;

/// Whether the broker adds this header by itself: such a header must not travel on a republished copy. With `x-death`
/// kept, RabbitMQ before 4.0.1 takes a retry for a cycle and drops it; `CC` and `BCC` make extra copies each time.
pub fn is_brokers_own(name: &str) -> bool {
    matches!(name, "CC" | "BCC" | "x-death" | "x-delivery-count" | "x-acquired-count" | "x-stream-offset")
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
        || name.starts_with("x-opt-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_brokers_headers() {
        for own in ["x-death", "CC", "x-first-death-queue", "x-last-death-reason", "x-delivery-count"] {
            assert!(is_brokers_own(own), "{own}");
        }
        for foreign in ["x-tenant", "cc", "delay", "traceparent"] {
            assert!(!is_brokers_own(foreign), "{foreign}");
        }
    }
}
