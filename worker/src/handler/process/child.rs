//! One long-lived program, and what it does for a task.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    process::{ChildStderr, ChildStdin, ChildStdout},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;
use warren_core::Outcome;

use super::{
    lines::{self, Lines},
    protocol::{self, Said},
};
use crate::handler::{
    Context, Job,
    capture::{ERROR_TAIL, Tail, drain},
    failure::chain,
    group::{Exit, Group, Streams},
    program::{self, Program},
};

// More than a result that is kept may take; a program that says more in one line has lost its way.
const LONGEST_LINE: usize = 1024 * 1024;
// Between the end of a program and the end of its streams, and between the two streams.
const LAST_WORDS: Duration = Duration::from_millis(500);
// A program that is not needed any more ends when its input does. One that does not is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// A program that waits for tasks, or works on one.
#[derive(Debug)]
pub struct Child {
    group: Group,
    stdin: ChildStdin,
    lines: Lines<ChildStdout>,
    errors: Arc<Mutex<Tail>>,
    listening: JoinSet<()>,
    served: u32,
}

/// What an attempt has come to.
#[derive(Debug)]
pub struct Served {
    /// For the task.
    pub outcome: Outcome,
    /// For the program.
    pub condition: Condition,
}

/// Whether a program can be given another task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It can.
    Fit,
    /// It has done its work, and cannot go on.
    Spent,
    /// It is dead, or does not keep to the protocol.
    Broken,
}

// Why there is no answer.
enum Silence {
    Ended,
    Nonsense(String),
}

impl Child {
    /// Starts a program.
    pub fn start(program: &Program) -> Result<Self, program::Error> {
        let (group, Streams { stdin, stdout, stderr }) = program.start(&[])?;
        let errors = Arc::new(Mutex::new(Tail::new(ERROR_TAIL)));
        let mut listening = JoinSet::new();
        listening.spawn(listen(stderr, errors.clone(), program.name().to_owned()));
        Ok(Self { group, stdin, lines: Lines::new(stdout, LONGEST_LINE), errors, listening, served: 0 })
    }

    /// What is wrong with it while it has nothing to do; `None` if it waits as it should.
    pub fn unfit(&mut self) -> Option<String> {
        match self.group.ended_already() {
            // A second answer to the last task could be taken for the answer to its next attempt.
            Ok(None) if !self.lines.is_quiet() => Some("the program wrote, or closed its output, unasked".to_owned()),
            Ok(None) => None,
            Ok(Some(exit)) => Some(self.described(exit)),
            Err(error) => Some(format!("the program cannot be waited for: {error}")),
        }
    }

    /// Whether it has done as many tasks as it may.
    pub fn is_worn(&self, max_tasks: Option<NonZeroU32>) -> bool {
        max_tasks.is_some_and(|max| self.served >= max.get())
    }

    /// Gives it a task and waits for the answer. Not cancel safe: a program whose answer was not awaited must go.
    pub async fn serve(&mut self, job: &Job, context: &Context) -> Served {
        self.served = self.served.saturating_add(1);
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let request = protocol::request(job);
        let mut is_written = false;
        let answer = {
            let answering = answer(&mut self.lines, job.id.as_str(), context);
            let writing = async {
                self.stdin.write_all(&request).await?;
                self.stdin.flush().await
            };
            tokio::pin!(answering, writing);
            loop {
                tokio::select! {
                    biased;
                    answer = &mut answering => break answer,
                    written = &mut writing, if !is_written => {
                        is_written = true;
                        if written.is_err() {
                            // It does not listen. Most likely it is dying: then its output ends now.
                            let deaf = || Err(Silence::Nonsense("closed its standard input".to_owned()));
                            break timeout(LAST_WORDS, &mut answering).await.unwrap_or_else(|_| deaf());
                        }
                    }
                }
            }
        };
        match answer {
            Ok(outcome) if is_written => Served { outcome, condition: Condition::Fit },
            Ok(outcome) => Served { outcome, condition: Condition::Spent },
            Err(Silence::Ended) => Served { outcome: self.obituary().await, condition: Condition::Broken },
            Err(Silence::Nonsense(what)) => {
                let outcome = Outcome::retryable(format!("the program broke the protocol: {what}"));
                Served { outcome, condition: Condition::Broken }
            }
        }
    }

    /// Ends it, with everything that it has started.
    pub async fn stop(mut self, grace: Duration) {
        // Whatever it says now is late.
        drop(self.group.stop(grace).await);
    }

    /// Lets it go: its input ends, and if it does not end by itself soon, it is killed.
    pub async fn retire(self) {
        let Self { mut group, stdin, lines, .. } = self;
        drop(stdin);
        drop(timeout(FAREWELL, group.ended()).await);
        drop((group, lines));
    }

    async fn obituary(&mut self) -> Outcome {
        let exit = match timeout(LAST_WORDS, self.group.ended()).await {
            Ok(Ok(exit)) => exit,
            Ok(Err(error)) => return Outcome::retryable(format!("the program cannot be waited for: {error}")),
            Err(_) => return Outcome::retryable("the program broke the protocol: closed its standard output"),
        };
        // What it complained about last may still be on its way.
        drop(timeout(LAST_WORDS, self.listening.join_next()).await);
        Outcome::Crashed { error: self.described(exit) }
    }

    fn described(&self, exit: Exit) -> String {
        exit.described(&self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(lines: &mut Lines<ChildStdout>, id: &str, context: &Context) -> Result<Outcome, Silence> {
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) | Err(lines::Error::Read(_)) => return Err(Silence::Ended),
            Err(error @ lines::Error::TooLong(_)) => return Err(Silence::Nonsense(error.to_string())),
        };
        match protocol::read(&line, id) {
            Ok(Said::Progress(progress)) => context.progress(progress),
            Ok(Said::Done(outcome)) => return Ok(outcome),
            Err(error) => return Err(Silence::Nonsense(chain(&error))),
        }
    }
}

async fn listen(stderr: ChildStderr, errors: Arc<Mutex<Tail>>, program: String) {
    let heard = |bytes: &[u8]| {
        errors.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        for line in String::from_utf8_lossy(bytes).lines() {
            debug!(program, line, "written to standard error");
        }
    };
    drain(stderr, heard).await;
}
