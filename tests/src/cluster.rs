//! A cluster of three RabbitMQ nodes of a test's own, any one of which it can kill and bring back.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::{http, servers, until};

/// How many nodes it has.
pub const NODES: usize = 3;

// A machine that does other things as well may take its time to start three brokers.
const PATIENCE: Duration = Duration::from_mins(2);

/// The nodes, and a Redis beside them. All end with it.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    amqp: String,
    management: Vec<String>,
    redis: String,
}

impl Cluster {
    /// Starts all nodes, and waits until they are one cluster.
    pub async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("warren-cluster-{}", uuid::Uuid::now_v7().simple()));
        let mut cluster = Self { folder, amqp: String::new(), management: Vec::new(), redis: String::new() };
        let addresses = cluster.script("cluster", &[], "").await;
        let of = |name: &str| {
            let line = addresses.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {name} in {addresses}")).to_owned()
        };
        cluster.amqp = of("AMQP_URL");
        cluster.management = of("MANAGEMENT_URL").split(',').map(str::to_owned).collect();
        cluster.redis = of("REDIS_URL");
        cluster
    }

    /// What a process of Warren must be told to work there.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WARREN_AMQP__URL", self.amqp.clone()),
            ("WARREN_REDIS__URL", self.redis.clone()),
            ("WARREN_AMQP__PROFILE", "quorum".to_owned()),
        ]
    }

    /// The address of each node.
    pub fn nodes(&self) -> Vec<String> {
        self.amqp.split(',').map(str::to_owned).collect()
    }

    /// Kills a node, by its number from 0 on, as a power cut would.
    pub async fn kill(&self, node: usize) {
        self.script("signal", &["KILL"], &format!("node{}", node + 1)).await;
    }

    /// Starts what is dead, and waits until every replica of every queue is back, so that the next node may die.
    pub async fn restore(&self) {
        self.script("cluster", &[], "").await;
        until("all replicas are back", PATIENCE, async || self.is_whole().await).await;
    }

    async fn is_whole(&self) -> Result<(), String> {
        let queues = self.ask(0, "/api/queues").await?;
        let present = |queue: &Value, what: &str| queue[what].as_array().map_or(0, Vec::len);
        // An exclusive queue has no replicas, and lives no longer than its connection.
        let replicated = queues.as_array().into_iter().flatten().filter(|queue| queue["type"] != "classic");
        for queue in replicated {
            if present(queue, "members") != NODES || present(queue, "online") != NODES {
                return Err(format!("{}: {} of {}", queue["name"], queue["online"], queue["members"]));
            }
        }
        // Refused for a node on which a queue would lose its majority.
        for node in 0..NODES {
            self.ask(node, "/api/health/checks/node-is-quorum-critical").await?;
        }
        Ok(())
    }

    async fn ask(&self, node: usize, path: &str) -> Result<Value, String> {
        let answer = http::client().get(format!("{}{path}", self.management[node])).timeout(PATIENCE).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    async fn script(&self, command: &str, more: &[&str], part: &str) -> String {
        let mut script = Command::new(servers::root().join("scripts/servers"));
        script.arg(command).arg(self.folder.join(part)).args(more).kill_on_drop(true);
        let run = tokio::time::timeout(PATIENCE, script.output()).await.expect("the script ends in time");
        let output = run.expect("scripts/servers can be run");
        assert!(output.status.success(), "scripts/servers {command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("addresses are text")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = std::process::Command::new(servers::root().join("scripts/servers"));
        drop(stop.arg("stop").arg(&self.folder).arg("--now").status());
        if std::thread::panicking() {
            eprintln!("--- the cluster's logs: {}/node*/log", self.folder.display());
        } else {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}
