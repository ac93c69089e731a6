//! Handing tasks in from the command line.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use futures::{StreamExt, stream};
use warren_producer::{Config, Producer, request};
use warren_runtime::{amqp::Connector, clock, telemetry};

use super::{
    Failure,
    declaring::Declaring,
    replies::{self, Replies},
    report::{Audience, Interest, Report},
    source::{self, TaskArgs, Tasks},
    submission::Submission,
};

const EXAMPLES: &str = "\
Examples:
  warren-producer enqueue --kind echo --payload '{\"x\":1}' --wait
  warren-producer enqueue --kind send-mail --queue mail --priority 8 --payload-file mail.json --max-attempts 10
  warren-producer enqueue --kind sleep --payload '{\"ms\":200}' --count 1000
  warren-producer enqueue --kind report --delay 15m
  warren-producer enqueue --file tasks.jsonl
  generate | warren-producer enqueue --file - --json

A line of such a file is a task: {\"kind\":\"echo\",\"payload\":{\"x\":1},\"queue\":\"mail\",\"delay\":\"30s\"}
The fields are those of the gateway's POST /tasks.

Exit codes: 0 every task was confirmed by the broker (and with --wait has succeeded), 1 some were not, 2 the command
line or the configuration is wrong.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    task: TaskArgs,
    /// Read tasks from a file of JSON lines; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make the queue first, if it does not exist.
    #[arg(long)]
    declare: bool,
    /// Wait for the results, and print them.
    #[arg(long)]
    wait: bool,
    /// How long to wait for results once everything is handed in [default: for ever]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = request::parse_duration)]
    wait_timeout: Option<Duration>,
    /// Print one JSON object a task.
    #[arg(long)]
    json: bool,
}

pub async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    quiet(&mut config.log);
    telemetry::install(&config.log).map_err(Failure::usage)?;
    config.app_id.get_or_insert_with(|| "warren-cli".to_owned());
    let (tasks, total) = tasks(&config, &args).await?;

    let producer = Producer::connect(&config).await.map_err(Failure::failed)?;
    let connector = Connector::new(config.amqp.clone(), &clock::process_name());
    let replies = if args.wait { Some(Replies::open(&connector).await.map_err(Failure::failed)?) } else { None };
    let audience = if args.json { Audience::Programs } else { Audience::People };
    let interest = match (args.wait, total) {
        (true, _) => Interest::Result,
        (false, Some(1)) => Interest::Id,
        (false, _) => Interest::Count,
    };
    let tasks = if args.declare { Declaring::new(producer.clone()).before(tasks) } else { tasks };
    let tasks = match &replies {
        Some(replies) => replies::asked_for(tasks, replies.queue()),
        None => tasks,
    };
    let submission = Submission::new(producer.clone(), Report::new(audience, interest, total));
    let all_well = submission.run(tasks, replies, args.wait_timeout).await;
    producer.close().await;
    Ok(if all_well.map_err(Failure::failed)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// On the command line a connection that is made is no news.
pub(super) fn quiet(log: &mut telemetry::Config) {
    if log.level == telemetry::Config::default().level {
        "warn".clone_into(&mut log.level);
    }
    if log.format == telemetry::Format::Auto {
        log.format = telemetry::Format::Human;
    }
}

async fn tasks(config: &Config, args: &Args) -> Result<(Tasks, Option<u64>), Failure> {
    if let Some(path) = &args.file {
        return Ok((source::lines(path, config).await.map_err(Failure::usage)?, None));
    }
    let (task, count) = args.task.task().await.map_err(Failure::usage)?;
    task.check(clock::now()).map_err(Failure::usage)?;
    let copies = (1..=count).map(move |number| (number, Ok(task.clone())));
    Ok((stream::iter(copies).boxed(), Some(count)))
}
