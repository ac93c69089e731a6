//! The HTTP gateway: tasks over HTTP, answered only after the broker has confirmed.

mod answer;
mod metrics;
mod queues;
mod routes;
mod schedules;
mod workflows;

use std::time::Duration;

use tokio_util::task::TaskTracker;
use tracing::info;
use warren_core::Operator;
use warren_producer::{
    Config, PORT, Producer,
    schedule::{self, Scheduler, Schedules},
    workflow::{self, Engine, Workflows},
};
use warren_runtime::{
    Shutdown, clock,
    http::{Metrics, Server},
    readiness::Readiness,
};

use queues::Queues;
use routes::State;

// The server gives its last answers a few seconds by itself; this is for what comes on top.
const GRACE: Duration = Duration::from_secs(10);

/// Listens, keeps the queues declared, publishes, and runs the schedules and workflows.
#[derive(Debug)]
pub struct Gateway {
    producer: Producer,
    queues: Queues,
    ticking: Option<Scheduler>,
    flowing: Option<Engine>,
    server: Server,
}

impl Gateway {
    /// Begins to listen and to connect.
    pub async fn bind(mut config: Config) -> anyhow::Result<Self> {
        config.app_id.get_or_insert_with(|| "warren-gateway".to_owned());
        let readiness = Readiness::default();
        let metrics = Metrics::new();
        let queues = Queues::new(&config, readiness.latch("queues"));
        let producer = Producer::start(&config, Some(readiness.latch("publisher")));
        let schedules = Schedules::new(&config, producer.clone())?;
        let ticking = if config.run_schedules {
            let (latch, measured) = (readiness.latch("schedules"), schedule::Measured::new(&metrics));
            let file = config.definitions()?;
            Some(Scheduler::new(schedules.clone(), &clock::process_name(), file, latch, measured))
        } else {
            None
        };
        let workflows = Workflows::new(&config, producer.clone())?;
        let flowing = config.run_workflows.then(|| {
            let (latch, measured) = (readiness.latch("workflows"), workflow::Measured::new(&metrics));
            Engine::new(workflows.clone(), &clock::process_name(), latch, measured)
        });
        let state = State::new(producer.clone(), config.max_request_bytes, &metrics);
        let routes = routes::routes(state).merge(schedules::routes(schedules));
        let routes = routes.merge(workflows::routes(workflows, config.max_request_bytes));
        let server = Server::bind(&config.http, PORT, routes, readiness, metrics).await?;
        Ok(Self { producer, queues, ticking, flowing, server })
    }

    /// Serves until a signal comes, and ends in good order: last answers, last events, goodbye.
    pub async fn run(self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let Self { producer, queues, ticking, flowing, server } = self;
        let tracker = TaskTracker::new();
        let drain = shutdown.drain.clone();
        tracker.spawn(queues.run(drain.clone()));
        if let Some(scheduler) = ticking {
            tracker.spawn(scheduler.run(drain.clone()));
        }
        if let Some(engine) = flowing {
            tracker.spawn(engine.run(drain.clone()));
        }
        tracker.spawn(async move {
            server.run(drain.clone()).await;
            // Without its server the gateway is of no use.
            drain.cancel();
        });
        let signals = shutdown.clone().on_signals();
        let ending = async {
            shutdown.drain.cancelled().await;
            shutdown.finish(&tracker, GRACE).await;
        };
        tokio::pin!(signals, ending);
        tokio::select! {
            () = &mut ending => {}
            ended = &mut signals => ended?,
        }
        producer.close().await;
        info!("ended");
        Ok(())
    }
}

// It asks nobody for a name, so that is as much as is known of who does something through it.
fn operator() -> Operator {
    Operator::parse("gateway").expect("the literal is a valid name")
}
