//! Walking through a queue of dead letters from its head.
//!
//! Letters are fetched by `basic.get`, on a few channels side by side, so that no more than a few bodies are on their way
//! whatever their size, and are held by the broker as unacknowledged. Nothing is kept of those that were passed: when the
//! channels close, they all go back to their places, in classic and quorum queues alike.

use futures::future::{join_all, try_join_all};
use lapin::{Channel, message::Delivery, options::BasicGetOptions};
use tokio::time::{Duration, Instant};
use warren_runtime::amqp::{Error, Link};

// One channel waits for each answer; so many together ask for the next while those of the others are on their way.
const CHANNELS: usize = 8;
const LETTERS: usize = 100;
const BYTES: usize = 4 << 20;
// The broker closes the channel of whoever holds a message for longer than `consumer_timeout`; less than five minutes
// nobody should configure (RabbitMQ documentation, "Delivery Acknowledgement Timeout").
const LONGEST: Duration = Duration::from_mins(4);

/// A walk through one queue.
#[derive(Debug)]
pub struct Walk {
    channels: Vec<Channel>,
    queue: String,
    begun: Instant,
    passed: u64,
}

impl Walk {
    /// At the head of the queue.
    pub async fn begin(link: &Link, queue: String) -> Result<Self, Error> {
        let channels = try_join_all((0..CHANNELS).map(|_| link.channel())).await?;
        Ok(Self { channels, queue, begun: Instant::now(), passed: 0 })
    }

    /// The next letters: few enough, and not too large. None at the end of the queue.
    pub async fn next(&mut self) -> Result<Vec<Delivery>, Error> {
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while letters.len() < LETTERS && bytes < BYTES {
            let before = letters.len();
            for got in try_join_all(self.channels.iter().map(|channel| self.get(channel))).await?.into_iter().flatten()
            {
                bytes += got.data.len();
                letters.push(got);
            }
            if letters.len() < before + CHANNELS {
                break;
            }
        }
        self.passed += letters.len() as u64;
        Ok(letters)
    }

    async fn get(&self, channel: &Channel) -> Result<Option<Delivery>, Error> {
        let got = channel.basic_get(self.queue.as_str().into(), BasicGetOptions::default()).await;
        let got = got.map_err(|source| Error::Broker { what: format!("read {}", self.queue), source })?;
        Ok(got.map(|got| got.delivery))
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
        let closing = self.channels.iter().map(|channel| channel.close(200, "done".into()));
        let closed: Result<Vec<()>, _> = join_all(closing).await.into_iter().collect();
        closed.map(drop).map_err(|source| Error::Broker { what: "close a channel".to_owned(), source })
    }
}
