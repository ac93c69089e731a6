//! The tasks of a workflow by their ids: which step, which chunk of it, for which time.

use std::fmt;

use crate::{TaskId, WorkflowId};

/// What the id of every task of a workflow begins with.
pub const PREFIX: &str = "flow:";

/// One task of a workflow: `flow:<workflow>:<step>`, for a chunk `:<number>` behind it, and `.<round>` where the step was
/// retried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// Of which step: its path.
    pub path: String,
    /// Which chunk, from 0; `None` where the step is not split.
    pub chunk: Option<u32>,
    /// For which time, from 1.
    pub round: u32,
}

impl PartId {
    /// The task's id.
    ///
    /// # Panics
    /// Where the path is longer than a graph's paths are.
    pub fn task(&self) -> TaskId {
        TaskId::parse(&self.to_string()).expect("a workflow's id and a path are short and hold no spaces")
    }

    /// Of a task that belongs to a workflow.
    pub fn of(task: &TaskId) -> Option<Self> {
        let (workflow, rest) = task.as_str().strip_prefix(PREFIX)?.split_once(':')?;
        let workflow = WorkflowId::parse(workflow).ok()?;
        let (rest, round) = match rest.split_once('.') {
            Some((rest, round)) => (rest, round.parse().ok().filter(|round| *round > 1)?),
            None => (rest, 1),
        };
        let (path, chunk) = match rest.split_once(':') {
            Some((path, chunk)) => (path, Some(chunk.parse().ok()?)),
            None => (rest, None),
        };
        Some(Self { workflow, path: path.to_owned(), chunk, round })
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.workflow, self.path)?;
        if let Some(chunk) = self.chunk {
            write!(f, ":{chunk}")?;
        }
        if self.round > 1 {
            write!(f, ".{}", self.round)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for text in ["flow:w:a", "flow:w:sub/a:7", "flow:w:a.2", "flow:w-1:sub/a:10000.12"] {
            let part = PartId::of(&TaskId::parse(text).unwrap()).unwrap();
            assert_eq!(part.task().as_str(), text);
        }
        for text in ["a", "flow:w", "flow:w w:a", "flow:w:a.1", "flow:w:a.x", "flow:w:a:x", "flow::a"] {
            assert!(TaskId::parse(text).is_ok_and(|task| PartId::of(&task).is_none()) || text.contains(' '), "{text}");
        }
    }
}
