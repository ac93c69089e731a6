//! What a caller says beside the target of an order: who it is, and why.

use axum::{body::Bytes, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_core::{
    Operator, OrderId, Timestamp,
    command::{Command, Order},
};
use warren_runtime::{clock, http::Problem};

const LONGEST_REASON: usize = 500;

/// The body of an order. An empty one will do.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// Why, for those who read it later; at most 500 characters.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

impl Wish {
    /// From a request's body.
    pub fn read(body: &Bytes) -> Result<Self, Problem> {
        let wish: Self = if body.is_empty() { Self::default() } else { read(body)? };
        Ok(Self { reason: reason(wish.reason)? })
    }

    /// The order that this makes of a command, given by somebody at a time.
    pub fn order(&self, by: &Operator, at: Timestamp, command: Command) -> Order {
        // Time-ordered like task ids, so that what happened within one millisecond keeps its order.
        let id = OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid order id");
        Order { id, at, by: by.clone(), reason: self.reason.clone(), command }
    }
}

/// Reads a body of JSON; the problem names the field, where there is one.
pub fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Problem> {
    // Serde takes an array for a structure, field by field, which nobody means.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field("body", "expected an object, got an array"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let (read, path) = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(read) => (deserializer.end().map(|()| read), String::new()),
        Err(error) => {
            let path = error.path().to_string();
            (Err(error.into_inner()), path)
        }
    };
    read.map_err(|error| {
        let text = error.to_string();
        if error.is_syntax() || error.is_eof() {
            return Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {text}"));
        }
        let unknown = ["unknown field `", "missing field `"].iter().find_map(|said| text.strip_prefix(said));
        let field = match unknown.and_then(|rest| rest.split('`').next()) {
            Some(field) => field.to_owned(),
            None if path.is_empty() || path == "." => "body".to_owned(),
            None => path,
        };
        Problem::field(field, text)
    })
}

/// A reason that is short enough; `None` for one that says nothing.
pub fn reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(Problem::field("reason", format!("expected at most {LONGEST_REASON} characters")));
    }
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_empty_or_says_why() {
        let read = |body: &'static str| Wish::read(&Bytes::from_static(body.as_bytes()));
        for nothing in ["", "{}", r#"{"reason":null}"#, r#"{"reason":"  "}"#] {
            assert_eq!(read(nothing).unwrap().reason, None, "{nothing}");
        }
        assert_eq!(read(r#"{"reason":" too late "}"#).unwrap().reason.as_deref(), Some("too late"));
        for (body, status, field) in [
            ("{", 400, None),
            ("{}x", 400, None),
            ("[null]", 422, Some("body")),
            ("7", 422, Some("body")),
            (r#"{"reson":"x"}"#, 422, Some("reson")),
        ] {
            let problem = read(body).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{body}: {problem:?}");
        }
        let long = Bytes::from(format!(r#"{{"reason":"{}"}}"#, "x".repeat(501)));
        assert_eq!(Wish::read(&long).unwrap_err().field.as_deref(), Some("reason"));
    }
}
