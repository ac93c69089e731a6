//! Telling the broker what becomes of a delivery.

use std::{pin::pin, time::Duration};

use lapin::{
    Acker,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::time::timeout;

use super::Error;

const LOOK: Duration = Duration::from_millis(500);

/// It is done; with `multiple`, all before it on its channel are. An error where the channel is gone: then the broker hands
/// it out again.
pub async fn acknowledge(acker: &Acker, multiple: bool) -> Result<(), Error> {
    settled(acker, acker.ack(BasicAckOptions { multiple }), "acknowledge").await
}

/// It goes back to its place in the queue.
pub async fn give_back(acker: &Acker) -> Result<(), Error> {
    let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    settled(acker, acker.nack(options), "give back a delivery").await
}

// What the client library is told in the moment in which its connection breaks it may never answer (seen in 4.12 with one
// in ten of those that settle one delivery after another). The channel knows that it is gone all the same.
async fn settled(
    acker: &Acker,
    answer: impl Future<Output = Result<bool, lapin::Error>>,
    what: &str,
) -> Result<(), Error> {
    let mut answer = pin!(answer);
    loop {
        match timeout(LOOK, &mut answer).await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Err(source)) => return Err(Error::Broker { what: what.to_owned(), source }),
            Ok(Ok(false)) => return Err(Error::ChannelClosed),
            Err(_) if acker.poisoned() => return Err(Error::ChannelClosed),
            Err(_) => {}
        }
    }
}
