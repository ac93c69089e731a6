//! The program `warren-worker`.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use warren_runtime::{config, http, tls};
use warren_worker::{
    Worker,
    check::{self, Finding, Severity},
    config::{Config, PORT},
    guard,
};

#[derive(Parser)]
#[command(
    name = "warren-worker",
    version,
    about = "Takes tasks from RabbitMQ and runs them",
    after_help = "Examples:\n  warren-worker --config worker.toml\n  WARREN_SLOTS=8 warren-worker\n  warren-worker check --config worker.toml\n\nEvery key of the configuration can be set in the environment: WARREN_AMQP__URL is amqp.url."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration, a TOML file
    #[arg(long, env = "WARREN_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many attempts run at once
    #[arg(long, global = true, value_name = "N")]
    slots: Option<u32>,
}

#[derive(Subcommand)]
enum Command {
    /// Take tasks and run them (the default)
    Run,
    /// Say what would fail, before it does; exit code 1 if anything would
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the worker that runs here whether it is ready
    Health,
}

fn main() -> ExitCode {
    // Before the runtime has any threads: a guard needs none.
    if guard::serve_if_asked() { ExitCode::SUCCESS } else { work() }
}

#[tokio::main]
async fn work() -> ExitCode {
    tls::install();
    let arguments = Arguments::parse();
    let sources = config::Sources::new(arguments.config).flag("slots", arguments.slots);
    let config: Config = match config::load(&sources) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("warren-worker: {problems}");
            return ExitCode::from(2);
        }
    };
    let ended = match arguments.command.unwrap_or(Command::Run) {
        Command::Run => Worker::builder().config(config).run().await.map(|()| true),
        Command::Check { json } => check(config, json).await,
        Command::Health => health(&config).await,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("warren-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn health(config: &Config) -> anyhow::Result<bool> {
    match http::ask(config.http.address(PORT)).await {
        Ok(()) => Ok(true),
        Err(reason) => {
            eprintln!("not ready: {reason}");
            Ok(false)
        }
    }
}

async fn check(config: Config, json: bool) -> anyhow::Result<bool> {
    let worker = Worker::builder().config(config).build()?;
    let findings = check::check(&worker).await;
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        findings.iter().for_each(print);
    }
    Ok(findings.iter().all(|finding| finding.level != Severity::Bad))
}

fn print(finding: &Finding) {
    let (mark, colour) = match finding.level {
        Severity::Good => ("ok     ", "32"),
        Severity::Warning => ("warning", "33"),
        Severity::Bad => ("bad    ", "31"),
    };
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mark = if coloured { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() };
    println!("{mark} {:<10} {}", finding.what, finding.detail);
}
