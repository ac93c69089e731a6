//! Headers as they come over the wire: a field table of AMQP 0-9-1, read by the client library, then by Warren.

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, parsing::parse_field_table},
};
use warren_core::header::Value;
use warren_runtime::amqp::message::incoming;

use crate::message;

/// The bytes of a field table, its length of four bytes in front.
pub fn headers(bytes: &[u8]) {
    let Ok((_, table)) = parse_field_table(bytes) else { return };
    let mut delivery = Delivery::mock(1, "warren.tasks".into(), "default".into(), false, b"{}".to_vec());
    delivery.properties = BasicProperties::default().with_headers(table.clone()).with_message_id("a".into());
    is_read_in_full(&table, &delivery);
    message::check(&delivery);
    delivery.exchange = "warren.dlx".into();
    message::check(&delivery);
}

fn is_read_in_full(table: &FieldTable, delivery: &Delivery) {
    let read = incoming(delivery).headers;
    assert_eq!(read.len(), table.inner().len());
    for (name, value) in table.inner() {
        let (was, is) = (integer(value), &read[name.as_str()]);
        match (was, is) {
            (Some(was), Value::Integer(is)) => assert_eq!(was, *is),
            (Some(was), other) => panic!("{name}: {was} became {other:?}"),
            (None, Value::Integer(is)) => is_the_same_fraction(value, *is),
            (None, Value::Text(text)) => {
                assert!(matches!(value, AMQPValue::LongString(bytes) if bytes.as_bytes() == text.as_bytes()));
            }
            (None, Value::Texts(texts)) => {
                assert!(matches!(value, AMQPValue::FieldArray(array) if array.as_slice().len() == texts.len()));
            }
            (None, Value::Flag(flag)) => assert_eq!(value, &AMQPValue::Boolean(*flag)),
            (None, Value::Other(shape)) => assert!(!shape.is_empty()),
        }
    }
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some((*number).into()),
        AMQPValue::ShortShortUInt(number) => Some((*number).into()),
        AMQPValue::ShortInt(number) => Some((*number).into()),
        AMQPValue::ShortUInt(number) => Some((*number).into()),
        AMQPValue::LongInt(number) => Some((*number).into()),
        AMQPValue::LongUInt(number) => Some((*number).into()),
        AMQPValue::LongLongInt(number) => Some(*number),
        _ => None,
    }
}

// Within ±2⁵³ both types hold each whole number, so going there and back must change nothing.
fn is_the_same_fraction(value: &AMQPValue, number: i64) {
    let given = match value {
        AMQPValue::Double(given) => *given,
        AMQPValue::Float(given) => f64::from(*given),
        other => panic!("{other:?} became {number}"),
    };
    assert_eq!(format!("{given:.0}").parse::<f64>(), number.to_string().parse::<f64>());
    assert!(number.unsigned_abs() <= 1 << 53);
}
