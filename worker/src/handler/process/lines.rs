//! Lines of a bounded length.

use std::io;

use futures::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    stream: BufReader<R>,
    begun: Vec<u8>,
    limit: usize,
}

/// Why there is no further line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line is longer than it may be.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// The stream failed.
    #[error("cannot read")]
    Read(#[from] io::Error),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub fn new(stream: R, limit: usize) -> Self {
        Self { stream: BufReader::new(stream), begun: Vec::new(), limit }
    }

    /// The next line without its end; `None` when the stream has ended. What follows the last line end is no line.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let piece = self.stream.fill_buf().await?;
            if piece.is_empty() {
                return Ok(None);
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = &piece[..end.unwrap_or(piece.len())];
            if self.begun.len() + taken.len() > self.limit {
                return Err(Error::TooLong(self.limit));
            }
            self.begun.extend_from_slice(taken);
            let used = taken.len() + usize::from(end.is_some());
            self.stream.consume(used);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.begun)));
            }
        }
    }

    /// Whether nothing has come since the last line, its end neither, as far as is known by now.
    pub fn is_quiet(&mut self) -> bool {
        self.begun.is_empty() && self.stream.fill_buf().now_or_never().is_none()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn is_quiet_until_something_comes() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 64);
        assert!(lines.is_quiet());
        writer.write_all(b"a\nb").await.unwrap();
        assert!(!lines.is_quiet());
        lines.next().await.unwrap();
        assert!(!lines.is_quiet());
    }

    #[tokio::test]
    async fn reads_lines_up_to_their_limit() {
        let mut lines = Lines::new(&b"a\n\nabcd\nrest"[..], 4);
        for expected in ["a", "", "abcd"] {
            assert_eq!(lines.next().await.unwrap().as_deref(), Some(expected.as_bytes()));
        }
        assert_eq!(lines.next().await.unwrap(), None);
        let mut endless = Lines::new(tokio::io::repeat(b'x'), 100_000);
        assert!(matches!(endless.next().await, Err(Error::TooLong(100_000))));
    }
}
