//! What is said between a worker and a long-lived program: JSON, one object a line.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use warren_core::{Outcome, Output};

use crate::handler::Job;
use warren_core::base64;

// Of a line that is none, an error shows the beginning.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    kind: &'a str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// The line that asks for an attempt. The payload is under `payload`, as JSON if it is JSON, else as text; bytes that
/// are neither are under `payload_base64`.
pub fn request(job: &Job) -> Vec<u8> {
    let payload = match (serde_json::from_slice(&job.payload), std::str::from_utf8(&job.payload)) {
        (Ok(json), _) => Some(Payload::Json(json)),
        (Err(_), Ok(text)) => Some(Payload::Text(text)),
        (Err(_), Err(_)) => None,
    };
    let request = Request {
        id: job.id.as_str(),
        kind: job.kind.as_str(),
        attempt: job.attempt.get(),
        traceparent: job.traceparent.as_deref(),
        payload_base64: payload.is_none().then(|| base64::encode(&job.payload)),
        payload,
    };
    let mut line = serde_json::to_vec(&request).expect("texts and numbers are always JSON");
    // Numbers must arrive as they were written, so the payload is passed on unparsed. Its line breaks are mere space:
    // JSON allows none inside its strings.
    line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    line.push(b'\n');
    line
}

/// What a program says of an attempt.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// It goes on.
    Progress(Value),
    /// It has ended.
    Done(Outcome),
}

#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    progress: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    error: Option<Value>,
    retry: Option<bool>,
}

// `null` is a value too: `{"id": …, "result": null}` is a success.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Why a line says nothing of the attempt.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is no JSON object of the expected shape.
    #[error("expected a JSON object on a line of its own, got {0:?}")]
    Shape(String),
    /// It speaks of something else.
    #[error("expected the id {expected:?}, got {got}")]
    Id {
        /// The task that was asked for.
        expected: String,
        /// What was said instead.
        got: String,
    },
    /// It has none, or more than one, of the three keys.
    #[error("expected exactly one of progress, result and error")]
    Keys,
}

/// Reads what was said of the attempt at task `id`.
pub fn read(line: &[u8], id: &str) -> Result<Said, Error> {
    let shown = |line: &[u8]| String::from_utf8_lossy(line).chars().take(SHOWN).collect();
    let answer: Answer = serde_json::from_slice(line).map_err(|_| Error::Shape(shown(line)))?;
    if answer.id.as_ref().and_then(Value::as_str) != Some(id) {
        let got = answer.id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        // JSON may hold control characters as they are, U+007F and beyond; a terminal would obey them.
        let harmless = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        return Err(Error::Id { expected: id.to_owned(), got: got.chars().take(SHOWN).map(harmless).collect() });
    }
    match (answer.progress, answer.result, answer.error) {
        (Some(progress), None, None) => Ok(Said::Progress(progress)),
        (None, Some(Value::Null), None) => Ok(Said::Done(Outcome::success(None))),
        (None, Some(result), None) => Ok(Said::Done(Outcome::success(Some(Output::Json(result))))),
        (None, None, Some(error)) => {
            let error = error.as_str().map_or_else(|| error.to_string(), ToOwned::to_owned);
            let again = answer.retry.unwrap_or(true);
            Ok(Said::Done(if again { Outcome::retryable(error) } else { Outcome::permanent(error) }))
        }
        _ => Err(Error::Keys),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::handler::testing::job;

    #[test]
    fn a_request_is_one_line_whatever_the_payload() {
        for (payload, expected) in [
            (&b"{\"a\":\r\n 12345678901234567890123.0}\n"[..], r#""payload":{"a":   12345678901234567890123.0}"#),
            (b"two\nlines", r#""payload":"two\nlines""#),
            (b"", r#""payload":"""#),
            (b"\xff\xfe", r#""payload_base64":"//4=""#),
        ] {
            let line = String::from_utf8(request(&job(payload))).unwrap();
            assert_eq!(line, format!("{{\"id\":\"task-1\",\"kind\":\"test\",\"attempt\":1,{expected}}}\n"));
        }
    }

    #[test]
    fn an_answer_is_read_by_table() {
        let success = |output: Value| Said::Done(Outcome::success(Some(Output::Json(output))));
        for (line, expected) in [
            (r#"{"id":"a","progress":0.5}"#, Said::Progress(json!(0.5))),
            (r#"{"id":"a","progress":null}"#, Said::Progress(Value::Null)),
            (r#"{"id":"a","result":{"n":1},"more":2}"#, success(json!({"n": 1}))),
            (r#"{"id":"a","result":null}"#, Said::Done(Outcome::success(None))),
            (r#"{"id":"a","result":false}"#, success(json!(false))),
            (r#"{"id":"a","error":"busy"}"#, Said::Done(Outcome::retryable("busy"))),
            (r#"{"id":"a","error":"busy","retry":true}"#, Said::Done(Outcome::retryable("busy"))),
            (r#"{"id":"a","error":"bad","retry":false}"#, Said::Done(Outcome::permanent("bad"))),
            (r#"{"id":"a","error":{"code":7},"retry":false}"#, Said::Done(Outcome::permanent(r#"{"code":7}"#))),
        ] {
            assert_eq!(read(line.as_bytes(), "a"), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (line, expected) in [
            ("Loading…", r#"expected a JSON object on a line of its own, got "Loading…""#),
            ("", r#"expected a JSON object on a line of its own, got """#),
            ("[1]", r#"expected a JSON object on a line of its own, got "[1]""#),
            (r#"{"id":"b","result":1}"#, r#"expected the id "a", got "b""#),
            (r#"{"id":7,"result":1}"#, r#"expected the id "a", got 7"#),
            ("{\"id\":\"\u{9b}2J\"}", "expected the id \"a\", got \"\u{fffd}2J\""),
            (r#"{"result":1}"#, r#"expected the id "a", got none"#),
            (r#"{"id":"a"}"#, "expected exactly one of progress, result and error"),
            (r#"{"id":"a","result":1,"error":"x"}"#, "expected exactly one of progress, result and error"),
        ] {
            assert_eq!(read(line.as_bytes(), "a").unwrap_err().to_string(), expected);
        }
    }
}
