//! What is wrong with a task, field by field.

use std::fmt;

use serde::Serialize;

// AMQP's short strings (properties and the names of headers) hold no more.
const SHORT: usize = 255;

/// One field that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its name as in the JSON form of a task: `delay`, `headers.tenant`, in an array `[3].delay`.
    pub field: String,
    /// What was expected, and what came.
    pub detail: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { field: field.into(), detail: detail.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The task as a whole has no name.
        let colon = if self.field.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.field, self.detail)
    }
}

/// A task that cannot be accepted as it is, with everything that is wrong with it: at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(Vec<Problem>);

impl Invalid {
    /// `None` where nothing is wrong.
    pub(crate) fn of(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// The same as part of something larger: `delay` becomes `[3].delay` inside `[3]`.
    #[must_use]
    pub fn inside(mut self, place: &str) -> Self {
        for problem in &mut self.0 {
            let dot = if problem.field.is_empty() { "" } else { "." };
            problem.field = format!("{place}{dot}{}", problem.field);
        }
        self
    }
}

impl IntoIterator for Invalid {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problem> for Invalid {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// A text for one of AMQP's own properties.
pub(crate) fn short_text(text: String) -> Result<String, String> {
    match text.len() {
        1..=SHORT => Ok(text),
        0 => Err("expected text, got nothing".to_owned()),
        length => Err(format!("expected at most {SHORT} bytes, got {length}")),
    }
}

/// A trace context as in W3C Trace Context, section 3.2: version, trace, parent and flags in lower-case hexadecimal.
pub(crate) fn traceparent(text: String) -> Result<String, String> {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let parts: Vec<_> = text.split('-').collect();
    let sound = lengths == [2, 32, 16, 2] && parts.iter().all(|part| hex(part));
    if sound && parts[0] != "ff" && !zero(parts[1]) && !zero(parts[2]) {
        Ok(text)
    } else {
        Err(format!("expected 00-<32 hexadecimal digits>-<16>-<2>, got {}", shown(&text)))
    }
}

/// Foreign text for an error message: escaped and short.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_traceparent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(traceparent(good.to_owned()).is_ok());
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &good[..54],
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        ] {
            assert!(traceparent(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_problem_inside_something_larger_says_where() {
        let invalid = Invalid::of(vec![Problem::new("delay", "no"), Problem::new("", "no object")]).unwrap();
        assert_eq!(invalid.inside("[3]").to_string(), "[3].delay: no; [3]: no object");
    }
}
