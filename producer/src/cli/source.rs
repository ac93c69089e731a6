//! Where the command line's tasks come from: from flags, or from JSON lines.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use futures::{StreamExt, stream::BoxStream};
use tokio::io::AsyncRead;
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder, FramedRead, LinesCodec, LinesCodecError},
};
use warren_core::{Timestamp, retry::Backoff};
use warren_producer::{Config, Error, NewTask, request};

/// A task with the number of its line, or of its copy.
pub type Numbered = (u64, Result<NewTask, Refusal>);

/// Tasks in their order, as they are read.
pub type Tasks = BoxStream<'static, Numbered>;

/// Why a line is no task.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Task(#[from] Error),
    #[error("the line cannot be read")]
    Line(#[from] LinesCodecError),
    #[error("{field}: {detail}")]
    Field { field: &'static str, detail: String },
}

impl Refusal {
    /// Whether the same task may be accepted later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Task(error) => error.is_transient(),
            Self::Line(_) | Self::Field { .. } => false,
        }
    }
}

const AT_ONCE: usize = 256 << 10;
// A line holds more than its payload.
const BESIDE_THE_PAYLOAD: usize = 64 << 10;

#[derive(Debug, clap::Args)]
#[group(id = "task", multiple = true, conflicts_with = "file")]
pub struct TaskArgs {
    /// The kind of task: the name of its handler.
    #[arg(long, required_unless_present = "file")]
    kind: Option<String>,
    /// The payload, as JSON.
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// A file that holds the payload, of any sort.
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// The queue [default: default]
    #[arg(long)]
    queue: Option<String>,
    /// How urgent it is in its queue: 0 to 9, higher runs first.
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// An id of one's own, instead of a new one.
    #[arg(long, conflicts_with = "count")]
    id: Option<String>,
    /// It may have been handed in under this id before, and is to run once.
    #[arg(long, requires = "id")]
    once: bool,
    /// Tasks of its queue with the same key run one at a time, in the order in which they were handed in.
    #[arg(long, value_name = "KEY")]
    order_key: Option<String>,
    /// Start it no sooner than after this time: 30s, 5m, or milliseconds.
    #[arg(long, value_name = "TIME", value_parser = request::parse_duration)]
    delay: Option<std::time::Duration>,
    /// Start it no sooner than then: 2026-01-31T12:00:00Z, or milliseconds since 1970.
    #[arg(long, value_name = "WHEN", value_parser = Timestamp::parse)]
    eta: Option<Timestamp>,
    /// Give it up unless it has started within this time.
    #[arg(long, value_name = "TIME", value_parser = request::parse_duration)]
    expiration: Option<std::time::Duration>,
    /// Start no attempt of it later than then: 2026-01-31T12:00:00Z, or milliseconds since 1970.
    #[arg(long, value_name = "WHEN", value_parser = Timestamp::parse)]
    deadline: Option<Timestamp>,
    /// How many attempts it has, the first included.
    #[arg(long, value_name = "NUMBER")]
    max_attempts: Option<u32>,
    /// How long an attempt may take.
    #[arg(long, value_name = "TIME", value_parser = request::parse_duration)]
    timeout: Option<std::time::Duration>,
    /// The wait between attempts: fixed:500, or exponential:100:60000 for one that grows (in milliseconds).
    #[arg(long)]
    backoff: Option<Backoff>,
    /// A header of one's own; may be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = name_and_value)]
    headers: Vec<(String, String)>,
    /// Hand in this many of them, each with its own id.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl TaskArgs {
    /// The task, and how many of it.
    pub async fn task(&self) -> anyhow::Result<(NewTask, u64)> {
        let mut task = NewTask::new(self.kind.as_deref().unwrap_or_default());
        task = match (&self.payload, &self.payload_file) {
            (Some(json), _) => {
                serde_json::from_str::<serde::de::IgnoredAny>(json)
                    .context("--payload: expected JSON (a text needs quotes of its own: '\"hello\"')")?;
                task.payload(json.as_str()).content_type("application/json")
            }
            (None, Some(path)) => from_file(task, path).await?,
            (None, None) => task,
        };
        macro_rules! set {
            ($($field:ident),+) => { $(if let Some(value) = &self.$field { task = task.$field(value.clone()); })+ };
        }
        set!(queue, priority, id, order_key, delay, eta, expiration, deadline, max_attempts, timeout, backoff);
        if self.once {
            task = task.once();
        }
        for (name, value) in &self.headers {
            task = task.header(name, value.as_str());
        }
        Ok((task, self.count.unwrap_or(1)))
    }
}

async fn from_file(task: NewTask, path: &Path) -> anyhow::Result<NewTask> {
    let payload =
        tokio::fs::read(path).await.with_context(|| format!("--payload-file: cannot read {}", path.display()))?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&payload).is_ok();
    let content_type = if is_json { "application/json" } else { "application/octet-stream" };
    Ok(task.payload(payload).content_type(content_type))
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The tasks of a file of JSON lines, or of standard input for `-`. Empty lines count, and are no tasks.
pub async fn lines(path: &Path, config: &Config) -> anyhow::Result<Tasks> {
    let longest = config.max_body_bytes + BESIDE_THE_PAYLOAD;
    if path == Path::new("-") {
        return Ok(read_lines(tokio::io::stdin(), longest));
    }
    let file = tokio::fs::File::open(path).await.with_context(|| format!("--file: cannot open {}", path.display()))?;
    if file.metadata().await.is_ok_and(|data| data.is_dir()) {
        bail!("--file: {} is a folder", path.display());
    }
    Ok(read_lines(file, longest))
}

fn read_lines(input: impl AsyncRead + Unpin + Send + 'static, longest: usize) -> Tasks {
    let codec = Lines(LinesCodec::new_with_max_length(longest));
    let lines = FramedRead::with_capacity(input, codec, AT_ONCE).map(|line| line.and_then(|line| line));
    let numbered = futures::stream::iter(1..).zip(lines);
    let tasks = numbered.filter_map(async |(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some((number, request::parse_one(line.as_bytes()).map_err(Refusal::from))),
        Err(error) => Some((number, Err(error.into()))),
    });
    tasks.boxed()
}

// A line that cannot be read is an item like any other: the lines after it are read all the same.
struct Lines(LinesCodec);

impl Decoder for Lines {
    type Item = Result<String, LinesCodecError>;
    type Error = LinesCodecError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        Ok(item(self.0.decode(bytes)))
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        Ok(item(self.0.decode_eof(bytes)))
    }
}

fn item(decoded: Result<Option<String>, LinesCodecError>) -> Option<Result<String, LinesCodecError>> {
    decoded.map_or_else(|error| Some(Err(error)), |line| line.map(Ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &'static [u8], longest: usize) -> Vec<(u64, bool)> {
        read_lines(text, longest).map(|(number, task)| (number, task.is_ok())).collect().await
    }

    #[tokio::test]
    async fn bad_lines_do_not_hide_the_good_ones() {
        let text = b"{\"kind\":\"a\"}\n\nno json\n{\"kind\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n\xff\n{\"kind\":\"b\"}";
        assert_eq!(read(text, 20).await, [(1, true), (3, false), (4, false), (5, false), (6, true)]);
    }
}
