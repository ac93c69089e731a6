//! The first bytes of a payload, for people to look at.
//!
//! It lies in the event log and, until its task has succeeded, in the store: whoever must not have payloads there turns it
//! off. It is never logged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base64;

/// As many bytes as are kept unless configured otherwise.
pub const DEFAULT: usize = 1 << 10;
/// As many as can be asked for.
pub const LARGEST: usize = 16 << 10;

/// The first bytes of a payload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Preview {
    /// What the payload says it is (property `content_type`).
    #[serde(rename = "ct", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The bytes.
    #[serde(flatten)]
    pub content: Content,
}

/// Bytes that may be text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Content {
    /// Text.
    #[serde(rename = "txt")]
    Text(String),
    /// Anything else, in base64.
    #[serde(rename = "bin")]
    Binary(String),
}

// What is flattened goes through an intermediate form of serde's when it is read; each task's event has a preview.
#[derive(Deserialize)]
struct Fields {
    ct: Option<String>,
    txt: Option<String>,
    bin: Option<String>,
}

impl TryFrom<Fields> for Preview {
    type Error = &'static str;

    fn try_from(Fields { ct, txt, bin }: Fields) -> Result<Self, &'static str> {
        let content = txt.map(Content::Text).or(bin.map(Content::Binary)).ok_or("expected `txt` or `bin`")?;
        Ok(Self { content_type: ct, content })
    }
}

impl Preview {
    /// Of a payload, at most `limit` bytes of it; `None` if there is nothing to show or nothing wanted.
    pub fn of(payload: &[u8], content_type: Option<&str>, limit: usize) -> Option<Self> {
        let head = &payload[..payload.len().min(limit.min(LARGEST))];
        if head.is_empty() {
            return None;
        }
        let content = match text(head) {
            // A character that is cut in the middle makes no other thing of the text.
            Some(text) => Content::Text(text.to_owned()),
            None => Content::Binary(base64::encode(head)),
        };
        Some(Self { content_type: content_type.map(|text| text.chars().take(100).collect()), content })
    }

    /// How many bytes of the payload it holds.
    pub fn bytes(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Binary(text) => {
                let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
                text.len() / 4 * 3 - padding.min(2)
            }
        }
    }
}

// Text, but for a last character that is not whole. What a terminal would obey is none.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    is_shown(text).then_some(text)
}

fn is_shown(text: &str) -> bool {
    if text.is_ascii() {
        // To the end in any case: so it goes many bytes at a time.
        let obeyed = |byte: u8| byte.is_ascii_control() & !matches!(byte, b'\n' | b'\r' | b'\t');
        return !text.bytes().fold(false, |found, byte| found | obeyed(byte));
    }
    !text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c))
}

// A payload is never logged, not even as a part of something else.
impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preview({} bytes)", self.bytes())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_by_table() {
        let text = |text: &str| Some(Content::Text(text.to_owned()));
        let binary = |bytes: &[u8]| Some(Content::Binary(base64::encode(bytes)));
        for (payload, limit, content, bytes) in [
            (&b"{\"a\":1}"[..], 100, text("{\"a\":1}"), 7),
            (b"abcdef", 4, text("abcd"), 4),
            ("aé".as_bytes(), 2, text("a"), 1),
            (b"line\nline\t", 100, text("line\nline\t"), 10),
            (b"a\0b", 100, binary(b"a\0b"), 3),
            (b"\xff\xfe", 100, binary(b"\xff\xfe"), 2),
            (b"a\x1b[31m", 100, binary(b"a\x1b[31m"), 6),
            (b"a\x7f", 100, binary(b"a\x7f"), 2),
            ("ü\u{85}".as_bytes(), 100, binary("ü\u{85}".as_bytes()), 4),
            ("ü\n\r".as_bytes(), 100, text("ü\n\r"), 4),
            (b"abc", 0, None, 0),
            (b"", 100, None, 0),
        ] {
            let preview = Preview::of(payload, None, limit);
            assert_eq!(preview.as_ref().map(Preview::bytes).unwrap_or_default(), bytes, "{payload:?}");
            assert_eq!(preview.map(|preview| preview.content), content, "{payload:?}");
        }
    }

    #[test]
    fn comes_back_as_it_was_written_and_shows_nothing_in_a_log() {
        for payload in [&b"secret"[..], b"\0secret"] {
            let preview = Preview::of(payload, Some("text/plain"), 100).unwrap();
            let written = serde_json::to_string(&preview).unwrap();
            assert_eq!(serde_json::from_str::<Preview>(&written).unwrap(), preview);
            assert!(!format!("{preview:?}{:?}", preview.content).contains("ecret"));
        }
    }
}
