//! Keeping the queues there: declared at the start, and again whenever the broker comes back.

use tokio_util::sync::CancellationToken;
use warren_core::QueueName;
use warren_producer::Config;
use warren_runtime::{
    amqp::{
        Connector, Error, Link, Names, Topology,
        session::{Sessions, chain},
    },
    clock,
    readiness::Latch,
};

/// Declares what the pool needs, on a connection that tells when the broker went away.
#[derive(Debug)]
pub struct Queues {
    connector: Connector,
    topology: Topology,
    wanted: Vec<QueueName>,
    latch: Latch,
}

impl Queues {
    /// The latch is met while everything is declared.
    pub fn new(config: &Config, latch: Latch) -> Self {
        let topology = Topology::new(Names::new(&config.namespace), &config.amqp);
        let connector = Connector::new(config.amqp.clone(), &clock::process_name());
        Self { connector, topology, wanted: config.queues.clone(), latch }
    }

    /// Declares, again and again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "declare");
        while let Some(link) = sessions.next(&stop).await {
            let ended = self.live(&link, &stop).await;
            if let Err(error) = &ended {
                self.latch.missing(chain(error));
            }
            sessions.ended(link, ended).await;
        }
    }

    async fn live(&self, link: &Link, stop: &CancellationToken) -> Result<(), Error> {
        self.topology.declare(link).await?;
        for queue in &self.wanted {
            self.topology.declare_queue(link, queue).await?;
        }
        self.latch.met();
        stop.run_until_cancelled(link.broken()).await.map_or(Ok(()), Err)
    }
}
