//! Reading JSON member by member, so that every error names its field and all of them come together.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use warren_core::Timestamp;
use warren_runtime::config::duration;

use crate::field::shown;

/// Reads a time span: a number of milliseconds, or a number with a unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(millis) = text.parse() {
        return Ok(Duration::from_millis(millis));
    }
    duration::parse(text).map_err(|_| expected(SPAN, &shown(text)))
}

const SPAN: &str = "milliseconds, or a whole number with a unit (250ms, 30s, 5m, 12h, 7d)";

pub(crate) fn text(json: &RawValue) -> Result<String, String> {
    serde_json::from_str(json.get()).map_err(|_| expected("text", short(json)))
}

pub(crate) fn whole<T: TryFrom<u64> + Into<u64> + Copy>(json: &RawValue, max: T) -> Result<T, String> {
    let number = json.get().parse().ok().filter(|number| *number <= max.into());
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| expected(&format!("a whole number up to {}", max.into()), short(json)))
}

pub(crate) fn span(json: &RawValue) -> Result<Duration, String> {
    match text(json) {
        Ok(text) => parse_duration(&text),
        Err(_) => json.get().parse().map(Duration::from_millis).map_err(|_| expected(SPAN, short(json))),
    }
}

pub(crate) fn time(json: &RawValue) -> Result<Timestamp, String> {
    let text = text(json).unwrap_or_else(|_| json.get().to_owned());
    Timestamp::parse(&text).map_err(|error| expected_of(error, json))
}

// In an environment variable it is text.
pub(crate) fn flag(json: &RawValue) -> Result<bool, String> {
    match json.get().trim_matches('"') {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(expected("true or false", short(json))),
    }
}

pub(crate) fn expected(what: &str, got: &str) -> String {
    format!("expected {what}, got {got}")
}

pub(crate) fn expected_of(error: impl fmt::Display, json: &RawValue) -> String {
    format!("{error}, got {}", short(json))
}

// A foreign name, as the field of a problem.
pub(crate) fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

pub(crate) fn short(json: &RawValue) -> &str {
    let text = json.get();
    &text[..text.floor_char_boundary(64)]
}

// The members of an object, as they are written.
pub(crate) struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Fields(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
