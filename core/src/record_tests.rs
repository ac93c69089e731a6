use proptest::prelude::*;

use super::*;
use crate::{Kind, Operator, OrderId, Outcome, Priority, QueueName, TaskId, TaskState, Verdict, WorkerId};

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

fn submitted(millis: u64, due: Option<u64>) -> Event {
    let (due, deadline, app) = (due.map(at), None, None);
    Event::Submitted(Submitted {
        task: task(),
        at: at(millis),
        about: about(),
        size: 3,
        due,
        deadline,
        app,
        order_key: None,
        transient: false,
        preview: None,
    })
}

fn released(n: u32, millis: u64) -> Event {
    Event::Released(Released { task: task(), at: at(millis), attempt: Attempt::new(n).unwrap() })
}

fn started(n: u32, worker: &str, millis: u64) -> Event {
    let Run { started, worker } = run(worker, millis);
    let (limit, traceparent) = (at(millis + 300), None);
    let attempt = Attempt::new(n).unwrap();
    Event::Started(Started {
        task: task(),
        at: started,
        about: about(),
        attempt,
        worker,
        limit,
        traceparent,
        transient: false,
    })
}

fn ended(n: u32, run: Run, millis: u64, verdict: Verdict) -> Event {
    let outcome = match verdict {
        Verdict::Complete => Outcome::success(None),
        Verdict::Cancel => Outcome::Cancelled,
        Verdict::Retry { .. } | Verdict::DeadLetter { .. } => Outcome::retryable("no"),
    };
    let attempt = Attempt::new(n).unwrap();
    Event::Ended(Ended { task: task(), at: at(millis), about: about(), attempt, run, outcome, verdict })
}

fn returned(n: u32, run: Run, millis: u64) -> Event {
    Event::Returned(Returned { task: task(), at: at(millis), attempt: Attempt::new(n).unwrap(), run })
}

fn buried(n: u32, millis: u64, reason: Reason) -> Event {
    let attempt = Attempt::new(n).unwrap();
    Event::Buried(Buried { task: task(), at: at(millis), about: about(), attempt, reason, error: "bad".into() })
}

fn ordered(millis: u64, command: Command) -> Event {
    let id = OrderId::parse(&format!("{millis}-{}", command.name())).unwrap();
    Event::Ordered(Order { id, at: at(millis), by: Operator::parse("ann").unwrap(), reason: None, command })
}

fn cancel(millis: u64) -> Event {
    ordered(millis, Command::Cancel { task: task(), until: at(millis + 999) })
}

fn withdrawn(n: u32, millis: u64) -> Event {
    let attempt = Attempt::new(n).unwrap();
    Event::Withdrawn(Withdrawn { task: task(), at: at(millis), about: about(), attempt })
}

fn wish(by: &str) -> Wish {
    Wish { by: Operator::parse(by).unwrap(), reason: None }
}

fn replayed(n: u32, millis: u64, by: &str) -> Event {
    let attempt = Attempt::new(n).unwrap();
    Event::Replayed(Replayed { task: task(), at: at(millis), about: about(), attempt, wish: wish(by) })
}

fn discarded(n: u32, millis: u64, by: &str) -> Event {
    let attempt = Attempt::new(n).unwrap();
    Event::Discarded(Discarded { task: task(), at: at(millis), about: about(), attempt, wish: wish(by) })
}

fn record(events: &[Event]) -> TaskRecord {
    let mut record = TaskRecord::default();
    for event in events {
        record.apply(event);
    }
    record
}

fn record_of_log<'a>(log: impl IntoIterator<Item = &'a (u64, Event)>) -> TaskRecord {
    let mut record = TaskRecord::default();
    for (offset, event) in log {
        record.apply(event);
        record.locate(event, *offset);
    }
    record
}

#[test]
fn states_by_table() {
    let retry = Verdict::Retry { due: at(50) };
    let dead = Verdict::DeadLetter { reason: Reason::AttemptsExhausted };
    for (events, state, since) in [
        (vec![submitted(1, None)], TaskState::Queued, 1),
        (vec![submitted(1, Some(90))], TaskState::Delayed, 1),
        (vec![submitted(1, Some(90)), released(1, 90)], TaskState::Queued, 90),
        (vec![started(1, "a", 5)], TaskState::Running, 5),
        (vec![started(1, "a", 5), returned(1, run("a", 5), 7)], TaskState::Queued, 7),
        (vec![started(1, "a", 5), ended(1, run("a", 5), 8, Verdict::Complete)], TaskState::Succeeded, 8),
        (vec![ended(1, run("a", 5), 8, retry)], TaskState::Delayed, 8),
        (vec![ended(1, run("a", 5), 8, retry), released(2, 51)], TaskState::Queued, 51),
        (vec![ended(1, run("a", 5), 8, retry), started(2, "b", 60)], TaskState::Running, 60),
        (vec![ended(1, run("a", 5), 8, dead)], TaskState::Dead, 8),
        (vec![ended(1, run("a", 5), 8, Verdict::Cancel)], TaskState::Cancelled, 8),
        (vec![buried(1, 9, Reason::Expired)], TaskState::Expired, 9),
        (vec![buried(1, 9, Reason::Invalid)], TaskState::Dead, 9),
        (vec![submitted(1, None), cancel(6)], TaskState::Cancelled, 6),
        (vec![submitted(1, Some(90)), cancel(6)], TaskState::Cancelled, 6),
        (vec![submitted(1, None), cancel(6), withdrawn(1, 7)], TaskState::Cancelled, 6),
        (vec![withdrawn(1, 7)], TaskState::Cancelled, 7),
        (vec![started(1, "a", 5), cancel(6)], TaskState::Running, 5),
        (vec![started(1, "a", 5), cancel(6), withdrawn(1, 7)], TaskState::Cancelled, 6),
        (vec![started(1, "a", 5), cancel(6), ended(1, run("a", 5), 8, retry)], TaskState::Cancelled, 6),
        (vec![started(1, "a", 5), cancel(6), ended(1, run("a", 5), 8, Verdict::Complete)], TaskState::Succeeded, 8),
        (vec![submitted(1, None), ordered(6, Command::RunNow { task: task() })], TaskState::Queued, 1),
        (vec![buried(1, 9, Reason::Invalid), replayed(2, 11, "jo")], TaskState::Queued, 11),
        (vec![buried(1, 9, Reason::Invalid), discarded(1, 12, "jo")], TaskState::Cancelled, 12),
        (vec![ended(1, run("a", 5), 8, dead), replayed(2, 11, "jo"), started(2, "b", 13)], TaskState::Running, 13),
        (vec![ended(1, run("a", 5), 8, dead), discarded(1, 12, "jo")], TaskState::Cancelled, 12),
        // Thrown away after a replay that died again.
        (
            vec![buried(1, 9, Reason::Invalid), replayed(2, 11, "jo"), buried(2, 13, Reason::Invalid)],
            TaskState::Dead,
            13,
        ),
        (vec![cancel(3), buried(1, 9, Reason::Invalid), replayed(2, 11, "jo")], TaskState::Queued, 11),
        (vec![buried(1, 9, Reason::Invalid), replayed(2, 11, "jo"), cancel(12)], TaskState::Cancelled, 12),
        (vec![ended(1, run("a", 5), 8, retry), discarded(1, 12, "jo")], TaskState::Delayed, 8),
    ] {
        let record = record(&events);
        assert_eq!((record.state(), record.since()), (state, at(since)), "{events:?}");
    }
}

#[test]
fn a_late_outcome_of_an_overtaken_run_is_kept_and_stale() {
    let retry = Verdict::Retry { due: at(50) };
    // A froze in attempt 1; B ran it and failed; then A thawed and succeeded.
    let events = [
        started(1, "a", 5),
        started(1, "b", 20),
        ended(1, run("b", 20), 25, retry),
        ended(1, run("a", 5), 40, Verdict::Complete),
    ];
    let record = record(&events);
    assert_eq!(record.state(), TaskState::Delayed);
    let attempt = &record.attempts[&Attempt::FIRST];
    assert_eq!(attempt.leading().unwrap().run, run("b", 20));
    assert!(attempt.runs.iter().all(|run| run.end.is_some()));
}

#[test]
fn a_cancelled_task_is_settled_only_when_nothing_is_left_to_stop() {
    let waiting = record(&[submitted(1, None), cancel(6)]);
    assert!(waiting.state() == TaskState::Cancelled && !waiting.is_settled());
    let retried = Verdict::Retry { due: at(50) };
    assert!(!record(&[ended(1, run("a", 5), 8, retried), cancel(9)]).is_settled());
    assert!(record(&[submitted(1, None), cancel(6), withdrawn(1, 9)]).is_settled());
    assert!(record(&[ended(1, run("a", 5), 8, Verdict::Cancel)]).is_settled());
}

#[test]
fn the_number_of_orders_is_bounded() {
    let events: Vec<_> = (1..=50).map(|n| ordered(n, Command::RunNow { task: task() })).collect();
    let record = record(&[&[cancel(3)], &events[..]].concat());
    assert_eq!((record.orders.len(), record.orders[0].at), (ORDERS_KEPT, at(31)));
    assert_eq!(record.cancel.unwrap().at, at(3));
}

#[test]
fn a_lower_attempts_outcome_never_overwrites_a_higher_one() {
    let events = [started(2, "b", 60), ended(1, run("a", 5), 70, Verdict::Complete)];
    assert_eq!(record(&events).state(), TaskState::Running);
}

#[test]
fn of_two_runs_that_go_on_the_one_is_behind_that_is_later_in_the_log_whatever_their_clocks_say() {
    let (early, late) = (started(1, "a", 900), started(1, "b", 5));
    let behind = |log: &[(u64, Event)]| {
        let attempt = &record_of_log(log).attempts[&Attempt::FIRST];
        let (a, b) = (run("a", 900), run("b", 5));
        (attempt.is_behind(&a, &b), attempt.is_behind(&b, &a))
    };
    let log = [(7, early.clone()), (8, late.clone()), (9, early.clone())];
    assert_eq!(behind(&log), (false, true), "its first word counts");
    assert_eq!(behind(&log[..1]), (false, false), "what is not on record is behind nothing");
    let ended = ended(1, run("a", 900), 950, Verdict::Complete);
    assert_eq!(behind(&[(7, early), (8, late), (9, ended)]), (false, false), "what has ended is behind nothing");
}

#[test]
fn a_record_stays_small_and_says_what_it_is() {
    let events = [submitted(1_769_860_800_000, None), started(1, "4f1c2a7b9d01-7f3a", 1_769_860_800_001)];
    let text = serde_json::to_string(&record(&events)).unwrap();
    insta::assert_snapshot!(text);
    let ended = ended(1, run("4f1c2a7b9d01-7f3a", 1_769_860_800_001), 1_769_860_800_009, Verdict::Complete);
    let text = serde_json::to_string(&record(&[&events[..], &[ended]].concat())).unwrap();
    insta::assert_snapshot!("a_finished_record", text);
}

#[test]
fn the_number_of_attempts_and_runs_is_bounded() {
    let retry = Verdict::Retry { due: at(50) };
    let events: Vec<_> = (1..=500).map(|n| ended(n, run("a", 5), 8, retry)).collect();
    let record = record(&events);
    assert_eq!(record.attempts.len(), ATTEMPTS_KEPT);
    assert!(record.attempts.contains_key(&Attempt::FIRST));
    assert!(record.attempts.contains_key(&Attempt::new(500).unwrap()));

    let events: Vec<_> = (1..=500).map(|n| started(1, "a", n)).collect();
    let runs = &self::record(&events).attempts[&Attempt::FIRST].runs;
    assert_eq!((runs[0].run.started, runs.last().unwrap().run.started), (at(1), at(500)));
    assert!(runs.len() <= 2 * RUNS_KEPT + 1);
}

fn any_event() -> impl Strategy<Value = Event> {
    let n = 1_u32..4;
    let worker = prop_oneof![Just("a"), Just("b")];
    let verdict = prop_oneof![
        Just(Verdict::Complete),
        Just(Verdict::Cancel),
        (0_u64..99).prop_map(|due| Verdict::Retry { due: at(due) }),
        Just(Verdict::DeadLetter { reason: Reason::Permanent }),
    ];
    let start = 0_u64..4;
    (0_u8..11, n, worker, start, 0_u64..9, verdict).prop_map(|(what, n, worker, start, time, verdict)| match what {
        0 => submitted(time, (time % 2 == 0).then_some(time * 10)),
        1 => released(n, time),
        2 => started(n, worker, start),
        3 => returned(n, run(worker, start), time),
        4 => buried(n, time, Reason::Expired),
        6 => cancel(time),
        7 => withdrawn(n, time),
        8 => replayed(n, time, worker),
        9 => discarded(n, time, worker),
        5 => {
            let progress = serde_json::json!(time);
            let attempt = Attempt::new(n).unwrap();
            Event::Progressed(Progressed { task: task(), at: at(time / 2), attempt, run: run(worker, start), progress })
        }
        _ => ended(n, run(worker, start), time, verdict),
    })
}

proptest! {
    #[test]
    fn events_apply_in_any_order_any_number_of_times_with_one_result(
        (log, shuffled) in proptest::collection::vec(any_event(), 0..24).prop_flat_map(|events| {
            let log: Vec<_> = (0..).zip(events).collect();
            let twice: Vec<_> = log.iter().chain(&log).cloned().collect();
            (Just(log), Just(twice).prop_shuffle())
        })
    ) {
        let once = record_of_log(&log);
        prop_assert_eq!(&once, &record_of_log(&shuffled));
        let text = serde_json::to_string(&once).unwrap();
        prop_assert_eq!(once, serde_json::from_str(&text).unwrap());
    }
}
