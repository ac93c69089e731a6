//! A worker, put together.

use std::{collections::HashMap, sync::Arc};

use axum::Router;
use futures::future::join_all;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use warren_core::{Kind, WorkerId, worker::Hello};
use warren_runtime::{
    Shutdown, Uplink,
    amqp::{Connector, Names, Profile, Topology},
    clock,
    command_log::{CommandLog, Orders},
    http,
    readiness::Readiness,
    redis::{self, Keys, Store},
};

use crate::{
    board::Board,
    config::{Config, PORT},
    desk::Desk,
    forwarder::Forwarder,
    heartbeat::Heart,
    metrics::Metrics,
    pool::Pool,
    reading::{Assignment, Assignments},
    settlement::Settlement,
    steward::Steward,
    suspicion::Suspicion,
    witness::Witness,
};

// A worker is lost when it has missed this many heartbeats.
const MISSED_HEARTBEATS: u32 = 4;

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its HTTP address cannot be used.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The address of Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] redis::Error),
}

/// A worker: what it can run, and how.
pub struct Worker {
    pub(crate) config: Config,
    pub(crate) kinds: HashMap<Kind, Assignment>,
}

impl Worker {
    /// Works until `shutdown` says otherwise.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { config, kinds } = self;
        let names = Names::new(&config.namespace);
        let me = WorkerId::parse(&clock::process_name()).expect("a process's name is a valid worker id");
        let connector = Connector::new(config.amqp.clone(), me.as_str());
        let topology = Topology::new(names.clone(), &config.amqp);
        let store = Store::new(&config.redis, Keys::new(&config.namespace))?;
        let (readiness, metrics, board) = (Readiness::default(), Metrics::default(), Board::default());
        let registry = http::Metrics::new();
        registry.register(|registry| metrics.register(registry));
        let server = http::Server::bind(&config.http, PORT, Router::new(), readiness.clone(), registry).await?;
        if topology.profile() == Profile::Quorum {
            warn!(
                "in quorum queues the broker's version decides what priorities mean: none on 3.10, two levels on 4.0, strict from 4.3 on"
            );
        }

        let latch = readiness.latch("publishing");
        let uplink = Uplink::start(connector.clone(), &names, me.as_str(), Some(latch));
        let commands = CommandLog::new(uplink.publisher.clone(), &names, me.as_str());
        let orders = Orders::default();
        let cutoff = CancellationToken::new();
        let settlement = Settlement {
            names,
            publisher: uplink.publisher.clone(),
            log: uplink.log.clone(),
            abort: cutoff.clone(),
            settling: TaskTracker::new(),
        };
        let suspicion = Suspicion {
            witness: Witness::new(store),
            me: me.clone(),
            crashes: config.crashes as usize,
            lost_after: config.heartbeat * MISSED_HEARTBEATS,
            abort: cutoff.clone(),
        };
        let heart = Heart {
            hello: hello(&config, &me, kinds.keys()),
            every: config.heartbeat,
            log: uplink.log.clone(),
            board: board.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            orders: orders.clone(),
            drain: shutdown.drain.clone(),
        };
        let forwarder = Forwarder {
            connector: connector.clone(),
            topology: topology.clone(),
            settlement: settlement.clone(),
            orders: orders.clone(),
            metrics: metrics.clone(),
        };
        let steward = Steward { orders: orders.clone(), board: board.clone() };
        let desk = Desk {
            me: me.clone(),
            assignments: Assignments { kinds, defaults: config.default_kinds() },
            settlement,
            suspicion,
            orders,
            board,
            metrics,
            max_result_bytes: config.max_result_bytes,
            abort: shutdown.abort.clone(),
        };
        let pool = Pool {
            connector,
            topology,
            queues: config.weights(),
            slots: config.slots,
            prefetch: config.prefetch(),
            grace: config.grace,
            desk: Arc::new(desk),
            commands,
            cutoff,
            latch: readiness.latch("consuming"),
        };

        info!(worker = %me, version = env!("CARGO_PKG_VERSION"), "starting");
        let (components, last) = (TaskTracker::new(), CancellationToken::new());
        components.spawn(server.run(last.clone()));
        components.spawn(heart.run(last.clone()));
        components.spawn(forwarder.run(shutdown.drain.clone()));
        components.spawn(steward.run(last.clone()));
        let handlers: Vec<_> = pool.desk.assignments.kinds.values().map(|kind| kind.handler.clone()).collect();
        pool.run(&shutdown).await;
        join_all(handlers.iter().map(|handler| handler.close())).await;
        last.cancel();
        components.close();
        components.wait().await;
        uplink.close().await;
        info!(worker = %me, "stopped");
        Ok(())
    }
}

fn hello<'a>(config: &Config, me: &WorkerId, kinds: impl Iterator<Item = &'a Kind>) -> Hello {
    let mut kinds: Vec<_> = kinds.cloned().collect();
    kinds.sort();
    Hello {
        worker: me.clone(),
        at: clock::now(),
        host: clock::host_name(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: config.slots,
        queues: config.weights().into_iter().collect(),
        kinds,
        heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
    }
}
