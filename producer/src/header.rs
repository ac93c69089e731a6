//! Headers of one's own.

use warren_core::header;

use crate::field;

/// The value of a header of one's own.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Fraction(f64),
    /// True or false.
    Flag(bool),
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for HeaderValue {
    fn from(number: f64) -> Self {
        Self::Fraction(number)
    }
}

impl From<bool> for HeaderValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl HeaderValue {
    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Integer(_) | Self::Fraction(_) => 8,
            Self::Flag(_) => 1,
        }
    }
}

/// Whether a name is free, and not the message contract's, Warren's or the broker's.
pub(crate) fn check(name: &str) -> Result<(), String> {
    const FIELDS: [&str; 9] = [
        header::DELAY,
        header::ETA,
        header::DEADLINE,
        header::ONCE,
        header::ORDER_KEY,
        header::MAX_ATTEMPTS,
        header::TIMEOUT,
        header::BACKOFF,
        header::TRACEPARENT,
    ];
    field::short_text(name.to_owned())?;
    if FIELDS.contains(&name) {
        Err(format!("expected the field {name} instead of a header"))
    } else if name == header::TASK {
        Err("expected the field kind instead of a header".to_owned())
    } else if name.starts_with("warren-") {
        Err("names that begin with warren- are Warren's own".to_owned())
    } else if header::is_brokers_own(name) {
        Err("this name is the broker's own".to_owned())
    } else {
        Ok(())
    }
}
