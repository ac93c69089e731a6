//! How an attempt ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::depth;

/// How an attempt ended, with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It did what was asked.
    Success {
        /// What it gave back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Output>,
    },
    /// It failed, and another attempt may help.
    Retryable {
        /// What went wrong.
        error: String,
        /// The handler asked for at least this wait, in milliseconds (`Retry-After`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// It failed, and no further attempt would help.
    Permanent {
        /// What went wrong.
        error: String,
    },
    /// It took longer than it may, and was ended.
    Timeout {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// Somebody wished it to stop.
    Cancelled,
    /// The program that ran it died.
    Crashed {
        /// What is known of its death.
        error: String,
    },
}

impl Outcome {
    /// A retryable failure.
    pub fn retryable(error: impl Into<String>) -> Self {
        Self::Retryable { error: error.into(), after_ms: None }
    }

    /// A permanent failure.
    pub fn permanent(error: impl Into<String>) -> Self {
        Self::Permanent { error: error.into() }
    }

    /// A success with a result.
    pub fn success(output: Option<Output>) -> Self {
        Self::Success { output }
    }

    /// Its name, in logs, metrics and replies.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Success { .. } => "success",
            Self::Retryable { .. } => "retryable",
            Self::Permanent { .. } => "permanent",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled => "cancelled",
            Self::Crashed { .. } => "crashed",
        }
    }

    /// What went wrong, for people; `None` for a success.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Success { .. } => None,
            Self::Retryable { error, .. } | Self::Permanent { error } | Self::Crashed { error } => Some(error.clone()),
            Self::Timeout { limit_ms } => Some(format!("timed out after {:?}", Duration::from_millis(*limit_ms))),
            Self::Cancelled => Some("cancelled".to_owned()),
        }
    }

    /// The same with an error of at most `limit` bytes and an output of at most `limit` bytes, whose JSON others can read.
    #[must_use]
    pub fn bounded(self, limit: usize) -> Self {
        match self {
            Self::Success { output } => Self::Success { output: output.map(|output| output.bounded(limit)) },
            Self::Retryable { error, after_ms } => Self::Retryable { error: shorten(error, limit), after_ms },
            Self::Permanent { error } => Self::Permanent { error: shorten(error, limit) },
            Self::Crashed { error } => Self::Crashed { error: shorten(error, limit) },
            Self::Timeout { .. } | Self::Cancelled => self,
        }
    }
}

/// What a successful attempt gave back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// JSON, the convention; at most 64 deep once it is bounded.
    Json(#[serde(deserialize_with = "depth::deserialize")] Value),
    /// Text that is not JSON.
    Text(String),
    /// It was longer than results are kept; its length in bytes.
    TooLong(u64),
}

impl Output {
    /// From what a handler printed: JSON where it is JSON, else text. `None` for nothing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if text.is_empty() {
            return None;
        }
        Some(serde_json::from_str(text).map_or_else(|_| Self::Text(text.to_owned()), Self::Json))
    }

    /// As the body of a reply.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::TooLong(_) => Vec::new(),
        }
    }

    fn bounded(self, limit: usize) -> Self {
        let length = match &self {
            Self::Json(value) => value.to_string().len(),
            Self::Text(text) => text.len(),
            Self::TooLong(_) => 0,
        };
        match self {
            _ if length > limit => Self::TooLong(length as u64),
            Self::Json(value) if !depth::is_bounded(&value) => Self::Text(value.to_string()),
            Self::Json(_) | Self::Text(_) | Self::TooLong(_) => self,
        }
    }
}

// The end of an error is where the cause stands, in most languages' traces.
fn shorten(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let cut = text.ceil_char_boundary(text.len() - limit);
    format!("…{}", &text[cut..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_json_where_it_is_json() {
        assert_eq!(Output::from_bytes(b"{\"a\":1}\n"), Some(Output::Json(serde_json::json!({"a": 1}))));
        assert_eq!(Output::from_bytes(b"done\n"), Some(Output::Text("done".into())));
        assert_eq!(Output::from_bytes(b" \n"), None);
    }

    #[test]
    fn what_is_too_long_is_bounded_and_says_so() {
        let long = Outcome::success(Some(Output::Text("x".repeat(100))));
        assert_eq!(long.bounded(10), Outcome::success(Some(Output::TooLong(100))));
        let error = Outcome::retryable("aé".repeat(50)).bounded(9).error().unwrap();
        assert!(error.starts_with('…') && error.len() <= 12, "{error}");
    }
}
