//! How far a workflow has come, and what follows when one of its tasks ends.
//!
//! Words about tasks may come in any order and any number of times: what was heard already, and what is about an earlier
//! round of a task, changes nothing. A success stands, whatever else is said of the same task.

use std::collections::BTreeSet;

use super::{Conclusion, Counts, Graph, Job, OnFailure, Part, PartState, Place, Status, graph::LARGEST};

// Of an error, so much is kept with the step.
const WHY: usize = 1_000;

/// Where each step of a workflow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    statuses: Vec<Status>,
    // How many steps of each workflow within are not over; the last is the outermost workflow.
    open: Vec<usize>,
    stopped: bool,
    cancelled: bool,
}

/// What is heard of a task of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It was handed in.
    Seen,
    /// It has succeeded.
    Succeeded {
        /// How long the list is that it gave back, if it is one.
        items: Option<u32>,
    },
    /// It will not succeed by itself.
    Failed {
        /// What went wrong, for people.
        why: String,
    },
    /// It had failed, and somebody lets it run again.
    Revived,
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

    /// Takes a word about a task in.
    pub fn hear(&mut self, graph: &Graph, place: Place, number: u32, round: u32, word: &Word) -> Effects {
        let mut effects = Effects::default();
        let known = self.statuses[place.0].parts().get(number as usize).copied();
        let Some(part) = known.filter(|part| part.round == round) else { return effects };
        let state = match (part.state, word) {
            (PartState::Due, Word::Seen) | (PartState::Failed, Word::Revived) => PartState::Seen,
            (PartState::Due | PartState::Seen | PartState::Failed, Word::Succeeded { items }) => {
                PartState::Done { items: *items }
            }
            (PartState::Due | PartState::Seen, Word::Failed { .. }) => PartState::Failed,
            (PartState::Done { .. }, _)
            | (PartState::Seen, Word::Seen)
            | (PartState::Failed, Word::Seen | Word::Failed { .. })
            | (PartState::Due | PartState::Seen, Word::Revived) => return effects,
        };
        effects.changed.insert(place);
        let was_over = self.statuses[place.0].conclusion().is_some();
        match &mut self.statuses[place.0] {
            Status::Running { parts, .. } | Status::Ended { parts, .. } => parts[number as usize].state = state,
            Status::Waiting => {}
        }
        if was_over && self.is_settled(graph, place) {
            // What came of the workflow that it is in stands, and only the step itself is shown as it is.
            let is_done = self.status(place).parts().iter().all(|part| matches!(part.state, PartState::Done { .. }));
            if let (true, Status::Ended { conclusion, .. }) = (is_done, &mut self.statuses[place.0]) {
                *conclusion = Conclusion::Succeeded;
            }
            return effects;
        }
        if was_over && part.state == PartState::Failed {
            self.run_again(graph, &[place], &mut effects);
        }
        let why = match word {
            Word::Failed { why } => Some(why.as_str()),
            Word::Seen | Word::Succeeded { .. } | Word::Revived => None,
        };
        if self.status(place).parts().iter().all(|part| part.is_over()) {
            let conclusion = self.settle(place, why);
            let mut look = Vec::new();
            self.conclude(graph, place, conclusion, &mut look, &mut effects);
            self.look_at(graph, look, &mut effects);
        }
        effects
    }

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

    // Whether a step is in a workflow within that has succeeded, whatever became of the step: what follows has begun.
    fn is_settled(&self, graph: &Graph, place: Place) -> bool {
        ancestors(graph, place).any(|parent| self.status(parent).conclusion() == Some(&Conclusion::Succeeded))
    }

    // These steps have not ended after all, and nothing follows from that they had.
    fn run_again(&mut self, graph: &Graph, places: &[Place], effects: &mut Effects) {
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

    // How a step ends all of whose tasks have ended.
    fn settle(&self, place: Place, why: Option<&str>) -> Conclusion {
        let parts = self.status(place).parts();
        let failed = parts.iter().filter(|part| part.state == PartState::Failed).count();
        if failed == 0 {
            Conclusion::Succeeded
        } else if self.cancelled {
            Conclusion::Cancelled
        } else {
            let why = why.unwrap_or("see its tasks");
            let why = &why[..why.floor_char_boundary(WHY)];
            let why =
                if parts.len() > 1 { format!("{failed} of {} chunks: {why}", parts.len()) } else { why.to_owned() };
            Conclusion::Failed { why }
        }
    }

    // A step ends, and with it perhaps the workflows that it is in. What may follow is to be looked at.
    fn conclude(
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
    fn stop_behind(&mut self, graph: &Graph, place: Place, look: &mut Vec<Place>, effects: &mut Effects) {
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

    // Starts what may start, and skips what is to be skipped, as far as that goes.
    fn look_at(&mut self, graph: &Graph, places: Vec<Place>, effects: &mut Effects) {
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

    // A failure that nothing follows is one of the whole; where something follows, that says what it means.
    fn sum_up(&self, graph: &Graph, places: impl Iterator<Item = Place>, stopped: bool) -> Conclusion {
        let (mut failed, mut cancelled) = (None, false);
        for place in places {
            let node = graph.node(place);
            let is_decisive = |edge: &super::Edge| edge.on_failure == OnFailure::Stop;
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

enum Weighed {
    Start,
    Skip,
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
#[path = "progress_tests.rs"]
mod tests;
