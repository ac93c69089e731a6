//! What is stored of a workflow as a whole.

use serde::{Deserialize, Serialize};

use super::{Conclusion, Counts};
use crate::{OrderId, TaskId, Timestamp};

/// A workflow as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When it was handed in.
    pub at: Timestamp,
    /// Who handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Nothing more is started in it, for a step has failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Somebody has cancelled it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// When and how it ended; `None` while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(Timestamp, Conclusion)>,
    /// When a step last came to stand otherwise.
    pub changed: Timestamp,
    /// How many steps stand how.
    pub counts: Counts,
    /// The task for which it was made: one that waits for others, or for its chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The last wish that was heard: it may be written twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
}

impl Head {
    /// Of one that begins.
    pub fn new(at: Timestamp, app: Option<String>) -> Self {
        let counts = Counts::default();
        Self { at, app, stopped: false, cancelled: false, ended: None, changed: at, counts, task: None, order: None }
    }

    /// In a word: running, stopping, cancelling, succeeded, failed or cancelled.
    pub fn state(&self) -> &'static str {
        match &self.ended {
            Some((_, conclusion)) => conclusion.name(),
            None if self.cancelled => "cancelling",
            None if self.stopped => "stopping",
            None => "running",
        }
    }
}
