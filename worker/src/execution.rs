//! Running one attempt: until it ends by itself, its time is up, or the worker stops.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use warren_core::Outcome;

use crate::handler::{Context, Handler, Job};

// A handler that was asked to stop has this long beyond what it grants its own children.
const LAST_CHANCE: Duration = Duration::from_secs(10);
const BETWEEN_WORDS: Duration = Duration::from_millis(500);

/// How an execution ended.
#[derive(Debug, PartialEq)]
pub enum Execution {
    /// With an outcome.
    Ended(Outcome),
    /// The worker stopped it: it goes back and costs no attempt.
    Interrupted,
}

/// Runs one attempt. `wish` is cancelled when somebody wishes it to end; `told` is called with each word on its progress,
/// at most twice a second.
pub async fn run(
    handler: &dyn Handler,
    job: &Job,
    abort: &CancellationToken,
    wish: &CancellationToken,
    mut told: impl FnMut(Value) + Send,
) -> Execution {
    let stop = abort.child_token();
    let (context, mut progress) = Context::new(stop.clone());
    let limit = Instant::now() + job.timeout;
    let running = AssertUnwindSafe(handler.run(job, &context)).catch_unwind();
    tokio::pin!(running);
    let mut quiet_until = Instant::now();
    let reason = loop {
        let word = async {
            sleep_until(quiet_until).await;
            progress.changed().await
        };
        tokio::select! {
            biased;
            ended = &mut running => {
                let outcome = ended.unwrap_or_else(|panic| panicked(panic.as_ref()));
                return if abort.is_cancelled() { after_stop(outcome) } else { Execution::Ended(outcome) };
            }
            () = abort.cancelled() => break Stopped::Worker,
            () = wish.cancelled() => break Stopped::Wish,
            () = sleep_until(limit) => break Stopped::Time,
            Ok(()) = word => {
                let word = progress.borrow_and_update().clone();
                told(word);
                quiet_until = Instant::now() + BETWEEN_WORDS;
            }
        }
    };
    stop.cancel();
    let last = timeout(LAST_CHANCE, running).await;
    match (after_stop(last.ok().and_then(Result::ok).unwrap_or(Outcome::Cancelled)), reason) {
        (Execution::Interrupted, Stopped::Time) => Execution::Ended(Outcome::Timeout { limit_ms: millis(job.timeout) }),
        (Execution::Interrupted, Stopped::Wish) => Execution::Ended(Outcome::Cancelled),
        (execution, _) => execution,
    }
}

// Whatever a handler says after it was stopped, it says because of that; only a success that was on its way counts.
fn after_stop(outcome: Outcome) -> Execution {
    match outcome {
        Outcome::Success { .. } => Execution::Ended(outcome),
        Outcome::Retryable { .. }
        | Outcome::Permanent { .. }
        | Outcome::Timeout { .. }
        | Outcome::Cancelled
        | Outcome::Crashed { .. } => Execution::Interrupted,
    }
}

enum Stopped {
    Worker,
    Wish,
    Time,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Outcome::retryable(format!("the handler panicked: {}", text.unwrap_or("(no text)")))
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use warren_core::{Attempt, Kind, Priority, QueueName, TaskId};

    use super::*;

    struct Test(fn(Context) -> BoxFuture<'static, Outcome>);

    impl Handler for Test {
        fn run<'a>(&'a self, _: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
            (self.0)(context.clone())
        }
    }

    async fn execute(
        handler: fn(Context) -> BoxFuture<'static, Outcome>,
        abort: &CancellationToken,
        wish: &CancellationToken,
    ) -> Execution {
        let job = Job {
            id: TaskId::parse("t").unwrap(),
            kind: Kind::parse("k").unwrap(),
            queue: QueueName::default(),
            priority: Priority::default(),
            attempt: Attempt::FIRST,
            payload: Vec::new(),
            content_type: None,
            traceparent: None,
            timeout: Duration::from_mins(1),
        };
        run(&Test(handler), &job, abort, wish, |_| {}).await
    }

    fn never() -> CancellationToken {
        CancellationToken::new()
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_retryable_failure() {
        let execution = execute(|_| Box::pin(async { panic!("boom {}", 7) }), &never(), &never()).await;
        assert_eq!(execution, Execution::Ended(Outcome::retryable("the handler panicked: boom 7")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_does_not_stop_is_dropped_after_its_time() {
        let begun = Instant::now();
        let execution = execute(|_| Box::pin(std::future::pending()), &never(), &never()).await;
        assert_eq!(execution, Execution::Ended(Outcome::Timeout { limit_ms: 60_000 }));
        assert_eq!(begun.elapsed(), Duration::from_secs(70));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_stops_costs_no_attempt() {
        let abort = CancellationToken::new();
        abort.cancel();
        let handler: fn(Context) -> BoxFuture<'static, Outcome> = |context| {
            Box::pin(async move {
                context.stop.cancelled().await;
                Outcome::retryable("stopped")
            })
        };
        assert_eq!(execute(handler, &abort, &never()).await, Execution::Interrupted);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cancelled_ends_as_such_unless_it_was_done() {
        let wish = CancellationToken::new();
        wish.cancel();
        let stops: fn(Context) -> BoxFuture<'static, Outcome> = |context| {
            Box::pin(async move {
                context.stop.cancelled().await;
                Outcome::retryable("stopped")
            })
        };
        assert_eq!(execute(stops, &never(), &wish).await, Execution::Ended(Outcome::Cancelled));
        let deaf: fn(Context) -> BoxFuture<'static, Outcome> = |_| Box::pin(std::future::pending());
        assert_eq!(execute(deaf, &never(), &wish).await, Execution::Ended(Outcome::Cancelled));
        let done: fn(Context) -> BoxFuture<'static, Outcome> = |context| {
            Box::pin(async move {
                context.stop.cancelled().await;
                Outcome::success(None)
            })
        };
        assert_eq!(execute(done, &never(), &wish).await, Execution::Ended(Outcome::success(None)));
    }
}
