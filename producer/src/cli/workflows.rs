//! Handing workflows in, looking at them and steering them from the command line.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;
use warren_core::{Operator, WorkflowId};
use warren_producer::{
    Config, Producer,
    workflow::{Error, Summary, View, Workflows, read, read_yaml},
};
use warren_runtime::{
    telemetry,
    terminal::{Cell, Column, Give, Screen, Table, Tone},
};

use super::{Failure, enqueue::quiet};

const EXAMPLES: &str = "\
Examples:
  warren-producer workflows run report.yaml --wait
  warren-producer workflows list
  warren-producer workflows show nightly-7
  warren-producer workflows result nightly-7 sum
  warren-producer workflows retry nightly-7

Exit codes: 0 done (with --wait: the workflow has succeeded), 1 not done, 2 the command line, the file or the
configuration is wrong.";

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

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
    /// Hand in a workflow.
    Run {
        /// A file in JSON or, where its name ends so, in YAML; - for either on standard input.
        file: PathBuf,
        /// An id of one's own, instead of the file's.
        #[arg(long)]
        id: Option<WorkflowId>,
        /// Wait until it is over.
        #[arg(long)]
        wait: bool,
    },
    /// Show the latest workflows.
    List {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Show one workflow with its steps.
    Show { id: WorkflowId },
    /// Print what a step gave back.
    Result { id: WorkflowId, step: String },
    /// Cancel a workflow: what has not begun will not, and what runs is told to end.
    Cancel { id: WorkflowId },
    /// Run again what failed in a workflow or was cancelled, and what was skipped or stopped behind it.
    Retry { id: WorkflowId },
}

pub async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    quiet(&mut config.log);
    telemetry::install(&config.log).map_err(Failure::usage)?;
    config.app_id.get_or_insert_with(|| "warren-cli".to_owned());
    let producer = Producer::start(&config, None);
    let workflows = Workflows::new(&config, producer.clone()).map_err(Failure::usage)?;
    let done = carry_out(&workflows, &args).await;
    producer.close().await;
    let (text, code) = done?;
    // Whoever reads it may have seen enough.
    writeln!(io::stdout().lock(), "{text}").context("cannot print").map_err(Failure::failed)?;
    Ok(code)
}

async fn carry_out(workflows: &Workflows, args: &Args) -> Result<(String, ExitCode), Failure> {
    let by = Operator::parse("command line").expect("the literal is a valid name");
    let text = match &args.command {
        Command::Run { file, id, wait } => return hand_in(workflows, args, file, id.clone(), *wait).await,
        Command::List { limit } => {
            let list = workflows.list(*limit).await.map_err(Failure::failed)?;
            if args.json { pretty(&json!({ "workflows": list })) } else { summaries(&list) }
        }
        Command::Show { id } => shown(args, &workflows.show(id).await.map_err(Failure::failed)?),
        Command::Result { id, step } => pretty(&workflows.result(id, step).await.map_err(Failure::failed)?),
        Command::Cancel { id } => shown(args, &workflows.cancel(id, by).await.map_err(Failure::failed)?),
        Command::Retry { id } => shown(args, &workflows.retry(id, by).await.map_err(Failure::failed)?),
    };
    Ok((text, ExitCode::SUCCESS))
}

async fn hand_in(
    workflows: &Workflows,
    args: &Args,
    file: &Path,
    id: Option<WorkflowId>,
    wait: bool,
) -> Result<(String, ExitCode), Failure> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin()).context("cannot read standard input").map_err(Failure::usage)?
    } else {
        let reading = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
        reading.map_err(Failure::usage)?
    };
    let is_yaml = match file.extension() {
        Some(extension) => extension == "yaml" || extension == "yml",
        None => !text.trim_start().starts_with('{'),
    };
    let workflow = if is_yaml { read_yaml(text.as_bytes()) } else { read(text.as_bytes()) };
    let workflow = workflow.map_err(Failure::usage)?;
    let workflow = match id {
        Some(id) => workflow.id(id),
        None => workflow,
    };
    let id = workflows.submit(workflow).await.map_err(Failure::failed)?;
    if !wait {
        return Ok((if args.json { pretty(&json!({ "id": id })) } else { id.to_string() }, ExitCode::SUCCESS));
    }
    loop {
        match workflows.show(&id).await {
            Ok(view) if view.summary.is_over() => {
                let code = if view.summary.state == "succeeded" { ExitCode::SUCCESS } else { ExitCode::FAILURE };
                return Ok((shown(args, &view), code));
            }
            // Whoever runs the workflows may be away, as Redis may.
            Ok(_) | Err(Error::Unknown(_) | Error::Redis(_)) => sleep(BETWEEN_LOOKS).await,
            Err(other) => return Err(Failure::failed(other)),
        }
    }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("what is shown is always valid JSON")
}

fn summaries(list: &[Summary]) -> String {
    let mut table = Table::new([
        Column::text("ID", Give::Nothing),
        Column::text("STATE", Give::Nothing),
        Column::numbers("WAITING", Give::Way(3)),
        Column::numbers("RUNNING", Give::Way(2)),
        Column::numbers("SUCCEEDED", Give::Way(1)),
        Column::numbers("FAILED", Give::Nothing),
        Column::text("SINCE", Give::Way(4)),
        Column::text("PROBLEM", Give::Width(12)),
    ]);
    for one in list {
        table.row([
            Cell::from(one.id.as_str()),
            Cell::new(one.state, tone(one.state)),
            Cell::from(one.steps.waiting.to_string()),
            Cell::from(one.steps.running.to_string()),
            Cell::from(one.steps.succeeded.to_string()),
            Cell::from(one.steps.failed.to_string()),
            Cell::from(one.at.as_str()),
            Cell::new(one.error.as_deref().unwrap_or_default(), Tone::Bad),
        ]);
    }
    table.lines(&Screen::of_stdout()).join("\n")
}

fn shown(args: &Args, view: &View) -> String {
    if args.json {
        return pretty(view);
    }
    let mut table = Table::new([
        Column::text("STEP", Give::Nothing),
        Column::text("STATE", Give::Nothing),
        Column::text("AFTER", Give::Width(12)),
        Column::text("TASK", Give::Way(1)),
        Column::text("PROBLEM", Give::Width(12)),
    ]);
    for step in &view.graph {
        let task = step.task.as_ref().map(ToString::to_string).unwrap_or_default();
        let task =
            step.chunks.map_or(task, |chunks| format!("{} of {chunks} chunks", step.chunks_over.unwrap_or_default()));
        table.row([
            Cell::from(step.step.as_str()),
            Cell::new(step.state, tone(step.state)),
            Cell::from(step.after.join(" ")),
            Cell::from(task),
            Cell::new(step.error.as_deref().unwrap_or_default(), Tone::Bad),
        ]);
    }
    format!("{} {}\n{}", view.summary.id, view.summary.state, table.lines(&Screen::of_stdout()).join("\n"))
}

fn tone(state: &str) -> Tone {
    match state {
        "failed" => Tone::Bad,
        "waiting" | "skipped" | "stopped" | "cancelled" => Tone::Faint,
        _ => Tone::Plain,
    }
}
