//! What may start, and what is skipped instead.

use super::{Effects, Flow};
use crate::workflow::{Conclusion, Graph, Job, LARGEST, OnFailure, Part, PartState, Place, Status};

impl Flow {
    // Starts what may start, and skips what is to be skipped, as far as that goes.
    pub(super) fn look_at(&mut self, graph: &Graph, places: Vec<Place>, effects: &mut Effects) {
        let mut places = places;
        // In the order of the list, so that what comes first is handed in first.
        places.reverse();
        while let Some(place) = places.pop() {
            if *self.status(place) != Status::Waiting || !self.is_open(graph, place) {
                continue;
            }
            match self.weigh(graph, place) {
                None => {}
                Some(Weighed::Skip) => self.conclude(graph, place, Conclusion::Skipped, &mut places, effects),
                Some(Weighed::Start) => match &graph.node(place).job {
                    Job::Workflow => {
                        self.statuses[place.0] = Status::Running { parts: Vec::new(), stopped: false };
                        effects.changed.insert(place);
                        let children = &graph.node(place).children;
                        if self.open[place.0] == 0 {
                            let conclusion = self.sum_up(graph, children.iter().copied(), false);
                            self.conclude(graph, place, conclusion, &mut places, effects);
                        }
                        places.extend(children.iter().rev());
                    }
                    Job::Task(_) => self.start(place, 1, effects),
                    Job::Awaited(_) => {
                        let parts = vec![Part { round: 1, state: PartState::Seen }];
                        self.statuses[place.0] = Status::Running { parts, stopped: false };
                        effects.changed.insert(place);
                    }
                    Job::Split { length, from, cut, .. } => {
                        let length = length.or_else(|| self.length(graph, (*from)?));
                        match length.map(|length| cut.chunks(length)) {
                            None => {
                                let why = "expected a list as the result of the step that is split".to_owned();
                                self.conclude(graph, place, Conclusion::Failed { why }, &mut places, effects);
                            }
                            Some(chunks) if chunks as usize > LARGEST => {
                                let why = format!("expected at most {LARGEST} chunks, got {chunks}");
                                self.conclude(graph, place, Conclusion::Failed { why }, &mut places, effects);
                            }
                            Some(0) => self.conclude(graph, place, Conclusion::Succeeded, &mut places, effects),
                            Some(chunks) => self.start(place, chunks, effects),
                        }
                    }
                },
            }
        }
    }

    fn start(&mut self, place: Place, parts: u32, effects: &mut Effects) {
        self.statuses[place.0] = Status::Running { parts: vec![Part::DUE; parts as usize], stopped: false };
        effects.changed.insert(place);
        effects.due.extend((0..parts).map(|number| (place, number, 1)));
    }

    // Whether the workflow that a step is in starts anything.
    fn is_open(&self, graph: &Graph, place: Place) -> bool {
        match graph.node(place).parent {
            None => !self.stopped && !self.cancelled,
            Some(parent) => matches!(self.status(parent), Status::Running { stopped: false, .. }) && !self.cancelled,
        }
    }

    // What is to become of a step that waits; `None` while that is not known.
    fn weigh(&self, graph: &Graph, place: Place) -> Option<Weighed> {
        let mut weighed = Weighed::Start;
        for edge in &graph.node(place).before {
            let conclusion = self.status(edge.place).conclusion()?;
            if *conclusion != Conclusion::Succeeded && edge.on_failure != OnFailure::GoOn {
                weighed = Weighed::Skip;
            }
        }
        Some(weighed)
    }
}

enum Weighed {
    Start,
    Skip,
}
