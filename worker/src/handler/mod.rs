//! What runs a task.

// The handlers.
mod builtin;
mod command;
mod function;
pub(crate) mod http;
pub(crate) mod process;

// What a function says, and what is done with the programs of the others.
mod capture;
pub(crate) mod failure;
mod group;
pub mod guard;
mod program;
#[cfg(test)]
pub(crate) mod testing;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warren_core::{Attempt, Kind, Outcome, Priority, QueueName, TaskId, depth};

pub use builtin::{Echo, Sleep};
pub use command::Command;
pub use failure::Failure;
pub use function::Function;
pub use http::{Error as HttpError, Http, HttpTarget};
pub use process::{Process, ProcessLimits};
pub use program::{Error as ProgramError, Program};

/// A task in the hands of its handler.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: TaskId,
    /// Its kind.
    pub kind: Kind,
    /// The queue that it came from.
    pub queue: QueueName,
    /// How urgent it is.
    pub priority: Priority,
    /// Which attempt this is.
    pub attempt: Attempt,
    /// The payload, as it came.
    pub payload: Vec<u8>,
    /// Property `content_type`.
    pub content_type: Option<String>,
    /// W3C trace context, as it came.
    pub traceparent: Option<String>,
    /// How long the attempt may take.
    pub timeout: Duration,
}

/// What a handler can say and hear while it runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Cancelled when the attempt shall end: its time is up, the worker stops, or somebody wished it. A handler that
    /// then returns within a few seconds ends in good order; one that does not is dropped.
    pub stop: CancellationToken,
    progress: watch::Sender<serde_json::Value>,
}

impl Context {
    /// A context, and where the latest word on its progress arrives.
    pub fn new(stop: CancellationToken) -> (Self, watch::Receiver<serde_json::Value>) {
        let (progress, receiver) = watch::channel(serde_json::Value::Null);
        (Self { stop, progress }, receiver)
    }

    /// Says how far the attempt is: by convention a number from 0 to 1, or an object. At most two words a second are
    /// passed on, the latest of what was said.
    pub fn progress(&self, progress: impl Into<serde_json::Value>) {
        self.progress.send_replace(depth::bounded(progress.into()));
    }
}

/// Runs the tasks of one kind. It must be cancel safe in so far as a dropped future leaves nothing running.
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt to its end.
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome>;

    /// Whether the worker outlives a crash of what runs, because that is a process of its own or nothing that can crash.
    /// Where it does not, each start is safe in the log before the handler is called, so that a crash is on record.
    fn is_isolated(&self) -> bool {
        false
    }

    /// Whether it holds nobody up until it waits for the first time, for it does next to nothing. It is begun where its
    /// delivery was taken; any other gets a task of its own first.
    fn is_light(&self) -> bool {
        false
    }

    /// Lets go of what it keeps between attempts. Called once, when the worker ends and nothing runs any more.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A handler, shared by all slots.
pub type SharedHandler = Arc<dyn Handler>;
