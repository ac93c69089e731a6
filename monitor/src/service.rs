//! The running monitor: its parts, wired, started and ended in order.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};
use warren_runtime::{
    Shutdown, Uplink,
    amqp::{Connector, Names, Topology, session::chain},
    clock,
    command_log::{CommandLog, Orders},
    http::{self, Server},
    readiness::{Latch, Readiness},
    redis::{
        Keys, Store,
        leader::{Candidate, News, Office},
    },
};

use crate::{
    alerts::Alerts,
    api,
    config::{Config, PORT},
    dashboard,
    duties::Duties,
    metrics::Metrics,
};

const GRACE: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(10);
const MARGIN: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_secs(3);

/// Runs a monitor until it is told to end.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let process = clock::process_name();
    let names = Names::new(&config.namespace);
    let store = Store::new(&config.redis, Keys::new(&config.namespace))?;
    let readiness = Readiness::default();
    let latch = Arc::new(readiness.latch("projection"));
    let registry = http::Metrics::new();
    let metrics = Metrics::new(&registry);

    let connector = Connector::new(config.amqp.clone(), &process);
    let uplink = Uplink::start(connector.clone(), &names, &process, None);
    let commands = CommandLog::new(uplink.publisher.clone(), &names, &process);
    let steering = api::Steering { commands: commands.clone(), log: uplink.log.clone() };
    let (alerts, messenger) = Alerts::new(&config.alerts, config.namespace.as_str(), metrics.clone())?;
    let view = api::View::new(&config, &process, store.clone(), steering);
    let (live, listening) = api::Live::new(view.clone());
    let routes = api::routes(view, listening).merge(dashboard::routes());
    let server = Server::bind(&config.http, PORT, routes, readiness, registry).await?;

    info!(process, version = env!("CARGO_PKG_VERSION"), "starting");
    let office = Office { key: store.keys().leader(), lease: LEASE, margin: MARGIN, renewal: RENEWAL };
    let candidate = Candidate::new(store.clone(), office, &process, tell(latch.clone(), metrics.clone()));
    let topology = Topology::new(names, &config.amqp);
    let orders = Orders::default();
    let duties = Duties {
        config,
        process,
        connector,
        topology,
        store: store.clone(),
        uplink,
        commands,
        orders,
        latch,
        alerts,
        metrics,
    };

    let shutdown = Shutdown::default();
    let silence = CancellationToken::new();
    let serving = TaskTracker::new();
    serving.spawn(server.run(silence.clone()));
    serving.spawn(live.run(shutdown.drain.clone()));
    if let Some(messenger) = messenger {
        serving.spawn(messenger.run(shutdown.drain.clone()));
    }
    serving.spawn(check_eviction(store, shutdown.drain.clone()));
    let signals = TaskTracker::new();
    signals.spawn(listen(shutdown.clone()));

    let leading = candidate.run(shutdown.drain.clone(), |stop| duties.perform(stop));
    tokio::select! {
        () = leading => {}
        () = shutdown.abort.cancelled() => warn!("stopping without giving back the lease"),
    }
    duties.uplink.close().await;
    silence.cancel();
    shutdown.finish(&serving, GRACE).await;
    shutdown.abort.cancel();
    signals.close();
    signals.wait().await;
    info!("ended");
    Ok(())
}

// While another leads, the latch says whether Redis answers; in our own term it belongs to the projection.
fn tell(latch: Arc<Latch>, metrics: Metrics) -> impl Fn(News<'_>) {
    move |news| match news {
        News::Waiting => latch.met(),
        News::Refused(why) => latch.missing(why),
        News::Leading => {
            metrics.leader.set(1);
            latch.missing("the projection is starting");
        }
        News::Over => {
            metrics.leader.set(0);
        }
    }
}

async fn listen(shutdown: Shutdown) {
    if let Err(error) = shutdown.on_signals().await {
        error!(%error, "cannot listen to signals");
    }
}

// Redis may come later than we do, so this asks until it is answered.
async fn check_eviction(store: Store, drain: CancellationToken) {
    let policy = loop {
        match store.eviction().await {
            Ok(policy) => break policy,
            Err(error) => tracing::debug!(error = chain(&error), "Redis was not asked for its policy"),
        }
        if drain.run_until_cancelled(tokio::time::sleep(Duration::from_secs(2))).await.is_none() {
            return;
        }
    };
    match policy.as_deref() {
        Some("noeviction") => {}
        Some(policy) => error!(
            policy,
            "Redis throws keys away without a word when its memory is full, and what is shown will be wrong: set \
             maxmemory-policy noeviction"
        ),
        None => warn!("Redis does not tell its maxmemory-policy: make sure that it is noeviction"),
    }
}
