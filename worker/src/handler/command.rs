//! A program a task: the payload on its standard input, the result from its standard output.
//!
//! Exit status 0 is a success, 65 (`EX_DATAERR` of sysexits.h) a permanent failure, anything else may be tried again.
//! The task is told by the environment: `WARREN_TASK_ID`, `WARREN_TASK_KIND` (and the same as `WARREN_KIND`),
//! `WARREN_QUEUE`, `WARREN_ATTEMPT`, `WARREN_PRIORITY`, `WARREN_TIMEOUT_MS` and, if the task carries one, `TRACEPARENT`.
//! A program that does not read its input, or prints without end, neither fails by it nor blocks: of its output at most
//! `max_result_bytes` are kept and the rest is counted.

use std::{io, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{io::AsyncWriteExt, time::sleep};
use tokio_util::sync::CancellationToken;
use warren_core::Outcome;

use super::{
    Context, Handler, Job,
    capture::{ERROR_TAIL, Head, Tail, drain},
    failure::chain,
    group::{Exit, Streams},
    program::Program,
};

const PERMANENT: i32 = 65;
// After the group's end only what is in the pipe is still to be read, unless somebody who left the group holds it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs a program for each task.
#[derive(Debug)]
pub struct Command {
    program: Program,
    kill_grace: Duration,
    max_result_bytes: usize,
}

impl Command {
    /// `kill_grace` is the time between SIGTERM and SIGKILL when an attempt is stopped.
    pub fn new(program: Program, kill_grace: Duration, max_result_bytes: usize) -> Self {
        Self { program, kill_grace, max_result_bytes }
    }

    async fn execute(&self, job: &Job, context: &Context) -> Outcome {
        let (mut group, streams) = match self.program.start(&told(job)) {
            Ok(started) => started,
            Err(error) => return Outcome::retryable(chain(&error)),
        };
        let mut output = Head::new(self.max_result_bytes);
        let mut errors = Tail::new(ERROR_TAIL);
        let over = CancellationToken::new();
        let living = async {
            let end = tokio::select! {
                biased;
                exit = group.ended() => End::ByItself(exit),
                () = context.stop.cancelled() => {
                    // Its status says nothing: many programs end in good order on SIGTERM, with their work undone.
                    drop(group.stop(self.kill_grace).await);
                    End::Stopped
                }
            };
            over.cancel();
            end
        };
        let talking = talk(streams, &job.payload, &mut output, &mut errors, &over);
        let (end, ()) = tokio::join!(living, talking);
        match end {
            End::ByItself(Ok(exit)) => judge(exit, &output, &errors),
            End::ByItself(Err(error)) => Outcome::retryable(format!("cannot wait for the program: {error}")),
            End::Stopped => Outcome::retryable("stopped"),
        }
    }
}

impl Handler for Command {
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
        self.execute(job, context).boxed()
    }

    fn is_isolated(&self) -> bool {
        true
    }
}

enum End {
    ByItself(io::Result<Exit>),
    Stopped,
}

fn told(job: &Job) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("WARREN_TASK_ID", job.id.to_string()),
        ("WARREN_TASK_KIND", job.kind.to_string()),
        ("WARREN_KIND", job.kind.to_string()),
        ("WARREN_QUEUE", job.queue.to_string()),
        ("WARREN_ATTEMPT", job.attempt.to_string()),
        ("WARREN_PRIORITY", job.priority.get().to_string()),
        ("WARREN_TIMEOUT_MS", job.timeout.as_millis().to_string()),
    ];
    told.extend(job.traceparent.clone().map(|trace| ("TRACEPARENT", trace)));
    told
}

// Serves all three streams at the same time, or a full pipe in one would keep the others waiting.
async fn talk(streams: Streams, payload: &[u8], output: &mut Head, errors: &mut Tail, over: &CancellationToken) {
    let Streams { mut stdin, stdout, stderr } = streams;
    let feed = async move {
        // A program may close its input unread: that is its own affair.
        drop(stdin.write_all(payload).await);
    };
    let everything = async {
        tokio::join!(feed, drain(stdout, |bytes| output.push(bytes)), drain(stderr, |bytes| errors.push(bytes)));
    };
    let patience = async {
        over.cancelled().await;
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = everything => {}
        () = patience => {}
    }
}

fn judge(exit: Exit, output: &Head, errors: &Tail) -> Outcome {
    match exit.code() {
        Some(0) => Outcome::success(output.output()),
        Some(PERMANENT) => Outcome::permanent(exit.described(errors)),
        Some(_) => Outcome::retryable(exit.described(errors)),
        None => Outcome::Crashed { error: exit.described(errors) },
    }
}

#[cfg(test)]
mod tests;
