//! A message that waits for others, or for its chunks: from its delivery to what the log keeps of it, and back to a message.

use std::collections::BTreeMap;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use serde::{Deserialize, Serialize};
use warren_core::{
    Attempt, QueueName, StepName, TaskId, Timestamp, WorkflowId, base64,
    event::{About, Held},
    header,
    message::{self, Task},
    workflow::{Definition, List, Step, Work},
};
use warren_runtime::amqp::{
    Names, Outgoing, Route,
    message::{Copy, PERSISTENT, incoming},
};

/// The step that is the task itself.
pub const STEP: &str = "task";

// What only says how it is held.
const NOTES: [&str; 5] = [header::AFTER, header::ON_FAILURE, header::CHUNK_SIZE, header::CHUNKS, header::QUEUE];

/// A message, as text. Headers of other types than text, numbers and flags are not kept, and named in `warren-shed`;
/// nor are fractions that are no number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    pub about: About,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Field>,
    /// In base64.
    pub body: String,
}

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    Flag(bool),
    Integer(i64),
    Fraction(f64),
    Text(String),
}

// The template of a step that is a message.
#[derive(Debug, Serialize, Deserialize)]
struct Template {
    held: Letter,
}

/// Reads a message that was handed on; `None` where it cannot be read, which a worker has read before.
pub fn read(delivery: &Delivery, now: Timestamp) -> Option<Held> {
    let incoming = incoming(delivery);
    let queue = match incoming.headers.get(header::QUEUE) {
        Some(header::Value::Text(queue)) => QueueName::parse(queue).ok()?,
        Some(_) | None => return None,
    };
    let Task { id, kind, priority, after, on_failure, cut, .. } = message::parse(&incoming, &queue, now).ok()?;
    let about = About { kind, queue, priority };
    let letter = Letter::of(delivery, about.clone());
    let message = serde_json::to_string(&letter).expect("a letter holds no map with keys other than text");
    Some(Held { task: id?, at: now, about, after, on_failure, cut, message })
}

/// The workflow that is made for a held task. Its id is told by the task's alone.
pub fn workflow(task: &TaskId) -> WorkflowId {
    // FNV-1a (draft-eastlake-fnv), of which two of different offsets: the same in every version.
    let hash = |offset: u64| {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        task.as_str().bytes().fold(offset, mix)
    };
    let id = format!("task-{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9ae1_6a3b_2f90_404f));
    WorkflowId::parse(&id).expect("digits and letters are valid")
}

/// What is waited for, and then the task. An error where the payload is to be cut and is no list, which its worker has
/// looked at.
pub fn definition(held: &Held) -> Result<Definition, String> {
    let letter: Letter = serde_json::from_str(&held.message).map_err(|error| error.to_string())?;
    let name = |text: &str| StepName::parse(text).expect("the names of these steps are valid");
    let mut steps = BTreeMap::new();
    let mut after = BTreeMap::new();
    for (number, task) in held.after.iter().enumerate() {
        let step = name(&format!("after-{number}"));
        after.insert(step.clone(), held.on_failure);
        steps.insert(step, Step { work: Work::Awaited(task.clone()), after: BTreeMap::new() });
    }
    let body = letter.bytes();
    let template = |held: Letter| serde_json::to_string(&Template { held }).expect("a letter is always valid JSON");
    let work = match held.cut {
        None => Work::Task(template(letter)),
        Some(cut) => {
            let items = String::from_utf8(body)
                .ok()
                .filter(|text| serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text).is_ok());
            let items = items.ok_or("expected a JSON array as the payload of a task with chunk_size or chunks")?;
            Work::Split { task: template(Letter { body: String::new(), ..letter }), list: List::Items(items), cut }
        }
    };
    steps.insert(name(STEP), Step { work, after });
    Ok(Definition { steps })
}

/// The message in a step's template, if it is one.
pub fn template(text: &str) -> Option<Letter> {
    if !text.starts_with(r#"{"held":"#) {
        return None;
    }
    serde_json::from_str::<Template>(text).ok().map(|template| template.held)
}

// What is no number or endless has no form in JSON.
fn fraction(number: f64) -> Option<Field> {
    number.is_finite().then_some(Field::Fraction(number))
}

impl Letter {
    fn of(delivery: &Delivery, about: About) -> Self {
        let from = &delivery.properties;
        let mut properties = BTreeMap::new();
        macro_rules! keep {
            ($($get:ident),+ $(,)?) => {
                $(if let Some(value) = from.$get() { properties.insert(stringify!($get).to_owned(), value.to_string()); })+
            };
        }
        keep!(content_type, content_encoding, correlation_id, reply_to, app_id);
        if let Some(seconds) = from.timestamp() {
            properties.insert("timestamp".to_owned(), seconds.to_string());
        }
        let (mut headers, mut shed) = (BTreeMap::new(), Vec::new());
        for (name, value) in from.headers().iter().flat_map(FieldTable::inner) {
            let name = name.as_str();
            if header::is_brokers_own(name) || NOTES.contains(&name) {
                continue;
            }
            let field = match value {
                AMQPValue::Boolean(flag) => Some(Field::Flag(*flag)),
                AMQPValue::LongString(text) => {
                    std::str::from_utf8(text.as_bytes()).ok().map(|text| Field::Text(text.to_owned()))
                }
                AMQPValue::ShortString(text) => Some(Field::Text(text.to_string())),
                AMQPValue::LongLongInt(number) => Some(Field::Integer(*number)),
                AMQPValue::LongInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::LongUInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::ShortInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::ShortUInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::ShortShortInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::ShortShortUInt(number) => Some(Field::Integer((*number).into())),
                AMQPValue::Double(number) => fraction(*number),
                AMQPValue::Float(number) => fraction(f64::from(*number)),
                AMQPValue::Timestamp(_)
                | AMQPValue::DecimalValue(_)
                | AMQPValue::FieldArray(_)
                | AMQPValue::FieldTable(_)
                | AMQPValue::ByteArray(_)
                | AMQPValue::Void => None,
            };
            match field {
                Some(field) => drop(headers.insert(name.to_owned(), field)),
                None => shed.push(name),
            }
        }
        if !shed.is_empty() {
            headers.insert(header::SHED.to_owned(), Field::Text(shed.join(",")));
        }
        Self { about, properties, headers, body: base64::encode(&delivery.data) }
    }

    /// Its body.
    pub fn bytes(&self) -> Vec<u8> {
        base64::decode(&self.body).unwrap_or_default()
    }

    /// To its queue, under an id and with a body.
    pub fn address(&self, id: &TaskId, body: Vec<u8>, names: &Names, now: Timestamp) -> Outgoing {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(id.as_str().into())
            .with_priority(self.about.priority.get());
        if let Some(kind) = &self.about.kind {
            properties = properties.with_type(kind.as_str().into());
        }
        macro_rules! set {
            ($($name:ident => $set:ident),+ $(,)?) => {
                $(if let Some(value) = self.properties.get(stringify!($name)) { properties = properties.$set(value.as_str().into()); })+
            };
        }
        set!(
            content_type => with_content_type,
            content_encoding => with_content_encoding,
            correlation_id => with_correlation_id,
            reply_to => with_reply_to,
            app_id => with_app_id,
        );
        if let Some(seconds) = self.properties.get("timestamp").and_then(|seconds| seconds.parse().ok()) {
            properties = properties.with_timestamp(seconds);
        }
        let mut copy = Copy::from_parts(properties, body).header(header::ONCE, AMQPValue::Boolean(true));
        for (name, field) in &self.headers {
            let value = match field {
                Field::Flag(flag) => AMQPValue::Boolean(*flag),
                Field::Integer(number) => AMQPValue::LongLongInt(*number),
                Field::Fraction(number) => AMQPValue::Double(*number),
                Field::Text(text) => AMQPValue::LongString(text.as_str().into()),
            };
            copy = copy.header(name, value);
        }
        self.route(names, copy, now)
    }

    // A delay counts from when a worker takes it: so it is not looked at here.
    fn route(&self, names: &Names, copy: Copy, now: Timestamp) -> Outgoing {
        let wait: Vec<_> = [header::DELAY, header::ETA]
            .into_iter()
            .filter_map(|name| Some((name, self.headers.get(name)?.clone())))
            .collect();
        let deadline = match self.headers.get(header::EXPIRES) {
            Some(Field::Integer(millis)) => u64::try_from(*millis).ok().map(Timestamp::from_millis),
            Some(Field::Flag(_) | Field::Fraction(_) | Field::Text(_)) | None => None,
        };
        let route = Route { queue: &self.about.queue, attempt: Attempt::FIRST, due: None, deadline };
        let mut message = route.address(copy, names, now);
        // The way to its queue takes off what asks for a wait.
        if !wait.is_empty() {
            let mut headers = message.properties.headers().clone().unwrap_or_default();
            for (name, field) in wait {
                let value = match field {
                    Field::Integer(number) => AMQPValue::LongLongInt(number),
                    Field::Text(text) => AMQPValue::LongString(text.into()),
                    Field::Flag(flag) => AMQPValue::Boolean(flag),
                    Field::Fraction(number) => AMQPValue::Double(number),
                };
                headers.insert(name.into(), value);
            }
            message.properties = message.properties.with_headers(headers);
        }
        message
    }
}
