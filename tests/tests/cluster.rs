//! The profile for clusters keeps its word: of three nodes any one may die, again and again, while tasks flow.
//!
//! Whether a task has run is read off a ledger outside of Warren, to which the handler itself appends. Only what was
//! confirmed to its sender counts; what was not is handed in again under the same id.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use serde_json::{Value, json};
use warren_tests::{
    Cluster, Pool,
    broker::{headers, message},
    cluster::NODES,
    http,
    pool::Service,
    until,
};

/// Within this time of a node's death, what is handed in must have run and be shown.
const PROMISED: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(100);
// A sender who hears nothing for this long hands in again.
const ANSWER: Duration = Duration::from_secs(40);
// One short line is written at once, so that lines of several workers never mix.
const COUNTED: &str = r#"
[ "$WARREN_KIND" = second_try ] && [ "$WARREN_ATTEMPT" = 1 ] && exit 1
echo "$WARREN_TASK_ID $(date +%s%3N)" >> LEDGER
"#;

/// What is handed in, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Plain,
    Delayed,
    Retried,
}

/// By which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Gateway,
    Exchange,
}

const SORTS: [Sort; 4] = [Sort::Plain, Sort::Delayed, Sort::Plain, Sort::Retried];
const DOORS: [Door; 2] = [Door::Gateway, Door::Exchange];

struct Stage {
    pool: Pool,
    cluster: Cluster,
    gateway: Service,
    monitor: Service,
    confirmed: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Stage {
    /// Hands a task in until that is confirmed.
    async fn submit(&self, door: Door, sort: Sort, sender: &mut Sender) -> String {
        let id = uuid::Uuid::now_v7().to_string();
        loop {
            let sent = async {
                match door {
                    Door::Gateway => self.post(&id, sort).await,
                    Door::Exchange => sender.publish(&self.pool.names().tasks(), &id, sort).await,
                }
            };
            match tokio::time::timeout(ANSWER, sent).await {
                Ok(Ok(())) => break,
                Ok(Err(_)) | Err(_) => sender.next_node(),
            }
            tokio::time::sleep(PACE).await;
        }
        self.confirmed.lock().expect("no panic while it is locked").push(id.clone());
        id
    }

    async fn post(&self, id: &str, sort: Sort) -> anyhow::Result<()> {
        let task = match sort {
            Sort::Plain => json!({"kind": "counted", "id": id}),
            Sort::Delayed => json!({"kind": "counted", "id": id, "delay": 700}),
            Sort::Retried => json!({"kind": "second_try", "id": id, "backoff": "fixed:300"}),
        };
        let url = format!("{}/tasks", self.gateway.url);
        let request = http::client().post(url).header("content-type", "application/json").body(task.to_string());
        request.send().await?.error_for_status()?;
        Ok(())
    }

    fn ledger(&self) -> HashMap<String, Vec<u64>> {
        let text = std::fs::read_to_string(self.pool.folder().join("ledger")).unwrap_or_default();
        let mut runs: HashMap<String, Vec<u64>> = HashMap::new();
        for line in text.lines() {
            let (id, at) = line.split_once(' ').expect("an id and a time");
            runs.entry(id.to_owned()).or_default().push(at.parse().expect("milliseconds"));
        }
        runs
    }

    async fn shown(&self, id: &str) -> Result<(), String> {
        let task = self.monitor.get(&format!("/api/tasks/{id}")).await?;
        if task["state"] == "succeeded" { Ok(()) } else { Err(format!("{id}: {}", task["state"])) }
    }

    /// Every task that the monitor shows as succeeded.
    async fn succeeded(&self) -> Result<HashSet<String>, String> {
        let (mut ids, mut cursor) = (HashSet::new(), String::new());
        loop {
            let page = self.monitor.get(&format!("/api/tasks?state=succeeded&limit=500{cursor}")).await?;
            let tasks = page["tasks"].as_array().into_iter().flatten();
            ids.extend(tasks.filter_map(|task| task["id"].as_str().map(str::to_owned)));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(ids),
            }
        }
    }

    /// Hands in one task of a sort by a door, and says when it had run and when it was shown.
    async fn probe(&self, door: Door, sort: Sort, since: Instant) -> [Duration; 3] {
        let mut sender = Sender::new(&self.cluster);
        let what = format!("{sort:?} by {door:?}");
        let id = tokio::time::timeout(PROMISED, self.submit(door, sort, &mut sender)).await;
        let id = id.unwrap_or_else(|_| panic!("{what}: not confirmed within {PROMISED:?}"));
        let confirmed = since.elapsed();
        let left = || PROMISED.saturating_sub(since.elapsed());
        let ran = async || if self.ledger().contains_key(&id) { Ok(()) } else { Err("it has not") };
        until(&format!("{what} ({id}) has run"), left(), ran).await;
        let ran = since.elapsed();
        until(&format!("{what} ({id}) is shown"), left(), async || self.shown(&id).await).await;
        [confirmed, ran, since.elapsed()]
    }

    async fn keep_submitting(self: Arc<Self>, door: Door) -> usize {
        let mut sender = Sender::new(&self.cluster);
        let mut count = 0;
        for sort in SORTS.iter().cycle() {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            self.submit(door, *sort, &mut sender).await;
            count += 1;
            // A pace, so that the machine is not what is measured.
            tokio::time::sleep(PACE).await;
        }
        count
    }
}

/// A foreign client that knows all nodes.
struct Sender {
    nodes: Vec<String>,
    node: usize,
    open: Option<(Connection, Channel)>,
}

impl Sender {
    fn new(cluster: &Cluster) -> Self {
        Self { nodes: cluster.nodes(), node: 0, open: None }
    }

    fn next_node(&mut self) {
        self.node += 1;
        self.open = None;
    }

    async fn publish(&mut self, exchange: &str, id: &str, sort: Sort) -> anyhow::Result<()> {
        if self.open.is_none() {
            let node = &self.nodes[self.node % self.nodes.len()];
            let connection = Connection::connect(node, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            self.open = Some((connection, channel));
        }
        let (_, channel) = self.open.as_ref().expect("it was opened above");
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish(exchange.into(), "default".into(), options, b"", properties(id, sort));
        anyhow::ensure!(published.await?.await?.is_ack(), "refused");
        Ok(())
    }
}

fn properties(id: &str, sort: Sort) -> BasicProperties {
    match sort {
        Sort::Plain => message("counted", id),
        Sort::Delayed => message("counted", id).with_headers(headers(&[("delay", json!(700))])),
        Sort::Retried => message("second_try", id).with_headers(headers(&[("backoff", json!("fixed:300"))])),
    }
}

fn rounds() -> usize {
    std::env::var("WARREN_TEST_CLUSTER_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number of rounds"))
}

/// The longest time without any execution, from this moment on, in milliseconds since 1970.
fn silence(runs: &HashMap<String, Vec<u64>>, from: u64) -> Duration {
    let mut times: Vec<u64> = runs.values().flatten().copied().filter(|at| *at >= from).chain([from]).collect();
    times.sort_unstable();
    Duration::from_millis(times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default())
}

async fn stage() -> (Arc<Stage>, Vec<Service>) {
    let (cluster, pool) = (Cluster::start().await, Pool::new());
    let script =
        pool.file("counted.sh", &COUNTED.replace("LEDGER", &pool.folder().join("ledger").display().to_string()));
    let handler = |kind: &str| format!("[handlers.{kind}]\ntype = 'command'\ncommand = ['sh', '{script}']\n");
    let file = pool.file("w.toml", &format!("slots = 4\n{}{}", handler("counted"), handler("second_try")));
    // What is on its way to a leader when that dies may never be confirmed.
    let soon = ("WARREN_AMQP__CONFIRM_TIMEOUT", "10s".to_owned());
    let told = |more: Option<(&'static str, String)>| {
        cluster.variables().into_iter().chain([soon.clone()]).chain(more).collect::<Vec<_>>()
    };
    let mut workers = Vec::new();
    for _ in 0..2 {
        let variables = told(Some(("WARREN_CONFIG", file.clone())));
        workers.push(pool.start("warren-worker", &[], &variables).await);
    }
    let monitor = pool.start("warren-monitor", &[], &told(None)).await;
    let gateway = pool.start("warren-producer", &["serve"], &told(None)).await;
    let (confirmed, over) = (Mutex::default(), AtomicBool::new(false));
    (Arc::new(Stage { pool, cluster, gateway, monitor, confirmed, over }), workers)
}

#[tokio::test]
async fn any_node_of_three_may_die_again_and_again_and_nothing_is_lost() {
    let (stage, workers) = stage().await;
    stage.cluster.restore().await;
    let mut submitting = tokio::task::JoinSet::new();
    for door in DOORS {
        submitting.spawn(stage.clone().keep_submitting(door));
    }
    println!("kill  dead   longest silence  | confirmed, ran, shown: slowest of {} probes", DOORS.len() * SORTS.len());
    for kill in 0..rounds() * NODES {
        let (since, from) = (Instant::now(), now());
        stage.cluster.kill(kill % NODES).await;
        let probes = DOORS.iter().flat_map(|door| SORTS.map(|sort| stage.probe(*door, sort, since)));
        let gaps = join_all(probes).await;
        let [confirmed, ran, shown] = std::array::from_fn(|n| gaps.iter().map(|gap| gap[n]).max().expect("probes"));
        let silent = silence(&stage.ledger(), from);
        println!(
            "{:>4}  node {}  {silent:>10.1?}      | {confirmed:.1?}, {ran:.1?}, {shown:.1?}",
            kill + 1,
            kill % NODES + 1
        );
        stage.cluster.restore().await;
        for service in workers.iter().chain([&stage.monitor, &stage.gateway]) {
            service.ready().await;
        }
    }
    stage.over.store(true, Ordering::Relaxed);
    let handed_in: usize = submitting.join_all().await.iter().sum();
    check(&stage).await;
    println!("{handed_in} tasks handed in beside the probes");
}

// Every confirmed task has run, and is shown as succeeded.
async fn check(stage: &Stage) {
    let confirmed = stage.confirmed.lock().expect("no panic while it is locked").clone();
    let mut missing: HashSet<&String> = confirmed.iter().collect();
    until("every confirmed task has run", PROMISED, async || {
        let runs = stage.ledger();
        missing.retain(|id| !runs.contains_key(*id));
        if missing.is_empty() { Ok(()) } else { Err(format!("{} missing: {missing:?}", missing.len())) }
    })
    .await;
    until("every confirmed task is shown as succeeded", PROMISED, async || {
        let shown = stage.succeeded().await?;
        let missing: Vec<_> = confirmed.iter().filter(|id| !shown.contains(*id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} missing: {missing:?}", missing.len())) }
    })
    .await;
    let runs = stage.ledger();
    let twice = confirmed.iter().filter(|id| runs[*id].len() > 1).count();
    let overview: Value = stage.monitor.get("/api/overview").await.expect("the monitor answers");
    println!("{} confirmed, none lost, {twice} ran more than once; {}", confirmed.len(), overview["states"]);
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("after 1970")
}
