//! What dead letters have in common: the same kind, failing in the same way in the same queue.
//!
//! Errors of one cause differ in what they are about: `timeout after 5012 ms for order 77` and its siblings. So whatever
//! names a single thing is taken out of the text before it is compared: numbers, ids, quoted text, paths, addresses.
//!
//! The projection keeps an index by fingerprint. A change of the rules below makes other groups of the letters that are
//! indexed already: it wants the projection to be built anew.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Kind, QueueName, Reason, Standing, TaskState, Verdict, record::TaskRecord};

// A dead letter's header bears a shorter error than the record: what both have is compared.
const LOOKED_AT: usize = 1_000;
// A word as long as this, with so many digits, is an id whatever its letters are.
const ID_LENGTH: usize = 12;
const ID_DIGITS: usize = 3;

/// Names a group of dead letters: sixteen hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

/// Why a text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 16 hexadecimal digits")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// Of a letter in this queue.
    pub fn new(queue: &QueueName, kind: Option<&Kind>, reason: Reason, error: &str) -> Self {
        let error = normalise(&error[..error.floor_char_boundary(LOOKED_AT)]);
        let parts = [queue.as_str(), kind.map_or("", Kind::as_str), reason.name(), &error];
        // FNV-1a (draft-eastlake-fnv): the same in every version and on every machine, which the standard library's hashers
        // do not promise. It only groups; nothing rests on its being hard to forge.
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// Of a task, if it is a dead letter.
    pub fn of(record: &TaskRecord) -> Option<Self> {
        let (reason, error) = match record.standing() {
            Standing::Ended { end, .. } => match end.verdict {
                Verdict::DeadLetter { reason } => (reason, end.outcome.error().unwrap_or_default()),
                Verdict::Complete | Verdict::Retry { .. } | Verdict::Cancel => return None,
            },
            Standing::Buried { burial, .. } => (burial.reason, burial.error.clone()),
            Standing::Queued { .. }
            | Standing::Delayed { .. }
            | Standing::Running { .. }
            | Standing::Withdrawn { .. }
            | Standing::Discarded { .. } => return None,
        };
        debug_assert!(matches!(record.state(), TaskState::Dead | TaskState::Expired));
        let about = record.about()?;
        Some(Self::new(&about.queue, about.kind.as_ref(), reason, &error))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let is_written_so = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_written_so);
        number.map(Self).ok_or(InvalidFingerprint)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// The text without what names a single thing. Doing it twice changes nothing more.
pub fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            if !normal.is_empty() && !normal.ends_with(' ') {
                normal.push(' ');
            }
            first.len_utf8()
        } else if let Some(length) = quoted(rest, before) {
            normal.extend([first, '…', first]);
            length
        } else if is_border(first) {
            normal.push(first);
            first.len_utf8()
        } else {
            let length = rest.find(|c: char| c.is_whitespace() || is_border(c)).unwrap_or(rest.len());
            chunk(&rest[..length], &mut normal);
            length
        };
        before = rest[..length].chars().next_back().unwrap_or(before);
        rest = &rest[length..];
    }
    normal.truncate(normal.trim_end().len());
    normal
}

// The length of a quoted text at the beginning, with its quotes. An apostrophe quotes only where a word could begin.
fn quoted(text: &str, before: char) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['"', '`', '\''].contains(c))?;
    let may_open = quote != '\'' || before.is_whitespace() || "([{<=,;".contains(before);
    let end = text[1..].find(quote).filter(|_| may_open)?;
    Some(end + 2)
}

fn is_border(c: char) -> bool {
    "\"'`()[]{}<>,;=|".contains(c)
}

// What stands between spaces, brackets and quotes.
fn chunk(chunk: &str, normal: &mut String) {
    let core = chunk.trim_end_matches(['.', ':', '!', '?']);
    let sign = if core.contains("://") {
        "…://…"
    } else if core.contains('@') {
        "…@…"
    } else if is_path(core) {
        "/…"
    } else if is_uuid(core) {
        "#"
    } else {
        words(core, normal);
        ""
    };
    normal.push_str(sign);
    normal.push_str(&chunk[core.len()..]);
}

fn is_path(text: &str) -> bool {
    let slashes = text.matches('/').count();
    slashes > 1 || (text.len() > 1 && text.starts_with('/')) || text.starts_with("~/") || text.contains(":\\")
}

// RFC 9562, section 4. Groups of it may be letters alone, which by themselves are words.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

// Numbers that stand together (a time, an address, a version) become one.
fn words(text: &str, normal: &mut String) {
    let mut rest = text;
    // What stands between the last number and here, if nothing but signs does.
    let mut between: Option<String> = None;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let length = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(length);
        rest = after;
        if !is_word {
            match &mut between {
                Some(between) => between.push_str(part),
                None => normal.push_str(part),
            }
            continue;
        }
        let word = word(part);
        let signs = between.take().unwrap_or_default();
        let joined =
            word.strip_prefix('#').filter(|_| !signs.is_empty() && signs.chars().all(|c| ".:_+-/".contains(c)));
        match joined {
            Some(more) => normal.push_str(more),
            None => normal.extend([signs.as_str(), &word]),
        }
        between = word.ends_with('#').then(String::new);
    }
    normal.push_str(&between.unwrap_or_default());
}

fn word(word: &str) -> String {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let is_id = word.len() >= ID_LENGTH && digits >= ID_DIGITS;
    if digits > 0 && (is_id || hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return "#".to_owned();
    }
    let mut normal = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            '0'..='9' if normal.ends_with('#') => {}
            '0'..='9' => normal.push('#'),
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn siblings_come_to_the_same_by_table() {
        for (text, normal) in [
            ("timeout after 5012 ms for order 77", "timeout after # ms for order #"),
            ("timed out after 5.012s", "timed out after #s"),
            ("timed out after 1m 30s", "timed out after #m #s"),
            ("no user 0193f2c0-7d3a-7abc-beef-cafecafecafe", "no user #"),
            ("commit 9fceb02 at 0x7ffe12", "commit # at #"),
            (r#"cannot parse "a b" near 'c d'"#, r#"cannot parse "…" near '…'"#),
            ("don't know `x`, can't say", "don't know `…`, can't say"),
            ("connect to 10.0.0.7:5432: refused", "connect to #: refused"),
            ("connect to [fe80::1]:80 failed", "connect to [#]:# failed"),
            ("GET https://example.com/a?b=1 gave 502", "GET …://…=# gave #"),
            ("open /var/lib/x-7/y.json: no such file.", "open /…: no such file."),
            (r"open C:\tmp\a1.txt failed", "open /… failed"),
            ("mail to jane.doe@example.com bounced", "mail to …@… bounced"),
            ("not started before its deadline, 2026-11-25T08:43:42.123Z", "not started before its deadline, #T#Z"),
            ("key 01HF3K9ZQ2RTVX7N exists", "key # exists"),
            ("read/write  error\n\tin node-7", "read/write error in node-#"),
            ("n/a", "n/a"),
            ("", ""),
        ] {
            assert_eq!(normalise(text), normal, "{text}");
        }
    }

    #[test]
    fn differs_where_queue_kind_reason_or_cause_do() {
        let (a, b) = (QueueName::default(), QueueName::parse("mail").unwrap());
        let (resize, send) = (Kind::parse("resize").unwrap(), Kind::parse("send").unwrap());
        let all = [
            Fingerprint::new(&a, Some(&resize), Reason::Permanent, "no route to 7"),
            Fingerprint::new(&b, Some(&resize), Reason::Permanent, "no route to 7"),
            Fingerprint::new(&a, Some(&send), Reason::Permanent, "no route to 7"),
            Fingerprint::new(&a, None, Reason::Permanent, "no route to 7"),
            Fingerprint::new(&a, Some(&resize), Reason::Poison, "no route to 7"),
            Fingerprint::new(&a, Some(&resize), Reason::Permanent, "no way to 7"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], Fingerprint::new(&a, Some(&resize), Reason::Permanent, "no route to 99"));
    }

    #[test]
    fn is_written_the_same_for_ever_and_read_back() {
        let fingerprint = Fingerprint::new(&QueueName::default(), None, Reason::Expired, "late");
        insta::assert_snapshot!(fingerprint.to_string());
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "12", "zzzzzzzzzzzzzzzz", "+123456789abcdef", "0123456789ABCDEF"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
    }

    #[test]
    fn an_error_that_was_cut_short_falls_into_the_same_group() {
        let long = "x ".repeat(4_000);
        let of = |error: &str| Fingerprint::new(&QueueName::default(), None, Reason::Permanent, error);
        assert_eq!(of(&long), of(&long[..2_000]));
    }

    proptest! {
        #[test]
        fn once_is_enough(text in r#"([a-f0-9x]{1,8}|[ \n"'`.:/@=\-#…()]{1,3}|\\PC){0,24}"#) {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn numbers_never_matter(n in any::<u64>(), m in any::<u64>()) {
            let of = |n: u64| normalise(&format!("after {n} ms, order-{n}, {n}% of x{n}y: n={n}"));
            prop_assert_eq!(of(n), of(m));
        }
    }
}
