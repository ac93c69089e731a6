//! Where a measurement takes place: a namespace of its own on the servers of this run, so that every queue starts empty.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use warren_core::QueueName;
use warren_producer::{Config, Producer};
use warren_runtime::amqp::{self, Connector, Link, Names, Profile, Topology};
use warren_tests::{Pool, Stand, http, pool::Service};

// The size of payload that other benchmarks of queues use as well.
const PAYLOAD: usize = 200;
const PATIENCE: Duration = Duration::from_mins(3);
// An answer costs the worker, and whoever asks, as much as dozens of tasks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A namespace with one task queue.
#[derive(Debug)]
pub struct Ground {
    /// Its processes.
    pub pool: Pool,
    /// How it hands tasks in.
    pub config: Config,
    amqp: String,
    profile: Profile,
}

impl Ground {
    /// On these servers, with its queue declared by Warren's own code: the raw client gets the same arguments.
    pub async fn new(stand: &Stand, profile: Profile) -> anyhow::Result<Self> {
        let pool = Pool::on(stand);
        let namespace = QueueName::parse(pool.names().namespace())?;
        let mut config = Config { namespace, ..Config::at(stand.amqp()) };
        config.amqp.profile = profile;
        let ground = Self { pool, config, amqp: stand.amqp().to_owned(), profile };
        let link = ground.link().await?;
        let topology = Topology::new(ground.names(), &ground.config.amqp);
        topology.declare(&link).await?;
        topology.declare_queue(&link, &QueueName::default()).await?;
        link.close().await;
        Ok(ground)
    }

    /// A connection as Warren makes it.
    pub async fn link(&self) -> Result<Link, amqp::Error> {
        Connector::new(self.config.amqp.clone(), "bench").connect("measure").await
    }

    /// A connection of lapin's own, with nothing of Warren's between.
    pub async fn raw(&self) -> Result<lapin::Connection, lapin::Error> {
        lapin::Connection::connect(&self.amqp, lapin::ConnectionProperties::default()).await
    }

    /// Its names.
    pub fn names(&self) -> Names {
        self.pool.names()
    }

    /// The queue of tasks.
    pub fn queue(&self) -> String {
        self.pool.queue()
    }

    /// The library, with the connection that it publishes on.
    pub async fn producer(&self) -> anyhow::Result<Producer> {
        let producer = Producer::connect(&self.config).await?;
        reached(1, async || producer.obstacle().is_none().then_some(1)).await?;
        Ok(producer)
    }

    /// Starts a program of Warren's, and waits until it is ready. The configuration is a TOML text.
    pub async fn start(&self, program: &str, configuration: &str) -> Service {
        let file = self.pool.file(&format!("{}.toml", uuid::Uuid::now_v7()), configuration);
        let profile = match self.profile {
            Profile::Classic => "classic",
            Profile::Quorum => "quorum",
        };
        let variables = [("WARREN_CONFIG", file), ("WARREN_AMQP__PROFILE", profile.to_owned())];
        self.pool.start(program, &[], &variables).await
    }
}

/// A payload of JSON text.
pub fn payload() -> Vec<u8> {
    let mut text = vec![b'x'; PAYLOAD];
    text[0] = b'"';
    text[PAYLOAD - 1] = b'"';
    text
}

/// Attempts that a worker has ended, by its own metrics.
pub async fn ended(worker: &Service) -> Option<usize> {
    let text = http::client().get(format!("{}/metrics", worker.url)).send().await.ok()?.text().await.ok()?;
    let counts = text.lines().filter(|line| line.starts_with("warren_worker_attempts_total{"));
    Some(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum())
}

/// The moment at which `count` has come to at least `aim`, and what it was then.
pub async fn reached(aim: usize, count: impl AsyncFn() -> Option<usize>) -> anyhow::Result<(Instant, usize)> {
    let begun = Instant::now();
    loop {
        if let Some(found) = count().await.filter(|found| *found >= aim) {
            return Ok((Instant::now(), found));
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{aim} were not reached within {PATIENCE:?}");
        sleep(BETWEEN_LOOKS).await;
    }
}
