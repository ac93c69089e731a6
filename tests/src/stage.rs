//! A whole pool under load on servers of its own, every process of which is started again when it dies, as a supervisor
//! would; and every wire of which goes through a proxy.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};
use warren_core::QueueName;

use crate::{
    Broker, Pool, Process, Proxy, Stand,
    books::{Balance, Books},
    ledger,
    pool::Service,
    until,
};

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Workers.
    pub workers: usize,
    /// Monitors.
    pub monitors: usize,
    /// Producers.
    pub producers: usize,
    /// Tasks a second of each producer.
    pub rate: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { workers: 3, monitors: 2, producers: 2, rate: 25 }
    }
}

/// The pool, its servers and its books.
#[derive(Debug)]
pub struct Stage {
    /// The workers.
    pub workers: Vec<Service>,
    /// The monitors.
    pub monitors: Vec<Service>,
    /// The producers.
    pub producers: Vec<Process>,
    /// Between every process and the broker.
    pub amqp: Proxy,
    /// Between every process and Redis.
    pub redis: Proxy,
    /// Where its names and its files are.
    pub pool: Pool,
    /// What is written down outside of Warren.
    pub books: Books,
    /// The servers.
    pub stand: Stand,
    size: Size,
    // What every process is told beside what the pool says.
    variables: Vec<(&'static str, String)>,
    generation: u32,
}

// Long enough for a backlog of minutes to drain on a loaded machine.
const UNTIL_REST: Duration = Duration::from_mins(5);

impl Stage {
    /// Starts everything, and waits until all of it is ready.
    pub async fn set(size: Size) -> Self {
        let mut stage = Self::open(Stand::start().await, size, Vec::new()).await;
        stage.ready(Duration::from_mins(1)).await;
        stage.produce();
        stage
    }

    /// Starts the workers and the monitors, with these variables beside their own, and waits for nothing.
    pub async fn open(stand: Stand, size: Size, variables: Vec<(&'static str, String)>) -> Self {
        let (amqp, redis) = (Proxy::to(stand.amqp()).await, Proxy::to(stand.redis()).await);
        // A silent peer is noticed after two heartbeats; with the default of 10 s each test would take a minute.
        let pool = Pool::at(&format!("{}?heartbeat=2", amqp.url()), redis.url());
        let books = Books::of(&pool);
        let (workers, monitors, producers) = (Vec::new(), Vec::new(), Vec::new());
        let mut stage =
            Self { workers, monitors, producers, amqp, redis, pool, books, stand, size, variables, generation: 0 };
        stage.workers = (0..size.workers).map(|_| stage.new_worker()).collect();
        stage.monitors = (0..size.monitors).map(|_| stage.new_monitor()).collect();
        stage
    }

    /// Starts the producers.
    pub fn produce(&mut self) {
        self.producers = (0..self.size.producers).map(|_| self.new_producer()).collect();
    }

    /// Ends the producers in good order: what they have handed in is written down.
    pub async fn hush(&mut self) {
        for producer in &mut self.producers {
            producer.terminate();
            producer.ended(Duration::from_secs(30)).await;
        }
        self.producers.clear();
    }

    /// Starts a monitor in addition, or in the place of one that was taken out.
    pub fn add_monitor(&mut self) {
        let monitor = self.new_monitor();
        self.monitors.push(monitor);
    }

    /// Starts again what has died.
    pub fn tend(&mut self) {
        for n in 0..self.workers.len() {
            if self.workers[n].process.is_dead() {
                self.workers[n].process.save_output(&self.logs());
                self.workers[n] = self.new_worker();
            }
        }
        for n in 0..self.monitors.len() {
            if self.monitors[n].process.is_dead() {
                self.monitors[n].process.save_output(&self.logs());
                self.monitors[n] = self.new_monitor();
            }
        }
        for n in 0..self.producers.len() {
            if self.producers[n].is_dead() {
                self.producers[n] = self.new_producer();
            }
        }
    }

    /// Tends the pool for this long.
    pub async fn tend_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.tend();
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether each worker is ready, by its own word.
    pub async fn workers_ready(&self) -> Vec<bool> {
        futures::future::join_all(self.workers.iter().map(|worker| async { worker.get("/ready").await.is_ok() })).await
    }

    /// Waits until every worker and every monitor is ready, while tending them.
    pub async fn ready(&mut self, patience: Duration) {
        let begun = Instant::now();
        loop {
            self.tend();
            let all = self.workers.iter().chain(&self.monitors);
            let answers = futures::future::join_all(all.map(|service| service.get("/ready"))).await;
            let red: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
            if red.is_empty() {
                return;
            }
            assert!(begun.elapsed() < patience, "not ready within {patience:?}: {red:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The position of the monitor that projects.
    pub async fn leader(&self) -> Option<usize> {
        let overview = self.overview().await?;
        let leader = overview["leader"].as_str()?;
        for (n, monitor) in self.monitors.iter().enumerate() {
            let own = monitor.get("/api/overview").await.ok();
            if own.is_some_and(|overview| overview["monitor"] == leader) {
                return Some(n);
            }
        }
        None
    }

    /// How many tasks are confirmed so far.
    pub fn confirmed(&self) -> usize {
        ledger::lines(&self.books.confirmed)
    }

    /// Waits until this many more tasks are confirmed and this many more lines are in the ledger, while tending.
    pub async fn flow(&mut self, count: usize) {
        let aims = (self.confirmed() + count, self.lines() + count);
        let begun = Instant::now();
        while self.confirmed() < aims.0 || self.lines() < aims.1 {
            self.tend();
            assert!(begun.elapsed() < UNTIL_REST, "nothing flows: {} of {aims:?}", self.confirmed());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets everything that was handed in come to its end, and balances the books.
    pub async fn balance(&mut self) -> Balance {
        self.hush().await;
        self.ready(Duration::from_mins(1)).await;
        self.rest().await;
        let broker = Broker::at(self.stand.amqp()).await;
        let balance = self.books.balance(&self.pool, &broker, &self.monitors[0]).await;
        if !balance.missing.is_empty() {
            self.tell_of_the_lost(&balance.missing).await;
        }
        balance
    }

    // A loss that comes once in a thousand runs must be understood from the one in which it came.
    async fn tell_of_the_lost(&mut self, lost: &[String]) {
        for task in lost.iter().take(5) {
            let known = self.monitors[0].get(&format!("/api/tasks/{task}")).await;
            eprintln!("lost: {}", known.map_or_else(|error| format!("{task}: {error}"), |known| known.to_string()));
        }
        let columns = ["name", "messages_ready", "messages_unacknowledged"];
        let arguments = [&["list_queues", "--quiet", "--no-table-headers"][..], &columns].concat();
        eprintln!("in the broker:\n{}", self.stand.control(&arguments).await);
        eprintln!("kept in {}", self.keep().display());
    }

    /// The peaks of the resident sizes so far, in KiB: of the workers, and of the monitors.
    pub fn peaks(&self) -> (u64, u64) {
        let peak = |services: &[Service]| services.iter().filter_map(|s| s.process.peak()).max().unwrap_or(0);
        (peak(&self.workers), peak(&self.monitors))
    }

    /// Keeps the books, and what every process and the broker have printed, beyond the end of the run. Returns where.
    pub fn keep(&mut self) -> PathBuf {
        let logs = self.logs();
        let services = self.workers.iter().chain(&self.monitors);
        services.for_each(|service| service.process.save_output(&logs));
        std::fs::write(logs.join("rabbitmq.log"), self.stand.broker_log()).expect("a file in the test's folder");
        self.pool.keep();
        self.pool.folder().clone()
    }

    fn logs(&self) -> PathBuf {
        let folder = self.pool.folder().join("logs");
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        folder
    }

    /// The ledger of the workers.
    pub fn ledger(&self) -> &PathBuf {
        &self.books.executions
    }

    /// Waits until nothing waits or runs by the broker's word, and then by the projection's, while tending.
    pub async fn rest(&mut self) {
        let names = self.pool.names();
        // What stays where it is: the streams, and the dead letters.
        let stays = [names.log(), names.commands(), names.dead(&QueueName::default())];
        let begun = Instant::now();
        loop {
            self.tend();
            let queues =
                self.stand.control(&["list_queues", "--quiet", "--no-table-headers", "name", "messages"]).await;
            let full: Vec<_> = queues
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .filter(|(name, messages)| !stays.iter().any(|stays| stays == name) && *messages != "0")
                .collect();
            if full.is_empty() {
                break;
            }
            assert!(begun.elapsed() < UNTIL_REST, "not at rest: {full:?}");
        }
        // A disagreement at the end of this is for the books to name, not to wait for.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let overview = self.overview().await.unwrap_or_default();
            let open = ["queued", "delayed", "running"].map(|state| overview["states"][state].as_u64());
            if open == [Some(0); 3] && overview["lag_seconds"].as_f64().is_some_and(|lag| lag < 1.0) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the first monitor that answers says of the pool.
    pub async fn overview(&self) -> Option<Value> {
        for monitor in &self.monitors {
            if let Ok(overview) = monitor.get("/api/overview").await {
                return Some(overview);
            }
        }
        None
    }

    fn lines(&self) -> usize {
        ledger::lines(&self.books.executions)
    }

    fn new_worker(&mut self) -> Service {
        let file = self.pool.file("worker.toml", "slots = 4\nheartbeat = '1s'\ngrace = '3s'\n");
        let mut variables = self.variables.clone();
        variables.extend([("WARREN_CONFIG", file), ("LEDGER", self.books.executions.display().to_string())]);
        self.pool.launch("ledger-worker", &[], &variables)
    }

    fn new_monitor(&mut self) -> Service {
        let mut variables = self.variables.clone();
        variables.push(("WARREN_LOST_AFTER", "4s".into()));
        self.pool.launch("warren-monitor", &[], &variables)
    }

    // Each with a name of its own, so that no task's id comes twice.
    fn new_producer(&mut self) -> Process {
        self.generation += 1;
        let mut variables = self.pool.variables();
        variables.extend(self.variables.clone());
        variables.push(("LEDGER", self.books.confirmed.display().to_string()));
        variables.push(("NAME", format!("p{}", self.generation)));
        variables.push(("RATE", self.size.rate.to_string()));
        Process::start("ledger-producer", &[], &variables)
    }
}

/// Waits until a worker that was alive is shown as ready no more.
pub async fn red(worker: &Service, patience: Duration) {
    until("a worker is not ready any more", patience, async || match worker.get("/ready").await {
        Ok(ready) => Err(ready),
        Err(_) => Ok(()),
    })
    .await;
}
