//! The command line.

// Handing in, in the order in which a task passes through them.
mod declaring;
mod replies;
mod report;
mod source;
mod submission;

// The commands.
mod enqueue;
mod health;
mod schedules;
mod serve;
mod workflows;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use warren_producer::Config;

/// Hands tasks in to a Warren pool.
#[derive(Debug, Parser)]
#[command(name = "warren-producer", version, arg_required_else_help = true)]
pub struct Cli {
    // Clap would show the backticks that a doc comment wants around the variable's name.
    #[arg(help = "A TOML file with the configuration; environment variables (WARREN_AMQP__URL=...) win over it")]
    #[arg(long, global = true, value_name = "FILE", env = "WARREN_CONFIG")]
    config: Option<PathBuf>,
    /// The pool's name, with which all its queues begin.
    #[arg(long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hand in one task from flags, or many from JSON lines.
    Enqueue(Box<enqueue::Args>),
    /// Serve the HTTP gateway, POST /tasks, and run the schedules and workflows.
    Serve(serve::Args),
    /// Look at schedules, pause and resume them, and run one now.
    Schedules(schedules::Args),
    /// Hand in a workflow from a file, look at workflows, cancel and retry them.
    #[command(alias = "workflow")]
    Workflows(workflows::Args),
    /// Ask the gateway on this machine whether it is ready.
    Health,
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(anyhow::Error),
    /// Something else went wrong: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return failed(1, &error.into()),
        };
        let result = runtime.block_on(self.command());
        // A read of standard input may still be waiting, and nobody waits for it.
        runtime.shutdown_background();
        match result {
            Ok(code) => code,
            Err(Failure::Usage(error)) => failed(2, &error),
            Err(Failure::Failed(error)) => failed(1, &error),
        }
    }

    async fn command(self) -> Result<ExitCode, Failure> {
        let mut flags: Vec<_> = self.namespace.map(|name| ("namespace", name)).into_iter().collect();
        if let Command::Serve(args) = &self.command {
            flags.extend(args.flags());
        }
        let config = Config::load(self.config, flags).map_err(Failure::usage)?;
        match self.command {
            Command::Enqueue(args) => enqueue::run(config, *args).await,
            Command::Serve(_) => serve::run(config).await,
            Command::Schedules(args) => schedules::run(config, args).await,
            Command::Workflows(args) => workflows::run(config, args).await,
            Command::Health => health::run(&config).await,
        }
    }
}

fn failed(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}
