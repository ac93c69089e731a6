//! Runs the schedules, as long as this process leads.
//!
//! What must stay true does not rest on the lease, which only keeps two processes from doing the same work, but on each
//! schedule's progress (`turn`).

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use warren_core::ScheduleName;
use warren_runtime::{
    amqp::session::chain,
    clock,
    readiness::Latch,
    redis::leader::{Candidate, News, Office},
};

use super::{
    Error, Measured, Schedules,
    book::{Book, Known},
    sync::File,
    turn::Term,
    watch::{Trouble, Watch},
};

// A successor begins so long after a leader's death; no tick within it is missed, but late.
const LEASE: Duration = Duration::from_secs(6);
const MARGIN: Duration = Duration::from_millis(1_500);
const RENEWAL: Duration = Duration::from_secs(1);
// How soon a change is noticed, and a clock that was set.
const ROUND: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;
// What is on its way to the broker when a term ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The component.
#[derive(Debug)]
pub struct Scheduler {
    schedules: Schedules,
    process: String,
    file: File,
    latch: Latch,
    measured: Measured,
}

impl Scheduler {
    /// For the process of this name, which must be unique to this run of it, with the schedules of its configuration.
    pub fn new(schedules: Schedules, process: &str, file: File, latch: Latch, measured: Measured) -> Self {
        Self { schedules, process: process.to_owned(), file, latch, measured }
    }

    /// Runs until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        let Self { schedules, process, file, latch, measured } = self;
        let cabinet = schedules.cabinet().clone();
        let trouble = Trouble::default();
        let watch = Watch { cabinet: cabinet.clone(), latch, trouble: trouble.clone(), concerned: !file.is_empty() };
        let office = Office { key: cabinet.store().keys().scheduler(), lease: LEASE, margin: MARGIN, renewal: RENEWAL };
        let (told, leader) = (trouble.clone(), measured.leader.clone());
        let tell = move |news: News<'_>| match news {
            News::Waiting => told.clear(),
            News::Refused(why) => told.set(why),
            News::Leading => {
                leader.set(1);
            }
            News::Over => {
                leader.set(0);
            }
        };
        let candidate = Candidate::new(cabinet.store().clone(), office, &process, tell);
        let leader = Leader { schedules, process, file, measured, trouble, book: Mutex::default() };
        let term = |over| leader.lead(over);
        tokio::join!(watch.run(drain.clone()), candidate.run(drain, term));
    }
}

// What is done in each term.
#[derive(Debug)]
struct Leader {
    schedules: Schedules,
    process: String,
    file: File,
    measured: Measured,
    trouble: Trouble,
    // Between terms.
    book: Mutex<Book>,
}

impl Leader {
    async fn lead(&self, over: CancellationToken) {
        let last_words = async {
            over.cancelled().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = self.rounds(&over) => {}
            () = last_words => debug!("the term is over in the middle of a tick: whoever leads next carries it on"),
        }
    }

    async fn rounds(&self, over: &CancellationToken) {
        let mut book = std::mem::take(&mut *self.shelf());
        book.begin(LEASE);
        let mut silent = false;
        while !over.is_cancelled() {
            let wait = match self.round(&mut book, over).await {
                Ok(wait) => {
                    self.trouble.clear();
                    silent = false;
                    wait
                }
                Err(error) => {
                    let why = chain(&error);
                    self.trouble.set(&why);
                    if !std::mem::replace(&mut silent, true) {
                        warn!(error = why, "nothing is scheduled");
                    }
                    AGAIN
                }
            };
            over.run_until_cancelled(sleep(wait)).await;
        }
        *self.shelf() = book;
    }

    fn shelf(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics while putting a book away")
    }

    // Looks at everything that is due, and returns how long nothing will be.
    async fn round(&self, book: &mut Book, over: &CancellationToken) -> Result<Duration, Error> {
        book.refresh(self.schedules.cabinet(), &self.file, clock::now()).await?;
        let now = clock::now();
        let places = Semaphore::new(AT_ONCE);
        let mut turns = FuturesUnordered::new();
        for (name, known) in book.due(now) {
            turns.push(self.turn(name, known, &places, over));
        }
        while let Some(taken) = turns.next().await {
            match taken {
                Ok(()) => {}
                Err(error @ Error::Unreadable { .. }) => error!(error = chain(&error), "a schedule does not run"),
                Err(error) => return Err(error),
            }
        }
        drop(turns);
        Ok(book.next().map_or(ROUND, |next| next.since(clock::now()).min(ROUND)))
    }

    async fn turn(
        &self,
        name: &ScheduleName,
        known: &mut Known,
        places: &Semaphore,
        over: &CancellationToken,
    ) -> Result<(), Error> {
        let _place = places.acquire().await.expect("the places are never closed");
        let Known { kept, clockwork, turn, look } = known;
        // Should it fail, it is tried again, and no sooner.
        *look = clock::now().plus(AGAIN);
        let Self { schedules, process, measured, .. } = self;
        *look = turn.take(Term { schedules, process, measured, over }, name, kept, clockwork).await?;
        Ok(())
    }
}
