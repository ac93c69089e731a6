//! A workflow as it is shown.

use serde::Serialize;
use warren_core::{
    TaskId, WorkflowId,
    workflow::{Conclusion, Counts, Head, Job, Kept},
};

/// A workflow as a whole. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its id.
    pub id: WorkflowId,
    /// running, stopping, cancelling, succeeded, failed or cancelled.
    pub state: &'static str,
    /// When it was handed in.
    pub at: String,
    /// Who handed it in.
    pub app: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// How many steps stand how.
    pub steps: Counts,
}

/// A workflow with its steps.
#[derive(Debug, Serialize)]
pub struct View {
    /// The whole.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its steps, in the order of their names; those of a workflow within under `<step>/<step within>`.
    pub graph: Vec<StepView>,
}

/// A step of a workflow.
#[derive(Debug, Serialize)]
pub struct StepView {
    /// Its path.
    pub step: String,
    /// waiting, running, succeeded, failed, skipped, stopped or cancelled.
    pub state: &'static str,
    /// task, split or workflow.
    pub job: &'static str,
    /// The steps that it waits for.
    pub after: Vec<String>,
    /// Its task. Of a step that is split, the first of its tasks.
    pub task: Option<TaskId>,
    /// Of a step that is split: how many tasks it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<usize>,
    /// Of those: how many are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks_over: Option<usize>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Summary {
    pub(super) fn new(id: &WorkflowId, head: &Head) -> Self {
        let error = match &head.ended {
            Some((_, Conclusion::Failed { why })) => Some(why.clone()),
            Some(_) | None => None,
        };
        Self {
            id: id.clone(),
            state: head.state(),
            at: head.at.to_string(),
            app: head.app.clone(),
            ended: head.ended.as_ref().map(|(at, _)| at.to_string()),
            error,
            steps: head.counts,
        }
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}

impl View {
    pub(super) fn new(id: &WorkflowId, kept: &Kept) -> Self {
        let steps = kept.graph.places().map(|place| {
            let (node, status) = (kept.graph.node(place), kept.flow.status(place));
            let parts = status.parts();
            let (job, is_split) = match node.job {
                Job::Task(_) => ("task", false),
                Job::Split { .. } => ("split", true),
                Job::Workflow => ("workflow", false),
                Job::Awaited(_) => ("awaited", false),
            };
            let over = parts.iter().filter(|part| part.is_over()).count();
            let error = match status.conclusion() {
                Some(Conclusion::Failed { why }) => Some(why.clone()),
                Some(Conclusion::Succeeded | Conclusion::Skipped | Conclusion::Stopped | Conclusion::Cancelled)
                | None => None,
            };
            StepView {
                step: node.path.clone(),
                state: status.name(),
                job,
                after: node.before.iter().map(|edge| kept.graph.node(edge.place).path.clone()).collect(),
                task: match (&node.job, &kept.head.task) {
                    (Job::Awaited(task), _) | (Job::Task(_), Some(task)) => Some(task.clone()),
                    (Job::Task(_) | Job::Split { .. } | Job::Workflow, _) => {
                        parts.first().map(|first| kept.graph.part(id, place, 0, first.round).task())
                    }
                },
                chunks: is_split.then_some(parts.len()),
                chunks_over: is_split.then_some(over),
                error,
            }
        });
        Self { summary: Summary::new(id, &kept.head), graph: steps.collect() }
    }
}
