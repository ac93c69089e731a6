//! The kinds that every worker has, for trying things out and for measuring.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use tokio::time::sleep;
use warren_core::{Outcome, Output};

use super::{Context, Handler, Job};

/// Gives its payload back.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl Handler for Echo {
    fn run<'a>(&'a self, job: &'a Job, _: &'a Context) -> BoxFuture<'a, Outcome> {
        async { Outcome::success(Output::from_bytes(&job.payload)) }.boxed()
    }

    fn is_isolated(&self) -> bool {
        true
    }

    fn is_light(&self) -> bool {
        true
    }
}

/// Takes as long as its payload says: `{"ms": 1500}`.
#[derive(Debug, Clone, Copy)]
pub struct Sleep;

#[derive(Deserialize)]
struct Nap {
    ms: u64,
}

impl Handler for Sleep {
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
        async {
            let nap: Nap = match job.json() {
                Ok(nap) => nap,
                Err(failure) => return failure.into(),
            };
            match context.stop.run_until_cancelled(sleep(Duration::from_millis(nap.ms))).await {
                Some(()) => Outcome::success(None),
                None => Outcome::retryable("stopped"),
            }
        }
        .boxed()
    }

    fn is_isolated(&self) -> bool {
        true
    }

    fn is_light(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::{
        super::testing::{job, run},
        *,
    };

    #[tokio::test]
    async fn echo_gives_its_payload_back() {
        assert_eq!(run(&Echo, &job(r#"{"a":[1]}"#)).await, Outcome::success(Some(Output::Json(json!({"a": [1]})))));
        assert_eq!(run(&Echo, &job("text")).await, Outcome::success(Some(Output::Text("text".into()))));
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_takes_as_long_as_it_is_told() {
        let begun = Instant::now();
        assert_eq!(run(&Sleep, &job(r#"{"ms":1500}"#)).await, Outcome::success(None));
        assert_eq!(begun.elapsed(), Duration::from_millis(1500));
    }

    #[tokio::test]
    async fn sleep_names_the_field_that_is_wrong() {
        for (payload, word) in [
            (r#"{"ms":"x"}"#, "ms"),
            ("{}", "`ms`"),
            (r#"{"ms":-1}"#, "ms"),
            ("soon", "payload"),
            ("{\"ms\":1}x", "JSON"),
        ] {
            let outcome = run(&Sleep, &job(payload)).await;
            let Outcome::Permanent { error } = &outcome else { panic!("{outcome:?}") };
            assert!(error.contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn sleep_ends_early_when_it_is_stopped() {
        let (context, _progress) = Context::new(tokio_util::sync::CancellationToken::new());
        context.stop.cancel();
        assert_eq!(Sleep.run(&job(r#"{"ms":600000}"#), &context).await, Outcome::retryable("stopped"));
    }
}
