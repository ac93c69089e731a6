//! `retry` and `discard`: what becomes of dead letters.

use clap::Args;
use serde_json::Value;
use warren_monitor::config::Config;

use super::{
    Failure,
    confirm::Consent,
    help::help,
    steer::{act, named},
    wish::{Named, Wish},
};

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor retry 0193a5c2-…
  warren-monitor retry --fingerprint 5f1c… --canary
  warren-monitor retry --fingerprint 5f1c… --rate 20 --reason 'the mail server is back'"))]
pub struct RetryArgs {
    #[command(flatten)]
    tasks: Named,
    #[command(flatten)]
    group: Group,
    /// Of the group only one, to see whether it succeeds now.
    #[arg(long, requires = "fingerprint")]
    canary: bool,
    /// How many of the group a second [default: as fast as it goes]
    #[arg(long, value_name = "NUMBER", requires = "fingerprint")]
    rate: Option<f64>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
#[command(after_help = help!("  warren-monitor discard 0193a5c2-…\n  warren-monitor discard --fingerprint 5f1c… --yes"))]
pub struct DiscardArgs {
    #[command(flatten)]
    tasks: Named,
    #[command(flatten)]
    group: Group,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
struct Group {
    /// Instead of single ones all dead letters of a group (warren-monitor dead groups).
    #[arg(long, conflicts_with = "ids")]
    fingerprint: Option<String>,
}

pub async fn retry(args: RetryArgs, config: &Config) -> Result<(), Failure> {
    let Some(fingerprint) = args.group.fingerprint else {
        return act(&named(args.tasks)?, ("retry", "retry"), args.wish, config).await;
    };
    if !args.canary {
        args.consent.to(&format!("retry all dead letters of the group {fingerprint}"))?;
    }
    let mut more = vec![("canary", Value::Bool(args.canary))];
    more.extend(args.rate.map(|rate| ("rate_per_second", rate.into())));
    let client = args.wish.connection.clone().client(config)?;
    let answer = client.post(&["api", "dead", "groups", &fingerprint, "replay"], &args.wish.body(&more)).await?;
    args.wish.tell(&answer)
}

pub async fn discard(args: DiscardArgs, config: &Config) -> Result<(), Failure> {
    if let Some(fingerprint) = args.group.fingerprint {
        args.consent.to(&format!("discard all dead letters of the group {fingerprint}"))?;
        let client = args.wish.connection.clone().client(config)?;
        let answer = client.post(&["api", "dead", "groups", &fingerprint, "discard"], &args.wish.body(&[])).await?;
        return args.wish.tell(&answer);
    }
    let ids = named(args.tasks)?;
    args.consent.to(&match ids.as_slice() {
        [id] => format!("discard the dead letter {id}"),
        ids => format!("discard {} dead letters", ids.len()),
    })?;
    let client = args.wish.connection.clone().client(config)?;
    match ids.as_slice() {
        [id] => args.wish.tell(&client.post(&["api", "dead", id.as_str(), "discard"], &args.wish.body(&[])).await?),
        ids => args.wish.act_on(&client, "discard", ids).await,
    }
}
