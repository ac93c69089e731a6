//! Following the event log for one term of leadership: what it says of workflows is written down, and what follows is done.
//!
//! What must stay true: nothing is handed in before the log was read up to where the term began. So what the leader before
//! has handed in, and could tell the log, is not handed in again.

mod intake;
mod marker;
mod reading;

use std::{convert::Infallible, mem, time::Duration};

use tokio::{
    pin, select,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use warren_runtime::{
    amqp::{Link, session::Sessions, session::chain},
    event_log::{
        entry::Passing,
        reader::{Reader, Start, done_with},
    },
};

use super::{Error, Measured, cabinet::Cabinet, engine::Trouble, release::Means};
use crate::Producer;
use reading::Reading;

const TICK: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_secs(1);
// How long the log may keep back a message of ours that it has confirmed.
const SILENCE: Duration = Duration::from_secs(10);

/// What is done in a term.
#[derive(Debug)]
pub struct Follower {
    pub cabinet: Cabinet,
    pub producer: Producer,
    pub measured: Measured,
    pub trouble: Trouble,
}

enum Interruption {
    Failed(Error),
    // Somebody else writes.
    Overtaken,
    // The log does not hold what was read up to the stored cursor.
    Replaced,
}

impl<E: Into<Error>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Follower {
    /// Follows the log until `over`.
    pub async fn run(&self, over: &CancellationToken) {
        let mut sessions = Sessions::new(self.producer.connector().clone(), "workflows");
        while let Some(link) = sessions.next(over).await {
            let ended = over.run_until_cancelled(link.during(self.session(&link))).await;
            let ended = match ended {
                None => Ok(()),
                Some(Err(Error::Broker(error))) => Err(error),
                Some(Err(other)) => {
                    self.say(&other);
                    over.run_until_cancelled(sleep(AGAIN)).await;
                    Ok(())
                }
            };
            sessions.ended(link, ended).await;
        }
    }

    fn say(&self, error: &Error) {
        let why = chain(error);
        warn!(error = why, "no workflow goes on");
        self.trouble.set(Some(&why));
    }

    // Every transaction holds or does not whatever becomes of us, so this may be dropped anywhere.
    async fn session(&self, link: &Link) -> Result<Infallible, Error> {
        self.producer.topology().declare(link).await?;
        let mut from_the_beginning = false;
        loop {
            let Err(interruption) = self.follow(link, from_the_beginning).await;
            match interruption {
                Interruption::Failed(error) => return Err(error),
                Interruption::Overtaken => info!("workflows are written by another, or were: starting over"),
                Interruption::Replaced => {
                    if mem::replace(&mut from_the_beginning, true) {
                        sleep(AGAIN).await;
                    }
                    warn!("the event log is not the one that workflows were read from: reading all of it");
                }
            }
        }
    }

    async fn follow(&self, link: &Link, from_the_beginning: bool) -> Result<Infallible, Interruption> {
        let mut reading = Reading::new(self.cabinet.clone()).await?;
        let start = match &reading.stored {
            Some(cursor) if !from_the_beginning => Start::At(cursor.offset),
            Some(_) | None => Start::First,
        };
        let mut reader = Reader::open(link, self.producer.topology().names(), "workflows", start).await?;
        debug!(?start, "reading the event log for workflows");
        let mut verified = start == Start::First;
        let marker = reading.marker.clone();
        let (marking, taking) = (self.mark(&marker), self.take_in(link));
        pin!(marking, taking);
        let mut confirmed = None;
        let mut next = Instant::now();
        loop {
            select! {
                biased;
                taken = &mut taking => {
                    let Err(error) = taken;
                    return Err(error.into());
                }
                arrived = reader.next() => {
                    let mut arrived = arrived?;
                    if !verified {
                        // An offset in another log is accepted without a word: the first message must be the stored one.
                        let first = arrived.remove(0);
                        if Some(Passing::read(&first)?.cursor) != reading.stored {
                            return Err(Interruption::Replaced);
                        }
                        done_with(&first).await?;
                        verified = true;
                    }
                    reading.take(&arrived, &self.trouble).await?;
                    if let Some(last) = arrived.last() {
                        done_with(last).await?;
                    }
                }
                at = &mut marking, if confirmed.is_none() => confirmed = Some(at),
                () = sleep_until(next) => {
                    let waited = confirmed.filter(|at| at.elapsed() > SILENCE && *at > reader.arrival());
                    if !reading.is_live && waited.is_some() {
                        return Err(Interruption::Replaced);
                    }
                    next = Instant::now() + TICK;
                    if reading.is_live {
                        reading.look_back().await?;
                        if Instant::now() >= reading.sweeps_at {
                            reading.sweep().await?;
                        }
                    }
                    if !reading.lookups.is_empty() {
                        next = Instant::now() + SOON;
                    }
                }
            }
            if reading.is_live && !reading.errands.are_done() && Instant::now() >= reading.rests_until {
                next = self.errands(&mut reading).await?;
            }
        }
    }

    // Does what is to be done, and says when to come again.
    async fn errands(&self, reading: &mut Reading) -> Result<Instant, Interruption> {
        let as_of = reading.stored.as_ref().map_or(0, |cursor| cursor.offset);
        let means = Means { cabinet: &self.cabinet, producer: &self.producer, measured: &self.measured, as_of };
        match reading.errands.run(&mut reading.book, means).await {
            Ok(()) => {
                self.trouble.set(None);
                Ok(if reading.errands.are_done() { Instant::now() + TICK } else { Instant::now() })
            }
            Err(Error::Forgotten) => Err(Interruption::Overtaken),
            Err(error) => {
                self.say(&error);
                reading.rests_until = Instant::now() + AGAIN;
                Ok(reading.rests_until)
            }
        }
    }
}
