//! `cancel`, `run-now`, `pause`, `resume`, `drain`: orders that hold until they are done or taken back.

use clap::Args;
use warren_core::{QueueName, TaskId, WorkerId};
use warren_monitor::config::Config;

use super::{
    Failure,
    confirm::Consent,
    help::help,
    wish::{Named, Wish},
};

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor cancel 0193a5c2-… --reason 'sent twice'
  warren-monitor tasks --queue mail --state queued --json | jq -r '.tasks[].id' | warren-monitor cancel --yes -"))]
pub struct CancelArgs {
    #[command(flatten)]
    tasks: Named,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor run-now 0193a5c2-…"))]
pub struct RunNowArgs {
    #[command(flatten)]
    tasks: Named,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor pause mail --reason 'the mail server is down'"))]
pub struct PauseArgs {
    /// The queue.
    queue: QueueName,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor resume mail\n  warren-monitor resume --worker web-3-1a2b3c4d"))]
pub struct ResumeArgs {
    /// The queue.
    #[arg(required_unless_present = "worker")]
    queue: Option<QueueName>,
    /// A worker that was told to drain, instead of a queue.
    #[arg(long, value_name = "ID", conflicts_with = "queue")]
    worker: Option<WorkerId>,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor drain web-3-1a2b3c4d --reason 'new kernel'"))]
pub struct DrainArgs {
    /// The worker.
    worker: WorkerId,
    #[command(flatten)]
    wish: Wish,
}

pub async fn cancel(args: CancelArgs, config: &Config) -> Result<(), Failure> {
    let ids = named(args.tasks)?;
    if ids.len() > 1 {
        args.consent.to(&format!("cancel {} tasks", ids.len()))?;
    }
    act(&ids, ("cancel", "cancel"), args.wish, config).await
}

pub async fn run_now(args: RunNowArgs, config: &Config) -> Result<(), Failure> {
    act(&named(args.tasks)?, ("run-now", "run_now"), args.wish, config).await
}

pub async fn pause(args: PauseArgs, config: &Config) -> Result<(), Failure> {
    order(&["api", "queues", args.queue.as_str(), "pause"], args.wish, config).await
}

pub async fn resume(args: ResumeArgs, config: &Config) -> Result<(), Failure> {
    let (kind, name) = match (&args.queue, &args.worker) {
        (Some(queue), _) => ("queues", queue.as_str()),
        (None, Some(worker)) => ("workers", worker.as_str()),
        (None, None) => return Err(Failure::Usage(anyhow::anyhow!("expected a queue, or --worker"))),
    };
    order(&["api", kind, name, "resume"], args.wish, config).await
}

pub async fn drain(args: DrainArgs, config: &Config) -> Result<(), Failure> {
    order(&["api", "workers", args.worker.as_str(), "drain"], args.wish, config).await
}

/// The tasks; none is a mistake.
pub(super) fn named(tasks: Named) -> Result<Vec<TaskId>, Failure> {
    if tasks.is_empty() {
        return Err(Failure::Usage(anyhow::anyhow!(
            "ID: expected the id of a task, or - to read ids from standard input"
        )));
    }
    tasks.ids()
}

/// One task by its own route, whose refusal says more; many by the one for many. The action goes by two names.
pub(super) async fn act(
    ids: &[TaskId],
    (route, name): (&str, &str),
    wish: Wish,
    config: &Config,
) -> Result<(), Failure> {
    match ids {
        [id] => order(&["api", "tasks", id.as_str(), route], wish, config).await,
        ids => {
            let client = wish.connection.clone().client(config)?;
            wish.act_on(&client, name, ids).await
        }
    }
}

async fn order(path: &[&str], wish: Wish, config: &Config) -> Result<(), Failure> {
    let client = wish.connection.clone().client(config)?;
    wish.tell(&client.post(path, &wish.body(&[])).await?)
}
