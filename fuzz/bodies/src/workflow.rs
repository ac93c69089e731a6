//! Workflows: what is handed in, what a message makes of itself that waits for others, and what the log says of them.

use std::collections::BTreeSet;

use lapin::message::Delivery;
use warren_core::{
    QueueName, TaskId, WorkflowId,
    event::{Batch, Event},
    header,
    message::{self, Task},
    workflow::{Definition, Flow, Graph, Job, Kept, PartId, PartState, Word},
};
use warren_producer::workflow::{
    Error,
    decoders::{Book, Changes, definition, read_held, template},
    read, read_yaml,
};
use warren_runtime::amqp::{
    Names,
    message::{Copy, incoming},
};

use crate::{events::is_kept, message::received, now, request::names_a_field};

// So many tasks are played through.
const MOST: usize = 2_000;

/// A workflow in JSON or YAML, or a message of the event log.
pub fn workflow(bytes: &[u8]) {
    for read in [read(bytes), read_yaml(bytes)] {
        match read {
            Ok(workflow) => can_be_run(workflow.definition()),
            Err(Error::Task(error)) => names_a_field(&error),
            Err(Error::Yaml(why)) => assert!(!why.is_empty()),
            Err(other) => panic!("reading cannot fail so: {other:?}"),
        }
    }
    if let Ok(batch) = Batch::decode(bytes) {
        hands_each_task_in_once(&batch.events);
    }
}

/// A delivery that waits for others, or for its chunks, from the worker that hands it on to the one that runs it.
pub fn waits(delivery: &Delivery, task: &Task) {
    let names = Names::new(&QueueName::parse("warren").expect("the literal is a valid name"));
    let copy = Copy::of(delivery).id("waits").kind("any").text(header::QUEUE, "default").expiration(None);
    let held = received(copy.to_queue(&names.held()));
    let held = read_held(&held, now()).expect("what a worker has read can be read");
    assert_eq!((&held.after, held.on_failure, held.cut), (&task.after, task.on_failure, task.cut));
    is_kept(Event::Held(Box::new(held.clone())));
    // A list that cannot be cut becomes a dead letter at once.
    if task.cut.is_some_and(|cut| cut.measure(&delivery.data).is_err()) {
        return;
    }
    hands_each_task_in_once(&[Event::Held(Box::new(held.clone()))]);
    let definition = definition(&held).expect("what a worker hands on can be used");
    can_be_run(&definition);
    let graph = Graph::new(&definition).expect("it can be run");
    let place = graph.places().last().expect("it has a step");
    let step = graph.places().find(|place| !matches!(graph.node(*place).job, Job::Awaited(_))).unwrap_or(place);
    let (Job::Task(text) | Job::Split { task: text, .. }) = &graph.node(step).job else { panic!("no task: {graph:?}") };
    let letter = template(text).expect("it is a message");
    let id = TaskId::parse("waits").expect("the literal is a valid id");
    let body = letter.bytes();
    assert!(held.cut.is_some() || body == delivery.data, "the body is another");
    let sent = received(letter.address(&id, body, &names, now()));
    let read = message::parse(&incoming(&sent), &task.queue, now()).expect("what was readable stays so");
    assert!(!read.is_held() && read.check, "{read:?}");
    assert_eq!((&read.overrides, read.wait, read.priority), (&task.overrides, task.wait, task.priority));
}

// Whatever becomes of its tasks, it comes to an end; and what is stored of it is read as it was written.
fn can_be_run(definition: &Definition) {
    let text = serde_json::to_string(definition).expect("a definition is JSON");
    assert_eq!(serde_json::from_str::<Definition>(&text).expect("it is readable"), *definition);
    let graph = Graph::new(definition).expect("it was checked");
    let workflow = WorkflowId::parse("w").expect("the literal is a valid id");
    for fails in [false, true] {
        let (mut flow, effects) = Flow::begin(&graph);
        let mut due = effects.due;
        let awaited = graph.places().filter(|place| matches!(graph.node(*place).job, Job::Awaited(_)));
        due.extend(awaited.map(|place| (place, 0, 1)));
        let mut played = 0;
        while let Some((place, number, round)) = due.pop() {
            played += 1;
            if played > MOST {
                return;
            }
            if !matches!(graph.node(place).job, Job::Awaited(_)) {
                let part = graph.part(&workflow, place, number, round);
                assert_eq!(PartId::of(&part.task()).as_ref(), Some(&part));
                assert_eq!(graph.place(&part.path), Some(place));
            }
            let word = if fails && played % 3 == 0 {
                Word::Failed { why: "as it comes".to_owned() }
            } else {
                Word::Succeeded { items: Some(3) }
            };
            due.extend(flow.hear(&graph, place, number, round, &word).due);
            let again = flow.hear(&graph, place, number, round, &word);
            assert!(again.changed.is_empty() && again.due.is_empty(), "the same word again: {again:?}");
        }
        assert!(flow.conclusion(&graph).is_some(), "nothing is left to do, and it is not over: {flow:?}");
        for part in graph.places().flat_map(|place| flow.status(place).parts()) {
            let is_done = matches!(part.state, PartState::Done { .. });
            assert!(is_done || fails && part.state == PartState::Failed, "{flow:?}");
        }
    }
}

// A stretch of the log may be read once more, and again: nothing is handed in twice because of that.
fn hands_each_task_in_once(events: &[Event]) {
    let (mut book, mut handed_in) = (Book::default(), BTreeSet::new());
    for event in events.iter().chain(events).chain(events) {
        let mut changes = Changes::default();
        book.apply(event, &mut changes);
        for task in &changes.due {
            assert!(handed_in.insert(task.clone()), "{task} is handed in twice");
        }
        is_read_as_it_is_stored(&mut book, &changes);
    }
}

fn is_read_as_it_is_stored(book: &mut Book, changes: &Changes) {
    for id in changes.workflows.keys() {
        let head = book.head(id).expect("it has changed, so it is known").clone();
        let kept = book.workflow(id).expect("it is known");
        let fields = [("definition", kept.definition.clone()), ("head", serde_json::to_string(&head).expect("JSON"))];
        let statuses = kept.graph.places().map(|place| {
            (place.0.to_string(), serde_json::to_string(kept.flow.status(place)).expect("a status is JSON"))
        });
        let fields = fields.into_iter().map(|(name, text)| (name.to_owned(), text)).chain(statuses).collect();
        let read = Kept::decode(fields).expect("what is stored is readable").expect("it is stored");
        assert_eq!((&read.flow, &read.head), (&kept.flow, &head), "{id} is read otherwise than it was stored");
    }
}
