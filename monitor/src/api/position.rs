//! Where a page of tasks ends and the next begins.

use warren_core::{TaskId, Timestamp};
use warren_runtime::http::Problem;

/// A task's place in the order in which tasks are listed: newest first, then by id. Opaque to the caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Since when it is in its state.
    pub at: Timestamp,
    /// Which task.
    pub task: TaskId,
}

impl Position {
    /// From what [`Position::encode`] gave.
    pub fn decode(text: &str) -> Result<Self, Problem> {
        let parts = text.split_once('.');
        let read = parts.and_then(|(at, task)| {
            Some(Self { at: Timestamp::from_millis(at.parse().ok()?), task: TaskId::parse(task).ok()? })
        });
        read.ok_or_else(|| Problem::field("cursor", "expected the value of `next` from the page before"))
    }

    /// As the caller keeps it.
    pub fn encode(&self) -> String {
        format!("{}.{}", self.at.as_millis(), self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        let position = Position { at: Timestamp::from_millis(5), task: TaskId::parse("a.b/ü").unwrap() };
        assert_eq!(Position::decode(&position.encode()), Ok(position));
        for bad in ["", "5", "x.y", "5."] {
            assert_eq!(Position::decode(bad).unwrap_err().field.as_deref(), Some("cursor"), "{bad}");
        }
    }
}
