//! A pool of long-lived programs that speak JSON lines, so that an interpreter stays warm.
//!
//! A program reads requests from its standard input and writes answers to its standard output, one JSON object a line:
//!
//! - in: `{"id", "kind", "attempt", "payload"}`; the payload as JSON if it is JSON, else as text; bytes that are neither
//!   stand under `payload_base64` instead. A `traceparent` is added if the task carries one.
//! - out: `{"id", "progress"}` any number of times, then one of `{"id", "result"}` and
//!   `{"id", "error", "retry": true|false}` (`retry` is true unless said otherwise).
//!
//! It must write each line out at once (in Python: `print(…, flush=True)`), nothing else to its standard output, and end
//! when its input ends. Its standard error goes to the worker's log, at level debug.
//!
//! What must stay true: a program works on one task at a time; one that was stopped, has died or broke the protocol is
//! never given another, so no answer can reach the wrong task.

mod child;
pub mod lines;
pub mod protocol;

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::task::TaskTracker;
use tracing::warn;
use warren_core::Outcome;

use self::child::{Child, Condition, Served};
use super::{Context, Handler, Job, failure::chain, program::Program};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
// Far below an attempt's usual timeout, for attempts wait for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs tasks in long-lived programs.
#[derive(Debug)]
pub struct Process {
    program: Program,
    limits: ProcessLimits,
    room: Semaphore,
    idle: Mutex<Vec<Child>>,
    pause: Mutex<Pause>,
    retiring: TaskTracker,
}

/// How many programs, and how long they live.
#[derive(Debug, Clone)]
pub struct ProcessLimits {
    /// How many run at most.
    pub processes: NonZeroU32,
    /// A program is replaced after so many tasks.
    pub max_tasks: Option<NonZeroU32>,
    /// From SIGTERM to SIGKILL.
    pub kill_grace: Duration,
}

// When a program may be started again, after some have failed in a row.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Process {
    /// Starts nothing yet: programs are started when tasks come.
    pub fn new(program: Program, limits: ProcessLimits) -> Self {
        Self {
            program,
            room: Semaphore::new(limits.processes.get() as usize),
            limits,
            idle: Mutex::default(),
            pause: Mutex::default(),
            retiring: TaskTracker::new(),
        }
    }

    /// Lets all programs go that wait for tasks: their input ends, and who has not ended two seconds later is killed.
    /// Nothing runs here afterwards. A pool that is dropped without this kills them at once.
    pub async fn close(&self) {
        self.room.close();
        let idle = std::mem::take(&mut *lock(&self.idle));
        join_all(idle.into_iter().map(Child::retire)).await;
        self.retiring.close();
        self.retiring.wait().await;
    }

    async fn execute(&self, job: &Job, context: &Context) -> Outcome {
        let stopped = || Outcome::retryable("stopped");
        let Some(Ok(_room)) = context.stop.run_until_cancelled(self.room.acquire()).await else { return stopped() };
        let mut child = match context.stop.run_until_cancelled(self.child()).await {
            Some(Ok(child)) => child,
            Some(Err(failure)) => return failure,
            None => return stopped(),
        };
        let Some(Served { outcome, condition }) = context.stop.run_until_cancelled(child.serve(job, context)).await
        else {
            child.stop(self.limits.kill_grace).await;
            return stopped();
        };
        match condition {
            Condition::Fit if !child.is_worn(self.limits.max_tasks) => {
                lock(&self.pause).reset();
                lock(&self.idle).push(child);
            }
            Condition::Fit | Condition::Spent => {
                lock(&self.pause).reset();
                self.retiring.spawn(child.retire());
            }
            Condition::Broken => {
                lock(&self.pause).lengthen(Instant::now());
                self.retiring.spawn(child.stop(self.limits.kill_grace));
            }
        }
        outcome
    }

    // A program that waits, or a new one. Cancel safe.
    async fn child(&self) -> Result<Child, Outcome> {
        loop {
            let Some(mut child) = lock(&self.idle).pop() else { break };
            match child.unfit() {
                None => return Ok(child),
                Some(problem) => {
                    warn!(program = self.program.name(), problem, "replaced while it had nothing to do");
                    self.retiring.spawn(child.stop(self.limits.kill_grace));
                }
            }
        }
        let until = lock(&self.pause).until;
        if let Some(until) = until {
            sleep_until(until).await;
        }
        Child::start(&self.program).map_err(|error| {
            lock(&self.pause).lengthen(Instant::now());
            Outcome::retryable(chain(&error))
        })
    }
}

impl Handler for Process {
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
        self.execute(job, context).boxed()
    }

    fn is_isolated(&self) -> bool {
        true
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Process::close(self).boxed()
    }
}

impl Pause {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn lengthen(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
    }
}

// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
