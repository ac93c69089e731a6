//! Figures over time: how much came, ran, failed, and how long it took, by queue and by kind.
//!
//! They are part of the projection: what a stretch of the log adds to them is written in the transaction that takes it in,
//! into the steps of the facts' own time. So they count each fact once, and a rebuilt projection has the same figures. Each
//! step of each [`warren_core::Span`] is a hash that Redis forgets by itself. What waits and runs is no fact of the log;
//! the leader looks at it every ten seconds ([`Sampler`]), and writes sums, so that a step shows the mean.

mod bucket;
mod sampler;
mod tally;

use std::{fmt, str::FromStr};

use warren_core::{Kind, QueueName, Span, figure::Measure};
use warren_runtime::redis::{Error, Store};

pub use bucket::{Bucket, Figures};
pub use sampler::Sampler;
pub use tally::{Tally, of_move};

/// Whose figures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All tasks of a queue.
    Queue(QueueName),
    /// The attempts of a kind. Only a kind that a worker knows has any, so there are few.
    Kind(Kind),
}

/// What the leader looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Tasks that may start.
    Queued,
    /// Tasks that wait for their time.
    Delayed,
    /// Tasks that run.
    Running,
}

/// How often it was looked, as a field of a step.
const SAMPLES: &str = "samples";
/// Workers that were there, as a field of a step.
const WORKERS: &str = "workers";

impl Gauge {
    const ALL: [Self; 3] = [Self::Queued, Self::Delayed, Self::Running];

    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delayed => "delayed",
            Self::Running => "running",
        }
    }
}

// A field of a step: `q/QUEUE/measure`, `k/KIND/measure`. A kind may hold slashes, a measure does not.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(queue) => write!(f, "q/{queue}"),
            Self::Kind(kind) => write!(f, "k/{kind}"),
        }
    }
}

// What a field counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Measure(Measure),
    Gauge(Gauge),
}

fn read_field(field: &str) -> Option<(Subject, Quantity)> {
    let (subject, quantity) = field.rsplit_once('/')?;
    let subject = match subject.split_once('/')? {
        ("q", queue) => Subject::Queue(QueueName::parse(queue).ok()?),
        ("k", kind) => Subject::Kind(Kind::parse(kind).ok()?),
        _ => return None,
    };
    let gauge = Gauge::ALL.into_iter().find(|gauge| gauge.name() == quantity);
    let measure = || Measure::from_str(quantity).ok().map(Quantity::Measure);
    Some((subject, gauge.map(Quantity::Gauge).or_else(measure)?))
}

/// The figures of these steps, in their order. A step of which nothing is known is empty.
pub async fn read(store: &Store, span: Span, steps: &[u64]) -> Result<Vec<Bucket>, Error> {
    let mut reading = redis::pipe();
    for step in steps {
        reading.hgetall(store.keys().figures(span, *step));
    }
    let stored: Vec<Vec<(String, i64)>> = reading.query_async(&mut store.shared()).await?;
    Ok(stored.iter().map(|fields| Bucket::read(fields)).collect())
}

/// The commands that add to the figures of a step, and let Redis forget it in time.
fn add(writing: &mut redis::Pipeline, key: &str, forgotten: u64, fields: impl IntoIterator<Item = (String, i64)>) {
    for (field, by) in fields {
        writing.cmd("HINCRBY").arg(key).arg(field).arg(by).ignore();
    }
    writing.cmd("EXPIREAT").arg(key).arg(forgotten).ignore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_back() {
        let queue = Subject::Queue(QueueName::default());
        let kind = Subject::Kind(Kind::parse("a/b:c").unwrap());
        for (subject, measure) in [(queue, Measure::Submitted), (kind, Measure::Failed)] {
            assert_eq!(read_field(&format!("{subject}/{measure}")), Some((subject, Quantity::Measure(measure))));
        }
        assert!(matches!(read_field("q/default/queued"), Some((_, Quantity::Gauge(Gauge::Queued)))));
        for other in ["samples", "q/default", "x/default/queued", "q/default/later"] {
            assert_eq!(read_field(other), None, "{other}");
        }
    }
}
