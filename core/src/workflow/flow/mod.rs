//! How far a workflow has come.
//!
//! Words about tasks may come in any order and any number of times: what was heard already, and what is about an earlier
//! round of a task, changes nothing. A success stands, whatever else is said of the same task.

mod end;
mod revival;
mod start;
mod wish;
mod word;

use std::collections::BTreeSet;

use super::{Conclusion, Counts, Graph, Job, Part, PartState, Place, Status};

pub use word::Word;

/// Where each step of a workflow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    statuses: Vec<Status>,
    // How many steps of each workflow within are not over; the last is the outermost workflow.
    open: Vec<usize>,
    stopped: bool,
    cancelled: bool,
}

/// What a change brings about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// The steps that stand otherwise now.
    pub changed: BTreeSet<Place>,
    /// Tasks that are to be handed in: the step, the number of its task, and for which time.
    pub due: Vec<(Place, u32, u32)>,
}

impl Flow {
    /// A workflow that begins.
    pub fn begin(graph: &Graph) -> (Self, Effects) {
        let mut flow = Self::stored(graph, vec![Status::Waiting; graph.nodes().len()], false, false);
        let mut effects = Effects::default();
        flow.look_at(graph, graph.outermost().collect(), &mut effects);
        (flow, effects)
    }

    /// As it was stored: a status for each node of the graph.
    pub fn stored(graph: &Graph, statuses: Vec<Status>, stopped: bool, cancelled: bool) -> Self {
        let mut open = vec![0; graph.nodes().len() + 1];
        for place in graph.places().filter(|place| statuses[place.0].conclusion().is_none()) {
            open[scope_of(graph, place)] += 1;
        }
        Self { statuses, open, stopped, cancelled }
    }

    /// Where a step stands.
    pub fn status(&self, place: Place) -> &Status {
        &self.statuses[place.0]
    }

    /// Whether nothing more is started, for a step has failed.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether somebody has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// How many steps stand how.
    pub fn counts(&self, graph: &Graph) -> Counts {
        let mut counts = Counts::default();
        for (node, status) in graph.nodes().iter().zip(&self.statuses) {
            if node.job != Job::Workflow {
                counts.add(status);
            }
        }
        counts
    }

    /// How the whole ended; `None` while it has not.
    pub fn conclusion(&self, graph: &Graph) -> Option<Conclusion> {
        let is_over = self.open.last().is_some_and(|open| *open == 0);
        is_over.then(|| self.sum_up(graph, graph.outermost(), self.stopped))
    }

    /// The tasks that were to be handed in, or were, and have not ended.
    pub fn under_way(&self, graph: &Graph) -> impl Iterator<Item = (Place, u32, Part)> {
        let running = self
            .statuses
            .iter()
            .zip(graph.nodes())
            .enumerate()
            .filter(|(_, (status, node))| status.conclusion().is_none() && !matches!(node.job, Job::Awaited(_)));
        let running = running.map(|(place, (status, _))| (place, status));
        running.flat_map(|(place, status)| {
            let parts = status.parts().iter().zip(0..).filter(|(part, _)| !part.is_over());
            parts.map(move |(part, number)| (Place(place), number, *part))
        })
    }

    /// How long the list is that a step gave back; `None` if it is none, or not known yet.
    pub fn length(&self, graph: &Graph, place: Place) -> Option<u32> {
        let Status::Ended { conclusion: Conclusion::Succeeded, parts } = self.status(place) else { return None };
        let items = parts.iter().map(|part| match part.state {
            PartState::Done { items } => items,
            PartState::Due | PartState::Seen | PartState::Failed => None,
        });
        let items: Vec<_> = items.collect();
        match &graph.node(place).job {
            Job::Task(_) | Job::Awaited(_) => items.first().copied().flatten(),
            Job::Workflow => None,
            Job::Split { .. } => {
                // As the results are joined.
                let joined = items.iter().copied().sum::<Option<u32>>();
                joined.or_else(|| u32::try_from(items.len()).ok())
            }
        }
    }
}

// The workflows that a step is in, from the innermost outwards.
fn ancestors(graph: &Graph, place: Place) -> impl Iterator<Item = Place> {
    std::iter::successors(graph.node(place).parent, |parent| graph.node(*parent).parent)
}

// Where the steps that are not over are counted for the workflow that a step is in.
fn scope_of(graph: &Graph, place: Place) -> usize {
    graph.node(place).parent.map_or(graph.nodes().len(), |parent| parent.0)
}

#[cfg(test)]
mod tests;
