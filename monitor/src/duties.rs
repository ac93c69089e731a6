//! What the leader does, for as long as its term lasts.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warren_runtime::{
    Uplink,
    amqp::{Connector, Topology},
    command_log::{CommandLog, Orders},
    readiness::Latch,
    redis::Store,
};

use crate::{
    alerts::Alerts,
    config::Config,
    detector::Detector,
    figures::Sampler,
    keeper::Keeper,
    letters::{Sweeper, desk::Desk},
    metrics::Metrics,
    projection::{Ledger, Probe, Projector},
    queues::Poller,
    reaper::Reaper,
    tap::Tap,
};

/// Everything that a term needs.
#[derive(Debug)]
pub struct Duties {
    /// As configured.
    pub config: Config,
    /// The name of this process.
    pub process: String,
    /// How to reach the broker.
    pub connector: Connector,
    /// What must exist there.
    pub topology: Topology,
    /// Redis.
    pub store: Store,
    /// The way to the event log.
    pub uplink: Uplink,
    /// The way to the command log.
    pub commands: CommandLog,
    /// What is in force.
    pub orders: Orders,
    /// Met while the projection follows the log.
    pub latch: Arc<Latch>,
    /// Who is told what is found.
    pub alerts: Alerts,
    /// What is measured.
    pub metrics: Metrics,
}

impl Duties {
    /// Does them all until `stop`, and returns when all have ended.
    pub async fn perform(&self, stop: CancellationToken) {
        let probe = Arc::new(Probe::new(&self.process));
        let running = TaskTracker::new();
        running.spawn(self.projector(&probe).run(stop.clone()));
        running.spawn(self.tap().run(stop.clone()));
        running.spawn(self.detector(&probe).run(stop.clone()));
        running.spawn(self.poller().run(stop.clone()));
        running.spawn(self.sweeper(&probe).run(stop.clone()));
        running.spawn(self.sampler().run(stop.clone()));
        running.spawn(self.keeper(&probe).run(stop.clone()));
        running.close();
        probe.run(self.uplink.publisher.clone(), self.topology.names().clone(), stop).await;
        running.wait().await;
        self.metrics.clear();
    }

    fn projector(&self, probe: &Arc<Probe>) -> Projector {
        Projector {
            connector: self.connector.clone(),
            topology: self.topology.clone(),
            ledger: Ledger::new(self.store.clone()),
            reaper: Reaper::new(self.config.retention.clone()),
            probe: probe.clone(),
            latch: self.latch.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn tap(&self) -> Tap {
        Tap {
            connector: self.connector.clone(),
            topology: self.topology.clone(),
            publisher: self.uplink.publisher.clone(),
            log: self.uplink.log.clone(),
            preview_bytes: self.config.preview_bytes,
            metrics: self.metrics.clone(),
        }
    }

    fn detector(&self, probe: &Arc<Probe>) -> Detector {
        Detector {
            store: self.store.clone(),
            process: self.process.clone(),
            probe: probe.clone(),
            lost_after: self.config.lost_after,
            stuck_after: self.config.stuck_after,
            window: self.config.alerts.window,
            alerts: self.alerts.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn keeper(&self, probe: &Arc<Probe>) -> Keeper {
        Keeper {
            connector: self.connector.clone(),
            topology: self.topology.clone(),
            commands: self.commands.clone(),
            orders: self.orders.clone(),
            store: self.store.clone(),
            log: self.uplink.log.clone(),
            probe: probe.clone(),
        }
    }

    fn sweeper(&self, probe: &Arc<Probe>) -> Sweeper {
        Sweeper {
            connector: self.connector.clone(),
            topology: self.topology.clone(),
            publisher: self.uplink.publisher.clone(),
            log: self.uplink.log.clone(),
            store: self.store.clone(),
            desk: Desk::new(self.store.clone()),
            probe: probe.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn poller(&self) -> Poller {
        Poller {
            connector: self.connector.clone(),
            names: self.topology.names().clone(),
            store: self.store.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn sampler(&self) -> Sampler {
        Sampler { store: self.store.clone(), lost_after: self.config.lost_after }
    }
}
