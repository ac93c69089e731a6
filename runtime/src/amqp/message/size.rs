//! How many bytes a message's properties take on the wire (AMQP 0-9-1, 4.2.5 and 4.2.6).

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

/// All properties but the headers.
pub fn properties(properties: &BasicProperties) -> usize {
    let texts = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ];
    let texts: usize = texts.into_iter().flatten().map(short).sum();
    // Delivery mode and priority are a byte each, a time is eight.
    texts + 1 + 1 + 8
}

/// A table of headers.
pub fn table(table: &FieldTable) -> usize {
    4 + table.inner().iter().map(|(name, value)| short(name) + self::value(value)).sum::<usize>()
}

/// A header's value.
pub fn value(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => short(text),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(self::value).sum::<usize>(),
        AMQPValue::FieldTable(table) => self::table(table),
    }
}

fn short(text: &ShortString) -> usize {
    1 + text.as_str().len()
}
