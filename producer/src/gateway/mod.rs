//! The HTTP gateway: tasks over HTTP, answered only after the broker has confirmed.

mod answer;
mod metrics;
mod queues;
mod routes;

use std::{io, time::Duration};

use tokio_util::task::TaskTracker;
use tracing::info;
use warren_producer::{Config, PORT, Producer};
use warren_runtime::{
    Shutdown,
    http::{self, Metrics, Server},
    readiness::Readiness,
};

use queues::Queues;
use routes::State;

// The server gives its last answers a few seconds by itself; this is for what comes on top.
const GRACE: Duration = Duration::from_secs(10);

/// Listens, keeps the queues declared, and publishes.
#[derive(Debug)]
pub struct Gateway {
    producer: Producer,
    queues: Queues,
    server: Server,
}

impl Gateway {
    /// Begins to listen and to connect.
    pub async fn bind(mut config: Config) -> Result<Self, http::Error> {
        config.app_id.get_or_insert_with(|| "warren-gateway".to_owned());
        let readiness = Readiness::default();
        let metrics = Metrics::new();
        let queues = Queues::new(&config, readiness.latch("queues"));
        let producer = Producer::start(&config, Some(readiness.latch("publisher")));
        let state = State::new(producer.clone(), config.max_request_bytes, &metrics);
        let server = Server::bind(&config.http, PORT, routes::routes(state), readiness, metrics).await?;
        Ok(Self { producer, queues, server })
    }

    /// Serves until a signal comes, and ends in good order: last answers, last events, goodbye.
    pub async fn run(self, shutdown: &Shutdown) -> io::Result<()> {
        let Self { producer, queues, server } = self;
        let tracker = TaskTracker::new();
        let drain = shutdown.drain.clone();
        tracker.spawn(queues.run(drain.clone()));
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
