//! Asking the leader about a letter, by way of Redis: what it says, and whether an edit of it could be read.

use std::{collections::BTreeMap, time::Duration};

use lapin::types::{AMQPValue, FieldTable};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use warren_core::{Attempt, QueueName, TaskId, Timestamp, base64};
use warren_runtime::{
    clock,
    redis::{Error, Store},
};

use super::{
    edit::{self, Edit},
    letter::Letter,
};

/// How long a question is worth an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);
// An answer that nobody fetched goes by itself; with it a payload leaves Redis again.
const KEPT_MS: u64 = 30_000;
const AT_ONCE: usize = 100;
// What is shown of a payload.
const SHOWN: usize = 1 << 20;

/// A question about the letter of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Names the answer.
    pub id: String,
    /// Whose letter.
    pub task: TaskId,
    /// The queue in which it should lie.
    pub queue: QueueName,
    /// Whether the copy could be read with this edit; without one, what the letter says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Box<Edit>>,
    /// When the asker is gone.
    pub until: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What the letter says.
    Found(Box<Said>),
    /// What a worker could not read of the edited copy, by field; nothing if all is well.
    Tried(Vec<(String, String)>),
    /// It was not met among so many letters.
    Missed {
        /// How many were looked at.
        looked_at: u64,
        /// Whether that was the whole queue.
        all: bool,
    },
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Its kind.
    pub kind: Option<String>,
    /// Why it is dead.
    pub reason: String,
    /// What went wrong.
    pub error: String,
    /// The attempt as which it is dead.
    pub attempt: Attempt,
    /// When its first attempt failed.
    pub first_failure: Option<Timestamp>,
    /// When its last attempt failed.
    pub last_failure: Option<Timestamp>,
    /// Properties that are set, by name.
    pub properties: Map<String, Value>,
    /// Headers, by name.
    pub headers: Map<String, Value>,
    /// The payload as text, where it is text.
    pub text: Option<String>,
    /// The payload in base64, where it is no text.
    pub base64: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// Only its beginning is told.
    pub truncated: bool,
}

/// Asks, and waits for the answer; `None` if nobody gave one in time.
pub async fn ask(store: &Store, task: &TaskId, queue: &QueueName, edit: Option<Edit>) -> Result<Option<Answer>, Error> {
    let id = clock::task_id().to_string();
    let until = clock::now().plus(PATIENCE);
    let question = Question { id, task: task.clone(), queue: queue.clone(), edit: edit.map(Box::new), until };
    let text = serde_json::to_string(&question).expect("a question is always valid JSON");
    let (mut connection, key) = (store.shared(), store.keys().answer(&question.id));
    connection.rpush::<_, _, ()>(store.keys().questions(), text).await?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let answer: Option<Vec<u8>> = connection.get_del(&key).await?;
        if let Some(answer) = answer.and_then(|answer| serde_json::from_slice(&answer).ok()) {
            return Ok(Some(answer));
        }
        sleep(BETWEEN_LOOKS).await;
    }
    Ok(None)
}

/// Questions that wait for the leader, by task. Those whose askers are gone are dropped.
pub(super) async fn take(store: &Store, now: Timestamp) -> Result<Vec<Question>, Error> {
    let mut taking = redis::cmd("LPOP");
    taking.arg(store.keys().questions()).arg(AT_ONCE);
    let stored: Option<Vec<Vec<u8>>> = taking.query_async(&mut store.shared()).await?;
    let questions = stored.unwrap_or_default();
    let questions = questions.iter().filter_map(|question| serde_json::from_slice::<Question>(question).ok());
    Ok(questions.filter(|question| question.until > now).collect())
}

/// Gives an answer.
pub(super) async fn answer(store: &Store, question: &Question, answer: &Answer) -> Result<(), Error> {
    let text = serde_json::to_string(answer).expect("an answer is always valid JSON");
    let mut writing = redis::cmd("SET");
    writing.arg(store.keys().answer(&question.id)).arg(text).arg("PX").arg(KEPT_MS);
    Ok(writing.query_async::<()>(&mut store.shared()).await?)
}

/// What a letter answers to a question.
pub(super) fn of(letter: &Letter, question: &Question, names: &warren_runtime::amqp::Names, now: Timestamp) -> Answer {
    match &question.edit {
        None => Answer::Found(Box::new(said(letter))),
        Some(edit) => {
            let copy = edit::revive(letter, edit, false, names, now);
            let problems = edit::problems(letter, &copy, now).into_iter();
            Answer::Tried(problems.map(|problem| (problem.field.to_owned(), problem.detail)).collect())
        }
    }
}

fn said(letter: &Letter) -> Said {
    let (properties, body) = (&letter.delivery.properties, letter.delivery.data.as_slice());
    let shown = &body[..body.len().min(SHOWN)];
    // A cut in the middle of a character makes no text of it something else.
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text.to_owned()),
        Err(error) if error.error_len().is_none() && shown.len() < body.len() => {
            Some(String::from_utf8_lossy(&shown[..error.valid_up_to()]).into_owned())
        }
        Err(_) => None,
    };
    let mut told = Map::new();
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("message_id", properties.message_id()),
        ("type", properties.kind()),
        ("app_id", properties.app_id()),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            told.insert(name.to_owned(), json!(value.as_str()));
        }
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode().map(u64::from)),
        ("priority", properties.priority().map(u64::from)),
        ("timestamp", *properties.timestamp()),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            told.insert(name.to_owned(), json!(value));
        }
    }
    Said {
        kind: letter.about.kind.as_ref().map(ToString::to_string),
        reason: letter.reason.name().to_owned(),
        error: letter.error.clone(),
        attempt: letter.attempt,
        first_failure: letter.first_failure,
        last_failure: letter.last_failure,
        properties: told,
        headers: properties.headers().as_ref().map(table).unwrap_or_default(),
        base64: text.is_none().then(|| base64::encode(shown)),
        text,
        bytes: body.len() as u64,
        truncated: shown.len() < body.len(),
    }
}

fn table(table: &FieldTable) -> Map<String, Value> {
    table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), self::value(value))).collect()
}

fn value(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(flag) => json!(flag),
        AMQPValue::ShortShortInt(number) => json!(number),
        AMQPValue::ShortShortUInt(number) => json!(number),
        AMQPValue::ShortInt(number) => json!(number),
        AMQPValue::ShortUInt(number) => json!(number),
        AMQPValue::LongInt(number) => json!(number),
        AMQPValue::LongUInt(number) => json!(number),
        AMQPValue::LongLongInt(number) => json!(number),
        AMQPValue::Float(number) => json!(number),
        AMQPValue::Double(number) => json!(number),
        AMQPValue::Timestamp(seconds) => json!(seconds),
        AMQPValue::ShortString(text) => json!(text.as_str()),
        AMQPValue::LongString(text) => json!(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ByteArray(bytes) => json!(base64::encode(bytes.as_slice())),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(self::value).collect(),
        AMQPValue::FieldTable(table) => Value::Object(self::table(table)),
        AMQPValue::DecimalValue(decimal) => json!(format!("{}e-{}", decimal.value, decimal.scale)),
        AMQPValue::Void => Value::Null,
    }
}

/// Questions by the task that they are about.
pub(super) fn by_task(questions: Vec<Question>) -> BTreeMap<TaskId, Vec<Question>> {
    let mut by_task = BTreeMap::<_, Vec<_>>::new();
    for question in questions {
        by_task.entry(question.task.clone()).or_default().push(question);
    }
    by_task
}
