//! Who leads: a lease in Redis, held by one process at a time.
//!
//! The lease only keeps two processes from doing the same work. That nothing is done twice does not rest on it, but on
//! what guards each change.

use std::{fmt, mem, time::Duration};

use redis::Script;
use tokio::{
    pin, select,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Error, Store};
use crate::amqp::session::chain;

const RETRY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);

// `allow-oom`: a pool whose Redis is full still needs a leader, for it is the leader that throws old tasks away.
// Our own value counts as acquired: the answer to an earlier attempt may have been lost.
const ACQUIRE: &str = "#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";
const RENEW: &str = "#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";
const RELEASE: &str = "#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// What is led, and for how long at a time.
#[derive(Debug, Clone)]
pub struct Office {
    /// The key of the lease.
    pub key: String,
    /// How long a lease is: the longest time without a leader.
    pub lease: Duration,
    /// How much earlier a term ends by itself than its lease, whatever the two clocks' rates.
    pub margin: Duration,
    /// How often the lease is renewed.
    pub renewal: Duration,
}

/// What becomes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// Another leads.
    Waiting,
    /// Redis gives no lease, for this reason.
    Refused(&'a str),
    /// Our own term begins.
    Leading,
    /// Our own term is over.
    Over,
}

/// Runs for leadership as long as the process lives.
pub struct Candidate<Tell> {
    store: Store,
    office: Office,
    process: String,
    tell: Tell,
}

impl<Tell> fmt::Debug for Candidate<Tell> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("office", &self.office)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl<Tell: Fn(News<'_>)> Candidate<Tell> {
    /// For the process of this name, which must be unique to this run of it. `tell` is told all news.
    pub fn new(store: Store, office: Office, process: &str, tell: Tell) -> Self {
        Self { store, office, process: process.to_owned(), tell }
    }

    /// Calls `lead` for each term, until `drain`. The token tells it that the term is over; the lease is given up only
    /// after it has returned.
    pub async fn run<F: Future<Output = ()>>(self, drain: CancellationToken, lead: impl Fn(CancellationToken) -> F) {
        let mut silent = false;
        while !drain.is_cancelled() {
            let before = Instant::now();
            let wait = match timeout(PATIENCE, self.ask(ACQUIRE)).await {
                Ok(Ok(true)) => {
                    silent = false;
                    self.term(before + self.office.lease - self.office.margin, &drain, &lead).await;
                    Duration::ZERO
                }
                Ok(Ok(false)) => {
                    silent = false;
                    (self.tell)(News::Waiting);
                    RETRY
                }
                Ok(Err(error)) => self.refused(&chain(&error), &mut silent),
                Err(_) => self.refused("Redis does not answer", &mut silent),
            };
            drain.run_until_cancelled(sleep(wait)).await;
        }
    }

    // A Redis that is there and takes nothing, for its disk is full, is another matter than one that is away: say which.
    fn refused(&self, why: &str, silent: &mut bool) -> Duration {
        (self.tell)(News::Refused(why));
        if !mem::replace(silent, true) {
            warn!(error = why, "Redis gives no lease");
        }
        RETRY
    }

    async fn term<F: Future<Output = ()>>(
        &self,
        deadline: Instant,
        drain: &CancellationToken,
        lead: impl Fn(CancellationToken) -> F,
    ) {
        info!(office = self.office.key, "leading");
        (self.tell)(News::Leading);
        let over = CancellationToken::new();
        // Should we be dropped in the middle, the term is over as well.
        let _over = over.clone().drop_guard();
        let leading = lead(over.clone());
        pin!(leading);
        let ended = select! {
            () = &mut leading => true,
            () = self.keep(deadline, drain) => false,
        };
        if !ended {
            over.cancel();
            leading.await;
        }
        (self.tell)(News::Over);
        match timeout(PATIENCE, self.ask(RELEASE)).await {
            Ok(Ok(_)) => info!(office = self.office.key, "no longer leading"),
            failed @ (Ok(Err(_)) | Err(_)) => info!(?failed, "no longer leading, and the lease runs out by itself"),
        }
    }

    // Returns when the lease is lost or is no longer wanted.
    async fn keep(&self, mut deadline: Instant, drain: &CancellationToken) {
        let Office { lease, margin, renewal, .. } = self.office;
        let mut wait = renewal;
        while drain.run_until_cancelled(sleep(wait)).await.is_some() {
            // Counted from before the call: a slow renewal must not lengthen the lease.
            let before = Instant::now();
            match timeout_at(deadline, self.ask(RENEW)).await {
                Ok(Ok(true)) => {
                    deadline = before + lease - margin;
                    wait = renewal;
                }
                Ok(Ok(false)) => {
                    warn!("the lease was lost to another process, or with the data of Redis");
                    return;
                }
                Ok(Err(error)) => {
                    debug!(%error, "the lease was not renewed");
                    wait = RETRY;
                }
                Err(_) => {
                    warn!("the lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    async fn ask(&self, script: &str) -> Result<bool, Error> {
        let script = Script::new(script);
        let mut call = script.key(&self.office.key);
        call.arg(&self.process).arg(u64::try_from(self.office.lease.as_millis()).unwrap_or(u64::MAX));
        Ok(call.invoke_async(&mut self.store.shared()).await?)
    }
}
