//! The program `warren-monitor`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use warren_monitor::{
    config::{Config, PORT},
    service,
};
use warren_runtime::{config, http, telemetry, tls};

/// Shows every task and worker of a Warren pool, and finds what is wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration, a TOML file.
    #[arg(long, env = "WARREN_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Runs the monitor (the default).
    Serve,
    /// Asks the monitor on this machine whether it is ready.
    Health,
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
    match run(arguments.command, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warren-monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Option<Command>, config: Config) -> anyhow::Result<()> {
    match command {
        None | Some(Command::Serve) => {
            telemetry::install(&config.log)?;
            service::serve(config).await
        }
        Some(Command::Health) => http::ask(config.http.address(PORT)).await.map_err(anyhow::Error::msg),
    }
}
