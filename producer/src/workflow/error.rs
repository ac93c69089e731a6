//! Why a workflow was not handed in, read, steered or run.

use warren_core::WorkflowId;
use warren_runtime::{amqp, event_log::entry::NoOffset, redis};

/// Why a workflow was not handed in, read, steered or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be accepted as it is.
    #[error(transparent)]
    Task(#[from] crate::Error),
    /// It is not written in YAML.
    #[error("expected a workflow in YAML: {0}")]
    Yaml(String),
    /// There is none.
    #[error("there is no workflow {0}")]
    Unknown(WorkflowId),
    /// It has no such step, or that has no result.
    #[error("workflow {workflow} has no {what}")]
    Nothing {
        /// Which workflow.
        workflow: WorkflowId,
        /// What is not there.
        what: String,
    },
    /// Another has its id.
    #[error("there is another workflow {0} already")]
    Exists(WorkflowId),
    /// It is over.
    #[error("workflow {workflow} is {state} already")]
    Over {
        /// Which workflow.
        workflow: WorkflowId,
        /// Its state.
        state: &'static str,
    },
    /// Redis does not answer, or refuses.
    #[error("workflows are kept in Redis, which does not answer")]
    Redis(#[from] redis::Error),
    /// What was stored is gone, and is not all there again.
    #[error("Redis has lost what was stored of workflows: it is read from the event log again")]
    Forgotten,
    /// The event log does not take it.
    #[error("the event log does not take the workflow: the broker is away")]
    Log,
    /// What is stored cannot be read.
    #[error("what is stored of workflow {workflow} cannot be used: {why}")]
    Unreadable {
        /// Whose.
        workflow: WorkflowId,
        /// What is wrong with it.
        why: String,
    },
    /// Something between us and the broker.
    #[error(transparent)]
    Broker(#[from] amqp::Error),
    /// What should be the log is something else.
    #[error(transparent)]
    NotAStream(#[from] NoOffset),
}

impl From<::redis::RedisError> for Error {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}
