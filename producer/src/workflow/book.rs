//! What the leader knows of workflows, and what the events of the log do to it. Pure: what is to be written comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracing::warn;
use warren_core::{
    Outcome, Output, TaskId, Timestamp, Verdict, WorkflowId,
    event::{Event, Held, Steering, WorkflowSteered, WorkflowSubmitted},
    workflow::{Definition, Effects, Flow, Graph, Head, Job, Kept, PartId, Place, Word},
};

use super::{cabinet::field, held};

// So many steps are kept in memory at most, beside those that are being worked on.
const REMEMBERED: usize = 200_000;

/// Whose step a task is that bears no workflow's id: the workflow, and the place of the step.
pub type Concern = (WorkflowId, usize);

/// The workflows that are known.
#[derive(Debug, Default)]
pub struct Book {
    known: HashMap<WorkflowId, Kept>,
    // Tasks that are waited for, or that wait for others: all of them.
    concerns: HashMap<TaskId, BTreeSet<Concern>>,
}

/// What a stretch of the log changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// Workflows, and which of their steps.
    pub workflows: BTreeMap<WorkflowId, Changed>,
    /// Results, by the fields under which they are kept.
    pub results: Vec<(WorkflowId, String, Output)>,
    /// Tasks that are to be handed in.
    pub due: BTreeSet<TaskId>,
    /// Tasks of which the log knows now.
    pub seen: BTreeSet<TaskId>,
    /// Tasks that are waited for from now on, or wait for others.
    pub concerns: BTreeSet<TaskId>,
    /// Workflows that were made for a task, and say how that ended.
    pub concluded: BTreeSet<WorkflowId>,
}

/// What changes of a workflow.
#[derive(Debug, Default)]
pub struct Changed {
    /// It is new.
    pub is_new: bool,
    /// It was cancelled.
    pub was_cancelled: bool,
    /// Steps that stand otherwise.
    pub steps: BTreeSet<Place>,
}

impl Book {
    /// With the tasks that are of concern.
    pub fn new(concerns: HashMap<TaskId, BTreeSet<Concern>>) -> Self {
        Self { known: HashMap::new(), concerns }
    }

    /// The workflows that an event is about.
    pub fn subjects(&self, event: &Event) -> Vec<WorkflowId> {
        match event {
            Event::WorkflowSubmitted(submitted) => vec![submitted.workflow.clone()],
            Event::WorkflowSteered(steered) => vec![steered.workflow.clone()],
            Event::Held(held) => vec![held::workflow(&held.task)],
            other => match other.task() {
                None => Vec::new(),
                Some(task) => match PartId::of(task) {
                    Some(part) => vec![part.workflow],
                    None => {
                        self.concerns.get(task).into_iter().flatten().map(|(workflow, _)| workflow.clone()).collect()
                    }
                },
            },
        }
    }

    /// Whether tasks are of concern that bear no workflow's id.
    pub fn is_concerned(&self) -> bool {
        !self.concerns.is_empty()
    }

    /// The concern that there is with a task.
    pub fn concern(&self, task: &TaskId) -> Option<&BTreeSet<Concern>> {
        self.concerns.get(task)
    }

    /// The tasks that are of concern.
    pub fn concerning(&self) -> impl Iterator<Item = &TaskId> {
        self.concerns.keys()
    }

    /// What is known of a workflow.
    pub fn workflow(&self, id: &WorkflowId) -> Option<&Kept> {
        self.known.get(id)
    }

    /// Learns what is stored of a workflow.
    pub fn learn(&mut self, id: WorkflowId, kept: Kept) {
        self.known.insert(id, kept);
    }

    /// Forgets everything that is stored.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Forgets everything where there is too much to remember.
    pub fn trim(&mut self) {
        if self.known.values().map(|kept| kept.graph.nodes().len()).sum::<usize>() > REMEMBERED {
            self.known.clear();
        }
    }

    /// Takes an event in. What is stored of its workflow must be known, if anything is.
    pub fn apply(&mut self, event: &Event, changes: &mut Changes) {
        match event {
            Event::WorkflowSubmitted(submitted) => self.begin(submitted, None, changes),
            Event::Held(held) => self.hold(held, changes),
            Event::WorkflowSteered(steered) => self.steer(steered, changes),
            other => {
                let Some(task) = other.task() else { return };
                if let Some(part) = PartId::of(task) {
                    self.hear(&part, other, changes);
                    return;
                }
                for (workflow, place) in self.concerns.get(task).cloned().unwrap_or_default() {
                    let Some(kept) = self.known.get(&workflow).filter(|kept| place < kept.graph.nodes().len()) else {
                        continue;
                    };
                    let place = Place(place);
                    let round = kept.flow.status(place).parts().first().map_or(1, |part| part.round);
                    let part = kept.graph.part(&workflow, place, 0, round);
                    self.hear(&part, other, changes);
                }
            }
        }
    }

    // A message becomes a workflow: what it waits for, and then itself.
    fn hold(&mut self, held: &Held, changes: &mut Changes) {
        let id = held::workflow(&held.task);
        if self.known.contains_key(&id) {
            return;
        }
        let definition = match held::definition(held) {
            Ok(definition) => definition,
            Err(error) => {
                warn!(task.id = %held.task, error, "a task that was handed on cannot be used");
                return;
            }
        };
        let definition = serde_json::to_string(&definition).expect("a definition is always valid JSON");
        let submitted = WorkflowSubmitted { workflow: id.clone(), at: held.at, app: None, definition };
        self.begin(&submitted, Some(held.task.clone()), changes);
        let Some(kept) = self.known.get(&id) else { return };
        let mut concerns = Vec::new();
        for place in kept.graph.places() {
            match &kept.graph.node(place).job {
                Job::Awaited(task) => concerns.push((task.clone(), place)),
                Job::Task(_) => concerns.push((held.task.clone(), place)),
                Job::Split { .. } | Job::Workflow => {}
            }
        }
        for (task, place) in concerns {
            self.concerns.entry(task.clone()).or_default().insert((id.clone(), place.0));
            changes.concerns.insert(task);
        }
    }

    fn begin(&mut self, submitted: &WorkflowSubmitted, task: Option<TaskId>, changes: &mut Changes) {
        let WorkflowSubmitted { workflow, at, app, definition } = submitted;
        if self.known.contains_key(workflow) {
            return;
        }
        let graph = serde_json::from_str::<Definition>(definition).map_err(|error| error.to_string());
        let graph = graph.and_then(|definition| Graph::new(&definition).map_err(|wrong| wrong[0].to_string()));
        let graph = match graph {
            Ok(graph) => graph,
            Err(error) => {
                warn!(%workflow, error, "what was handed in is no workflow for this version, and is passed over");
                return;
            }
        };
        let (flow, effects) = Flow::begin(&graph);
        let kept =
            Kept { graph, flow, head: Head { task, ..Head::new(*at, app.clone()) }, definition: definition.clone() };
        self.known.insert(workflow.clone(), kept);
        changes.workflows.entry(workflow.clone()).or_default().is_new = true;
        self.follow(workflow, effects, *at, changes);
    }

    fn steer(&mut self, steered: &WorkflowSteered, changes: &mut Changes) {
        let Some(kept) = self.known.get_mut(&steered.workflow) else { return };
        // Of a task that waits for others the dead letter is replayed.
        if kept.head.task.is_some() && steered.wished == Steering::Retry || !kept.head.hear(&steered.order) {
            return;
        }
        let effects = match steered.wished {
            Steering::Cancel => kept.flow.cancel(&kept.graph),
            Steering::Retry => kept.flow.retry(&kept.graph),
        };
        let entry = changes.workflows.entry(steered.workflow.clone()).or_default();
        entry.was_cancelled = kept.flow.is_cancelled();
        self.follow(&steered.workflow, effects, steered.at, changes);
    }

    fn hear(&mut self, part: &PartId, event: &Event, changes: &mut Changes) {
        let Some(kept) = self.known.get_mut(&part.workflow) else { return };
        let Some(place) = kept.graph.place(&part.path) else { return };
        let is_split = matches!(kept.graph.node(place).job, Job::Split { .. });
        if part.chunk.is_some() != is_split {
            return;
        }
        let Some((word, at, output)) = word(event, is_split) else { return };
        let effects = kept.flow.hear(&kept.graph, place, part.chunk.unwrap_or(0), part.round, &word);
        if effects.changed.is_empty() {
            return;
        }
        changes.seen.insert(part.task());
        if let (Word::Succeeded { .. }, Some(output)) = (&word, output) {
            changes.results.push((part.workflow.clone(), field(place, part.chunk), output.clone()));
        }
        self.follow(&part.workflow, effects, at, changes);
    }

    fn follow(&mut self, workflow: &WorkflowId, effects: Effects, at: Timestamp, changes: &mut Changes) {
        let kept = self.known.get_mut(workflow).expect("the caller has it");
        for (place, number, round) in &effects.due {
            changes.due.insert(kept.graph.part(workflow, *place, *number, *round).task());
        }
        changes.workflows.entry(workflow.clone()).or_default().steps.extend(effects.changed);
        let head = &mut kept.head;
        head.changed = head.changed.max(at);
        head.stopped = kept.flow.is_stopped();
        head.cancelled = kept.flow.is_cancelled();
        head.ended = match (kept.flow.conclusion(&kept.graph), head.ended.take()) {
            (Some(conclusion), Some((at, before))) if conclusion == before => Some((at, conclusion)),
            (Some(conclusion), _) => Some((at, conclusion)),
            (None, _) => None,
        };
        if head.task.is_some() && head.ended.is_some() {
            changes.concluded.insert(workflow.clone());
        }
    }

    /// What is to be stored of a workflow as a whole.
    pub fn head(&mut self, workflow: &WorkflowId) -> Option<&Head> {
        let kept = self.known.get_mut(workflow)?;
        kept.head.counts = kept.flow.counts(&kept.graph);
        Some(&kept.head)
    }
}

// What an event says of its task, when, and what that gave back.
fn word(event: &Event, is_chunk: bool) -> Option<(Word, Timestamp, Option<&Output>)> {
    let failed = |why: String| Word::Failed { why };
    Some(match event {
        Event::Submitted(e) => (Word::Seen, e.at, None),
        Event::Deferred(e) => (Word::Seen, e.at, None),
        Event::Released(e) => (Word::Seen, e.at, None),
        Event::Started(e) => (Word::Seen, e.at, None),
        Event::Progressed(e) => (Word::Seen, e.at, None),
        Event::Returned(e) => (Word::Seen, e.at, None),
        Event::Replayed(e) => (Word::Revived, e.at, None),
        Event::Buried(e) => (failed(e.error.clone()), e.at, None),
        Event::Withdrawn(e) => (failed("cancelled".to_owned()), e.at, None),
        Event::Ended(e) => match (e.verdict, &e.outcome) {
            (Verdict::Retry { .. }, _) => (Word::Seen, e.at, None),
            (Verdict::Complete, Outcome::Success { output: Some(Output::TooLong(bytes)) }) if is_chunk => {
                // It is missing among those that are joined.
                (failed(format!("its result of {bytes} bytes is too long to be kept")), e.at, None)
            }
            (Verdict::Complete, Outcome::Success { output }) => {
                let items = match output {
                    Some(Output::Json(serde_json::Value::Array(items))) => u32::try_from(items.len()).ok(),
                    Some(Output::Json(_) | Output::Text(_) | Output::TooLong(_)) | None => None,
                };
                (Word::Succeeded { items }, e.at, output.as_ref())
            }
            (Verdict::Complete | Verdict::DeadLetter { .. } | Verdict::Cancel, outcome) => {
                (failed(outcome.error().unwrap_or_default()), e.at, None)
            }
        },
        Event::Discarded(_)
        | Event::Ordered(_)
        | Event::Declined(_)
        | Event::Undertaken(_)
        | Event::Unrouted(_)
        | Event::ScheduleChanged(_)
        | Event::Held(_)
        | Event::WorkflowSubmitted(_)
        | Event::WorkflowSteered(_)
        | Event::WorkerStarted(_)
        | Event::Heartbeat(_)
        | Event::WorkerStopped(_)
        | Event::Unknown => return None,
    })
}
