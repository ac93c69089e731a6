//! Handing tasks in from the command line.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;
use warren_core::{QueueName, TaskId};
use warren_producer::{Config, Error, NewTask, Producer, WINDOW, request};
use warren_runtime::{
    Shutdown,
    amqp::{self, Connector, session::chain},
    clock, telemetry,
};

use super::{
    Failure,
    replies::{Replies, Reply},
    report::{Audience, Interest, Report},
    source::{self, Numbered, Refusal, TaskArgs},
};

// When a whole window was in flight as the broker went, and the next one has waited for it in vain, it stays away.
const GIVE_UP_AFTER: usize = 2 * WINDOW;

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
    let replies = match args.wait {
        true => Some(Replies::open(&connector).await.map_err(Failure::failed)?),
        false => None,
    };
    let audience = if args.json { Audience::Programs } else { Audience::People };
    let interest = match (args.wait, total) {
        (true, _) => Interest::Result,
        (false, Some(1)) => Interest::Id,
        (false, _) => Interest::Count,
    };
    let run = Run {
        producer: &producer,
        report: Report::new(audience, interest, total),
        outstanding: HashSet::new(),
        early: HashMap::new(),
        failures_in_a_row: 0,
        stop: Shutdown::default(),
    };
    let all_well = run.run(tasks, &args, replies).await;
    producer.close().await;
    Ok(if all_well.map_err(Failure::failed)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// On the command line a connection that is made is no news.
fn quiet(log: &mut telemetry::Config) {
    if log.level == telemetry::Config::default().level {
        "warn".clone_into(&mut log.level);
    }
    if log.format == telemetry::Format::Auto {
        log.format = telemetry::Format::Human;
    }
}

type Tasks = stream::BoxStream<'static, Numbered>;

async fn tasks(config: &Config, args: &Args) -> Result<(Tasks, Option<u64>), Failure> {
    if let Some(path) = &args.file {
        return Ok((source::lines(path, config).await.map_err(Failure::usage)?, None));
    }
    let (task, count) = args.task.task().await.map_err(Failure::usage)?;
    task.check(clock::now()).map_err(Failure::usage)?;
    let copies = (1..=count).map(move |number| (number, Ok(task.clone())));
    Ok((stream::iter(copies).boxed(), Some(count)))
}

struct Run<'a> {
    producer: &'a Producer,
    report: Report,
    // Confirmed, without a reply yet; and the other way round, for a reply can be quicker than the confirm.
    outstanding: HashSet<TaskId>,
    early: HashMap<TaskId, Reply>,
    failures_in_a_row: usize,
    stop: Shutdown,
}

impl Run<'_> {
    // Returns whether all went well. Nothing more is read after a signal; what is on its way is waited for.
    async fn run(mut self, tasks: Tasks, args: &Args, mut replies: Option<Replies>) -> anyhow::Result<bool> {
        let stop = self.stop.clone();
        let reply_to = replies.as_ref().map(|replies| replies.queue().to_owned());
        let tasks = tasks.map(|(line, task)| (line, task.and_then(|task| answered_to(task, reply_to.as_deref()))));
        let tasks = Declaring { producer: self.producer, wanted: args.declare, done: HashSet::new() }.before(tasks);
        let results = self.producer.pipeline(tasks.take_until(stop.drain.cancelled()));
        let signals = stop.clone().on_signals();
        tokio::pin!(results, signals);

        let mut handing_in = true;
        let mut patience = None;
        let mut why = "the wait was interrupted".to_owned();
        while handing_in || (replies.is_some() && !self.outstanding.is_empty()) {
            tokio::select! {
                result = results.next(), if handing_in => match result {
                    Some((line, result)) => self.handed_in(line, result, replies.is_some())?,
                    None => {
                        handing_in = false;
                        patience = args.wait_timeout.map(|wait| Instant::now() + wait);
                    }
                },
                reply = next_of(&mut replies) => match reply {
                    Ok(reply) => self.replied(reply, handing_in)?,
                    Err(error) => {
                        why = chain(&error);
                        self.report.say(&format!("the results cannot be waited for any longer: {why}"));
                        replies = None;
                    }
                },
                () = until(patience) => {
                    why = "no result came in time".to_owned();
                    break;
                }
                () = stop.drain.cancelled(), if !handing_in => break,
                ended = &mut signals => {
                    ended?;
                    break;
                }
            }
        }
        for id in std::mem::take(&mut self.outstanding) {
            self.report.unanswered(id, &why)?;
        }
        if let Some(replies) = replies {
            replies.close().await;
        }
        self.report.summary();
        // What was not read was not handed in.
        Ok(self.report.all_well() && !stop.drain.is_cancelled())
    }

    fn handed_in(&mut self, line: u64, result: Result<TaskId, Refusal>, waiting: bool) -> std::io::Result<()> {
        match result {
            Ok(id) => {
                self.failures_in_a_row = 0;
                self.report.accepted(&id)?;
                match self.early.remove(&id) {
                    Some(reply) => self.report.ended(&reply)?,
                    None if waiting => drop(self.outstanding.insert(id)),
                    None => {}
                }
            }
            Err(refusal) => {
                self.failures_in_a_row = if refusal.is_transient() { self.failures_in_a_row + 1 } else { 0 };
                self.report.refused(line, &refusal)?;
            }
        }
        if self.failures_in_a_row == GIVE_UP_AFTER {
            self.report.say("the broker stays away: what was not read yet is not handed in");
            self.stop.drain.cancel();
        }
        Ok(())
    }

    // A task may be answered twice, if it had to be run twice: the first answer counts.
    fn replied(&mut self, reply: Reply, handing_in: bool) -> std::io::Result<()> {
        if self.outstanding.remove(&reply.id) {
            self.report.ended(&reply)
        } else {
            if handing_in {
                self.early.insert(reply.id.clone(), reply);
            }
            Ok(())
        }
    }
}

fn answered_to(mut task: NewTask, reply_to: Option<&str>) -> Result<NewTask, Refusal> {
    let Some(queue) = reply_to else { return Ok(task) };
    if task.chosen_reply_to().is_some() {
        let detail = "expected none, for with --wait the replies come here".to_owned();
        return Err(Refusal::Field { field: "reply_to", detail });
    }
    let id = task.chosen_id().cloned().unwrap_or_else(clock::task_id);
    task = task.id(id.as_str()).correlation_id(id.as_str()).reply_to(queue);
    Ok(task)
}

async fn next_of(replies: &mut Option<Replies>) -> Result<Reply, amqp::Error> {
    match replies {
        Some(replies) => replies.next().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

// Makes each queue before its first task.
struct Declaring<'a> {
    producer: &'a Producer,
    wanted: bool,
    done: HashSet<QueueName>,
}

impl<'a> Declaring<'a> {
    fn before(self, tasks: impl Stream<Item = Numbered> + Send + 'a) -> impl Stream<Item = Numbered> + 'a {
        stream::unfold((self, tasks.boxed()), async |(mut declaring, mut tasks)| {
            let (line, mut task) = tasks.next().await?;
            if let Ok(sound) = &task
                && let Err(error) = declaring.declare(sound.chosen_queue()).await
            {
                task = Err(error.into());
            }
            Some(((line, task), (declaring, tasks)))
        })
    }

    async fn declare(&mut self, queue: &QueueName) -> Result<(), Error> {
        if self.wanted && !self.done.contains(queue) {
            self.producer.declare(queue).await?;
            self.done.insert(queue.clone());
        }
        Ok(())
    }
}
