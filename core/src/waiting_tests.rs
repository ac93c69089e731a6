use super::*;
use crate::{Attempt, TaskId};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

struct Scene {
    queue: QueueName,
    kind: Kind,
    worker: WorkerId,
    operator: Operator,
    running: Vec<Running>,
}

impl Scene {
    fn set() -> Self {
        let kind = Kind::parse("resize").unwrap();
        let running =
            Running { task: TaskId::parse("t").unwrap(), kind: kind.clone(), attempt: Attempt::FIRST, since: at(700) };
        Self {
            queue: QueueName::default(),
            kind,
            worker: WorkerId::parse("w").unwrap(),
            operator: Operator::parse("ann").unwrap(),
            running: vec![running],
        }
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            worker: &self.worker,
            health: Health::Alive,
            seen: at(999),
            serves: true,
            knows: true,
            slots: 2,
            busy: 0,
            running: &self.running,
        }
    }

    // A task that is queued, with one worker that could run it.
    fn situation(&self) -> Situation<'_> {
        Situation {
            now: at(1_000),
            standing: Standing::Queued { attempt: Attempt::FIRST, since: Some(at(900)) },
            state: TaskState::Queued,
            queue: Some(&self.queue),
            kind: Some(&self.kind),
            after: None,
            order_key: None,
            deadline: None,
            ahead: Some(0),
            service_rate: 2.0,
            queued: 1,
            ready: Some(1),
            consumers: Some(1),
            pause: None,
            workers: vec![self.candidate()],
        }
    }
}

type Change<'a> = Box<dyn Fn(&mut Situation<'a>) + 'a>;

fn codes(waiting: &Waiting) -> Vec<&'static str> {
    waiting.reasons.iter().map(|reason| reason.code.name()).collect()
}

#[test]
fn reasons_by_table() {
    let scene = Scene::set();
    let delayed = |due| Standing::Delayed { attempt: Attempt::FIRST, since: at(900), due };
    let table: Vec<(Change<'_>, &[&str], Option<u64>)> = vec![
        (Box::new(|_| {}), &[], Some(500)),
        (Box::new(|s| s.ahead = Some(19)), &["ahead"], Some(10_000)),
        (Box::new(|s| (s.ahead, s.service_rate) = (Some(19), 0.0)), &["ahead"], None),
        (Box::new(|s| s.ahead = None), &[], None),
        (Box::new(|s| s.workers.clear()), &["no_worker"], None),
        (Box::new(|s| s.workers[0].serves = false), &["no_worker_for_queue"], None),
        (Box::new(|s| s.workers[0].knows = false), &["no_worker_for_kind"], None),
        (Box::new(|s| s.workers[0].health = Health::Lost), &["no_worker"], None),
        (Box::new(|s| s.workers[0].health = Health::Draining), &["no_worker"], None),
        (Box::new(|s| s.consumers = Some(0)), &["no_consumer"], None),
        (Box::new(|s| s.workers[0].busy = 2), &["no_free_slot"], Some(500)),
        (Box::new(|s| (s.workers[0].busy, s.ahead) = (2, Some(1))), &["no_free_slot", "ahead"], Some(1_000)),
        (Box::new(|s| s.ready = Some(50)), &["broker_backlog"], Some(500)),
        (Box::new(|s| s.deadline = Some(at(1_500))), &["expires"], Some(500)),
        (
            Box::new(|s| (s.pause, s.ahead) = (Some(Pause { by: &scene.operator, at: at(940) }), Some(3))),
            &["paused", "ahead"],
            None,
        ),
        (Box::new(|s| (s.state, s.standing) = (TaskState::Delayed, delayed(at(1_030)))), &["delayed"], Some(30_000)),
        (Box::new(|s| (s.state, s.standing) = (TaskState::Delayed, delayed(at(900)))), &["overdue"], None),
    ];
    for (number, (change, expected, estimate)) in table.into_iter().enumerate() {
        let mut situation = scene.situation();
        change(&mut situation);
        let waiting = judge(&situation);
        assert_eq!(codes(&waiting), expected, "{number}: {waiting:?}");
        assert_eq!(waiting.estimate.map(|estimate| estimate.as_millis()), estimate.map(u128::from), "{number}");
        assert!(waiting.waits && waiting.summary.starts_with("It waits"), "{number}: {}", waiting.summary);
    }
}

#[test]
fn what_runs_or_is_over_does_not_wait() {
    let scene = Scene::set();
    for state in TaskState::ALL.into_iter().filter(|state| !matches!(state, TaskState::Queued | TaskState::Delayed)) {
        let waiting = judge(&Situation { state, ..scene.situation() });
        assert!(!waiting.waits && waiting.reasons.is_empty(), "{state}");
    }
}

#[test]
fn each_worker_says_why_or_why_not() {
    let scene = Scene::set();
    let candidate = || scene.candidate();
    let workers = vec![
        Candidate { busy: 1, ..candidate() },
        Candidate { busy: 2, ..candidate() },
        Candidate { serves: false, ..candidate() },
        Candidate { knows: false, ..candidate() },
        Candidate { health: Health::Lost, seen: at(880), ..candidate() },
    ];
    let waiting = judge(&Situation { workers, ..scene.situation() });
    let said: Vec<_> = waiting.workers.iter().map(|able| (able.can_run, able.because.as_str())).collect();
    assert_eq!(
        said,
        [
            (true, "1 of its 2 slots are free"),
            (true, "all of its 2 slots are in use, by resize for 5 min among others"),
            (false, "it does not take from this queue"),
            (false, "it has no handler for resize"),
            (false, "it is lost: not heard of for 2 min"),
        ]
    );
}

#[test]
fn a_summary_is_one_sentence_or_two() {
    let scene = Scene::set();
    let summary = judge(&Situation { ahead: Some(599), ..scene.situation() }).summary;
    assert_eq!(
        summary,
        "It waits: 599 tasks of its queue come before it. At 2.0 tasks a second it starts in about 5 min."
    );
}

#[test]
fn a_task_that_waits_for_others_names_them() {
    let pool = Scene::set();
    let name = |n: u32| TaskId::parse(&format!("t{n}")).unwrap();
    for (after, summary) in [
        (vec![], "It waits: what it waited for is over, and it is about to be handed in."),
        (vec![name(1), name(2)], "It waits: it waits for t1, t2 to end."),
        ((1..=7).map(name).collect(), "It waits: it waits for t1, t2, t3, t4, t5 and 2 others to end."),
    ] {
        let judged = judge(&Situation { after: Some(after), ..pool.situation() });
        assert_eq!((judged.summary.as_str(), judged.reasons[0].code.name()), (summary, "after"));
    }
}

#[test]
fn a_task_in_order_waits_for_its_turn() {
    let pool = Scene::set();
    let key = crate::OrderKey::parse("customer 42").unwrap();
    let judged = judge(&Situation { order_key: Some(&key), ahead: None, ..pool.situation() });
    assert_eq!(judged.reasons.iter().map(|reason| reason.code.name()).collect::<Vec<_>>(), ["in_turn"]);
    let said = "It waits: of the tasks of order key customer 42 one runs at a time, in the order of their coming.";
    assert_eq!(judged.summary, said);
}
