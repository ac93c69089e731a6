//! Random workflows, and what must become of each, by a reckoning of its own.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    Mill,
    ledger::{Execution, Executions},
    mill::states,
};

/// A random workflow of tasks of kind `step`.
#[derive(Debug)]
pub struct Graph {
    /// Its id.
    pub id: String,
    steps: Vec<Step>,
}

// What a step is, and what follows for it when one before it fails.
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

impl Graph {
    /// So many of them; the same of the same seed.
    pub fn draw(count: u64, seed: u64) -> Vec<Self> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let strategy = steps();
        let mut draw = || strategy.new_tree(&mut runner).expect("nothing is filtered out").current();
        (0..count).map(|n| Self { id: format!("random-{n}"), steps: draw() }).collect()
    }

    /// How many steps it has, those within others not counted.
    pub fn size(&self) -> usize {
        self.steps.len()
    }

    /// As it is handed in.
    pub fn definition(&self) -> Value {
        let mut steps = Map::new();
        for (n, step) in self.steps.iter().enumerate() {
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
        json!({"id": self.id, "steps": steps})
    }

    // How each step must end.
    fn ends(&self) -> Vec<&'static str> {
        let mut ends: Vec<&str> = Vec::new();
        for step in &self.steps {
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

    /// Fails unless each step has ended as it must, after those before it, with what they gave back.
    pub async fn check(&self, mill: &Mill, executions: &Executions) {
        let (status, view) = mill.ask(Method::GET, &format!("/{}", self.id), None).await;
        assert_eq!(status, 200, "{view}");
        let ends = self.ends();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let steps = view["graph"].as_array().expect("steps");
        let outer = steps.iter().filter(|step| step["step"].as_str().is_some_and(|path| !path.contains('/')));
        let found: BTreeMap<_, _> = outer.map(|step| (text(&step["step"]), text(&step["state"]))).collect();
        let wanted = ends.iter().enumerate().map(|(n, end)| (name(n), (*end).to_owned())).collect();
        assert_eq!(found, wanted, "{self:?} {}", states(&view));
        let ran = Ran { id: &self.id, executions };
        for (n, step) in self.steps.iter().enumerate() {
            if let (Job::Task { .. }, "succeeded") = (&step.job, ends[n]) {
                let result = mill.result(&self.id, &name(n)).await;
                self.check_input(n, &ends, &result);
                let before = step.before.iter().map(|(other, _)| *other);
                let tasks = before.filter(|other| matches!(self.steps[*other].job, Job::Task { .. }));
                for other in tasks.filter(|other| ends[*other] == "succeeded") {
                    let (begun, done) = (ran.first(&name(n)).begun, ran.done(&name(other)));
                    assert!(begun >= done, "{}: {} began before {} was done", self.id, name(n), name(other));
                }
            }
        }
    }

    // By its result, which says what it saw.
    fn check_input(&self, step: usize, ends: &[&str], result: &Value) {
        let (id, before) = (&self.id, &self.steps[step].before);
        let names = |field: &str| -> BTreeSet<String> {
            result[field].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let of = |has_succeeded: bool| -> BTreeSet<String> {
            let those = before.iter().filter(|(other, _)| (ends[*other] == "succeeded") == has_succeeded);
            those.map(|(other, _)| name(*other)).collect()
        };
        assert_eq!((names("saw"), names("failures")), (of(true), of(false)), "{id} {}: {result}", name(step));
        for other in before.iter().map(|(other, _)| *other).filter(|other| ends[*other] == "succeeded") {
            let before = name(other);
            let (seen, wanted) = match &self.steps[other].job {
                Job::Task { .. } => (&result["saw"][&before], json!(format!("flow:{id}:{before}"))),
                Job::Split { items } => {
                    (&result["saw"][&before], (0..*items).map(|item| item * 2).collect::<Vec<_>>().into())
                }
                Job::Within { steps } => {
                    let last = name(steps - 1);
                    (&result["saw"][&before][&last]["of"], json!(format!("flow:{id}:{before}/{last}")))
                }
            };
            assert_eq!(*seen, wanted, "{id} {}: {result}", name(step));
        }
    }
}

/// Checks many of them at once.
pub async fn check_all(mill: &Mill, graphs: &[Graph], executions: &Executions) {
    let checks = stream::iter(graphs).map(|graph| graph.check(mill, executions));
    checks.buffer_unordered(8).collect::<Vec<()>>().await;
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
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
