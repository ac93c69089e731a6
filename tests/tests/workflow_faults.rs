//! Random workflows, while workers, gateways and monitors are killed in turn: each runs to its end, in the right order, with the
//! right inputs, and no step is lost or released twice.
//!
//! `WARREN_GRAPHS` says how many (otherwise thirty), `WARREN_SEED` repeats those of a run; both are printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};
use warren_tests::{
    Broker, Mill, Pool,
    broker::{headers, message},
    ledger::{Execution, Executions},
    mill::states,
    until,
    wait::unhurried,
};

const STRIKES: usize = 6;
const PAIRS: u64 = 20;
const PATIENCE: Duration = Duration::from_mins(4);

// What a step of a random graph is, and what follows for it when one before it fails.
#[derive(Debug, Clone)]
struct Step {
    job: Job,
    before: Vec<(usize, Policy)>,
}

#[derive(Debug, Clone)]
enum Job {
    Task { ms: u64, fails: u32, hopeless: bool },
    Split { items: usize },
    Within { steps: usize },
}

// Not `stop`: what that keeps from starting depends on what had started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Skip,
    GoOn,
}

type Graph = Vec<Step>;

fn graphs() -> impl Strategy<Value = Graph> {
    let job = prop_oneof![
        8 => (0_u64..20, prop_oneof![5 => Just(0_u32), 1 => Just(1)], proptest::bool::weighted(0.15))
            .prop_map(|(ms, fails, hopeless)| Job::Task { ms, fails, hopeless }),
        1 => (0_usize..6).prop_map(|items| Job::Split { items }),
        1 => (1_usize..3).prop_map(|steps| Job::Within { steps }),
    ];
    let edge = prop_oneof![5 => Just(None), 3 => Just(Some(Policy::Skip)), 2 => Just(Some(Policy::GoOn))];
    let step = (job, proptest::collection::vec(edge, 8));
    proptest::collection::vec(step, 1..8).prop_map(|steps| {
        let steps = steps.into_iter().enumerate().map(|(n, (job, edges))| {
            let before = edges.into_iter().take(n).enumerate().filter_map(|(other, policy)| Some((other, policy?)));
            Step { job, before: before.collect() }
        });
        steps.collect()
    })
}

fn name(step: usize) -> String {
    format!("s{step}")
}

fn workflow(id: &str, graph: &Graph) -> Value {
    let mut steps = Map::new();
    for (n, step) in graph.iter().enumerate() {
        let mut one = match &step.job {
            Job::Task { ms, fails, hopeless } => {
                let plan = json!({"ms": ms, "fails": fails, "hopeless": hopeless});
                json!({"task": {"kind": "step", "payload": plan, "backoff": "fixed:50"}})
            }
            Job::Split { items } => {
                json!({"task": {"kind": "step"}, "split": {"items": (0..*items).collect::<Vec<_>>(), "size": 2}})
            }
            Job::Within { steps } => {
                let within = (0..*steps).map(|inner| {
                    let after = if inner == 0 { json!([]) } else { json!(name(inner - 1)) };
                    (name(inner), json!({"task": {"kind": "step", "payload": {}}, "after": after}))
                });
                json!({"workflow": {"steps": within.collect::<Map<_, _>>()}})
            }
        };
        let edge = |(other, policy): &(usize, Policy)| {
            let policy = match policy {
                Policy::Skip => "skip",
                Policy::GoOn => "go_on",
            };
            json!({"step": name(*other), "on_failure": policy})
        };
        one["after"] = step.before.iter().map(edge).collect();
        steps.insert(name(n), one);
    }
    json!({"id": id, "steps": steps})
}

// How each step must end, by a reckoning of its own.
fn expected(graph: &Graph) -> Vec<&'static str> {
    let mut ends: Vec<&str> = Vec::new();
    for step in graph {
        let is_skipped =
            step.before.iter().any(|(other, policy)| ends[*other] != "succeeded" && *policy == Policy::Skip);
        ends.push(match step.job {
            _ if is_skipped => "skipped",
            Job::Task { hopeless: true, .. } => "failed",
            Job::Task { .. } | Job::Split { .. } | Job::Within { .. } => "succeeded",
        });
    }
    ends
}

// Each task of a workflow runs once, unless its worker was killed.
fn check_once(ran: &Executions, killed: &BTreeSet<u32>) {
    for (task, attempts) in ran {
        for (attempt, executions) in attempts {
            let by_the_living = executions.iter().filter(|execution| !killed.contains(&execution.process)).count();
            assert!(by_the_living <= 1, "{task}, attempt {attempt}, ran {executions:?}");
        }
    }
}

struct Ran<'a> {
    id: &'a str,
    executions: &'a Executions,
}

impl Ran<'_> {
    fn first(&self, step: &str) -> &Execution {
        let task = format!("flow:{}:{step}", self.id);
        let attempts = self.executions.get(&task).unwrap_or_else(|| panic!("{task} has not run"));
        attempts.values().flatten().next().expect("an attempt has executions")
    }

    fn done(&self, step: &str) -> u64 {
        let task = format!("flow:{}:{step}", self.id);
        let all = self.executions[&task].values().flatten();
        all.filter_map(|execution| execution.done).min().unwrap_or_else(|| panic!("{task} was never done"))
    }
}

async fn check(mill: &Mill, id: &str, graph: &Graph, view: &Value, executions: &Executions) {
    let ends = expected(graph);
    let wanted: BTreeMap<_, _> = ends.iter().enumerate().map(|(n, end)| (name(n), *end)).collect();
    let steps = view["graph"].as_array().expect("steps");
    let outer = steps.iter().filter(|step| step["step"].as_str().is_some_and(|path| !path.contains('/')));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found: BTreeMap<_, _> = outer.map(|step| (text(&step["step"]), text(&step["state"]))).collect();
    let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(name, end)| (name, end.to_owned())).collect();
    assert_eq!(found, wanted, "{id}: {graph:?} {}", states(view));
    let ran = Ran { id, executions };
    for (n, step) in graph.iter().enumerate() {
        let Job::Task { hopeless: false, .. } = step.job else { continue };
        if ends[n] != "succeeded" {
            continue;
        }
        let result = mill.result(id, &name(n)).await;
        let names = |field: &str| -> BTreeSet<String> {
            result[field].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let succeeded: BTreeSet<_> = step
            .before
            .iter()
            .filter(|(other, _)| ends[*other] == "succeeded")
            .map(|(other, _)| name(*other))
            .collect();
        let failed: BTreeSet<_> = step
            .before
            .iter()
            .filter(|(other, _)| ends[*other] != "succeeded")
            .map(|(other, _)| name(*other))
            .collect();
        assert_eq!((names("saw"), names("failures")), (succeeded, failed), "{id} {}: {result}", name(n));
        for (other, _) in &step.before {
            let before = name(*other);
            match (&graph[*other].job, ends[*other]) {
                (Job::Task { .. }, "succeeded") => {
                    assert_eq!(result["saw"][&before], format!("flow:{id}:{before}"));
                    assert!(
                        ran.first(&name(n)).begun >= ran.done(&before),
                        "{id}: {} began before {before} was done",
                        name(n)
                    );
                }
                (Job::Split { items }, "succeeded") => {
                    let doubled: Vec<_> = (0..*items).map(|item| item * 2).collect();
                    assert_eq!(result["saw"][&before], json!(doubled), "{id}");
                }
                (Job::Within { steps }, "succeeded") => {
                    let last = name(steps - 1);
                    assert_eq!(result["saw"][&before][&last]["of"], format!("flow:{id}:{before}/{last}"));
                }
                (Job::Task { .. } | Job::Split { .. } | Job::Within { .. }, _) => {}
            }
        }
    }
}

#[tokio::test]
async fn random_graphs_run_to_their_end_while_workers_gateways_and_monitors_are_killed_in_turn() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("WARREN_GRAPHS").unwrap_or(30);
    let seed = number("WARREN_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("WARREN_GRAPHS={count} WARREN_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = graphs();
    let graphs: Vec<(String, Graph)> = (0..count)
        .map(|n| (format!("random-{n}"), strategy.new_tree(&mut runner).expect("a graph").current()))
        .collect();

    let mut mill = Mill::set(Pool::new(), 2, 2).await;
    let begun = Instant::now();
    for (id, graph) in &graphs {
        mill.submit(workflow(id, graph)).await;
    }
    // By headers as well, which pass through a worker first.
    let broker = Broker::connect().await;
    for pair in 0..PAIRS {
        let (first, second) = (format!("first-{pair}"), format!("second-{pair}"));
        for (id, notes) in [(&second, headers(&[("after", json!(first))])), (&first, headers(&[]))] {
            broker.publish("", &mill.pool.queue(), message("step", id).with_headers(notes), b"{}").await;
        }
    }
    let mut killed = BTreeSet::new();
    let wanted: usize = graphs.iter().map(|(_, graph)| graph.len()).sum();
    for strike in 1..=STRIKES {
        // Each when some more has run, so that all of it is under way.
        let enough = wanted * 2 / 3 * strike / (STRIKES + 1);
        until("some more has run", unhurried(PATIENCE), async || {
            let ran = mill.ran().len();
            if ran >= enough { Ok(()) } else { Err((ran, enough)) }
        })
        .await;
        match strike % 3 {
            0 => {
                let mut worker = mill.workers.remove(0);
                killed.insert(worker.process.id());
                worker.process.kill();
                mill.add_worker();
            }
            1 => {
                let leader = mill.leader().await;
                mill.gateways.remove(leader).process.kill();
                mill.add_gateway();
                mill.leader().await;
            }
            _ => {
                mill.monitors.remove(0).process.kill();
                mill.add_monitor();
                mill.monitors[0].ready().await;
            }
        }
    }
    let open = until("every workflow is over", unhurried(PATIENCE), async || {
        let (_, list) = mill.ask(reqwest::Method::GET, "?limit=1000", None).await;
        let list = list["workflows"].as_array().cloned().unwrap_or_default();
        let open: Vec<_> = list.iter().filter(|one| one["ended"].is_null()).collect();
        let all = count + PAIRS;
        if list.len() as u64 == all && open.is_empty() { Ok(0) } else { Err((list.len(), open.len())) }
    })
    .await;
    assert_eq!(open, 0);
    let ran = mill.ran();
    let tasks = ran.len();
    eprintln!("{count} graphs with {tasks} tasks in {:?}, {STRIKES} processes killed", begun.elapsed());
    check_once(&ran, &killed);
    for pair in 0..PAIRS {
        let (first, second) = (&ran[&format!("first-{pair}")][&1], &ran[&format!("second-{pair}")][&1]);
        let done = first.iter().filter_map(|execution| execution.done).min();
        assert!(Some(second[0].begun) >= done, "{pair}: {first:?} {second:?}");
    }
    let checks = stream::iter(&graphs).map(|(id, graph)| {
        let (mill, ran) = (&mill, &ran);
        async move {
            let (status, view) = mill.ask(reqwest::Method::GET, &format!("/{id}"), None).await;
            assert_eq!(status, 200, "{view}");
            check(mill, id, graph, &view, ran).await;
        }
    });
    checks.buffer_unordered(8).collect::<Vec<()>>().await;
}
