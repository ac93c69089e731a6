//! What a child prints, kept within bounds however much it is.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};
use warren_core::Output;

/// How much of what a program complains about becomes part of an error.
pub const ERROR_TAIL: usize = 4 * 1024;

const CHUNK: usize = 8 * 1024;

/// The first bytes of a stream and its whole length.
#[derive(Debug)]
pub struct Head {
    kept: Vec<u8>,
    total: u64,
    limit: usize,
}

impl Head {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), total: 0, limit }
    }

    /// Takes in what came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.limit - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What was kept.
    pub fn bytes(&self) -> &[u8] {
        &self.kept
    }

    /// Whether nothing more will be kept.
    pub fn is_full(&self) -> bool {
        self.kept.len() == self.limit
    }

    /// As a result: whole, or its length only.
    pub fn output(&self) -> Option<Output> {
        if self.total > self.kept.len() as u64 {
            Some(Output::TooLong(self.total))
        } else {
            Output::from_bytes(&self.kept)
        }
    }
}

/// The last bytes of a stream: where the cause of a failure stands.
#[derive(Debug)]
pub struct Tail {
    kept: VecDeque<u8>,
    limit: usize,
    cut: bool,
}

impl Tail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), limit, cut: false }
    }

    /// Takes in what came next.
    pub fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(self.limit)..];
        let excess = (self.kept.len() + new.len()).saturating_sub(self.limit);
        self.cut |= excess > 0 || new.len() < bytes.len();
        self.kept.drain(..excess);
        self.kept.extend(new);
    }

    /// Forgets what came so far.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.cut = false;
    }

    /// What was kept, as text that begins with `…` if it is not the whole.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.kept.iter().copied().collect();
        // A character that was cut in two is no character.
        let start = if self.cut { bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
        let text = String::from_utf8_lossy(&bytes[start..]);
        let mark = if self.cut { "…" } else { "" };
        format!("{mark}{}", text.trim())
    }
}

/// Reads a stream to its end, a piece at a time. An error ends it too: what came before it is what there is.
pub async fn drain(mut stream: impl AsyncRead + Unpin, mut push: impl FnMut(&[u8])) {
    let mut chunk = [0; CHUNK];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => push(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_counts_what_it_does_not_keep() {
        let mut head = Head::new(4);
        head.push(b"ab");
        assert_eq!(head.output(), Some(Output::Text("ab".into())));
        head.push(b"cd");
        assert_eq!(head.output(), Some(Output::Text("abcd".into())));
        head.push(b"efg");
        assert_eq!((head.output(), head.bytes()), (Some(Output::TooLong(7)), &b"abcd"[..]));
    }

    #[test]
    fn a_tail_is_the_end_and_says_what_is_missing() {
        let mut tail = Tail::new(5);
        tail.push(b"abc");
        assert_eq!(tail.text(), "abc");
        tail.push(b"defg");
        assert_eq!(tail.text(), "…cdefg");
        tail.push("0123456789é12".as_bytes());
        assert_eq!(tail.text(), "…9é12");
        tail.push("é123".as_bytes());
        assert_eq!(tail.text(), "…é123");
        tail.push(b"4");
        assert_eq!(tail.text(), "…1234");
        tail.clear();
        assert_eq!(tail.text(), "");
    }
}
