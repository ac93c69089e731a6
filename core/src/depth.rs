//! How deep the JSON may be that handlers make up.
//!
//! `serde_json` reads 127 levels and writes any number. What a handler says is passed on inside of larger things: a
//! result in an event in a batch, in a run in a record. Were it let through as deep as it can be read once, nobody could
//! read the batch, with the facts of other tasks in it, or the record.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

// Deeper than anybody means; leaves half of what can be read to what stands around it.
const DEEPEST: usize = 64;

/// The value; or its text, if it is nested more than 64 deep.
pub fn bounded(value: Value) -> Value {
    if is_bounded(&value) { value } else { Value::String(value.to_string()) }
}

/// Whether a value is nested at most 64 deep.
pub fn is_bounded(value: &Value) -> bool {
    fits(value, DEEPEST)
}

/// For `#[serde(deserialize_with = "depth::deserialize")]`: whoever wrote it may not have known the bound.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Value::deserialize(deserializer).map(bounded)
}

fn fits(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|item| fits(item, left - 1)),
        Value::Object(members) => left > 0 && members.values().all(|member| fits(member, left - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_becomes_its_text() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(bounded(read(&nested(64))), read(&nested(64)));
        assert_eq!(bounded(read(&nested(65))), Value::String(nested(65)));
    }
}
