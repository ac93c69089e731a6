use warren_core::{
    Attempt, Kind, Priority, QueueName, Reason, Timestamp, WorkerId,
    event::{About, Buried, Deferred, Ended, Event, Progressed, Released, Run, Started, Submitted},
};

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_769_860_800_000 + millis)
}

fn id() -> TaskId {
    TaskId::parse("t1").unwrap()
}

fn about() -> About {
    About { kind: Kind::parse("resize").ok(), queue: QueueName::default(), priority: Priority::from(5) }
}

fn run(worker: &str, started: u64) -> Run {
    Run { started: at(started), worker: WorkerId::parse(worker).unwrap() }
}

fn number(number: u32) -> Attempt {
    Attempt::new(number).unwrap()
}

fn started(attempt: u32, run: &Run) -> Event {
    Event::Started(Started {
        task: id(),
        at: run.started,
        about: about(),
        attempt: number(attempt),
        worker: run.worker.clone(),
        limit: at(300_000),
        traceparent: None,
        transient: true,
    })
}

fn ended(attempt: u32, run: Run, millis: u64, outcome: Outcome, verdict: Verdict) -> Event {
    Event::Ended(Ended { task: id(), at: at(millis), about: about(), attempt: number(attempt), run, outcome, verdict })
}

fn shown(events: &[Event]) -> Value {
    let mut record = TaskRecord::default();
    for event in events {
        record.apply(event);
    }
    serde_json::to_value(describe(&id(), &record)).unwrap()
}

#[test]
fn a_task_that_was_retried_tells_its_timeline() {
    let submitted = Submitted {
        task: id(),
        at: at(0),
        about: about(),
        size: 12,
        due: None,
        deadline: None,
        app: Some("shop".into()),
        order_key: None,
        transient: false,
        preview: None,
    };
    let (first, cut_off, second) = (run("a", 10), run("b", 20), run("a", 1_100));
    let success = Outcome::success(Some(Output::Json(serde_json::json!({"width": 7}))));
    let view = shown(&[
        Event::Submitted(submitted),
        started(1, &first),
        started(1, &cut_off),
        ended(1, first, 30, Outcome::retryable("no route"), Verdict::Retry { due: at(1_030) }),
        ended(1, cut_off, 90, Outcome::success(None), Verdict::Complete),
        Event::Deferred(Deferred { task: id(), at: at(31), about: about(), attempt: number(2), due: at(1_030) }),
        Event::Released(Released { task: id(), at: at(1_040), attempt: number(2) }),
        started(2, &second),
        Event::Progressed(Progressed {
            task: id(),
            at: at(1_150),
            attempt: number(2),
            run: second.clone(),
            progress: serde_json::json!(0.5),
        }),
        ended(2, second, 1_200, success, Verdict::Complete),
    ]);
    insta::assert_json_snapshot!(view);
}

#[test]
fn a_dead_letter_says_why() {
    let dead = Verdict::DeadLetter { reason: Reason::AttemptsExhausted };
    let exhausted = shown(&[ended(5, run("a", 1), 9, Outcome::retryable("no route"), dead)]);
    assert_eq!((&exhausted["state"], &exhausted["reason"]), (&"dead".into(), &"attempts_exhausted".into()));
    assert_eq!(exhausted["error"], "no route");
    let refused = shown(&[Event::Buried(Buried {
        task: id(),
        at: at(5),
        about: about(),
        attempt: number(1),
        reason: Reason::Invalid,
        error: "timeout: expected a number".into(),
    })]);
    assert_eq!((&refused["reason"], &refused["error"]), (&"invalid".into(), &"timeout: expected a number".into()));
    assert_eq!(refused["attempts"], serde_json::json!([]));
}

#[test]
fn an_attempt_that_waits_is_no_attempt_yet() {
    let deferred = Deferred { task: id(), at: at(31), about: about(), attempt: number(1), due: at(1_030) };
    let view = shown(&[Event::Deferred(deferred)]);
    assert_eq!((&view["state"], &view["attempts"]), (&"delayed".into(), &serde_json::json!([])));
    assert_eq!(view["due"], "2026-01-31T12:00:01.030Z");
}

#[test]
fn a_result_that_was_too_long_leaves_its_size() {
    let outcome = Outcome::success(Some(Output::TooLong(70_000)));
    let view = shown(&[ended(1, run("a", 1), 9, outcome, Verdict::Complete)]);
    assert_eq!((&view["result"], &view["result_bytes"]), (&Value::Null, &70_000.into()));
}
