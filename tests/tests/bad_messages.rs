//! Foreign messages that are wrong in every field of docs/protocol.md, among good ones.

use std::collections::BTreeMap;

use lapin::{
    BasicProperties,
    types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString},
};
use warren_core::{QueueName, TaskState};
use warren_tests::{
    Broker, Pool,
    broker::{header, message},
    pool::Service,
    projection,
};

/// A message, and what becomes of it: run, or buried with an error that begins so.
struct Case {
    name: String,
    properties: BasicProperties,
    body: Vec<u8>,
    error: Option<String>,
}

impl Case {
    fn new(name: &str, properties: BasicProperties, error: Option<&str>) -> Self {
        let (name, error) = (name.to_owned(), error.map(str::to_owned));
        Self { name, properties, body: b"1".to_vec(), error }
    }
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

// Values of every type; by name.
fn values() -> Vec<(&'static str, AMQPValue)> {
    let one = AMQPValue::LongLongInt(1);
    vec![
        ("flag", AMQPValue::Boolean(true)),
        ("fraction", AMQPValue::Float(0.5)),
        // What is no number at all (NaN, infinity) no broker takes.
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 100 })),
        ("array", AMQPValue::FieldArray(FieldArray::from(vec![one.clone()]))),
        ("table", AMQPValue::FieldTable(table(&[("delay", one)]))),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("empty", AMQPValue::LongString(LongString::from(""))),
        ("latin1", AMQPValue::LongString(LongString::from(b"\xe9\xff\x00".to_vec()))),
        ("text", AMQPValue::LongString(LongString::from("so on, and \u{202e}so on\n"))),
        ("long", AMQPValue::LongString(LongString::from("9".repeat(10_000)))),
        ("huge", AMQPValue::LongLongInt(i64::MAX)),
        ("small", AMQPValue::LongLongInt(i64::MIN)),
        ("negative", AMQPValue::ShortShortInt(-1)),
        ("bytes", AMQPValue::ByteArray(ByteArray::from(vec![0, 255]))),
        ("nothing", AMQPValue::Void),
    ]
}

fn headers() -> Vec<Case> {
    let fields = [
        ("delay", vec![]),
        ("eta", vec![]),
        ("max_attempts", vec![]),
        ("timeout", vec![]),
        ("backoff", vec![]),
        ("task", vec![]),
        ("traceparent", values().iter().map(|(name, _)| *name).collect()),
        ("tracestate", values().iter().map(|(name, _)| *name).collect()),
        ("warren-attempt", vec![]),
        ("warren-deadline", vec![]),
        ("warren-submitted", vec![]),
        ("warren-check", vec!["flag"]),
        ("warren-crashed", vec![]),
        ("warren-crashes", vec![]),
        ("warren-first-failure", vec![]),
    ];
    let mut cases = Vec::new();
    for (field, fine) in fields {
        for (shape, value) in values() {
            let name = format!("{field}-{shape}");
            let kind = if field == "task" { "" } else { "echo" };
            let properties = message(kind, &name).with_headers(table(&[(field, value)]));
            let error = (!fine.contains(&shape)).then(|| format!("{field}: "));
            cases.push(Case { name, properties, body: b"1".to_vec(), error });
        }
    }
    cases
}

fn properties() -> Vec<Case> {
    let plain = |name: &str| message("echo", name);
    let all: FieldTable = table(&values());
    let mut cases = vec![
        Case::new("kind-empty", message("", "kind-empty"), Some("type: ")),
        Case::new("kind-odd", message("a kind\u{1f980}", "kind-odd"), Some("type: ")),
        Case::new("kind-long", message(&"k".repeat(255), "kind-long"), Some("type: ")),
        Case::new("kind-unknown", message("nobody", "kind-unknown"), Some("no handler for kind nobody")),
        Case::new("id-spaces", message("echo", "a b"), Some("message_id: ")),
        Case::new("id-control", message("echo", "a\u{7}b"), Some("message_id: ")),
        Case::new("id-long", message("echo", &"i".repeat(255)), Some("message_id: ")),
        Case::new("id-crab", message("echo", "\u{1f980}/../%2f?#\"'\\{}"), None),
        Case::new("priority", plain("priority").with_priority(255), None),
        Case::new("reply-to", plain("reply-to").with_reply_to("\u{1f980}".repeat(60).as_str().into()), None),
        Case::new("mode", plain("mode").with_delivery_mode(1), None),
        Case::new("timestamp", plain("timestamp").with_timestamp(u64::MAX), None),
        Case::new("app", plain("app").with_app_id("\u{0}\u{1b}[31m".into()), None),
        Case::new("encodings", plain("encodings").with_content_type("".into()).with_content_encoding("?".into()), None),
        Case::new("foreign", plain("foreign").with_headers(all), None),
    ];
    for (name, size, error) in [("body-0", 0, None), ("body-2M", 2 << 20, None), ("body-16M", 16 << 20, None)] {
        cases.push(Case { body: vec![b'x'; size], ..Case::new(name, plain(name), error) });
    }
    let bad = plain("body-bad").with_headers(table(&[("delay", AMQPValue::Void)]));
    cases.push(Case { body: vec![0; 16 << 20], ..Case::new("body-bad", bad, Some("delay: ")) });
    cases
}

// The name travels along, for an id that cannot be read does not.
fn named(case: &Case) -> BasicProperties {
    let mut headers = case.properties.headers().clone().unwrap_or_default();
    headers.insert("case".into(), AMQPValue::LongString(case.name.as_str().into()));
    case.properties.clone().with_headers(headers)
}

async fn balanced(cases: &[Case], broker: &Broker, pool: &Pool, monitor: &Service, good: usize) {
    let bad = u32::try_from(cases.iter().filter(|case| case.error.is_some()).count()).expect("a few");
    monitor.count(TaskState::Dead, bad.into()).await;
    monitor.count(TaskState::Succeeded, (cases.len() + good) as u64 - u64::from(bad)).await;
    // A letter follows its event.
    let mut letters = BTreeMap::<_, Vec<_>>::new();
    for letter in broker.take_all(&pool.names().dead(&QueueName::default()), bad).await {
        letters.entry(header(&letter, "case").unwrap_or_default()).or_default().push(letter);
    }
    for case in cases {
        let found = letters.get(&case.name).map_or(&[][..], Vec::as_slice);
        match (&case.error, found) {
            (None, []) => {}
            (Some(error), [letter]) => {
                let said = header(letter, "warren-error").unwrap_or_default();
                assert!(said.starts_with(error), "{}: {said}", case.name);
                assert_eq!(letter.data, case.body, "{}", case.name);
            }
            (_, found) => panic!("{}: {} dead letters", case.name, found.len()),
        }
    }
    let projected = projection::states(monitor).await;
    assert_eq!(projected.len(), cases.len() + good, "each is shown once");
    for queue in [pool.queue(), pool.names().tap()] {
        broker.holds(&queue, 0).await;
    }
}

async fn publish(cases: &[Case], exchange: &str, key: &str, broker: &Broker) -> usize {
    let mut good = 0;
    for case in cases {
        broker.publish(exchange, key, named(case), &case.body).await;
        if good < 20 {
            broker.publish(exchange, key, message("echo", &format!("good-{good}")), b"1").await;
            good += 1;
        }
    }
    good
}

#[tokio::test]
async fn whatever_a_message_says_it_runs_or_is_one_dead_letter_that_names_the_field() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (mut worker, monitor) = (pool.worker("slots = 4").await, pool.monitor().await);
    let before = worker.thrown_out();
    let cases: Vec<_> = headers().into_iter().chain(properties()).collect();
    let good = publish(&cases, "", &pool.queue(), &broker).await;
    balanced(&cases, &broker, &pool, &monitor, good).await;
    worker.ready().await;
    assert!(!worker.process.is_dead());
    assert_eq!(worker.thrown_out(), before, "the messages throw nobody out");
}

#[tokio::test]
async fn the_door_for_foreign_clients_takes_the_same_and_the_tap_bears_it() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (worker, mut monitor) = (pool.worker("slots = 4").await, pool.monitor().await);
    let before = monitor.thrown_out();
    let cases: Vec<_> = headers().into_iter().chain(properties()).collect();
    let good = publish(&cases, &pool.names().tasks(), "default", &broker).await;
    let keys = ["Default", "a b", "", "default.", "\u{1f980}", &"q".repeat(255), "#", "*"];
    for key in keys {
        broker.publish(&pool.names().tasks(), key, message("echo", "nowhere"), b"1").await;
    }
    balanced(&cases, &broker, &pool, &monitor, good).await;
    assert_eq!(broker.depth(&pool.names().unroutable()).await, u32::try_from(keys.len()).ok());
    worker.ready().await;
    monitor.ready().await;
    assert!(!monitor.process.is_dead());
    assert_eq!(monitor.thrown_out(), before, "the messages throw nobody out");
}

#[tokio::test]
async fn headers_that_fill_a_frame_leave_room_for_those_of_a_dead_letter() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (worker, monitor) = (pool.worker("").await, pool.monitor().await);
    // A frame holds 128 KiB unless configured otherwise, and all headers go into one.
    let blob = AMQPValue::LongString(LongString::from(vec![b'x'; 130_950]));
    let full = |id: &str, kind: &str| message(kind, id).with_headers(table(&[("blob", blob.clone())]));
    broker.publish("", &pool.queue(), full("full", "echo"), b"1").await;
    broker.publish("", &pool.queue(), full("unknown", "nobody"), b"1").await;
    broker.publish("", &pool.queue(), message("echo", "after"), b"1").await;
    monitor.task("full", TaskState::Succeeded).await;
    monitor.task("after", TaskState::Succeeded).await;
    monitor.task("unknown", TaskState::Dead).await;
    let letter = broker.take(&pool.names().dead(&QueueName::default())).await;
    assert_eq!(header(&letter, "warren-reason").as_deref(), Some("unknown_kind"));
    assert_eq!(header(&letter, "warren-shed").as_deref(), Some("blob"), "what had to go is named");
    worker.ready().await;
}
