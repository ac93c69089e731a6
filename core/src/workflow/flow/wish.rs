//! What somebody wishes of a workflow: that it ends, or that what failed in it runs again.

use super::{Effects, Flow};
use crate::workflow::{Conclusion, Graph, Job, Part, PartState, Place, Status};

impl Flow {
    /// Cancels the whole: what has not begun will not. Returns also what is under way, for it is to be told.
    pub fn cancel(&mut self, graph: &Graph) -> Effects {
        let mut effects = Effects::default();
        if self.conclusion(graph).is_some() {
            return effects;
        }
        self.cancelled = true;
        // Of a task of somebody else's the end is no longer awaited.
        let is_open = |place: &Place| match &graph.node(*place).job {
            Job::Awaited(_) => self.status(*place).conclusion().is_none(),
            Job::Task(_) | Job::Split { .. } | Job::Workflow => *self.status(*place) == Status::Waiting,
        };
        let waiting: Vec<_> = graph.places().filter(is_open).collect();
        for place in waiting {
            // Nothing begins any more, so nothing need be looked at.
            self.conclude(graph, place, Conclusion::Cancelled, &mut Vec::new(), &mut effects);
        }
        effects
    }

    /// Runs again what has failed or was cancelled, and then what follows it. What succeeded stays as it is. Nothing is
    /// changed while a cancelled workflow is not over.
    pub fn retry(&mut self, graph: &Graph) -> Effects {
        let mut effects = Effects::default();
        if self.cancelled && self.conclusion(graph).is_none() {
            return effects;
        }
        self.cancelled = false;
        let again =
            |status: &Status| matches!(status.conclusion(), Some(Conclusion::Failed { .. } | Conclusion::Cancelled));
        let places: Vec<_> = graph
            .places()
            .filter(|place| {
                !matches!(graph.node(*place).job, Job::Workflow | Job::Awaited(_)) && again(self.status(*place))
            })
            .filter(|place| !self.is_settled(graph, *place))
            .collect();
        for place in &places {
            let Status::Ended { parts, .. } = &mut self.statuses[place.0] else { continue };
            for (part, number) in parts.iter_mut().zip(0..).filter(|(part, _)| part.state == PartState::Failed) {
                *part = Part { round: part.round + 1, state: PartState::Due };
                effects.due.push((*place, number, part.round));
            }
        }
        self.run_again(graph, &places, &mut effects);
        effects
    }
}
