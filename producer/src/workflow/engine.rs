//! Runs the workflows, as long as this process leads.
//!
//! What must stay true does not rest on the lease, which only keeps two processes from doing the same work, but on the cursor
//! with which each change is written (`ledger`), and on what the tasks bear (`release`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use warren_runtime::{
    readiness::Latch,
    redis::leader::{Candidate, News, Office},
};

use super::{Measured, Workflows, follower::Follower};

const LEASE: Duration = Duration::from_secs(6);
const MARGIN: Duration = Duration::from_millis(1_500);
const RENEWAL: Duration = Duration::from_secs(1);
// What is on its way to the broker when a term ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why no workflow goes on, for readiness. A gateway without workflows has no need of Redis, and is ready without it.
#[derive(Debug, Clone)]
pub struct Trouble {
    latch: Arc<Latch>,
    concerned: Arc<AtomicBool>,
}

impl Trouble {
    fn new(latch: Latch) -> Self {
        latch.met();
        Self { latch: Arc::new(latch), concerned: Arc::default() }
    }

    /// It goes on, or does not for this reason.
    pub fn set(&self, why: Option<&str>) {
        match why {
            None => self.latch.met(),
            Some(why) if self.concerned.load(Ordering::Relaxed) => {
                self.latch.missing(format!("no workflow goes on: {why}"));
            }
            Some(_) => {}
        }
    }

    /// There are workflows.
    pub fn concern(&self) {
        self.concerned.store(true, Ordering::Relaxed);
    }
}

/// The component.
#[derive(Debug)]
pub struct Engine {
    workflows: Workflows,
    process: String,
    latch: Latch,
    measured: Measured,
}

impl Engine {
    /// For the process of this name, which must be unique to this run of it.
    pub fn new(workflows: Workflows, process: &str, latch: Latch, measured: Measured) -> Self {
        Self { workflows, process: process.to_owned(), latch, measured }
    }

    /// Runs until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        let Self { workflows, process, latch, measured } = self;
        let (cabinet, producer) = (workflows.cabinet().clone(), workflows.producer().clone());
        let store = cabinet.store().clone();
        let key = store.keys().workflows_leader();
        let office = Office { key, lease: LEASE, margin: MARGIN, renewal: RENEWAL };
        let trouble = Trouble::new(latch);
        let (told, leader) = (trouble.clone(), measured.leader.clone());
        let tell = move |news: News<'_>| match news {
            News::Waiting => told.set(None),
            News::Refused(why) => told.set(Some(why)),
            News::Leading => {
                leader.set(1);
            }
            News::Over => {
                leader.set(0);
            }
        };
        let follower = Follower { cabinet, producer, measured, trouble };
        let term = |over: CancellationToken| {
            let follower = &follower;
            async move {
                let last_words = async {
                    over.cancelled().await;
                    sleep(LAST_WORDS).await;
                };
                tokio::select! {
                    () = Box::pin(follower.run(&over)) => {}
                    () = last_words => debug!("the term is over: whoever leads next carries on"),
                }
            }
        };
        Candidate::new(store, office, &process, tell).run(drain, term).await;
    }
}
