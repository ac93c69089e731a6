//! A pool in a namespace of its own: its processes, its names, and what its monitor says.

use std::{fs::File, net::TcpListener, path::PathBuf, sync::Mutex, time::Duration};

use serde_json::Value;
use warren_core::{QueueName, TaskState};
use warren_runtime::amqp::Names;

use crate::{Process, Stand, http, servers, until};

/// Long enough for a loaded machine, short enough to notice a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace on the servers of this test run.
#[derive(Debug)]
pub struct Pool {
    namespace: QueueName,
    folder: PathBuf,
    amqp: String,
    redis: String,
    is_kept: bool,
}

/// A process with its HTTP address.
#[derive(Debug)]
pub struct Service {
    /// The process.
    pub process: Process,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Pool {
    /// A namespace that nobody else uses, on the servers of this test run.
    pub fn new() -> Self {
        Self::at(&servers::amqp(), &servers::redis())
    }

    /// The same on servers of the test's own.
    pub fn on(stand: &Stand) -> Self {
        Self::at(stand.amqp(), stand.redis())
    }

    /// The same on the servers at these addresses.
    pub fn at(amqp: &str, redis: &str) -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let namespace = QueueName::parse(&format!("t{}", &id[8..])).expect("hexadecimal digits are valid");
        let folder = std::env::temp_dir().join(format!("warren-test-{namespace}"));
        std::fs::create_dir_all(&folder).expect("a folder for the test's files");
        Self { namespace, folder, amqp: amqp.to_owned(), redis: redis.to_owned(), is_kept: false }
    }

    /// The names of its queues.
    pub fn names(&self) -> Names {
        Names::new(&self.namespace)
    }

    /// The name of the task queue that is used unless another is named.
    pub fn queue(&self) -> String {
        self.names().queue(&QueueName::default())
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Leaves the folder where it is when this is dropped.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Writes a file into the folder of the test and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file in the test's folder");
        path.display().to_string()
    }

    /// The configuration of a kind `gate`, whose task holds its slot until [`Pool::open_gate`].
    pub fn gate(&self) -> String {
        let open = self.folder.join("open").display().to_string();
        let script = self.file("gate.sh", &format!("while [ ! -e {open} ]; do sleep 0.02; done"));
        format!("[handlers.gate]\ntype = 'command'\ncommand = ['sh', '{script}']\n")
    }

    /// Lets the tasks of kind `gate` end.
    pub fn open_gate(&self) {
        self.file("open", "");
    }

    /// Holds those that begin from now on.
    pub fn close_gate(&self) {
        std::fs::remove_file(self.folder.join("open")).expect("the gate is open");
    }

    /// Starts a worker, and waits until it is ready. `configuration` is the text of its TOML file.
    pub async fn worker(&self, configuration: &str) -> Service {
        self.worker_program("warren-worker", configuration).await
    }

    /// The same with a clock that is this much off, as `-0.3` seconds.
    pub async fn worker_with_clock(&self, offset: &str, configuration: &str) -> Service {
        self.worker_with("warren-worker", configuration, servers::faketime("FAKETIME", offset.to_owned())).await
    }

    /// The same with a program of the test's own.
    pub async fn worker_program(&self, program: &str, configuration: &str) -> Service {
        self.worker_with(program, configuration, Vec::new()).await
    }

    async fn worker_with(
        &self,
        program: &str,
        configuration: &str,
        mut variables: Vec<(&'static str, String)>,
    ) -> Service {
        variables.push(("WARREN_CONFIG", self.file(&format!("{}.toml", uuid::Uuid::now_v7()), configuration)));
        self.start(program, &[], &variables).await
    }

    /// Starts a monitor, and waits until it is ready.
    pub async fn monitor(&self) -> Service {
        self.start("warren-monitor", &[], &[]).await
    }

    /// Starts a gateway, and waits until it is ready.
    pub async fn gateway(&self, variables: &[(&str, String)]) -> Service {
        self.start("warren-producer", &["serve"], variables).await
    }

    /// Starts a service, and waits until it is ready.
    pub async fn start(&self, program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Service {
        let service = self.launch(program, arguments, variables);
        service.ready().await;
        service
    }

    /// Starts a service without waiting for anything.
    pub fn launch(&self, program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Service {
        let port = free_port();
        let mut all = self.variables();
        all.push(("WARREN_HTTP__LISTEN", format!("127.0.0.1:{port}")));
        all.extend(variables.iter().map(|(name, value)| (*name, value.clone())));
        Service { process: Process::start(program, arguments, &all), url: format!("http://127.0.0.1:{port}") }
    }

    /// What every process of the pool is told by its environment. With `WARREN_TEST_PROFILE=quorum` any test runs on quorum
    /// queues.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("WARREN_NAMESPACE", self.namespace.to_string()),
            ("WARREN_AMQP__URL", self.amqp.clone()),
            ("WARREN_REDIS__URL", self.redis.clone()),
        ];
        variables.extend(std::env::var("WARREN_TEST_PROFILE").map(|profile| ("WARREN_AMQP__PROFILE", profile)));
        variables
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

impl Service {
    /// GET, as JSON.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        // A frozen process takes connections and never answers.
        let request = http::client().get(format!("{}{path}", self.url)).timeout(Duration::from_secs(3));
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// How often it has lost a connection to the broker so far. While the first processes of a pool declare its streams, the
    /// broker may refuse one that publishes there already: so what matters is whether it grows.
    pub fn thrown_out(&self) -> usize {
        self.process.output().matches("session with the broker has ended").count()
    }

    /// Waits until `/ready` is green.
    pub async fn ready(&self) {
        until(&format!("{} is ready", self.url), PATIENCE, async || self.get("/ready").await).await;
    }

    /// Of a monitor: a task, once it is in this state.
    pub async fn task(&self, id: &str, state: TaskState) -> Value {
        until(&format!("task {id} is {state}"), PATIENCE, async || {
            let task = self.get(&format!("/api/tasks/{id}")).await?;
            if task["state"] == state.name() { Ok(task) } else { Err(task.to_string()) }
        })
        .await
    }

    /// Of a monitor: waits until this many tasks are in this state.
    pub async fn count(&self, state: TaskState, count: u64) {
        until(&format!("{count} tasks are {state}"), PATIENCE * 2, async || {
            let overview = self.get("/api/overview").await?;
            let seen = &overview["states"][state.name()];
            if *seen == count { Ok(()) } else { Err(overview.to_string()) }
        })
        .await;
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

// Below those that the system gives to connections, any of which could be the one chosen a moment later; and below those of
// `scripts/servers`.
const PORTS: std::ops::Range<u16> = 12_000..20_000;

// The locks of the ports that this process has chosen, until it ends: what is to listen may take a while to start, and neither
// this test nor one beside it may choose the same port meanwhile.
static CHOSEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

fn free_port() -> u16 {
    let locks = std::env::temp_dir().join("warren-test-ports");
    std::fs::create_dir_all(&locks).expect("a folder for the locks of ports");
    loop {
        let port = fastrand::u16(PORTS);
        let lock = File::create(locks.join(port.to_string())).expect("the lock of a port");
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            CHOSEN.lock().expect("nobody panics while choosing").push(lock);
            return port;
        }
    }
}
