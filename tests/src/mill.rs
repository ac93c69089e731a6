//! A pool that runs workflows: some gateways and workers, and a worker's ledger of what ran.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    Pool, http,
    ledger::{self, Executions},
    pool::{PATIENCE, Service},
    until,
};

/// The pool and its processes.
#[derive(Debug)]
pub struct Mill {
    /// Where its names and its files are.
    pub pool: Pool,
    /// The gateways, one of which runs the workflows.
    pub gateways: Vec<Service>,
    /// The workers, whose tasks of kind `step` write down when they begin and end.
    pub workers: Vec<Service>,
    /// The monitors.
    pub monitors: Vec<Service>,
    ledger: PathBuf,
}

impl Mill {
    /// With so many gateways and workers, and one monitor; all are ready.
    pub async fn set(pool: Pool, gateways: usize, workers: usize) -> Self {
        let ledger = pool.folder().join("executions");
        let mut mill = Self { pool, gateways: Vec::new(), workers: Vec::new(), monitors: Vec::new(), ledger };
        mill.add_monitor();
        for _ in 0..gateways {
            mill.add_gateway();
        }
        for _ in 0..workers {
            mill.add_worker();
        }
        for service in mill.gateways.iter().chain(&mill.workers).chain(&mill.monitors) {
            service.ready().await;
        }
        mill
    }

    /// Starts a gateway, and waits for nothing.
    pub fn add_gateway(&mut self) {
        self.gateways.push(self.pool.launch("warren-producer", &["serve"], &[]));
    }

    /// Starts a worker, and waits for nothing.
    pub fn add_worker(&mut self) {
        let variables = [("LEDGER", self.ledger.display().to_string()), ("WARREN_SLOTS", "16".into())];
        self.workers.push(self.pool.launch("ledger-worker", &[], &variables));
    }

    /// Starts a monitor, and waits for nothing.
    pub fn add_monitor(&mut self) {
        self.monitors.push(self.pool.launch("warren-monitor", &[], &[]));
    }

    /// The place of the gateway that runs the workflows, once there is one.
    pub async fn leader(&self) -> usize {
        until("a gateway leads", PATIENCE, async || self.leaders().await.first().copied().ok_or("nobody leads")).await
    }

    /// The places of the gateways that say at present that they run the workflows.
    pub async fn leaders(&self) -> Vec<usize> {
        let mut leaders = Vec::new();
        for (place, gateway) in self.gateways.iter().enumerate() {
            let request = http::client().get(format!("{}/metrics", gateway.url)).timeout(Duration::from_secs(2));
            let Ok(answer) = request.send().await else { continue };
            if answer.text().await.unwrap_or_default().contains("warren_workflow_leader 1") {
                leaders.push(place);
            }
        }
        leaders
    }

    /// Sends a request about workflows to the first gateway.
    pub async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = http::client().request(method, format!("{}/workflows{path}", self.gateways[0].url));
        let request = match body {
            Some(body) => request.json(&body),
            // Whoever changes something must say that it is no form of a foreign page.
            None => request.header("content-type", "application/json"),
        };
        let answer = request.send().await.expect("the gateway answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Hands a workflow in, whichever gateway takes it, and returns its id.
    pub async fn submit(&self, workflow: Value) -> String {
        until("the workflow is taken", PATIENCE, async || {
            for gateway in &self.gateways {
                let request = http::client().post(format!("{}/workflows", gateway.url)).json(&workflow);
                let Ok(answer) = request.timeout(Duration::from_secs(10)).send().await else { continue };
                let status = answer.status().as_u16();
                let answer: Value = answer.json().await.unwrap_or_default();
                match status {
                    202 => return Ok(answer["id"].as_str().expect("an id").to_owned()),
                    503 => {}
                    other => panic!("{other}: {answer}"),
                }
            }
            Err("no gateway answers")
        })
        .await
    }

    /// A workflow, once it stands so.
    pub async fn stands(&self, id: &str, patience: Duration, stands: impl Fn(&Value) -> bool) -> Value {
        until(&format!("workflow {id}"), patience, async || {
            let (status, view) = self.ask(reqwest::Method::GET, &format!("/{id}"), None).await;
            if status == 200 && stands(&view) { Ok(view) } else { Err(short(&view)) }
        })
        .await
    }

    /// A workflow, once it is over in this state.
    pub async fn ends(&self, id: &str, state: &str) -> Value {
        self.stands(id, PATIENCE, |view| view["state"] == state && view["ended"].is_string()).await
    }

    /// Waits until each of these is over.
    pub async fn rest(&self, ids: &[&str], patience: Duration) {
        let mut open = ids.to_vec();
        until("every workflow is over", patience, async || {
            while let Some(id) = open.last() {
                let (status, view) = self.ask(reqwest::Method::GET, &format!("/{id}"), None).await;
                if status != 200 || view["ended"].is_null() {
                    return Err((open.len(), short(&view)));
                }
                open.pop();
            }
            Ok(())
        })
        .await;
    }

    /// What a step gave back.
    pub async fn result(&self, id: &str, step: &str) -> Value {
        let (status, result) = self.ask(reqwest::Method::GET, &format!("/{id}/results/{step}"), None).await;
        assert_eq!(status, 200, "{step}: {result}");
        result
    }

    /// Every execution so far.
    pub fn ran(&self) -> Executions {
        ledger::executions(&self.ledger)
    }
}

// Of a thousand steps, the summary says enough.
fn short(view: &Value) -> String {
    let mut view = view.clone();
    if view["graph"].as_array().is_some_and(|graph| graph.len() > 20) {
        view["graph"] = json!("…");
    }
    view.to_string()
}

/// The state of each step, as `name=state`.
pub fn states(view: &Value) -> String {
    let steps = view["graph"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    steps.map(|step| format!("{}={}", text(&step["step"]), text(&step["state"]))).collect::<Vec<_>>().join(" ")
}
