//! The program `warren-monitor`: the service, and a command line that asks it.

mod cli;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use warren_monitor::{
    config::{Config, PORT},
    service,
};
use warren_runtime::{config, http, telemetry, tls};

/// Shows and steers every task and worker of a Warren pool, and finds what is wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration, a TOML file.
    #[arg(long, env = "WARREN_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the monitor (the default).
    Serve,
    /// Asks the monitor on this machine whether it is ready.
    Health,
    #[command(flatten)]
    Ask(Box<cli::Question>),
}

fn main() -> ExitCode {
    tls::install();
    let arguments = Arguments::parse();
    let config: Config = match config::load(&config::Sources::new(arguments.config)) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("warren-monitor: {problems}");
            return ExitCode::from(2);
        }
    };
    let done = match arguments.command {
        None | Some(Command::Serve) => serve(config),
        Some(Command::Health) => health(&config),
        Some(Command::Ask(question)) => return question.ask(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warren-monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::install(&config.log)?;
    service::serve(config).await
}

#[tokio::main]
async fn health(config: &Config) -> anyhow::Result<()> {
    http::ask(config.http.address(PORT)).await.map_err(anyhow::Error::msg)
}
