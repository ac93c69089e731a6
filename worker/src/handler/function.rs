//! Rust async functions.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::{FutureExt, future::BoxFuture};
use serde::Serialize;
use serde_json::Value;
use warren_core::{Outcome, Output};

use super::{Context, Failure, Handler, Job};

/// Runs the tasks of a kind with an async function.
///
/// What it returns is the result, as JSON; `()` is a success without one. A panic is a retryable failure.
///
/// ```
/// use warren_worker::{Context, Failure, Job, handler::Function};
///
/// let double = Function::new(async |job: Job, _: Context| {
///     let number: i64 = job.json()?;
///     number.checked_mul(2).ok_or_else(|| Failure::permanent("too large to double"))
/// });
/// ```
pub struct Function(Box<dyn Fn(Job, Context) -> BoxFuture<'static, Outcome> + Send + Sync>);

impl Function {
    /// Wraps a function. Its error may be a [`Failure`], or anything that becomes a retryable one.
    pub fn new<F, R, T, E>(function: F) -> Self
    where
        F: Fn(Job, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize + 'static,
        E: Into<Failure> + 'static,
    {
        Self(Box::new(move |job, context| {
            // The call itself may panic too, before there is a future.
            match std::panic::catch_unwind(AssertUnwindSafe(|| function(job, context))) {
                Ok(running) => AssertUnwindSafe(running.map(outcome)).catch_unwind().map(flatten).boxed(),
                Err(panic) => std::future::ready(panicked(panic.as_ref())).boxed(),
            }
        }))
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Function").finish_non_exhaustive()
    }
}

impl Handler for Function {
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
        (self.0)(job.clone(), context.clone())
    }
}

fn outcome<T: Serialize, E: Into<Failure>>(result: Result<T, E>) -> Outcome {
    match result.map(serde_json::to_value) {
        Ok(Ok(Value::Null)) => Outcome::success(None),
        Ok(Ok(value)) => Outcome::success(Some(Output::Json(value))),
        // Another attempt would give the same type, and JSON would take it no better.
        Ok(Err(error)) => Outcome::permanent(format!("the result cannot be written as JSON: {error}")),
        Err(failure) => failure.into().into(),
    }
}

fn flatten(outcome: Result<Outcome, Box<dyn Any + Send>>) -> Outcome {
    outcome.unwrap_or_else(|panic| panicked(panic.as_ref()))
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Outcome::retryable(format!("the handler panicked: {}", text.unwrap_or("(no text)")))
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use serde_json::json;

    use super::{
        super::testing::{job, run},
        *,
    };

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the shop")]
    struct Shut(#[source] io::Error);

    #[tokio::test]
    async fn a_result_is_json_and_unit_is_none() {
        let sum = Function::new(async |job: Job, _: Context| {
            let numbers: Vec<i64> = job.json()?;
            Ok::<_, Failure>(json!({ "sum": numbers.iter().sum::<i64>() }))
        });
        assert_eq!(run(&sum, &job("[1,2]")).await, Outcome::success(Some(Output::Json(json!({"sum": 3})))));
        let nothing = Function::new(async |_: Job, _: Context| Ok::<_, Failure>(()));
        assert_eq!(run(&nothing, &job("")).await, Outcome::success(None));
    }

    #[tokio::test]
    async fn a_payload_that_does_not_fit_fails_for_good() {
        let read = Function::new(async |job: Job, _: Context| job.json::<Vec<i64>>().map(|_| ()));
        for (payload, expected) in [
            (r#"[1,"x"]"#, "the payload's field [1]: invalid type: string \"x\", expected i64 at line 1 column 6"),
            ("{", "the payload is not what was expected: invalid type: map, expected a sequence at line 1 column 0"),
        ] {
            assert_eq!(run(&read, &job(payload)).await, Outcome::permanent(expected));
        }
    }

    #[tokio::test]
    async fn failures_say_whether_and_when_another_attempt_may_help() {
        let failing = |failure: Failure| {
            Function::new(move |_: Job, _: Context| std::future::ready(Err::<(), _>(failure.clone())))
        };
        let later = failing(Failure::retry_after("busy", Duration::from_secs(3)));
        let expected = Outcome::Retryable { error: "busy".into(), after_ms: Some(3000) };
        assert_eq!(run(&later, &job("")).await, expected);
        assert_eq!(run(&failing(Failure::retry("x")), &job("")).await, Outcome::retryable("x"));
        assert_eq!(run(&failing(Failure::permanent("x")), &job("")).await, Outcome::permanent("x"));
    }

    #[tokio::test]
    async fn any_error_is_retryable_with_its_causes() {
        let typed = Function::new(async |_: Job, _: Context| Err::<(), _>(Shut(io::Error::other("no key"))));
        assert_eq!(run(&typed, &job("")).await, Outcome::retryable("cannot open the shop: no key"));
        let by_question_mark = Function::new(async |_: Job, _: Context| -> Result<(), Failure> {
            Err(anyhow::anyhow!("no key").context("cannot open the shop"))?;
            Ok(())
        });
        assert_eq!(run(&by_question_mark, &job("")).await, Outcome::retryable("cannot open the shop: no key"));
    }

    #[tokio::test]
    async fn a_panic_is_a_retryable_failure() {
        let late = Function::new(async |job: Job, _: Context| -> Result<(), Failure> {
            tokio::task::yield_now().await;
            panic!("no {}", job.id)
        });
        assert_eq!(run(&late, &job("")).await, Outcome::retryable("the handler panicked: no task-1"));
        let early = Function::new(|_: Job, _: Context| -> std::future::Ready<Result<(), Failure>> { panic!("early") });
        assert_eq!(run(&early, &job("")).await, Outcome::retryable("the handler panicked: early"));
    }
}
