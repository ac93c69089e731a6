//! One round after another: in each, the raw client and Warren take turns on the same servers.

use std::{fmt, time::Duration};

use tokio::time::sleep;
use warren_runtime::amqp::Profile;
use warren_tests::Stand;

use crate::{
    drain::{self, Drain, mebibytes},
    enqueue::enqueue,
    ground::Ground,
    heartbeats,
    latency::{self, Latency},
    pace::Pace,
    peers, raw,
    report::Report,
    scaling,
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often; each figure is the median.
    pub rounds: usize,
    /// Whether tasks a second are measured.
    pub rates: bool,
    /// Tasks in each measurement of a rate.
    pub tasks: usize,
    /// How long each rate of the latencies is kept in each round, in seconds; 0: they are not measured.
    pub latency_seconds: u32,
    /// How long each worker of the scaling works, in seconds; 0: it is not measured.
    pub scaling_seconds: usize,
    /// How many heartbeats each of a thousand workers sends; 0: they are not measured.
    pub heartbeats: u32,
    /// Of the task queues.
    pub profile: Profile,
    /// How long a backlog rests before it is worked off.
    pub rest: Duration,
}

/// A part of what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Tasks a second, to the raw client's.
    Rates,
    /// From handing in to start and result.
    Latency,
    /// 1, 2, 4 and 8 workers.
    Scaling,
    /// A thousand workers' heartbeats.
    Heartbeats,
}

/// What one round came to.
#[derive(Debug, Clone)]
pub struct Round {
    /// The raw publisher.
    pub raw_publish: Pace,
    /// The library.
    pub enqueue: Pace,
    /// The raw consumer.
    pub raw_consume: Pace,
    /// A worker, with no monitor.
    pub drain: Drain,
    /// A worker, while a monitor projects.
    pub watched: Drain,
    /// Producer, worker and monitor at once, tasks a second.
    pub at_once: f64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enqueue = self.enqueue.per_second / self.raw_publish.per_second;
        let drain = |drain: &Drain| drain.worker.per_second / self.raw_consume.per_second;
        write!(f, "enqueue {enqueue:.2}, drain {:.2}, watched {:.2}", drain(&self.drain), drain(&self.watched))
    }
}

const MEASUREMENTS_OF_A_ROUND: usize = 6;
// Of the latencies, in tasks a second.
const RATES: [u32; 2] = [200, 1_000];
// They hand in one by one, each confirmed: more would take them minutes.
const LARGEST_OF_PEERS: usize = 8_000;

impl Plan {
    /// For docs/performance.md.
    pub fn full() -> Self {
        let (profile, rest) = (Profile::Classic, Duration::ZERO);
        Self {
            rounds: 5,
            rates: true,
            tasks: 100_000,
            latency_seconds: 10,
            scaling_seconds: 6,
            heartbeats: 4,
            profile,
            rest,
        }
    }

    /// For every change: at most three minutes.
    pub fn quick() -> Self {
        Self { rounds: 3, tasks: 20_000, latency_seconds: 2, scaling_seconds: 0, heartbeats: 0, ..Self::full() }
    }

    /// Leaves out all parts but these.
    pub fn restrict(&mut self, parts: &[Part]) {
        let is_wanted = |part| parts.contains(&part);
        if !is_wanted(Part::Rates) {
            self.rates = false;
        }
        if !is_wanted(Part::Latency) {
            self.latency_seconds = 0;
        }
        if !is_wanted(Part::Scaling) {
            self.scaling_seconds = 0;
        }
        if !is_wanted(Part::Heartbeats) {
            self.heartbeats = 0;
        }
    }

    /// How many steps there are to show.
    pub fn steps(&self) -> usize {
        let each_round =
            usize::from(self.rates) * MEASUREMENTS_OF_A_ROUND + usize::from(self.latency_seconds > 0) * RATES.len();
        self.rounds * each_round
            + usize::from(self.scaling_seconds > 0)
            + usize::from(self.heartbeats > 0)
            + peers::wanted().len()
            + 2
    }
}

/// Measures everything that the plan asks for. `show` is told each step as it begins.
pub async fn measure(plan: &Plan, show: impl Fn(&str)) -> anyhow::Result<Report> {
    show("starting RabbitMQ and Redis");
    let stand = Stand::start().await;
    let mut rounds: Vec<Round> = Vec::new();
    for number in (1..=plan.rounds).filter(|_| plan.rates) {
        let before = rounds.last().map(|round| format!(" (before: {round})")).unwrap_or_default();
        let step = |what: &str| show(&format!("round {number} of {}: {what}{before}", plan.rounds));
        rounds.push(round(plan, &stand, step).await?);
    }
    let mut report = Report { profile: plan.profile, tasks: plan.tasks, rounds, ..Report::default() };
    show("processes at rest");
    report.idle_mib = Some(at_rest(plan, &stand).await?);
    if plan.latency_seconds > 0 {
        for rate in RATES {
            let mut latencies = Vec::new();
            for number in 1..=plan.rounds {
                show(&format!("latency at {rate} tasks a second, round {number} of {}", plan.rounds));
                let ground = Ground::new(&stand, plan.profile).await?;
                latencies.push(latency::measure(&ground, rate, plan.latency_seconds).await?);
            }
            report.latencies.push(Latency::median(rate, &latencies));
        }
    }
    if plan.scaling_seconds > 0 {
        show("1, 2, 4 and 8 workers");
        report.scales = scaling::measure(&stand, plan.profile, plan.scaling_seconds).await?;
    }
    if plan.heartbeats > 0 {
        show("the heartbeats of a thousand workers");
        let ground = Ground::new(&stand, plan.profile).await?;
        report.heartbeats = Some(heartbeats::measure(&ground, plan.heartbeats).await?);
    }
    for peer in peers::wanted() {
        show(peer);
        report.peers.extend(peers::measure(&stand, peer, plan.tasks.min(LARGEST_OF_PEERS)).await);
    }
    Ok(report)
}

async fn round(plan: &Plan, stand: &Stand, show: impl Fn(&str)) -> anyhow::Result<Round> {
    let Plan { tasks, profile, rest, .. } = *plan;
    show("a raw publisher");
    let ground = Ground::new(stand, profile).await?;
    let raw_publish = raw::publish(&ground, tasks).await?;
    show("a raw consumer");
    sleep(rest).await;
    let raw_consume = raw::consume(&ground, tasks).await?;
    show("enqueueing");
    let enqueue = enqueue(&Ground::new(stand, profile).await?, tasks).await?;
    show("working off a backlog");
    let drain = drain::alone(&Ground::new(stand, profile).await?, stand, tasks, rest).await?;
    show("working off a backlog, watched by a monitor");
    let watched = drain::watched(&Ground::new(stand, profile).await?, stand, tasks, rest).await?;
    show("producer, worker and monitor at once");
    let at_once = drain::at_once(&Ground::new(stand, profile).await?, tasks).await?;
    Ok(Round { raw_publish, enqueue, raw_consume, drain, watched, at_once })
}

// A worker and a monitor that have nothing to do, in MiB.
async fn at_rest(plan: &Plan, stand: &Stand) -> anyhow::Result<(f64, f64)> {
    let ground = Ground::new(stand, plan.profile).await?;
    let monitor = ground.start("warren-monitor", "").await;
    let worker = ground.start("warren-worker", "").await;
    Ok((mebibytes(worker.process.resident()), mebibytes(monitor.process.resident())))
}
