//! Messages as lines of text, so that a person can write one and a mutation of one is still one.
//!
//! A line is `.property=value`, or `S name=value` for a header of AMQP's type S. After an empty line comes the body.
//! Values are bytes; an array is `A name=S one;l 2`, a table `F name=key:S one;other:l 2`, each item with its type.

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, DecimalValue, FieldTable, ShortString},
};

/// A delivery from the text.
pub fn delivery(text: &[u8]) -> Delivery {
    let mut rest = text;
    let (mut exchange, mut key) = (ShortString::default(), ShortString::from("default"));
    let (mut properties, mut headers) = (BasicProperties::default(), None);
    while !rest.is_empty() {
        let (line, after) = cut(rest, b'\n').unwrap_or((rest, b""));
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = cut(line, b'=').unwrap_or((line, b""));
        if let Some(name) = name.strip_prefix(b".") {
            let value = short(value);
            match name {
                b"exchange" => exchange = value,
                b"key" => key = value,
                _ => properties = set(properties, name, value),
            }
        } else if let Some((kind, name)) = cut(name, b' ') {
            let table = headers.get_or_insert_with(FieldTable::default);
            table.insert(short(name), read(kind, value));
        }
    }
    let mut delivery = Delivery::mock(1, exchange, key, false, rest.to_vec());
    delivery.properties = match headers {
        Some(headers) => properties.with_headers(headers),
        None => properties,
    };
    delivery
}

fn set(to: BasicProperties, name: &[u8], value: ShortString) -> BasicProperties {
    let number = number(value.as_str().as_bytes());
    match name {
        b"content_type" => to.with_content_type(value),
        b"content_encoding" => to.with_content_encoding(value),
        b"delivery_mode" => to.with_delivery_mode(low_byte(number)),
        b"priority" => to.with_priority(low_byte(number)),
        b"correlation_id" => to.with_correlation_id(value),
        b"reply_to" => to.with_reply_to(value),
        b"expiration" => to.with_expiration(value),
        b"message_id" => to.with_message_id(value),
        b"timestamp" => to.with_timestamp(number.cast_unsigned()),
        b"type" => to.with_type(value),
        b"user_id" => to.with_user_id(value),
        b"app_id" => to.with_app_id(value),
        b"cluster_id" => to.with_cluster_id(value),
        _ => to,
    }
}

fn read(kind: &[u8], value: &[u8]) -> AMQPValue {
    let text = String::from_utf8_lossy(value);
    match kind {
        b"t" => AMQPValue::Boolean(value != b"false"),
        b"b" => AMQPValue::ShortShortInt(low_byte(number(value)).cast_signed()),
        b"B" => AMQPValue::ShortShortUInt(low_byte(number(value))),
        b"s" => AMQPValue::ShortString(short(value)),
        b"U" => AMQPValue::ShortInt(i16::try_from(number(value)).unwrap_or(i16::MIN)),
        b"u" => AMQPValue::ShortUInt(u16::try_from(number(value)).unwrap_or(u16::MAX)),
        b"I" => AMQPValue::LongInt(i32::try_from(number(value)).unwrap_or(i32::MIN)),
        b"i" => AMQPValue::LongUInt(u32::try_from(number(value)).unwrap_or(u32::MAX)),
        b"l" => AMQPValue::LongLongInt(number(value)),
        b"f" => AMQPValue::Float(text.parse().unwrap_or(f32::NAN)),
        b"d" => AMQPValue::Double(text.parse().unwrap_or(f64::NAN)),
        b"D" => AMQPValue::DecimalValue(DecimalValue { scale: low_byte(number(value)), value: u32::MAX }),
        b"T" => AMQPValue::Timestamp(number(value).cast_unsigned()),
        b"x" => AMQPValue::ByteArray(value.into()),
        b"V" => AMQPValue::Void,
        b"A" => AMQPValue::FieldArray(items(value).map(item).collect::<Vec<_>>().into()),
        b"F" => {
            let mut table = FieldTable::default();
            for (name, value) in items(value).filter_map(|item| cut(item, b':')) {
                table.insert(short(name), item(value));
            }
            AMQPValue::FieldTable(table)
        }
        _ => AMQPValue::LongString(value.into()),
    }
}

fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b';')
}

fn item(text: &[u8]) -> AMQPValue {
    let (kind, value) = cut(text, b' ').unwrap_or((text, b""));
    read(kind, value)
}

fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX)
}

fn low_byte(number: i64) -> u8 {
    number.to_le_bytes()[0]
}

// What the protocol can carry: the client library lets nothing longer come in.
fn short(bytes: &[u8]) -> ShortString {
    let text = String::from_utf8_lossy(bytes);
    text[..text.floor_char_boundary(255)].into()
}

fn cut(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
