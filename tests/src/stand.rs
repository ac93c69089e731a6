//! A RabbitMQ and a Redis of a test's own, which it may kill, freeze and restart.
//!
//! `scripts/servers` starts them; with `WARREN_RABBITMQ_IMAGE` in the environment the broker is that image.

use std::{path::PathBuf, process::Stdio, time::Duration};

use reqwest::Method;
use serde_json::Value;
use tokio::process::Command;

use crate::{http, servers, until};

/// What the broker can be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Memory.
    Memory,
    /// Room on its disk.
    Disk,
}

/// A broker and a Redis. Both are gone when it is dropped.
#[derive(Debug)]
pub struct Stand {
    folder: PathBuf,
    amqp: String,
    management: String,
    redis: String,
    mounted: bool,
}

impl Stand {
    /// Starts both, and waits until they answer.
    pub async fn start() -> Self {
        Self::prepare().begin().await
    }

    /// The same with a disk of this many MiB for Redis alone. `None` where nothing may be mounted here.
    pub async fn start_on_small_disk(mebibytes: u32) -> Option<Self> {
        let mut stand = Self::prepare();
        let disk = stand.redis_disk();
        std::fs::create_dir_all(&disk).expect("a folder for Redis");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "warren-test"]).arg(&disk);
        mount.stderr(Stdio::null());
        if !mount.status().await.is_ok_and(|status| status.success()) {
            return None;
        }
        stand.mounted = true;
        Some(stand.begin().await)
    }

    fn prepare() -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let folder = std::env::temp_dir().join(format!("warren-stand-{}", &id[8..]));
        Self { folder, amqp: String::new(), management: String::new(), redis: String::new(), mounted: false }
    }

    async fn begin(mut self) -> Self {
        let printed = self.restore().await;
        let value = |name: &str| {
            let found = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {name} in {printed}")).to_owned()
        };
        (self.amqp, self.management, self.redis) = (value("AMQP_URL"), value("MANAGEMENT_URL"), value("REDIS_URL"));
        self
    }

    /// The broker's address.
    pub fn amqp(&self) -> &str {
        &self.amqp
    }

    /// The management API, with its credentials.
    pub fn management(&self) -> &str {
        &self.management
    }

    /// The address of Redis.
    pub fn redis(&self) -> &str {
        &self.redis
    }

    /// Starts what does not run, with the data and the ports that it had, and waits until it answers.
    pub async fn restore(&self) -> String {
        self.script(&["start", self.path()]).await
    }

    /// Starts the broker again, whatever Redis does.
    pub async fn restore_broker(&self) {
        self.script(&["restart", self.path(), "rabbitmq"]).await;
    }

    /// Starts Redis again, whatever the broker does.
    pub async fn restore_redis(&self) {
        self.script(&["restart", self.path(), "redis"]).await;
    }

    /// The broker dies at once, as by a power cut.
    pub async fn kill_broker(&self) {
        self.script(&["signal", self.path(), "KILL"]).await;
    }

    /// The broker closes its connections and its queues in good order, and has ended when this returns.
    pub async fn stop_broker(&self) {
        // In two steps, for in a container rabbitmqctl would die with the broker.
        self.control(&["stop_app"]).await;
        self.kill_broker().await;
    }

    /// The broker does nothing any more, while its connections stay.
    pub async fn freeze_broker(&self) {
        self.script(&["signal", self.path(), "STOP"]).await;
    }

    /// The broker goes on.
    pub async fn thaw_broker(&self) {
        self.script(&["signal", self.path(), "CONT"]).await;
    }

    /// Runs `rabbitmqctl`.
    pub async fn control(&self, arguments: &[&str]) -> String {
        let mut all = vec!["control", self.path()];
        all.extend(arguments);
        self.script(&all).await
    }

    /// The broker is short of something: it takes nothing from publishers any more.
    pub async fn raise_alarm(&self, alarm: Alarm) {
        self.control(&["eval", &format!("rabbit_alarm:set_alarm({{{}, []}}).", resource(alarm))]).await;
    }

    /// It has enough again.
    pub async fn clear_alarm(&self, alarm: Alarm) {
        self.control(&["eval", &format!("rabbit_alarm:clear_alarm({}).", resource(alarm))]).await;
    }

    /// Asks the management API; `None` where it refuses.
    pub async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Value> {
        let mut request = http::client().request(method, format!("{}{path}", self.management));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let text = request.send().await.ok()?.error_for_status().ok()?.text().await.ok()?;
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Closes every connection from the broker's side.
    pub async fn close_connections(&self) {
        self.control(&["close_all_connections", "a test"]).await;
    }

    /// Redis dies at once.
    pub async fn kill_redis(&self) {
        self.signal_redis("KILL").await;
    }

    /// Redis ends in good order, and has ended when this returns.
    pub async fn stop_redis(&self) {
        self.signal_redis("TERM").await;
    }

    /// Redis does nothing any more, while its connections stay.
    pub async fn freeze_redis(&self) {
        self.signal_redis("STOP").await;
    }

    /// Redis goes on.
    pub async fn thaw_redis(&self) {
        self.signal_redis("CONT").await;
    }

    /// Gives Redis a command, whatever process is told otherwise.
    pub async fn redis_command(&self, words: &[&str]) -> redis::Value {
        self.redis_command_in(0, words).await
    }

    /// The same in another of its databases.
    pub async fn redis_command_in(&self, database: u8, words: &[&str]) -> redis::Value {
        let url = self.redis.strip_suffix("/0").expect("the script names database 0");
        until::<_, redis::RedisError>(&format!("Redis takes {words:?}"), Duration::from_secs(20), async || {
            let client = redis::Client::open(format!("{url}/{database}"))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut command = redis::cmd(words[0]);
            for word in &words[1..] {
                command.arg(word);
            }
            command.query_async(&mut connection).await
        })
        .await
    }

    /// What the broker has printed.
    pub fn broker_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log/rabbitmq.log")).unwrap_or_default()
    }

    /// Where its data and its logs are.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Where Redis keeps its data: a disk of its own after [`Stand::start_on_small_disk`].
    pub fn redis_disk(&self) -> PathBuf {
        self.folder.join("redis")
    }

    fn path(&self) -> &str {
        self.folder.to_str().expect("temporary folders have readable names")
    }

    async fn signal_redis(&self, signal: &str) {
        self.script(&["signal", self.path(), signal, "redis"]).await;
    }

    async fn script(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(servers::root().join("scripts/servers"));
        let output = command.args(arguments).stdin(Stdio::null()).output().await.expect("scripts/servers can be run");
        let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "scripts/servers {arguments:?}: {printed}{said}");
        printed.into_owned()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let script = servers::root().join("scripts/servers");
        let mut stop = std::process::Command::new(script);
        stop.args(["stop", self.path(), "--now", "--purge"]).stdout(Stdio::null()).stderr(Stdio::null());
        if std::thread::panicking() {
            let log = self.broker_log();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the broker's last lines, latest first\n{}", lines.join("\n"));
        }
        drop(stop.status());
        if self.mounted {
            drop(std::process::Command::new("umount").arg(self.redis_disk()).status());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn resource(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Memory => "{resource_limit, memory, node()}",
        Alarm::Disk => "{resource_limit, disk, node()}",
    }
}
