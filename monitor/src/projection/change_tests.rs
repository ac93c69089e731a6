use warren_core::{
    Attempt, Kind, Outcome, QueueName, TaskState, Verdict,
    event::{About, Ended, Run, Started, Submitted},
};

use super::*;
use crate::index::Shelf;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn about() -> About {
    About { kind: Kind::parse("echo").ok(), queue: QueueName::default(), priority: 0.into() }
}

fn submitted(task: &str, millis: u64) -> Event {
    Event::Submitted(Submitted {
        task: TaskId::parse(task).unwrap(),
        at: at(millis),
        about: about(),
        size: 3,
        due: None,
        deadline: None,
        app: None,
        order_key: None,
        transient: false,
        preview: None,
    })
}

fn started(task: &str, millis: u64) -> Event {
    Event::Started(Started {
        task: TaskId::parse(task).unwrap(),
        at: at(millis),
        about: about(),
        attempt: Attempt::FIRST,
        worker: WorkerId::parse("w").unwrap(),
        limit: at(millis + 300),
        traceparent: None,
        transient: false,
    })
}

fn ended(task: &str, started: u64, millis: u64) -> Event {
    Event::Ended(Ended {
        task: TaskId::parse(task).unwrap(),
        at: at(millis),
        about: about(),
        attempt: Attempt::FIRST,
        run: Run { started: at(started), worker: WorkerId::parse("w").unwrap() },
        outcome: Outcome::success(None),
        verdict: Verdict::Complete,
    })
}

fn entry(source: &str, seq: u64, events: &[Event]) -> Entry {
    let events: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    Entry::decode(seq, &warren_core::event::assemble(source, seq, &events))
}

fn apply(entries: &[Entry], known: &Known) -> Changes {
    changes(entries, known, at(9_000), Reading::Live)
}

// What would be stored after the changes.
fn stored(known: Known, changes: &Changes) -> Known {
    let mut known = known;
    known.tasks.extend(changes.tasks.iter().cloned());
    known.workers.extend(changes.workers.iter().cloned());
    known.sources.extend(changes.sources.iter().cloned());
    known.schedules.extend(changes.schedules.iter().cloned());
    known
}

#[test]
fn a_stretch_says_what_it_touches() {
    let entries = [entry("a", 1, &[submitted("x", 1), started("y", 2)]), entry("b", 1, &[started("x", 3)])];
    let touched = touched(&entries);
    assert_eq!(touched.tasks.iter().map(TaskId::as_str).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(touched.sources.len(), 2);
}

#[test]
fn a_task_that_ran_within_one_stretch_never_shows_among_the_running() {
    let changes = apply(&[entry("a", 1, &[submitted("x", 1), started("x", 2), ended("x", 2, 3)])], &Known::default());
    assert_eq!(changes.moves.arrivals.keys().map(|shelf| shelf.state).collect::<Vec<_>>(), [TaskState::Succeeded]);
    assert_eq!(changes.moves.counts.values().collect::<Vec<_>>(), [&1]);
}

#[test]
fn stretches_however_cut_lead_to_the_same_records_and_counts() {
    let entries = [
        entry("a", 1, &[submitted("x", 1), submitted("y", 1)]),
        entry("b", 1, &[started("x", 2)]),
        entry("b", 2, &[ended("x", 2, 3)]),
    ];
    let whole = apply(&entries, &Known::default());
    let mut known = Known::default();
    let mut counts = BTreeMap::<Shelf, i64>::new();
    for one in &entries {
        let changes = apply(std::slice::from_ref(one), &known);
        for (shelf, by) in &changes.moves.counts {
            *counts.entry(shelf.clone()).or_default() += by;
        }
        known = stored(known, &changes);
    }
    counts.retain(|_, number| *number != 0);
    assert_eq!(known.tasks, stored(Known::default(), &whole).tasks);
    assert_eq!(counts, whole.moves.counts);
}

#[test]
fn what_was_applied_before_changes_nothing() {
    let entries = [entry("a", 1, &[submitted("x", 1)]), entry("b", 1, &[started("x", 2), ended("x", 2, 3)])];
    let known = stored(Known::default(), &apply(&entries, &Known::default()));
    let again = apply(&entries, &known);
    assert!(again.tasks.is_empty());
    assert_eq!((again.moves, again.tally), (Moves::default(), Tally::default()));
}

#[test]
fn holes_in_a_sources_numbers_are_counted_once_and_repetitions_never() {
    let batch = |seq| entry("a", seq, &[]);
    for (seqs, gaps) in
        [(vec![1, 2, 3], 0), (vec![5, 6], 0), (vec![1, 2, 2, 3], 0), (vec![1, 4], 2), (vec![1, 4, 2, 3, 5], 2)]
    {
        let entries: Vec<_> = seqs.iter().map(|seq| batch(*seq)).collect();
        assert_eq!(apply(&entries, &Known::default()).gaps, gaps, "{seqs:?}");
    }
    let known = stored(Known::default(), &apply(&[batch(7)], &Known::default()));
    assert_eq!(apply(&[batch(9)], &known).gaps, 1);
}

#[test]
fn a_message_that_cannot_be_read_is_passed_over() {
    let entries = [Entry::decode(1, b"{nonsense"), entry("a", 1, &[submitted("x", 1)])];
    assert_eq!(apply(&entries, &Known::default()).tasks.len(), 1);
}

#[test]
fn a_stored_record_that_cannot_be_read_is_named_and_made_anew() {
    let known =
        Known { tasks: BTreeMap::from([(TaskId::parse("x").unwrap(), b"nonsense".to_vec())]), ..Known::default() };
    let changes = apply(&[entry("a", 1, &[submitted("x", 1)])], &known);
    assert_eq!((changes.unreadable.len(), changes.tasks.len()), (1, 1));
}

#[test]
fn of_what_the_log_says_of_a_schedule_the_newest_counts_however_it_is_cut() {
    let put = |millis: u64| {
        let entry = Box::new(schedule::Entry { at: at(millis), kept: None });
        let schedule = ScheduleName::parse("nightly").unwrap();
        Event::ScheduleChanged(ScheduleChanged { schedule, entry })
    };
    let entries = [entry("a", 1, &[put(5), put(9)]), entry("b", 1, &[put(7)])];
    let at_once = stored(Known::default(), &apply(&entries, &Known::default()));
    let one_by_one = entries.iter().rev().fold(Known::default(), |known, entry| {
        let changes = apply(std::slice::from_ref(entry), &known);
        stored(known, &changes)
    });
    assert_eq!(at_once.schedules, one_by_one.schedules);
    let text = at_once.schedules.values().next().expect("it is known");
    assert_eq!(serde_json::from_slice::<schedule::Entry>(text).unwrap().at, at(9));
}
