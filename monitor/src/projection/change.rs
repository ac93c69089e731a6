//! What a stretch of the log does to what is stored. Pure: what was known goes in, what is to be written comes out.

use std::collections::{BTreeMap, BTreeSet};

use warren_core::{
    OrderId, ScheduleName, TaskId, TaskState, Timestamp, WorkerId,
    command::Order,
    event::{Batch, Event, ScheduleChanged},
    figure::{self, Final},
    record::TaskRecord,
    schedule,
};
use warren_runtime::{event_log::entry::Entry, redis::Keys};

use super::place::{Moves, Place};
use crate::{
    audit,
    figures::{Tally, of_move},
    worker_entry::{Reading, WorkerEntry},
};

/// Everything that a stretch of the log is about, and so everything that must be known before it can be applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Tasks.
    pub tasks: BTreeSet<TaskId>,
    /// Workers.
    pub workers: BTreeSet<WorkerId>,
    /// Processes that wrote it.
    pub sources: BTreeSet<String>,
    /// Queues and workers that operators gave orders about, as fields of [`Keys::orders`].
    pub targets: BTreeSet<String>,
    /// Schedules.
    pub schedules: BTreeSet<ScheduleName>,
}

/// What is stored of what is touched, as it is stored.
#[derive(Debug, Default)]
pub struct Known {
    /// Records of tasks.
    pub tasks: BTreeMap<TaskId, Vec<u8>>,
    /// Entries of workers.
    pub workers: BTreeMap<WorkerId, Vec<u8>>,
    /// Sources.
    pub sources: BTreeMap<String, String>,
    /// The latest orders about queues and workers.
    pub orders: BTreeMap<String, Vec<u8>>,
    /// What the log said of schedules before.
    pub schedules: BTreeMap<ScheduleName, Vec<u8>>,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Records of tasks that differ from what is stored.
    pub tasks: Vec<(TaskId, Vec<u8>)>,
    /// What that does to the indexes.
    pub moves: Moves,
    /// What that adds to the figures.
    pub tally: Tally,
    /// Entries of workers.
    pub workers: Vec<(WorkerId, Vec<u8>)>,
    /// Sources.
    pub sources: Vec<(String, String)>,
    /// Orders about queues and workers that are later than what is stored.
    pub orders: Vec<(String, Vec<u8>)>,
    /// Entries of the audit trail.
    pub actions: Vec<audit::Entry>,
    /// What became of actions.
    pub details: Vec<(OrderId, String)>,
    /// What the log says of schedules, for whoever runs them to restore after a flush.
    pub schedules: Vec<(ScheduleName, Vec<u8>)>,
    /// Batches that are missing before those that were read.
    pub gaps: u64,
    /// What is stored and cannot be read; it is written anew from what the log says.
    pub unreadable: Vec<String>,
}

/// The last that was seen of a process that writes to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The number of its last batch.
    pub seq: u64,
    /// When that was read.
    pub at: Timestamp,
}

impl Source {
    /// As it is stored.
    pub fn encode(self) -> String {
        format!("{} {}", self.seq, self.at.as_millis())
    }

    /// From what is stored.
    pub fn decode(text: &str) -> Option<Self> {
        let (seq, at) = text.split_once(' ')?;
        Some(Self { seq: seq.parse().ok()?, at: Timestamp::from_millis(at.parse().ok()?) })
    }
}

/// What the entries are about.
pub fn touched(entries: &[Entry]) -> Touched {
    let mut touched = Touched::default();
    for batch in entries.iter().filter_map(Entry::batch) {
        touched.sources.insert(batch.source.clone());
        for event in &batch.events {
            touched.tasks.extend(event.task().cloned());
            touched.workers.extend(worker(event).cloned());
            touched.targets.extend(standing_order(event).map(|(field, _)| field));
            touched.schedules.extend(change_of_schedule(event).map(|changed| changed.schedule.clone()));
        }
    }
    touched
}

/// What the entries change, read at `now`.
pub fn changes(entries: &[Entry], known: &Known, now: Timestamp, reading: Reading) -> Changes {
    let mut changes = Changes::default();
    // Boxed, for the map moves what it holds.
    let mut tasks = BTreeMap::<_, Box<Task>>::new();
    let mut workers = BTreeMap::new();
    let mut sources = BTreeMap::new();
    let mut orders = BTreeMap::new();
    let mut schedules = BTreeMap::new();
    for (offset, batch) in entries.iter().filter_map(|entry| Some((entry.cursor.offset, entry.batch()?))) {
        changes.follow(batch, known, &mut sources, now);
        for event in &batch.events {
            if let Some(task) = event.task() {
                let task = tasks.entry(task).or_insert_with(|| Box::new(changes.task(task, known)));
                let figures = figure::apply(&mut task.record, event);
                task.record.locate(event, offset);
                if let Some(about) = task.record.about() {
                    changes.tally.add(about, figures, now);
                }
            }
            if let Some(worker) = worker(event) {
                let entry = workers.entry(worker).or_insert_with(|| changes.worker(worker, known));
                entry.apply(event, now, reading);
            }
            if let Some((field, order)) = standing_order(event) {
                let latest = orders.entry(field).or_insert_with_key(|field| known.order(field));
                if latest.as_ref().is_none_or(|latest| order.overrules(latest)) {
                    *latest = Some(order.clone());
                }
            }
            changes.actions.extend(audit::Entry::of(event));
            if let Event::Declined(declined) = event {
                changes.details.push((declined.order.clone(), format!("not done: {}", declined.why)));
            }
            if let Some(ScheduleChanged { schedule, entry }) = change_of_schedule(event) {
                let known = schedules.entry(schedule).or_insert_with(|| changes.schedule(schedule, known));
                if known.as_ref().is_none_or(|known| entry.supersedes(known)) {
                    *known = Some(entry.as_ref().clone());
                }
            }
        }
    }
    // One for all: each record would grow anew, in several steps.
    let mut record = Vec::new();
    for (id, mut task) in tasks {
        let after = Place::of(&task.record);
        if after.shelf.state == TaskState::Succeeded {
            task.record.forget_preview();
        }
        record.clear();
        encode_into(&mut record, &task.record);
        if known.tasks.get(id) != Some(&record) {
            if let Some(about) = task.record.about() {
                changes.tally.add(about, of_move(task.before.as_ref().and_then(stays), stays(&after)), now);
            }
            changes.moves.add(id, task.before.as_ref(), &after);
            changes.tasks.push((id.clone(), record.clone()));
        }
    }
    changes.workers = workers.into_iter().map(|(id, entry)| (id.clone(), encode(&entry))).collect();
    changes.orders = orders.into_iter().filter_map(|(field, order)| Some((field, encode(&order?)))).collect();
    let schedules = schedules.into_iter().filter_map(|(name, entry)| Some((name.clone(), encode(&entry?))));
    changes.schedules = schedules.collect();
    changes.sources = sources.into_iter().map(|(name, source)| (name.to_owned(), source.encode())).collect();
    changes
}

// The worker that an event is about as a process, not as the place where a task runs.
fn worker(event: &Event) -> Option<&WorkerId> {
    match event {
        Event::WorkerStarted(hello) => Some(&hello.worker),
        Event::Heartbeat(heartbeat) => Some(&heartbeat.worker),
        Event::WorkerStopped(goodbye) => Some(&goodbye.worker),
        Event::Submitted(_)
        | Event::Deferred(_)
        | Event::Released(_)
        | Event::Started(_)
        | Event::Progressed(_)
        | Event::Returned(_)
        | Event::Ended(_)
        | Event::Buried(_)
        | Event::Withdrawn(_)
        | Event::Replayed(_)
        | Event::Discarded(_)
        | Event::Unrouted(_)
        | Event::Ordered(_)
        | Event::Declined(_)
        | Event::Undertaken(_)
        | Event::ScheduleChanged(_)
        | Event::Held(_)
        | Event::WorkflowSubmitted(_)
        | Event::WorkflowSteered(_)
        | Event::Unknown => None,
    }
}

fn stays(place: &Place) -> Option<(Final, Timestamp)> {
    Some((Final::of(place.shelf.state)?, place.since))
}

// The order that an event tells of, if it is one that stands until the next about the same queue or worker.
fn standing_order(event: &Event) -> Option<(String, &Order)> {
    let Event::Ordered(order) = event else { return None };
    let target = order.command.target()?;
    audit::is_standing(order).then(|| (Keys::order_field(&target), order))
}

fn change_of_schedule(event: &Event) -> Option<&ScheduleChanged> {
    let Event::ScheduleChanged(changed) = event else { return None };
    Some(changed)
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    encode_into(&mut text, value);
    text
}

fn encode_into(text: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(text, value).expect("records hold no map with keys other than text and numbers");
}

impl Known {
    fn order(&self, field: &str) -> Option<Order> {
        serde_json::from_slice(self.orders.get(field)?).ok()
    }
}

struct Task {
    before: Option<Place>,
    record: TaskRecord,
}

impl Changes {
    fn task(&mut self, id: &TaskId, known: &Known) -> Task {
        match known.tasks.get(id).map(|stored| serde_json::from_slice::<TaskRecord>(stored)) {
            Some(Ok(record)) => Task { before: Some(Place::of(&record)), record },
            Some(Err(_)) => {
                self.unreadable.push(format!("task {id}"));
                Task { before: None, record: TaskRecord::default() }
            }
            None => Task { before: None, record: TaskRecord::default() },
        }
    }

    fn worker(&mut self, id: &WorkerId, known: &Known) -> WorkerEntry {
        match known.workers.get(id).map(|stored| serde_json::from_slice(stored)) {
            Some(Ok(entry)) => entry,
            Some(Err(_)) => {
                self.unreadable.push(format!("worker {id}"));
                WorkerEntry::default()
            }
            None => WorkerEntry::default(),
        }
    }

    fn schedule(&mut self, name: &ScheduleName, known: &Known) -> Option<schedule::Entry> {
        match known.schedules.get(name).map(|stored| serde_json::from_slice(stored))? {
            Ok(entry) => Some(entry),
            Err(_) => {
                self.unreadable.push(format!("schedule {name}"));
                None
            }
        }
    }

    // A process numbers its batches without holes, and writes one again until it is confirmed. So a higher number than
    // the next one means a loss, and a lower one a repetition. Where the log begins in the middle, nothing is missed.
    fn follow<'a>(&mut self, batch: &'a Batch, known: &Known, sources: &mut BTreeMap<&'a str, Source>, now: Timestamp) {
        let last = sources.get(batch.source.as_str()).copied();
        let last = last.or_else(|| Source::decode(known.sources.get(&batch.source)?)).map(|source| source.seq);
        if let Some(last) = last {
            self.gaps += batch.seq.saturating_sub(last.saturating_add(1));
        }
        let seq = last.unwrap_or_default().max(batch.seq);
        sources.insert(&batch.source, Source { seq, at: now });
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
