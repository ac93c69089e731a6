//! Who leads: a lease in Redis, held by one monitor at a time.
//!
//! The lease only keeps two monitors from doing the same work. That nothing is applied twice does not rest on it, but on
//! the projection's guarded transaction.

use std::{mem, sync::Arc, time::Duration};

use redis::Script;
use tokio::{
    pin, select,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use warren_runtime::{
    amqp::session::chain,
    readiness::Latch,
    redis::{Error, Store},
};

use crate::metrics::Metrics;

const LEASE: Duration = Duration::from_secs(10);
// Ends our term before Redis ends our lease, whatever the two clocks' rates.
const MARGIN: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_secs(3);
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

/// Runs for leadership as long as the process lives.
#[derive(Debug)]
pub struct Candidate {
    store: Store,
    process: String,
    latch: Arc<Latch>,
    metrics: Metrics,
}

impl Candidate {
    /// For the process of this name. While another leads, the latch says whether Redis answers; in our own term it
    /// belongs to the projection.
    pub fn new(store: Store, process: &str, latch: Arc<Latch>, metrics: Metrics) -> Self {
        Self { store, process: process.to_owned(), latch, metrics }
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
                    self.term(before + LEASE - MARGIN, &drain, &lead).await;
                    Duration::ZERO
                }
                Ok(Ok(false)) => {
                    silent = false;
                    self.latch.met();
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
        self.latch.missing(why);
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
        info!("leading");
        self.metrics.leader.set(1);
        self.latch.missing("the projection is starting");
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
        self.metrics.leader.set(0);
        match timeout(PATIENCE, self.ask(RELEASE)).await {
            Ok(Ok(_)) => info!("no longer leading"),
            failed @ (Ok(Err(_)) | Err(_)) => info!(?failed, "no longer leading, and the lease runs out by itself"),
        }
    }

    // Returns when the lease is lost or is no longer wanted.
    async fn keep(&self, mut deadline: Instant, drain: &CancellationToken) {
        let mut wait = RENEWAL;
        while drain.run_until_cancelled(sleep(wait)).await.is_some() {
            // Counted from before the call: a slow renewal must not lengthen the lease.
            let before = Instant::now();
            match timeout_at(deadline, self.ask(RENEW)).await {
                Ok(Ok(true)) => {
                    deadline = before + LEASE - MARGIN;
                    wait = RENEWAL;
                }
                Ok(Ok(false)) => {
                    warn!("the lease was lost to another monitor, or with the data of Redis");
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
        let mut call = script.key(self.store.keys().leader());
        call.arg(&self.process).arg(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX));
        Ok(call.invoke_async(&mut self.store.shared()).await?)
    }
}
