use super::*;

#[test]
fn the_wire_format_is_fixed() {
    let about = About { kind: Kind::parse("resize").ok(), queue: QueueName::default(), priority: Priority::from(5) };
    let run = Run { started: Timestamp::from_millis(10), worker: WorkerId::parse("host-1").unwrap() };
    let task = TaskId::parse("t1").unwrap();
    let batch = Batch {
        version: VERSION,
        source: "host-1".into(),
        seq: 7,
        events: vec![
            Event::Started(Started {
                task: task.clone(),
                at: run.started,
                about: about.clone(),
                attempt: Attempt::FIRST,
                worker: run.worker.clone(),
                limit: Timestamp::from_millis(300_010),
                traceparent: None,
                transient: false,
            }),
            Event::Ended(Ended {
                task,
                at: Timestamp::from_millis(15),
                about,
                attempt: Attempt::FIRST,
                run,
                outcome: Outcome::retryable("no route"),
                verdict: Verdict::Retry { due: Timestamp::from_millis(1_015) },
            }),
        ],
    };
    let text = serde_json::to_string(&batch).unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(Batch::decode(text.as_bytes()).unwrap(), batch);

    let events: Vec<_> = batch.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    assert_eq!(assemble("host-1", 7, &events), text.as_bytes());
}

#[test]
fn a_newer_writers_events_and_fields_are_passed_over() {
    let body = br#"{"v":2,"source":"s","seq":1,"more":true,"events":[{"type":"teleported","task":"x"},
        {"type":"worker_stopped","worker":"w","at":5,"mood":"fine"}]}"#;
    let batch = Batch::decode(body).unwrap();
    assert_eq!(batch.events[0], Event::Unknown);
    assert!(matches!(&batch.events[1], Event::WorkerStopped(goodbye) if goodbye.at.as_millis() == 5));
}
