//! How a Rust handler says that it failed.

use std::{error::Error, fmt, time::Duration};

use serde::de::DeserializeOwned;
use warren_core::Outcome;

use super::Job;

/// A failed attempt. Any error becomes a retryable one by `?`, with the chain of its causes as its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    error: String,
    again: Again,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Again {
    Never,
    ByPolicy,
    NotBefore(Duration),
}

impl Failure {
    /// Another attempt may help.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self { error: error.to_string(), again: Again::ByPolicy }
    }

    /// Another attempt may help, after this wait at the earliest.
    pub fn retry_after(error: impl fmt::Display, wait: Duration) -> Self {
        Self { error: error.to_string(), again: Again::NotBefore(wait) }
    }

    /// No further attempt would help.
    pub fn permanent(error: impl fmt::Display) -> Self {
        Self { error: error.to_string(), again: Again::Never }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(chain(error.into().as_ref()))
    }
}

impl From<Failure> for Outcome {
    fn from(Failure { error, again }: Failure) -> Self {
        match again {
            Again::Never => Self::Permanent { error },
            Again::ByPolicy => Self::Retryable { error, after_ms: None },
            Again::NotBefore(wait) => {
                Self::Retryable { error, after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)) }
            }
        }
    }
}

impl Job {
    /// The payload as JSON. What is no such JSON fails for good: another attempt would read the same.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let mut reader = serde_json::Deserializer::from_slice(&self.payload);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = error.path().to_string();
            match field.as_str() {
                "." => Failure::permanent(format_args!("the payload is not what was expected: {}", error.inner())),
                _ => Failure::permanent(format_args!("the payload's field {field}: {}", error.inner())),
            }
        })?;
        reader.end().map_err(|error| Failure::permanent(format_args!("the payload is not JSON: {error}")))?;
        Ok(value)
    }
}

/// An error with its causes, the nearest first; a cause that its effect already tells is not told again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
