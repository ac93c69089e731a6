//! Steps that had ended and run again, and what had followed from their end.

use std::collections::BTreeSet;

use super::{Effects, Flow, ancestors};
use crate::workflow::{Conclusion, Graph, Job, Place, Status};

impl Flow {
    // Whether a step is in a workflow within that has succeeded, whatever became of the step: what follows has begun.
    pub(super) fn is_settled(&self, graph: &Graph, place: Place) -> bool {
        ancestors(graph, place).any(|parent| self.status(parent).conclusion() == Some(&Conclusion::Succeeded))
    }

    // These steps have not ended after all, and nothing follows from that they had.
    pub(super) fn run_again(&mut self, graph: &Graph, places: &[Place], effects: &mut Effects) {
        let mut within = BTreeSet::new();
        for place in places {
            let Status::Ended { parts, .. } = &mut self.statuses[place.0] else { continue };
            let parts = std::mem::take(parts);
            self.statuses[place.0] =
                if parts.is_empty() { Status::Waiting } else { Status::Running { parts, stopped: false } };
            effects.changed.insert(*place);
            within.extend(ancestors(graph, *place));
        }
        // A workflow within has begun if any of its steps has. What is in another stands behind it.
        for place in within.into_iter().rev() {
            let children = &graph.node(place).children;
            let has_begun = children.iter().any(|child| *self.status(*child) != Status::Waiting);
            self.statuses[place.0] =
                if has_begun { Status::Running { parts: Vec::new(), stopped: false } } else { Status::Waiting };
            effects.changed.insert(place);
        }
        if !self.cancelled {
            self.forget_what_followed(graph, effects);
        }
        *self = Self::stored(graph, std::mem::take(&mut self.statuses), self.stopped, self.cancelled);
        let mut look: Vec<_> = graph.places().collect();
        let failed =
            look.iter().filter(|place| matches!(self.status(**place).conclusion(), Some(Conclusion::Failed { .. })));
        for place in failed.copied().collect::<Vec<_>>() {
            self.stop_behind(graph, place, &mut look, effects);
        }
        self.look_at(graph, look, effects);
        // Of a workflow within nothing may be left to do. From the innermost outwards.
        for place in graph.places().collect::<Vec<_>>().into_iter().rev() {
            if let (0, Status::Running { stopped, .. }, Job::Workflow) =
                (self.open[place.0], self.status(place), &graph.node(place).job)
            {
                let conclusion = self.sum_up(graph, graph.node(place).children.iter().copied(), *stopped);
                let mut look = Vec::new();
                self.conclude(graph, place, conclusion, &mut look, effects);
                self.look_at(graph, look, effects);
            }
        }
    }

    fn has_begun(&self, place: Place) -> bool {
        match self.status(place) {
            Status::Running { .. }
            | Status::Ended { conclusion: Conclusion::Succeeded | Conclusion::Failed { .. }, .. } => true,
            Status::Ended { conclusion: Conclusion::Skipped | Conclusion::Stopped | Conclusion::Cancelled, .. }
            | Status::Waiting => false,
        }
    }

    fn forget_what_followed(&mut self, graph: &Graph, effects: &mut Effects) {
        self.stopped = false;
        for place in graph.places() {
            let parent = graph.node(place).parent;
            let is_over = parent.is_some_and(|parent| self.status(parent).conclusion().is_some());
            let renewed = match self.status(place) {
                Status::Running { stopped: true, .. } => Status::Running { parts: Vec::new(), stopped: false },
                Status::Ended { conclusion: Conclusion::Skipped | Conclusion::Stopped, .. } if !is_over => {
                    if graph.node(place).children.iter().any(|child| self.has_begun(*child)) {
                        Status::Running { parts: Vec::new(), stopped: false }
                    } else {
                        Status::Waiting
                    }
                }
                Status::Waiting | Status::Running { .. } | Status::Ended { .. } => continue,
            };
            self.statuses[place.0] = renewed;
            effects.changed.insert(place);
        }
    }
}
