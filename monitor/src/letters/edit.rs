//! The copy that a replay puts into the task's queue, with what somebody changed of it.

use std::collections::BTreeMap;

use lapin::types::AMQPValue;
use serde::{Deserialize, Serialize};
use warren_core::{
    Kind, Timestamp, header,
    message::{self, Problem},
};
use warren_runtime::amqp::{
    Names, Outgoing, Route,
    message::{Copy, said_by},
};

use super::letter::Letter;

/// What is changed of a letter before it is replayed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Another kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Another payload, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "payload")]
    pub payload: Option<Vec<u8>>,
    /// Headers that are set, or taken off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<Set>>,
}

/// What a header is set to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Set {
    /// A boolean.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Fraction(f64),
    /// Text.
    Text(String),
}

impl Edit {
    /// Whether it changes anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a header may not be edited, if so.
pub fn forbids(name: &str) -> Option<&'static str> {
    if header::is_warrens_own(name) {
        Some("headers that begin with warren- are Warren's own notes")
    } else if header::is_brokers_own(name) {
        Some("the broker alone writes this header")
    } else if name.is_empty() || name.len() > 128 {
        Some("expected a name of 1 to 128 bytes")
    } else {
        None
    }
}

/// The copy of a letter for its task's queue, as its next attempt.
///
/// It starts at once: a delay and a deadline belonged to the first start. Its policy counts from this attempt on. It asks
/// the record before it runs; with `twin` nobody knows whether another copy of it lies in the queue already.
pub fn revive(letter: &Letter, edit: &Edit, twin: bool, names: &Names, now: Timestamp) -> Outgoing {
    let attempt = letter.attempt.next();
    let mut copy = Copy::of(&letter.delivery)
        .without(&[header::REASON, header::ERROR, header::LAST_FAILURE, header::CRASHED, header::TWIN])
        .id(letter.task.as_str())
        .number(header::COUNTED_FROM, attempt.get().into())
        .check();
    if let Some(kind) = &edit.kind {
        copy = copy.kind(kind.as_str());
    }
    if let Some(payload) = &edit.payload {
        copy = copy.body(payload.clone());
    }
    for (name, value) in &edit.headers {
        copy = match value {
            Some(value) => copy.header(name, amqp(value)),
            None => copy.without(&[name]),
        };
    }
    if twin {
        copy = copy.header(header::TWIN, AMQPValue::Boolean(true));
    }
    Route { queue: &letter.about.queue, attempt, due: None, deadline: None }.address(copy, names, now)
}

/// What the worker that takes the copy would not be able to read of it.
pub fn problems(letter: &Letter, copy: &Outgoing, now: Timestamp) -> Vec<Problem> {
    match message::parse(&said_by(&copy.properties), &letter.about.queue, now) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems,
    }
}

fn amqp(value: &Set) -> AMQPValue {
    match value {
        Set::Flag(flag) => AMQPValue::Boolean(*flag),
        Set::Integer(number) => AMQPValue::LongLongInt(*number),
        Set::Fraction(number) => AMQPValue::Double(*number),
        Set::Text(text) => AMQPValue::LongString(text.as_str().into()),
    }
}

mod payload {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use warren_core::base64;

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub fn serialize<S: Serializer>(payload: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(payload.as_deref().unwrap_or_default()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = String::deserialize(deserializer)?;
        base64::decode(&text).map(Some).ok_or_else(|| D::Error::custom("expected base64"))
    }
}

#[cfg(test)]
mod tests {
    use lapin::{BasicProperties, message::Delivery, types::FieldTable};
    use warren_core::{Attempt, QueueName};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::default()
    }

    fn letter(entries: &[(&str, AMQPValue)]) -> Letter {
        let mut headers = FieldTable::default();
        for (name, value) in entries {
            headers.insert((*name).into(), value.clone());
        }
        let properties = BasicProperties::default().with_message_id("t".into()).with_type("resize".into());
        let mut delivery = Delivery::mock(1, "".into(), "warren.dead.default".into(), false, b"old".to_vec());
        delivery.properties = properties.with_headers(headers).with_expiration("5".into());
        Letter::read(delivery, &QueueName::default(), now()).unwrap()
    }

    fn said(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn names() -> Names {
        Names::new(&QueueName::parse("pool").unwrap())
    }

    fn headers(copy: &Outgoing) -> Vec<String> {
        let headers = copy.properties.headers().clone().unwrap();
        headers.inner().iter().map(|(name, value)| format!("{name}={value:?}")).collect()
    }

    #[test]
    fn a_copy_goes_on_counting_and_sheds_what_it_died_of() {
        let letter = letter(&[
            ("tenant", said("acme")),
            ("warren-attempt", AMQPValue::LongLongInt(5)),
            ("warren-queue", said("default")),
            ("warren-reason", said("expired")),
            ("warren-error", said("late")),
            ("warren-first-failure", AMQPValue::LongLongInt(1)),
            ("warren-last-failure", AMQPValue::LongLongInt(2)),
            ("warren-deadline", AMQPValue::LongLongInt(3)),
            ("warren-crashed", said("w1,w2")),
            ("delay", said("soon")),
        ]);
        let copy = revive(&letter, &Edit::default(), false, &names(), now());
        assert_eq!((copy.key.as_str(), copy.properties.expiration()), ("pool.q.default", &None));
        insta::assert_snapshot!(headers(&copy).join("\n"));
        assert_eq!(problems(&letter, &copy, now()), []);
        let task = message::parse(&said_by(&copy.properties), &QueueName::default(), now()).unwrap();
        assert_eq!((task.attempt.get(), task.granted(), task.check, task.twin), (6, Attempt::FIRST, true, false));
        let twin = revive(&letter, &Edit::default(), true, &names(), now());
        assert!(message::parse(&said_by(&twin.properties), &QueueName::default(), now()).unwrap().twin);
    }

    #[test]
    fn an_edit_changes_what_it_names_and_is_refused_where_the_worker_could_not_read_it() {
        let letter = letter(&[("tenant", said("acme")), ("timeout", said("for ever"))]);
        let unedited = revive(&letter, &Edit::default(), false, &names(), now());
        assert_eq!(problems(&letter, &unedited, now())[0].field, "timeout");
        let set = |value| Some(Set::Integer(value));
        let edit = Edit {
            kind: Kind::parse("shrink").ok(),
            payload: Some(b"new".to_vec()),
            headers: [("tenant".to_owned(), None), ("timeout".to_owned(), set(5))].into(),
        };
        let copy = revive(&letter, &edit, false, &names(), now());
        assert_eq!((copy.body.as_slice(), problems(&letter, &copy, now())), (&b"new"[..], vec![]));
        assert_eq!(copy.properties.kind().as_ref().unwrap().as_str(), "shrink");
        assert!(!headers(&copy).iter().any(|header| header.starts_with("tenant")));
        let bad = Edit { headers: [("timeout".to_owned(), set(-5))].into(), ..Edit::default() };
        let copy = revive(&letter, &bad, false, &names(), now());
        assert_eq!(problems(&letter, &copy, now())[0].field, "timeout");
        let text = serde_json::to_string(&edit).unwrap();
        assert_eq!(serde_json::from_str::<Edit>(&text).unwrap(), edit);
    }

    #[test]
    fn the_notes_of_warren_and_the_broker_are_nobodys_to_edit() {
        for name in ["warren-attempt", "x-death", "CC", ""] {
            assert!(forbids(name).is_some(), "{name}");
        }
        assert_eq!(forbids("tenant"), None);
    }
}
