//! Looking at schedules and changing them from the command line.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use warren_core::{Operator, ScheduleName};
use warren_producer::{
    Config, Producer,
    schedule::{Error, Forecast, Schedules, View},
};
use warren_runtime::{
    telemetry,
    terminal::{Cell, Column, Give, Screen, Table, Tone},
};

use super::{Failure, enqueue::quiet};

const EXAMPLES: &str = "\
Examples:
  warren-producer schedules list
  warren-producer schedules next nightly --count 3
  warren-producer schedules pause nightly
  warren-producer schedules run nightly

A schedule is put by the gateway (PUT /schedules/NAME) or by the configuration of 'serve' ([schedules.NAME]).

Exit codes: 0 done, 1 not done, 2 the command line or the configuration is wrong.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show all schedules.
    List,
    /// Show one schedule.
    Show { name: ScheduleName },
    /// Show when a schedule ticks next.
    Next {
        name: ScheduleName,
        /// How many ticks.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        count: u16,
    },
    /// Pause a schedule: it makes no ticks until it is resumed.
    Pause { name: ScheduleName },
    /// Resume a schedule. Ticks of the pause are not made up for.
    Resume { name: ScheduleName },
    /// Hand in a schedule's task now, beside its ticks.
    Run { name: ScheduleName },
}

pub async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    quiet(&mut config.log);
    telemetry::install(&config.log).map_err(Failure::usage)?;
    config.app_id.get_or_insert_with(|| "warren-cli".to_owned());
    let producer = Producer::start(&config, None);
    let schedules = Schedules::new(&config, producer.clone()).map_err(Failure::usage)?;
    let done = carry_out(&schedules, &args).await;
    producer.close().await;
    let text = done.map_err(Failure::failed)?;
    // Whoever reads it may have seen enough.
    writeln!(io::stdout().lock(), "{text}").context("cannot print").map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(schedules: &Schedules, args: &Args) -> Result<String, Error> {
    Ok(match &args.command {
        Command::List => {
            let views = schedules.list().await?;
            if args.json { pretty(&json!({ "schedules": views })) } else { list(&views) }
        }
        Command::Show { name } => pretty(&schedules.show(name).await?),
        Command::Next { name, count } => {
            let next = schedules.next(name, usize::from(*count)).await?;
            if args.json { pretty(&json!({ "next": next })) } else { ticks(&next) }
        }
        Command::Pause { name } => told(args, &schedules.pause(name, by()).await?, "is paused"),
        Command::Resume { name } => told(args, &schedules.resume(name, by()).await?, "goes on"),
        Command::Run { name } => {
            let task = schedules.run_now(name, by()).await?;
            if args.json { pretty(&json!({ "id": task })) } else { task.to_string() }
        }
    })
}

fn by() -> Operator {
    Operator::parse("command line").expect("the literal is a valid name")
}

fn told(args: &Args, view: &View, what: &str) -> String {
    if args.json { pretty(view) } else { format!("{} {what}", view.name) }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("what is shown is always valid JSON")
}

fn list(views: &[View]) -> String {
    let mut table = Table::new([
        Column::text("NAME", Give::Nothing),
        Column::text("WHEN", Give::Width(12)),
        Column::text("NEXT", Give::Nothing),
        Column::text("LAST", Give::Way(3)),
        Column::numbers("HANDED IN", Give::Way(1)),
        Column::numbers("DROPPED", Give::Way(2)),
        Column::text("FROM", Give::Way(4)),
        Column::text("PROBLEM", Give::Width(12)),
    ]);
    for view in views {
        let next = if view.is_paused() { "paused" } else { view.next.as_deref().unwrap_or("never again") };
        let last = view.previous.as_ref().map_or("", |previous| &previous.at);
        let dropped = view.counts.missed + view.counts.overlapped + view.counts.refused;
        table.row([
            Cell::from(view.name.as_str()),
            Cell::from(view.when()),
            Cell::new(next, if view.is_paused() { Tone::Faint } else { Tone::Plain }),
            Cell::from(last),
            Cell::from(view.counts.published.to_string()),
            Cell::from(dropped.to_string()),
            Cell::from(view.origin),
            Cell::new(view.problem.as_deref().unwrap_or_default(), Tone::Bad),
        ]);
    }
    table.lines(&Screen::of_stdout()).join("\n")
}

fn ticks(next: &[Forecast]) -> String {
    if next.is_empty() {
        return "no ticks to come: it is paused, or over".to_owned();
    }
    let mut table = Table::new([
        Column::text("TICK", Give::Nothing),
        Column::text("HANDED IN AT", Give::Way(1)),
        Column::text("TASK", Give::Way(2)),
    ]);
    for tick in next {
        table.row([Cell::from(tick.tick.as_str()), Cell::from(tick.due.as_str()), Cell::from(tick.task.as_str())]);
    }
    table.lines(&Screen::of_stdout()).join("\n")
}
