use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    Kind, Priority, QueueName, TaskId, Verdict, WorkerId,
    event::{About, Ended, Progressed, Released, Returned, Started, Submitted},
};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn task() -> TaskId {
    TaskId::parse("t").unwrap()
}

fn about() -> About {
    About { kind: Kind::parse("echo").ok(), queue: QueueName::default(), priority: Priority::default() }
}

fn run(worker: &str, started: u64) -> Run {
    Run { started: at(started), worker: WorkerId::parse(worker).unwrap() }
}

fn number(n: u32) -> Attempt {
    Attempt::new(n).unwrap()
}

fn submitted(millis: u64, due: Option<u64>) -> Event {
    Event::Submitted(Submitted {
        task: task(),
        at: at(millis),
        about: about(),
        size: 3,
        due: due.map(at),
        deadline: None,
        app: None,
        order_key: None,
        transient: false,
        preview: None,
    })
}

fn started(n: u32, worker: &str, millis: u64) -> Event {
    Event::Started(Started {
        task: task(),
        at: at(millis),
        about: about(),
        attempt: number(n),
        worker: WorkerId::parse(worker).unwrap(),
        limit: at(millis + 300),
        traceparent: None,
        transient: false,
    })
}

fn ended(n: u32, run: Run, millis: u64, outcome: Outcome) -> Event {
    let verdict = Verdict::Complete;
    Event::Ended(Ended { task: task(), at: at(millis), about: about(), attempt: number(n), run, outcome, verdict })
}

fn released(n: u32, millis: u64) -> Event {
    Event::Released(Released { task: task(), at: at(millis), attempt: number(n) })
}

fn returned(n: u32, run: Run, millis: u64) -> Event {
    Event::Returned(Returned { task: task(), at: at(millis), attempt: number(n), run })
}

type Counts = BTreeMap<(Measure, Timestamp), i64>;

fn count(counts: &mut Counts, figures: Vec<Figure>) {
    for figure in figures {
        *counts.entry((figure.measure, figure.at)).or_default() += figure.by;
    }
    counts.retain(|_, number| *number != 0);
}

fn counted(events: &[Event]) -> Counts {
    let (mut record, mut counts) = (TaskRecord::default(), Counts::new());
    for event in events {
        let figures = apply(&mut record, event);
        count(&mut counts, figures);
    }
    counts
}

fn slot(millis: u64) -> Slot {
    Slot::of(Duration::from_millis(millis))
}

#[test]
fn figures_by_table() {
    let ok = || Outcome::success(None);
    let (first, second) = (run("a", 30), run("b", 70));
    for (events, expected) in [
        (vec![submitted(1, None)], vec![(Measure::Submitted, 1), (Measure::Arrived, 1)]),
        (vec![submitted(1, Some(90))], vec![(Measure::Submitted, 1)]),
        (
            vec![submitted(1, Some(90)), released(1, 90), started(1, "a", 95)],
            vec![(Measure::Submitted, 1), (Measure::Arrived, 90), (Measure::Started, 95), (Measure::Wait(slot(5)), 95)],
        ),
        (
            vec![started(1, "a", 30), ended(1, first.clone(), 50, ok())],
            vec![(Measure::Submitted, 30), (Measure::Started, 30), (Measure::Run(slot(20)), 50)],
        ),
        (
            vec![submitted(10, None), ended(1, first.clone(), 50, Outcome::retryable("no"))],
            vec![
                (Measure::Submitted, 10),
                (Measure::Arrived, 10),
                (Measure::Started, 30),
                (Measure::Wait(slot(20)), 30),
                (Measure::Run(slot(20)), 50),
                (Measure::Failed, 50),
            ],
        ),
        (
            vec![submitted(10, None), started(1, "a", 30), returned(1, first, 60), started(1, "b", 70)],
            vec![
                (Measure::Submitted, 10),
                (Measure::Arrived, 10),
                (Measure::Started, 30),
                (Measure::Wait(slot(20)), 30),
                (Measure::Started, 70),
                (Measure::Wait(slot(10)), 70),
            ],
        ),
        // A worker was lost: how long the other waited, nobody can say.
        (
            vec![started(1, "a", 30), ended(1, second, 90, ok())],
            vec![
                (Measure::Submitted, 30),
                (Measure::Started, 30),
                (Measure::Started, 70),
                (Measure::Run(slot(20)), 90),
            ],
        ),
    ] {
        let expected: Counts = expected.into_iter().map(|(measure, millis)| ((measure, at(millis)), 1)).collect();
        assert_eq!(counted(&events), expected, "{events:?}");
    }
}

#[test]
fn attempts_that_are_forgotten_stay_counted() {
    let events: Vec<_> = (1..=500).map(|n| ended(n, run("a", 5), 8, Outcome::retryable("no"))).collect();
    let again = [&events[..], &events[..]].concat();
    for events in [&events, &again] {
        assert_eq!(counted(events)[&(Measure::Failed, at(8))], 500);
    }
}

#[test]
fn a_measure_is_read_back() {
    let finals = [Final::Succeeded, Final::Dead, Final::Cancelled, Final::Expired].map(Measure::Came);
    let others = [Measure::Submitted, Measure::Arrived, Measure::Started, Measure::Failed];
    let times = [Measure::Wait(slot(9)), Measure::Run(slot(70_000))];
    for measure in finals.into_iter().chain(others).chain(times) {
        assert_eq!(measure.to_string().parse(), Ok(measure));
    }
    for bad in ["", "wait", "wait.113", "walk.1", "run.x"] {
        assert_eq!(bad.parse::<Measure>(), Err(UnknownMeasure), "{bad}");
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let worker = prop_oneof![Just("a"), Just("b")];
    (0_u8..6, 1_u32..4, worker, 0_u64..4, 0_u64..40).prop_map(|(what, n, worker, start, time)| match what {
        0 => submitted(time, (time % 2 == 0).then_some(time * 10)),
        1 => released(n, time),
        2 => started(n, worker, start),
        3 => returned(n, run(worker, start), time),
        4 => {
            let (run, progress) = (run(worker, start), serde_json::json!(time));
            Event::Progressed(Progressed { task: task(), at: at(time), attempt: number(n), run, progress })
        }
        _ if time % 2 == 0 => ended(n, run(worker, start), time, Outcome::success(None)),
        _ => ended(n, run(worker, start), time, Outcome::retryable("no")),
    })
}

proptest! {
    #[test]
    fn facts_are_counted_once_in_any_order_any_number_of_times(
        (events, shuffled) in proptest::collection::vec(any_event(), 0..24).prop_flat_map(|events| {
            let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
            (Just(events), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(counted(&events), counted(&shuffled));
    }
}
