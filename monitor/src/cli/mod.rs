//! The command line: everything that the monitor's API shows and does, for people and scripts.
//!
//! Every command is a client of that API and of nothing else: what it needs is an address and, where one is set, the token.

// How a command speaks with the monitor, and with whoever called it.
mod client;
mod confirm;
mod connection;
mod finding;
mod help;
mod moment;
mod output;
mod paging;
mod tones;
mod when;
mod wish;

// What can be looked at.
mod actions;
mod dead;
mod groups;
mod jobs;
mod letter;
mod overview;
mod queues;
mod task;
mod tasks;
mod top;
mod why;
mod workers;

// What can be done.
mod replay;
mod steer;

use std::process::ExitCode;

use clap::Subcommand;
use warren_monitor::config::Config;

/// What one asks a running monitor.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// The pool at a glance: tasks by state, workers, what is wrong.
    Overview(overview::Args),
    /// The queues, with what waits in them and who takes from them.
    Queues(queues::Args),
    /// The workers, with what they run.
    Workers(workers::Args),
    /// Tasks, newest first.
    Tasks(Box<tasks::Args>),
    /// One task, with the timeline of its attempts.
    Task(task::Args),
    /// Why a task does not run, and when it will.
    Why(why::Args),
    /// The dead letters, one by one or in groups.
    Dead(Box<dead::Args>),
    /// A live view of the pool.
    Top(top::Args),
    /// Stop tasks: what waits will not start, what runs is asked to end and then made to.
    Cancel(steer::CancelArgs),
    /// Let delayed tasks start without waiting any longer.
    RunNow(steer::RunNowArgs),
    /// Put dead letters back on their queue.
    Retry(replay::RetryArgs),
    /// Throw dead letters away.
    Discard(replay::DiscardArgs),
    /// Keep every worker from taking tasks of a queue. What runs goes on.
    Pause(steer::PauseArgs),
    /// Let workers take tasks of a queue again, or a worker that was told to drain.
    Resume(steer::ResumeArgs),
    /// Let a worker finish what it runs and take nothing more.
    Drain(steer::DrainArgs),
    /// Who did what.
    Actions(actions::Args),
    /// Replays of many dead letters, and how far they are.
    Jobs(jobs::Args),
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(anyhow::Error),
    /// The monitor did not do it: the exit code says why.
    Monitor(client::Error),
    /// Something else went wrong: exit code 1.
    Failed(anyhow::Error),
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Monitor(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Question {
    /// Asks, and prints the answer.
    pub fn ask(self, config: &Config) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(1, &error.into()),
        };
        match runtime.block_on(self.answer(config)) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads the output has seen enough.
            Err(Failure::Failed(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(Failure::Usage(error)) => failed(2, &error),
            Err(Failure::Failed(error)) => failed(1, &error),
            Err(Failure::Monitor(error)) => failed(error.exit_code(), &error.into()),
        }
    }

    async fn answer(self, config: &Config) -> Result<(), Failure> {
        match self {
            Self::Overview(args) => overview::run(args, config).await,
            Self::Queues(args) => queues::run(args, config).await,
            Self::Workers(args) => workers::run(args, config).await,
            Self::Tasks(args) => tasks::run(*args, config).await,
            Self::Task(args) => task::run(args, config).await,
            Self::Why(args) => why::run(args, config).await,
            Self::Dead(args) => dead::run(*args, config).await,
            Self::Top(args) => top::run(args, config).await,
            Self::Cancel(args) => steer::cancel(args, config).await,
            Self::RunNow(args) => steer::run_now(args, config).await,
            Self::Retry(args) => replay::retry(args, config).await,
            Self::Discard(args) => replay::discard(args, config).await,
            Self::Pause(args) => steer::pause(args, config).await,
            Self::Resume(args) => steer::resume(args, config).await,
            Self::Drain(args) => steer::drain(args, config).await,
            Self::Actions(args) => actions::run(args, config).await,
            Self::Jobs(args) => jobs::run(args, config).await,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn failed(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}
