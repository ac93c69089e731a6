//! A workflow's steps as a graph that was checked: every name is known, nothing waits for itself, and it is not too large.
//!
//! The steps of a workflow within stand beside the others, under the path `<step>/<step within>`.

use std::{collections::HashMap, fmt};

use super::{Cut, Definition, List, OnFailure, PartId, Step, Work};
use crate::{StepName, TaskId, WorkflowId};

/// How many steps a workflow may have, those of workflows within included.
pub const LARGEST: usize = 10_000;

// So that the ids of tasks stay short.
const LONGEST_PATH: usize = 100;
const DEEPEST: usize = 8;
// Who is told of a hundred mistakes learns nothing from the others.
const MOST_PROBLEMS: usize = 100;

/// Where a step stands in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub usize);

/// A graph that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    places: HashMap<String, Place>,
}

/// One step in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: StepName,
    /// Its name with those of the workflows that it is in.
    pub path: String,
    /// The step whose workflow it is in.
    pub parent: Option<Place>,
    /// What it does.
    pub job: Job,
    /// The steps that it waits for.
    pub before: Vec<Edge>,
    /// The steps that wait for it.
    pub behind: Vec<Edge>,
    /// The steps of the workflow that it is.
    pub children: Vec<Place>,
}

/// What a step in the graph does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// One task.
    Task(String),
    /// A task for each chunk.
    Split {
        /// The task.
        task: String,
        /// The list that is written there; `None` where it is the result of another step.
        items: Option<String>,
        /// How long that is.
        length: Option<u32>,
        /// The step whose result is the list.
        from: Option<Place>,
        /// How it is cut.
        cut: Cut,
    },
    /// A workflow within.
    Workflow,
    /// A task that somebody else hands in.
    Awaited(TaskId),
}

/// A dependence, seen from one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The other end.
    pub place: Place,
    /// What follows a failure.
    pub on_failure: OnFailure,
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct Wrong {
    /// Where, such as `steps.a.after`.
    pub field: String,
    /// What was expected, and what is there.
    pub detail: String,
}

impl Graph {
    /// Checks a definition. Everything that is wrong with it is told together.
    pub fn new(definition: &Definition) -> Result<Self, Vec<Wrong>> {
        let mut building = Building { graph: Self { nodes: Vec::new(), places: HashMap::new() }, wrong: Vec::new() };
        building.scope(definition, None, "", "", 1);
        if building.graph.nodes.len() <= LARGEST {
            building.find_cycles();
        }
        let Building { graph, wrong } = building;
        if wrong.is_empty() { Ok(graph) } else { Err(wrong) }
    }

    /// Its steps.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All places, in order.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.nodes.len()).map(Place)
    }

    /// The steps of the outermost workflow.
    pub fn outermost(&self) -> impl Iterator<Item = Place> {
        self.places().filter(|place| self.node(*place).parent.is_none())
    }

    /// One step.
    ///
    /// # Panics
    /// Where the place is one of another graph.
    pub fn node(&self, place: Place) -> &Node {
        &self.nodes[place.0]
    }

    /// Where the step with this path stands.
    pub fn place(&self, path: &str) -> Option<Place> {
        self.places.get(path).copied()
    }

    /// Names a task of a step.
    pub fn part(&self, workflow: &WorkflowId, place: Place, number: u32, round: u32) -> PartId {
        let node = self.node(place);
        let chunk = matches!(node.job, Job::Split { .. }).then_some(number);
        PartId { workflow: workflow.clone(), path: node.path.clone(), chunk, round }
    }

    /// The steps whose results a step gets: those that it waits for; of a step that waits for none in a workflow within,
    /// those that the workflow waits for.
    pub fn inputs(&self, place: Place) -> &[Edge] {
        let mut node = self.node(place);
        loop {
            match node.parent {
                Some(parent) if node.before.is_empty() => node = self.node(parent),
                Some(_) | None => return &node.before,
            }
        }
    }
}

struct Building {
    graph: Graph,
    wrong: Vec<Wrong>,
}

impl Building {
    fn refuse(&mut self, field: impl Into<String>, detail: impl fmt::Display) {
        if self.wrong.len() < MOST_PROBLEMS {
            self.wrong.push(Wrong { field: field.into(), detail: detail.to_string() });
        }
    }

    // `field` leads to the workflow in its definition, `path` to its steps in the graph; each with what separates.
    fn scope(&mut self, definition: &Definition, parent: Option<Place>, field: &str, path: &str, depth: usize) {
        let steps = format!("{field}steps");
        if definition.steps.is_empty() {
            return self.refuse(steps, "expected at least one step, got none");
        }
        if depth > DEEPEST {
            return self.refuse(steps, format_args!("expected workflows at most {DEEPEST} deep"));
        }
        if self.graph.nodes.len() + definition.steps.len() > LARGEST {
            let detail = format_args!("expected at most {LARGEST} steps, with those of workflows within");
            if self.graph.nodes.len() <= LARGEST {
                self.refuse(steps, detail);
            }
            return;
        }
        let first = self.graph.nodes.len();
        for (name, step) in &definition.steps {
            let path = format!("{path}{name}");
            if path.len() > LONGEST_PATH {
                self.refuse(
                    format!("{steps}.{name}"),
                    format_args!("expected a path of at most {LONGEST_PATH}: {path}"),
                );
            }
            let place = Place(self.graph.nodes.len());
            self.graph.places.insert(path.clone(), place);
            let (before, behind, children) = (Vec::new(), Vec::new(), Vec::new());
            let job = self.job(step, &format!("{steps}.{name}"));
            self.graph.nodes.push(Node { name: name.clone(), path, parent, job, before, behind, children });
            if let Some(parent) = parent {
                self.graph.nodes[parent.0].children.push(place);
            }
        }
        for (place, (name, step)) in (first..).map(Place).zip(&definition.steps) {
            self.connect(place, step, path, &format!("{steps}.{name}"));
        }
        for (place, (name, step)) in (first..).map(Place).zip(&definition.steps) {
            if let Work::Workflow(within) = &step.work {
                let (field, path) = (format!("{steps}.{name}.workflow."), format!("{path}{name}/"));
                self.scope(within, Some(place), &field, &path, depth + 1);
            }
        }
    }

    fn job(&mut self, step: &Step, field: &str) -> Job {
        match &step.work {
            Work::Task(task) => Job::Task(task.clone()),
            Work::Workflow(_) => Job::Workflow,
            Work::Awaited(task) => Job::Awaited(task.clone()),
            Work::Split { task, list, cut } => {
                let task = task.clone();
                let items = match list {
                    List::Items(items) => Some(items.clone()),
                    List::From(_) => None,
                };
                let length = items.as_ref().map(|items| self.length(items, *cut, field));
                Job::Split { task, items, length, from: None, cut: *cut }
            }
        }
    }

    fn length(&mut self, items: &str, cut: Cut, field: &str) -> u32 {
        cut.measure(items.as_bytes()).unwrap_or_else(|detail| {
            self.refuse(format!("{field}.split.items"), detail);
            0
        })
    }

    fn connect(&mut self, place: Place, step: &Step, path: &str, field: &str) {
        for (name, on_failure) in &step.after {
            match self.graph.places.get(&format!("{path}{name}")).copied() {
                Some(other) => {
                    self.graph.nodes[place.0].before.push(Edge { place: other, on_failure: *on_failure });
                    self.graph.nodes[other.0].behind.push(Edge { place, on_failure: *on_failure });
                }
                None => self.refuse(format!("{field}.after"), format_args!("there is no step {name} in this workflow")),
            }
        }
        let Work::Split { list: List::From(name), .. } = &step.work else { return };
        let source = self.graph.places.get(&format!("{path}{name}")).copied();
        if !step.after.contains_key(name) {
            return self.refuse(
                format!("{field}.split.from"),
                format_args!("expected a step that this one is after, got {name}"),
            );
        }
        if let Job::Split { from, .. } = &mut self.graph.nodes[place.0].job {
            *from = source;
        }
    }

    // Takes away, again and again, what waits for nothing that is left. What cannot be taken away waits for itself.
    fn find_cycles(&mut self) {
        let nodes = &self.graph.nodes;
        let mut waits: Vec<_> = nodes.iter().map(|node| node.before.len()).collect();
        let mut free: Vec<_> = self.graph.places().filter(|place| waits[place.0] == 0).collect();
        while let Some(place) = free.pop() {
            for edge in &nodes[place.0].behind {
                waits[edge.place.0] -= 1;
                if waits[edge.place.0] == 0 {
                    free.push(edge.place);
                }
            }
        }
        let Some(mut place) = self.graph.places().find(|place| waits[place.0] > 0) else { return };
        // Backwards along what is left one comes round.
        let mut way: Vec<Place> = Vec::new();
        let cycle = loop {
            if let Some(first) = way.iter().position(|seen| *seen == place) {
                break &way[first..];
            }
            way.push(place);
            let mut before = nodes[place.0].before.iter().map(|edge| edge.place);
            place = before.rfind(|place| waits[place.0] > 0).expect("it waits for something that is left");
        };
        let mut names: Vec<_> = cycle.iter().rev().map(|place| nodes[place.0].path.as_str()).collect();
        names.extend(names.first().copied());
        if names.len() > 12 {
            names.splice(6..names.len() - 5, ["…"]);
        }
        let detail = format!("expected no cycle, got {}", names.join(" → "));
        self.refuse("steps", detail);
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
