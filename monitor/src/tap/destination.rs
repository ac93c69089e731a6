//! Whether a queue exists.

use std::{collections::HashMap, time::Duration};

use lapin::{options::QueueDeclareOptions, types::FieldTable};
use tokio::time::Instant;
use warren_runtime::amqp::{Error, Link};

const REMEMBERED: Duration = Duration::from_secs(1);

/// What was found out a moment ago.
#[derive(Debug, Default)]
pub struct Destinations {
    known: HashMap<String, (Instant, bool)>,
}

impl Destinations {
    /// Whether the broker has this queue, or had it within the last second.
    pub async fn exists(&mut self, link: &Link, queue: &str) -> Result<bool, Error> {
        self.known.retain(|_, (asked, _)| asked.elapsed() < REMEMBERED);
        if let Some((_, exists)) = self.known.get(queue) {
            return Ok(*exists);
        }
        let asked = Instant::now();
        let exists = ask(link, queue).await?;
        self.known.insert(queue.to_owned(), (asked, exists));
        Ok(exists)
    }
}

// On a channel of its own, for it dies with the answer no.
async fn ask(link: &Link, queue: &str) -> Result<bool, Error> {
    let channel = link.channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    if let Err(source) = channel.queue_declare(queue.into(), options, FieldTable::default()).await {
        let error = Error::Broker { what: format!("look for {queue}"), source };
        return if error.is_not_found() { Ok(false) } else { Err(error) };
    }
    let closed = channel.close(200, "done".into()).await;
    closed.map(|()| true).map_err(|source| Error::Broker { what: "close a channel".to_owned(), source })
}
