//! Asking the monitor, again and again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warren_core::Timestamp;
use warren_runtime::clock;

use crate::cli::{
    client::{Client, Error},
    overview::Overview,
    workers::{Worker, Workers},
};

/// What is known of the pool.
#[derive(Debug, Clone)]
pub struct Fed {
    /// The last answers.
    pub known: Arc<Known>,
    /// Since when there are none, and why.
    pub silence: Option<Silence>,
}

/// Some answers, all of one moment.
#[derive(Debug)]
pub struct Known {
    /// `/api/overview`.
    pub overview: Overview,
    /// `/api/workers`.
    pub workers: Vec<Worker>,
    /// `/api/series`, where the monitor has it.
    pub series: Option<Series>,
}

/// The monitor does not answer.
#[derive(Debug, Clone)]
pub struct Silence {
    /// Since when.
    pub since: Timestamp,
    /// What was in the way last.
    pub why: String,
}

/// Figures over the last quarter of an hour.
#[derive(Debug, Clone, Deserialize)]
pub struct Series {
    /// The length of a step.
    pub step_seconds: u64,
    /// A number for each step, by what it tells.
    pub series: BTreeMap<String, Vec<Option<f64>>>,
}

/// Asks for everything once.
pub async fn look(client: &Client) -> Result<Known, Error> {
    let range = [("range", Some("15m".to_owned()))];
    let (overview, workers, series) = tokio::join!(
        client.get(&["api", "overview"], &[]),
        client.get(&["api", "workers"], &[]),
        client.get(&["api", "series"], &range),
    );
    let Workers { workers } = workers?.read()?;
    // A monitor that is older than this program keeps no figures; the rest is shown all the same.
    let series = series.and_then(|answer| answer.read()).ok();
    Ok(Known { overview: overview?.read()?, workers, series })
}

/// Asks from now on; ends when `stop` is cancelled.
pub fn start(
    client: Client,
    first: Known,
    every: Duration,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> (Fed, watch::Receiver<Fed>) {
    let fed = Fed { known: Arc::new(first), silence: None };
    let (tx, rx) = watch::channel(fed.clone());
    tracker.spawn(async move {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(looked) = stop.run_until_cancelled(look(&client)).await else { return };
            tx.send_modify(|fed| match looked {
                Ok(known) => *fed = Fed { known: Arc::new(known), silence: None },
                Err(error) => {
                    let since = fed.silence.as_ref().map_or_else(clock::now, |silence| silence.since);
                    fed.silence = Some(Silence { since, why: error.to_string() });
                }
            });
        }
    });
    (fed, rx)
}
