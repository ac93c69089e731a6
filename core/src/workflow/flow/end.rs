//! A step ends, and with it perhaps the workflows that it is in, or those beside it.

use super::{Effects, Flow, scope_of};
use crate::workflow::{Conclusion, Edge, Graph, Job, OnFailure, Place, Status};

impl Flow {
    // A step ends, and with it perhaps the workflows that it is in. What may follow is to be looked at.
    pub(super) fn conclude(
        &mut self,
        graph: &Graph,
        place: Place,
        conclusion: Conclusion,
        look: &mut Vec<Place>,
        effects: &mut Effects,
    ) {
        let mut ending = Some((place, conclusion));
        while let Some((place, conclusion)) = ending.take() {
            if self.status(place).conclusion().is_some() {
                break;
            }
            let parts = match &mut self.statuses[place.0] {
                Status::Running { parts, .. } => std::mem::take(parts),
                Status::Waiting | Status::Ended { .. } => Vec::new(),
            };
            let has_failed = matches!(conclusion, Conclusion::Failed { .. });
            self.statuses[place.0] = Status::Ended { conclusion, parts };
            effects.changed.insert(place);
            let scope = scope_of(graph, place);
            self.open[scope] -= 1;
            // What is within a step that never begins does not begin either.
            if graph.node(place).job == Job::Workflow && self.open[place.0] > 0 {
                let conclusion = self.status(place).conclusion().cloned().expect("it was set above");
                self.conclude_within(graph, place, &conclusion, effects);
            }
            if has_failed {
                self.stop_behind(graph, place, look, effects);
            }
            look.extend(graph.node(place).behind.iter().map(|edge| edge.place));
            if let Some(parent) = graph.node(place).parent
                && self.open[scope] == 0
                && let Status::Running { stopped, .. } = self.status(parent)
            {
                let children = graph.node(parent).children.iter().copied();
                ending = Some((parent, self.sum_up(graph, children, *stopped)));
            }
        }
    }

    fn conclude_within(&mut self, graph: &Graph, place: Place, conclusion: &Conclusion, effects: &mut Effects) {
        for child in graph.node(place).children.iter().copied() {
            if *self.status(child) == Status::Waiting {
                self.statuses[child.0] = Status::Ended { conclusion: conclusion.clone(), parts: Vec::new() };
                self.open[place.0] -= 1;
                effects.changed.insert(child);
                self.conclude_within(graph, child, conclusion, effects);
            }
        }
    }

    // Where a step that failed is followed by one that then wants to stop, nothing more is started in its workflow.
    pub(super) fn stop_behind(&mut self, graph: &Graph, place: Place, look: &mut Vec<Place>, effects: &mut Effects) {
        if !graph.node(place).behind.iter().any(|edge| edge.on_failure == OnFailure::Stop) {
            return;
        }
        let parent = graph.node(place).parent;
        match parent {
            None => self.stopped = true,
            Some(parent) => {
                if let Status::Running { stopped, .. } = &mut self.statuses[parent.0] {
                    *stopped = true;
                    effects.changed.insert(parent);
                }
            }
        }
        let siblings: Vec<_> = match parent {
            None => graph.outermost().collect(),
            Some(parent) => graph.node(parent).children.clone(),
        };
        self.stop_all(graph, &siblings, look, effects);
    }

    fn stop_all(&mut self, graph: &Graph, places: &[Place], look: &mut Vec<Place>, effects: &mut Effects) {
        for place in places {
            match self.status(*place) {
                Status::Waiting => {
                    self.statuses[place.0] = Status::Ended { conclusion: Conclusion::Stopped, parts: Vec::new() };
                    self.open[scope_of(graph, *place)] -= 1;
                    effects.changed.insert(*place);
                    self.conclude_within(graph, *place, &Conclusion::Stopped, effects);
                }
                Status::Running { .. } if graph.node(*place).job == Job::Workflow => {
                    if let Status::Running { stopped, .. } = &mut self.statuses[place.0] {
                        *stopped = true;
                        effects.changed.insert(*place);
                    }
                    self.stop_all(graph, &graph.node(*place).children, look, effects);
                    if self.open[place.0] == 0 {
                        let children = graph.node(*place).children.iter().copied();
                        let conclusion = self.sum_up(graph, children, true);
                        self.conclude(graph, *place, conclusion, look, effects);
                    }
                }
                Status::Running { .. } | Status::Ended { .. } => {}
            }
        }
    }

    // A failure that nothing follows is one of the whole; where something follows, that says what it means.
    pub(super) fn sum_up(&self, graph: &Graph, places: impl Iterator<Item = Place>, stopped: bool) -> Conclusion {
        let (mut failed, mut cancelled) = (None, false);
        for place in places {
            let node = graph.node(place);
            let is_decisive = |edge: &Edge| edge.on_failure == OnFailure::Stop;
            match self.status(place).conclusion() {
                Some(Conclusion::Failed { why }) if node.behind.is_empty() || node.behind.iter().any(is_decisive) => {
                    failed = failed.or_else(|| Some(format!("{}: {why}", node.name)));
                }
                Some(Conclusion::Cancelled) => cancelled = true,
                Some(Conclusion::Succeeded | Conclusion::Failed { .. } | Conclusion::Skipped | Conclusion::Stopped)
                | None => {}
            }
        }
        match failed {
            _ if cancelled => Conclusion::Cancelled,
            Some(why) => Conclusion::Failed { why },
            None if stopped => Conclusion::Stopped,
            None => Conclusion::Succeeded,
        }
    }
}
