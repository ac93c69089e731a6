//! Between the client library's messages and Warren's.

mod size;

use std::time::Duration;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};
use warren_core::{
    OrderKey, Timestamp,
    header::{self, Headers, Value},
    message::Incoming,
};

// All properties and headers of a message share a frame, of 128 KiB unless configured otherwise (RabbitMQ documentation,
// `frame_max`). A larger one ends the connection, and would do so again and again.
const LARGEST_HEADERS: usize = 131_072 - 8 - 14;

/// Survives a restart of the broker.
pub const PERSISTENT: u8 = 2;

/// A message that is about to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The exchange; empty for the default one.
    pub exchange: ShortString,
    /// The routing key; with the default exchange the name of the queue.
    pub key: ShortString,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A message straight to a queue.
    pub fn to_queue(queue: &str, properties: BasicProperties, body: Vec<u8>) -> Self {
        Self { exchange: ShortString::default(), key: queue.into(), properties, body }
    }
}

/// What a delivery says of itself.
pub fn incoming(delivery: &Delivery) -> Incoming {
    said_by(&delivery.properties)
}

/// What a message's properties say.
pub fn said_by(properties: &BasicProperties) -> Incoming {
    Incoming {
        kind: properties.kind().as_ref().map(|kind| kind.as_str().to_owned()),
        message_id: properties.message_id().as_ref().map(|id| id.as_str().to_owned()),
        priority: *properties.priority(),
        headers: properties.headers().as_ref().map(headers).unwrap_or_default(),
    }
}

/// Whether a restart of the broker loses the message.
pub fn is_transient(properties: &BasicProperties) -> bool {
    *properties.delivery_mode() != Some(PERSISTENT)
}

/// The order key among a message's headers, if there is one that can be read.
pub fn order_key(headers: &FieldTable) -> Option<OrderKey> {
    OrderKey::parse(&value(headers.inner().get(header::ORDER_KEY)?).as_text()?).ok()
}

/// The time after which a task is no longer started: its deadline, or when the message expires, if that is sooner. The broker
/// counts the expiration only while the message lies in its queue.
pub fn deadline(properties: &BasicProperties, deadline: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let expiration = properties.expiration().as_ref().and_then(|text| text.as_str().parse().ok());
    let expires = expiration.map(|millis| now.plus(Duration::from_millis(millis)));
    deadline.into_iter().chain(expires).min()
}

fn headers(table: &FieldTable) -> Headers {
    table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), self::value(value))).collect()
}

fn value(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(flag) => Value::Flag(*flag),
        AMQPValue::ShortShortInt(number) => Value::Integer((*number).into()),
        AMQPValue::ShortShortUInt(number) => Value::Integer((*number).into()),
        AMQPValue::ShortInt(number) => Value::Integer((*number).into()),
        AMQPValue::ShortUInt(number) => Value::Integer((*number).into()),
        AMQPValue::LongInt(number) => Value::Integer((*number).into()),
        AMQPValue::LongUInt(number) => Value::Integer((*number).into()),
        AMQPValue::LongLongInt(number) => Value::Integer(*number),
        AMQPValue::ShortString(text) => Value::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => {
            std::str::from_utf8(text.as_bytes()).map_or(Value::Other("bytes"), |text| Value::Text(text.to_owned()))
        }
        // Python's clients send whole seconds as this type; nothing in the contract means them.
        AMQPValue::Timestamp(_) => Value::Other("timestamp"),
        AMQPValue::Float(number) => whole(f64::from(*number)),
        AMQPValue::Double(number) => whole(*number),
        AMQPValue::DecimalValue(_) => Value::Other("decimal"),
        AMQPValue::FieldArray(array) => {
            let texts = array.as_slice().iter().map(|one| match self::value(one) {
                Value::Text(text) => Some(text),
                Value::Integer(number) => Some(number.to_string()),
                Value::Texts(_) | Value::Flag(_) | Value::Other(_) => None,
            });
            texts.collect::<Option<Vec<_>>>().map_or(Value::Other("array"), Value::Texts)
        }
        AMQPValue::FieldTable(_) => Value::Other("table"),
        AMQPValue::ByteArray(_) => Value::Other("bytes"),
        AMQPValue::Void => Value::Other("nothing"),
    }
}

// JavaScript knows one type of number, and its clients may send any of them as a double.
fn whole(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within ±2⁵³ is exact as an i64")]
    if number.fract() == 0.0 && number.abs() <= EXACT {
        Value::Integer(number as i64)
    } else {
        Value::Other("fraction")
    }
}

/// A copy of a delivery on its way to another queue: everything that the client wrote travels along, what a broker
/// wrote does not, and Warren's notes are set or taken off.
#[derive(Debug, Clone)]
pub struct Copy {
    properties: BasicProperties,
    headers: FieldTable,
    body: Vec<u8>,
}

impl Copy {
    /// Of a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        Self::from_parts(delivery.properties.clone(), delivery.data.clone())
    }

    /// Of a message's parts.
    pub fn from_parts(properties: BasicProperties, body: Vec<u8>) -> Self {
        let mut headers = FieldTable::default();
        for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
            if !header::is_brokers_own(name.as_str()) {
                headers.insert(name.clone(), value.clone());
            }
        }
        Self { properties, headers, body }
    }

    /// Sets a header to text, shortened to what a frame of headers can bear.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        // All headers together share one frame of at least 4 KiB in the oldest configurations.
        let end = text.floor_char_boundary(2_000);
        self.headers.insert(name.into(), AMQPValue::LongString(text[..end].into()));
        self
    }

    /// Sets a header to a number.
    #[must_use]
    pub fn number(mut self, name: &str, number: u64) -> Self {
        self.headers.insert(name.into(), AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX)));
        self
    }

    /// Sets a header to a time.
    #[must_use]
    pub fn time(self, name: &str, time: Timestamp) -> Self {
        self.number(name, time.as_millis())
    }

    /// Marks the copy: another may exist, so ask the record before running it.
    #[must_use]
    pub fn check(mut self) -> Self {
        self.headers.insert(header::CHECK.into(), AMQPValue::Boolean(true));
        self
    }

    /// Takes headers off.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        if self.headers.inner().is_empty() {
            return self;
        }
        let kept = self.headers.inner().iter().filter(|(name, _)| !names.contains(&name.as_str()));
        self.headers = FieldTable::from(
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<std::collections::BTreeMap<_, _>>(),
        );
        self
    }

    /// The order key, if it bears one that can be read.
    pub fn order_key(&self) -> Option<OrderKey> {
        order_key(&self.headers)
    }

    /// Sets the task's id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.properties = self.properties.with_message_id(id.into());
        self
    }

    /// Sets any header.
    #[must_use]
    pub fn header(mut self, name: &str, value: AMQPValue) -> Self {
        self.headers.insert(name.into(), value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.properties = self.properties.with_type(kind.into());
        self
    }

    /// Sets how many milliseconds the broker keeps it, or that it keeps it for ever.
    #[must_use]
    pub fn expiration(mut self, millis: Option<u64>) -> Self {
        self.properties = without_expiration(self.properties);
        if let Some(millis) = millis {
            self.properties = self.properties.with_expiration(millis.to_string().into());
        }
        self
    }

    /// To this queue. What with Warren's notes does not fit into a frame any more sheds its largest headers, and says
    /// which.
    pub fn to_queue(mut self, queue: &str) -> Outgoing {
        // A foreign user's name would make the broker close the channel: only that user may publish it.
        let properties = without_user(std::mem::take(&mut self.properties));
        let mut shed = Vec::new();
        while size::properties(&properties) + size::table(&self.headers) > LARGEST_HEADERS {
            let foreign = self.headers.inner().iter().filter(|(name, _)| !name.as_str().starts_with("warren-"));
            let Some((name, _)) = foreign.max_by_key(|(_, value)| size::value(value)) else { break };
            let name = name.to_string();
            self = self.without(&[&name]);
            shed.push(name);
            self = self.text(header::SHED, &shed.join(","));
        }
        let is_bare = self.headers.inner().is_empty() && properties.headers().is_none();
        let properties = if is_bare { properties } else { properties.with_headers(self.headers) };
        Outgoing::to_queue(queue, properties, self.body)
    }
}

// The properties can be set but not unset, so what stays is copied.
fn without_expiration(from: BasicProperties) -> BasicProperties {
    if from.expiration().is_none() { from } else { copied(&from, false) }
}

fn without_user(from: BasicProperties) -> BasicProperties {
    if from.user_id().is_none() { from } else { copied(&from, true) }
}

fn copied(from: &BasicProperties, expiration: bool) -> BasicProperties {
    let mut to = BasicProperties::default();
    macro_rules! copy {
        ($($get:ident => $set:ident),+ $(,)?) => {
            $(if let Some(value) = from.$get() { to = to.$set(value.clone()); })+
        };
    }
    copy!(
        content_type => with_content_type,
        content_encoding => with_content_encoding,
        delivery_mode => with_delivery_mode,
        priority => with_priority,
        correlation_id => with_correlation_id,
        reply_to => with_reply_to,
        message_id => with_message_id,
        timestamp => with_timestamp,
        kind => with_type,
        app_id => with_app_id,
        cluster_id => with_cluster_id,
    );
    if let Some(value) = from.expiration().clone().filter(|_| expiration) {
        to = to.with_expiration(value);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert("tenant".into(), AMQPValue::LongString("acme".into()));
        headers.insert("x-death".into(), AMQPValue::FieldArray(lapin::types::FieldArray::default()));
        headers.insert("CC".into(), AMQPValue::FieldArray(lapin::types::FieldArray::default()));
        headers.insert("delay".into(), AMQPValue::Double(1500.0));
        BasicProperties::default()
            .with_headers(headers)
            .with_user_id("somebody".into())
            .with_expiration("500".into())
            .with_priority(7)
            .with_reply_to("answers".into())
            .with_type("resize".into())
    }

    #[test]
    fn a_copy_sheds_what_the_broker_wrote_and_keeps_what_the_client_wrote() {
        let copy = Copy::from_parts(properties(), b"x".to_vec()).number(header::ATTEMPT, 2).without(&["delay"]);
        let copy = copy.expiration(None).to_queue("warren.q.default");
        let headers = copy.properties.headers().clone().unwrap();
        let names: Vec<_> = headers.inner().keys().map(ShortString::as_str).collect();
        assert_eq!(names, ["tenant", "warren-attempt"]);
        assert_eq!((copy.properties.user_id(), copy.properties.expiration()), (&None, &None));
        assert_eq!((copy.properties.priority(), copy.properties.reply_to().is_some()), (&Some(7), true));
        assert_eq!(copy.properties.kind().as_ref().unwrap().as_str(), "resize");
    }

    #[test]
    fn a_copy_that_does_not_fit_into_a_frame_sheds_its_largest_headers_and_says_so() {
        let mut headers = FieldTable::default();
        for (name, size) in [("small", 100), ("large", 130_800)] {
            headers.insert(name.into(), AMQPValue::LongString(vec![b'x'; size].into()));
        }
        let properties = BasicProperties::default().with_headers(headers);
        let names = |copy: Copy| {
            let properties = copy.to_queue("q").properties;
            let headers = properties.headers().clone().unwrap();
            headers.inner().keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        let copy = Copy::from_parts(properties, Vec::new());
        assert_eq!(names(copy.clone()), ["large", "small"]);
        assert_eq!(names(copy.text(header::ERROR, &"e".repeat(500))), ["small", "warren-error", "warren-shed"]);
    }

    #[test]
    fn doubles_are_numbers_where_they_are_whole() {
        assert_eq!(whole(1500.0), Value::Integer(1500));
        assert_eq!(whole(0.5), Value::Other("fraction"));
        assert_eq!(whole(f64::NAN), Value::Other("fraction"));
        assert_eq!(whole(1e300), Value::Other("fraction"));
    }
}
