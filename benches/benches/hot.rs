//! The pure functions that every task passes through: `cargo bench -p warren-benches`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use warren_core::{
    Attempt, Kind, Outcome, Output, Priority, QueueName, TaskId, Timestamp, Verdict, WorkerId,
    event::{About, Batch, Ended, Event, Run, Started, Submitted, assemble},
    figure,
    header::{self, Headers, Value},
    message::{Incoming, parse},
    outstanding::Outstanding,
    record::TaskRecord,
};

fn life() -> [Event; 3] {
    let task = TaskId::parse("01931d3e-2f7b-7c6c-a5f0-0b1c5f7a9d10").expect("a valid id");
    let about = About { kind: Kind::parse("echo").ok(), queue: QueueName::default(), priority: Priority::from(5) };
    let at = Timestamp::from_millis;
    let run = Run { started: at(1_769_860_800_003), worker: WorkerId::parse("host-0badcafe").expect("a valid id") };
    let attempt = Attempt::FIRST;
    [
        Event::Submitted(Submitted {
            task: task.clone(),
            at: at(1_769_860_800_000),
            about: about.clone(),
            size: 200,
            due: None,
            deadline: None,
            app: None,
            order_key: None,
            transient: false,
            preview: None,
        }),
        Event::Started(Started {
            task: task.clone(),
            at: run.started,
            about: about.clone(),
            attempt,
            worker: run.worker.clone(),
            limit: at(1_769_861_100_003),
            traceparent: None,
            transient: false,
        }),
        Event::Ended(Ended {
            task,
            at: at(1_769_860_800_004),
            about,
            attempt,
            run,
            outcome: Outcome::success(Some(Output::Text("x".repeat(200)))),
            verdict: Verdict::Complete,
        }),
    ]
}

fn events(criterion: &mut Criterion) {
    let life = life();
    let encode = || life.iter().map(|event| serde_json::to_string(event).expect("events are JSON")).collect::<Vec<_>>();
    criterion.bench_function("encode the three events of a task", |b| b.iter(|| black_box(encode())));
    let texts = encode();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let body = assemble("host-0badcafe", 1, &texts);
    criterion.bench_function("decode the three events of a task", |b| b.iter(|| Batch::decode(black_box(&body))));
    criterion.bench_function("take the three events of a task in, and count", |b| {
        b.iter_batched(
            TaskRecord::default,
            |mut record| {
                for event in &life {
                    drop(black_box(figure::apply(&mut record, event)));
                }
                record
            },
            BatchSize::SmallInput,
        );
    });
    let mut record = TaskRecord::default();
    for event in &life {
        record.apply(event);
    }
    criterion.bench_function("where a task stands", |b| b.iter(|| (record.state(), record.since(), record.limit())));
    criterion.bench_function("encode a record", |b| b.iter(|| serde_json::to_vec(black_box(&record))));
    let stored = serde_json::to_vec(&record).expect("records are JSON");
    let decode = |stored: &[u8]| serde_json::from_slice::<TaskRecord>(stored);
    criterion.bench_function("decode a record", |b| b.iter(|| decode(black_box(&stored))));
}

fn messages(criterion: &mut Criterion) {
    let headers = Headers::from([(header::SUBMITTED.to_owned(), Value::Integer(1_769_860_800_000))]);
    let incoming = Incoming {
        kind: Some("echo".to_owned()),
        message_id: Some("01931d3e-2f7b-7c6c-a5f0-0b1c5f7a9d10".to_owned()),
        priority: Some(5),
        headers,
    };
    let (queue, now) = (QueueName::default(), Timestamp::from_millis(1_769_860_800_002));
    criterion.bench_function("read a message", |b| b.iter(|| parse(black_box(&incoming), &queue, now)));
    criterion.bench_function("acknowledge 256 of 1,000 deliveries", |b| {
        let full = || {
            let mut out = Outstanding::default();
            (1..=1_000).for_each(|tag| out.arrived(tag, tag));
            out
        };
        b.iter_batched(
            full,
            |mut out| {
                (1..=256).for_each(|tag| out.done(tag));
                out.take()
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(hot, events, messages);
criterion_main!(hot);
