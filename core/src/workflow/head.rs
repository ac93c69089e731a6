//! What is stored of a workflow as a whole.

use serde::{Deserialize, Serialize};

use super::{Conclusion, Counts};
use crate::{OrderId, TaskId, Timestamp};

// More often than anybody wishes something of one workflow.
const REMEMBERED: usize = 100;

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
    /// The last wish that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// Those that were heard before that one, as far as they are remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<OrderId>,
}

impl Head {
    /// Of one that begins.
    pub fn new(at: Timestamp, app: Option<String>) -> Self {
        Self {
            at,
            app,
            stopped: false,
            cancelled: false,
            ended: None,
            changed: at,
            counts: Counts::default(),
            task: None,
            order: None,
            earlier: Vec::new(),
        }
    }

    /// Takes a wish in. `false` where it was heard before: it may be written twice, and where the broker has lost the end of
    /// the log, all of that is read once more.
    pub fn hear(&mut self, order: &OrderId) -> bool {
        if self.order.as_ref() == Some(order) || self.earlier.contains(order) {
            return false;
        }
        if let Some(before) = self.order.replace(order.clone()) {
            self.earlier.push(before);
            let excess = self.earlier.len().saturating_sub(REMEMBERED);
            self.earlier.drain(..excess);
        }
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_heard_once_however_often_it_is_read() {
        let order = |n: usize| OrderId::parse(&format!("order-{n}")).unwrap();
        let mut head = Head::new(Timestamp::from_millis(1), None);
        for n in 0..REMEMBERED {
            assert!(head.hear(&order(n)));
        }
        assert!((0..REMEMBERED).all(|n| !head.hear(&order(n))));
        assert_eq!(head.order, Some(order(REMEMBERED - 1)));
        for n in REMEMBERED..3 * REMEMBERED {
            assert!(head.hear(&order(n)));
        }
        assert_eq!(head.earlier.len(), REMEMBERED);
        let text = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<Head>(&text).unwrap(), head);
    }
}
