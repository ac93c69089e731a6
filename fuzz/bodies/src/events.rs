//! The event log and the store: what one message of the log says, what it does to the records, and how those are kept.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use warren_core::{
    TaskId,
    event::{self, Batch, Event, VERSION},
    record::TaskRecord,
    worker::WorkerRecord,
};
use warren_monitor::decoders::{
    Entry, Found, Reading, Source, WorkerEntry,
    change::{Changes, Known, changes},
};

use crate::now;

/// The body of a message of the event log, or something that is stored.
pub fn events(bytes: &[u8]) {
    let entry = Entry::decode(7, bytes);
    assert_eq!(entry.cursor.offset, 7);
    if let Some(batch) = entry.batch() {
        comes_back(batch);
        do_not_depend_on_their_order(batch);
        can_be_repeated(&entry);
    }
    reads_what_it_stores::<TaskRecord>(bytes);
    reads_what_it_stores::<WorkerRecord>(bytes);
    reads_what_it_stores::<WorkerEntry>(bytes);
    reads_what_it_stores::<Vec<Found>>(bytes);
}

/// A fact is readable in the log, and in the record that it becomes part of.
pub fn is_kept(event: Event) {
    let text = serde_json::to_string(&event).expect("events are JSON");
    let body = event::assemble("source", 1, &[&text]);
    let entry = Entry::decode(1, &body);
    let batch = entry.batch().unwrap_or_else(|| panic!("the log cannot be read: {:?}", entry.content));
    assert_eq!(batch.events, [event]);
    can_be_repeated(&entry);
}

fn comes_back(batch: &Batch) {
    let events: Vec<_> =
        batch.events.iter().map(|event| serde_json::to_string(event).expect("events are JSON")).collect();
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let body = event::assemble(&batch.source, batch.seq, &events);
    let again = Batch::decode(&body).unwrap_or_else(|error| panic!("what was readable is not any more: {error}"));
    assert_eq!(again, Batch { version: VERSION, ..batch.clone() });
}

fn do_not_depend_on_their_order(batch: &Batch) {
    assert_eq!(records(batch.events.iter()), records(batch.events.iter().rev()));
    assert_eq!(records(batch.events.iter()), records(batch.events.iter().chain(&batch.events)));
}

fn records<'a>(events: impl Iterator<Item = &'a Event>) -> BTreeMap<&'a TaskId, TaskRecord> {
    let mut records = BTreeMap::<_, TaskRecord>::new();
    for event in events {
        if let Some(task) = event.task() {
            records.entry(task).or_default().apply(event);
        }
    }
    records
}

// What was applied is stored, read and applied again: that changes nothing, and nothing is unreadable.
fn can_be_repeated(entry: &Entry) {
    let entries = std::slice::from_ref(entry);
    let first = changes(entries, &Known::default(), now(), Reading::Live);
    assert_eq!((first.gaps, first.unreadable.len()), (0, 0));
    let Changes { tasks, workers, sources, orders, schedules, .. } = first;
    for (name, source) in &sources {
        let decoded = Source::decode(source).unwrap_or_else(|| panic!("{name}: {source}"));
        assert_eq!(decoded.encode(), *source);
    }
    let known = Known {
        tasks: tasks.into_iter().collect(),
        workers: workers.into_iter().collect(),
        sources: sources.into_iter().collect(),
        orders: orders.into_iter().collect(),
        schedules: schedules.into_iter().collect(),
    };
    let second = changes(entries, &known, now(), Reading::Live);
    assert_eq!((second.gaps, second.unreadable), (0, vec![]));
    assert_eq!(second.tasks, vec![]);
    assert_eq!(second.workers.into_iter().collect::<BTreeMap<_, _>>(), known.workers);
    assert_eq!(second.orders.into_iter().collect::<BTreeMap<_, _>>(), known.orders);
    assert_eq!(second.schedules.into_iter().collect::<BTreeMap<_, _>>(), known.schedules);
}

fn reads_what_it_stores<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(stored) = serde_json::from_slice::<T>(bytes) else { return };
    let text = serde_json::to_vec(&stored).expect("what was JSON is JSON");
    assert_eq!(serde_json::from_slice::<T>(&text).expect("what was readable stays so"), stored);
}
