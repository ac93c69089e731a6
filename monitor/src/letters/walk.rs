//! Walking through a queue of dead letters from its head.
//!
//! Letters are fetched one by one (`basic.get`), so that no more than one body is on its way whatever its size, and are
//! held by the broker as unacknowledged. Nothing is kept of those that were passed: when the channel closes, they all go
//! back to their places, in classic and quorum queues alike.

use lapin::{Channel, message::Delivery, options::BasicGetOptions};
use tokio::time::{Duration, Instant};
use warren_runtime::amqp::{Error, Link};

const LETTERS: usize = 100;
const BYTES: usize = 4 << 20;
// The broker closes the channel of whoever holds a message for longer than `consumer_timeout`; less than five minutes
// nobody should configure (RabbitMQ documentation, "Delivery Acknowledgement Timeout").
const LONGEST: Duration = Duration::from_mins(4);

/// A walk through one queue.
#[derive(Debug)]
pub struct Walk {
    channel: Channel,
    queue: String,
    begun: Instant,
    passed: u64,
}

impl Walk {
    /// At the head of the queue.
    pub async fn begin(link: &Link, queue: String) -> Result<Self, Error> {
        Ok(Self { channel: link.channel().await?, queue, begun: Instant::now(), passed: 0 })
    }

    /// The next letters: few enough, and not too large. None at the end of the queue.
    pub async fn next(&mut self) -> Result<Vec<Delivery>, Error> {
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while letters.len() < LETTERS && bytes < BYTES {
            let got = self.channel.basic_get(self.queue.as_str().into(), BasicGetOptions::default()).await;
            let got = got.map_err(|source| Error::Broker { what: format!("read {}", self.queue), source })?;
            let Some(got) = got else { break };
            bytes += got.delivery.data.len();
            letters.push(got.delivery);
        }
        self.passed += letters.len() as u64;
        Ok(letters)
    }

    /// How many letters were met.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// How long it has taken.
    pub fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether it must end, for the broker bears no longer one.
    pub fn is_too_long(&self) -> bool {
        self.took() > LONGEST
    }

    /// Gives back what was not acknowledged.
    pub async fn end(self) -> Result<(), Error> {
        let closed = self.channel.close(200, "done".into()).await;
        closed.map_err(|source| Error::Broker { what: "close a channel".to_owned(), source })
    }
}
