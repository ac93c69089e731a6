use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    StepName,
    workflow::{Cut, Definition, LARGEST, List, OnFailure, Step, Work},
};

fn graph(json: &str) -> Graph {
    Graph::new(&serde_json::from_str(json).unwrap()).unwrap()
}

fn task(after: &str) -> String {
    format!(r#"{{"task":"{{}}","after":{after}}}"#)
}

struct Trial {
    graph: Graph,
    flow: Flow,
    due: Vec<(Place, u32, u32)>,
}

impl Trial {
    fn new(json: &str) -> Self {
        let graph = graph(json);
        let (flow, effects) = Flow::begin(&graph);
        Self { graph, flow, due: effects.due }
    }

    fn hear(&mut self, path: &str, round: u32, word: &Word) {
        let (path, number) = path.split_once(':').map_or((path, 0), |(path, number)| (path, number.parse().unwrap()));
        let place = self.graph.place(path).unwrap();
        let effects = self.flow.hear(&self.graph, place, number, round, word);
        self.due.extend(effects.due);
    }

    fn succeed(&mut self, path: &str) {
        self.hear(path, 1, &Word::Succeeded { items: None });
    }

    fn fail(&mut self, path: &str) {
        self.hear(path, 1, &Word::Failed { why: "broken".to_owned() });
    }

    fn due(&mut self) -> String {
        let due = std::mem::take(&mut self.due);
        let name =
            |(place, number, round): (Place, u32, u32)| format!("{}:{number}.{round}", self.graph.node(place).path);
        due.into_iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn shown(&self) -> String {
        let names = self
            .graph
            .places()
            .map(|place| format!("{}={}", self.graph.node(place).path, self.flow.status(place).name()));
        let end = self.flow.conclusion(&self.graph).map_or("open", |end| match end {
            Conclusion::Succeeded => "succeeded",
            Conclusion::Failed { .. } => "failed",
            Conclusion::Skipped => "skipped",
            Conclusion::Stopped => "stopped",
            Conclusion::Cancelled => "cancelled",
        });
        format!("{} {end}", names.collect::<Vec<_>>().join(" "))
    }
}

fn steps(steps: &[(&str, String)]) -> String {
    let steps: Vec<_> = steps.iter().map(|(name, step)| format!(r#""{name}":{step}"#)).collect();
    format!(r#"{{"steps":{{{}}}}}"#, steps.join(","))
}

#[test]
fn a_step_starts_when_all_before_it_have_succeeded_and_once() {
    let json = steps(&[("a", task("{}")), ("b", task("{}")), ("c", task(r#"{"a":"stop","b":"stop"}"#))]);
    let mut trial = Trial::new(&json);
    assert_eq!(trial.due(), "a:0.1 b:0.1");
    trial.succeed("a");
    trial.succeed("a");
    trial.fail("a");
    assert_eq!(trial.due(), "");
    trial.succeed("b");
    trial.succeed("b");
    assert_eq!(trial.due(), "c:0.1");
    trial.hear("c", 1, &Word::Seen);
    trial.hear("c", 2, &Word::Succeeded { items: None });
    assert_eq!(trial.shown(), "a=succeeded b=succeeded c=running open");
    trial.succeed("c");
    assert_eq!(trial.shown(), "a=succeeded b=succeeded c=succeeded succeeded");
}

#[test]
fn what_follows_a_failure_is_chosen_by_edge() {
    for (policy, after, end) in [
        ("stop", "b=stopped c=stopped", "failed"),
        ("skip", "b=skipped c=skipped", "succeeded"),
        ("go_on", "b=running c=waiting", "open"),
    ] {
        let behind = format!(r#"{{"a":"{policy}"}}"#);
        let json = steps(&[("a", task("{}")), ("b", task(&behind)), ("c", task(r#"{"b":"stop"}"#))]);
        let mut trial = Trial::new(&json);
        trial.fail("a");
        assert_eq!(trial.shown(), format!("a=failed {after} {end}"), "{policy}");
    }
}

#[test]
fn a_failure_that_nothing_follows_is_one_of_the_whole_and_the_others_go_on() {
    let json = steps(&[("a", task("{}")), ("b", task("{}")), ("c", task(r#"{"b":"stop"}"#))]);
    let mut trial = Trial::new(&json);
    trial.fail("a");
    trial.succeed("b");
    trial.succeed("c");
    assert_eq!(trial.shown(), "a=failed b=succeeded c=succeeded failed");
}

const WITHIN: &str = r#"{"steps":{"a":{"task":"{}"},"b":{"workflow":{"steps":{"x":{"task":"{}"},"y":{"task":"{}","after":{"x":"stop"}}}},
    "after":{"a":"stop"}},"c":{"task":"{}","after":{"b":"go_on"}}}}"#;

#[test]
fn a_workflow_within_is_a_step_and_a_failure_in_it_stops_only_it() {
    let mut trial = Trial::new(WITHIN);
    trial.succeed("a");
    assert_eq!(trial.shown(), "a=succeeded b=running c=waiting b/x=running b/y=waiting open");
    trial.fail("b/x");
    assert_eq!(trial.shown(), "a=succeeded b=failed c=running b/x=failed b/y=stopped open");
    assert_eq!(trial.due(), "a:0.1 b/x:0.1 c:0.1");
    trial.succeed("c");
    assert_eq!(trial.shown(), "a=succeeded b=failed c=succeeded b/x=failed b/y=stopped succeeded");
    // Again from there: what succeeded stays.
    let effects = trial.flow.retry(&trial.graph);
    trial.due = effects.due;
    assert_eq!(trial.due(), "b/x:0.2");
    assert_eq!(trial.shown(), "a=succeeded b=running c=succeeded b/x=running b/y=waiting open");
    trial.hear("b/x", 2, &Word::Succeeded { items: None });
    trial.succeed("b/y");
    assert_eq!(trial.shown(), "a=succeeded b=succeeded c=succeeded b/x=succeeded b/y=succeeded succeeded");
}

#[test]
fn a_step_that_fails_before_a_workflow_within_keeps_all_of_it_from_starting() {
    let mut trial = Trial::new(WITHIN);
    trial.fail("a");
    assert_eq!(trial.shown(), "a=failed b=stopped c=stopped b/x=stopped b/y=stopped failed");
    trial.flow.retry(&trial.graph);
    assert_eq!(trial.shown(), "a=running b=waiting c=waiting b/x=waiting b/y=waiting open");
}

#[test]
fn a_task_that_somebody_lets_run_again_revives_what_followed() {
    let json = steps(&[("a", task("{}")), ("b", task(r#"{"a":"stop"}"#)), ("c", task(r#"{"b":"skip"}"#))]);
    let mut trial = Trial::new(&json);
    trial.fail("a");
    trial.hear("a", 1, &Word::Revived);
    assert_eq!(trial.shown(), "a=running b=waiting c=waiting open");
    trial.fail("a");
    assert_eq!(trial.shown(), "a=failed b=stopped c=stopped failed");
    // A success alone says as much.
    trial.succeed("a");
    assert_eq!(trial.shown(), "a=succeeded b=running c=waiting open");
}

#[test]
fn a_cancel_starts_nothing_more_and_waits_for_what_runs() {
    let mut trial = Trial::new(WITHIN);
    trial.succeed("a");
    trial.flow.cancel(&trial.graph);
    assert_eq!(trial.shown(), "a=succeeded b=running c=cancelled b/x=running b/y=cancelled open");
    assert_eq!(trial.flow.under_way(&trial.graph).count(), 1);
    assert_eq!(trial.flow.retry(&trial.graph), Effects::default(), "not while it is not over");
    trial.fail("b/x");
    assert_eq!(trial.shown(), "a=succeeded b=cancelled c=cancelled b/x=cancelled b/y=cancelled cancelled");
    trial.flow.retry(&trial.graph);
    assert_eq!(trial.shown(), "a=succeeded b=running c=waiting b/x=running b/y=waiting open");
}

#[test]
fn a_list_is_cut_when_its_length_is_known() {
    let split = |after: &str| {
        format!(r#"{{"split":{{"task":"{{}}","list":{{"from":"a"}},"cut":{{"size":2}}}},"after":{after}}}"#)
    };
    let json = steps(&[("a", task("{}")), ("b", split(r#"{"a":"stop"}"#)), ("c", task(r#"{"b":"stop"}"#))]);
    let mut trial = Trial::new(&json);
    trial.due();
    trial.hear("a", 1, &Word::Succeeded { items: Some(5) });
    assert_eq!(trial.due(), "b:0.1 b:1.1 b:2.1");
    for chunk in ["b:2", "b:0"] {
        trial.succeed(chunk);
    }
    trial.fail("b:1");
    assert_eq!(trial.shown(), "a=succeeded b=failed c=stopped failed");
    trial.due = trial.flow.retry(&trial.graph).due;
    assert_eq!(trial.due(), "b:1.2", "only what failed runs again");
    trial.hear("b:1", 2, &Word::Succeeded { items: None });
    assert_eq!(trial.due(), "c:0.1");
    for (items, shown) in [(None, "b=failed c=stopped failed"), (Some(0), "b=succeeded c=running open")] {
        let mut trial = Trial::new(&json);
        trial.hear("a", 1, &Word::Succeeded { items });
        assert_eq!(trial.shown(), format!("a=succeeded {shown}"));
    }
}

#[test]
fn ten_thousand_steps_in_a_row_and_side_by_side_are_no_matter() {
    let name = |n: usize| StepName::parse(&format!("s{n:05}")).unwrap();
    let row = |policy: OnFailure| {
        let steps = (0..LARGEST).map(|n| {
            let after = if n == 0 { BTreeMap::new() } else { [(name(n - 1), policy)].into() };
            (name(n), Step { work: Work::Task("{}".to_owned()), after })
        });
        Graph::new(&Definition { steps: steps.collect() }).unwrap()
    };
    let graph = row(OnFailure::Skip);
    let (mut flow, _) = Flow::begin(&graph);
    flow.hear(&graph, Place(0), 0, 1, &Word::Failed { why: String::new() });
    assert_eq!(flow.counts(&graph).skipped as usize, LARGEST - 1);
    let (mut flow, _) = Flow::begin(&graph);
    for place in graph.places() {
        flow.hear(&graph, place, 0, 1, &Word::Succeeded { items: None });
    }
    assert_eq!(flow.conclusion(&graph), Some(Conclusion::Succeeded));
    let steps = (0..LARGEST).map(|n| {
        let after = if n == 0 { BTreeMap::new() } else { [(name(0), OnFailure::Stop)].into() };
        (name(n), Step { work: Work::Task("{}".to_owned()), after })
    });
    let graph = Graph::new(&Definition { steps: steps.collect() }).unwrap();
    let (mut flow, _) = Flow::begin(&graph);
    let effects = flow.hear(&graph, Place(0), 0, 1, &Word::Succeeded { items: None });
    assert_eq!(effects.due.len(), LARGEST - 1);
}

// A random workflow: each step may wait for any before it; some are split, some are workflows within.
fn definitions(depth: u32) -> BoxedStrategy<Definition> {
    let work = prop_oneof![
        4 => Just(0_u8),
        1 => Just(1),
        1 => Just(2),
    ];
    let edge = prop_oneof![6 => Just(None), 2 => Just(Some(OnFailure::Stop)), 1 => Just(Some(OnFailure::Skip)), 1 => Just(Some(OnFailure::GoOn))];
    let within = if depth == 0 { Just(None).boxed() } else { definitions(depth - 1).prop_map(Some).boxed() };
    let step = (work, proptest::collection::vec(edge, 12), 0_usize..8, within);
    proptest::collection::vec(step, 1..10)
        .prop_map(|steps| {
            let name = |n: usize| StepName::parse(&format!("s{n}")).unwrap();
            let steps = steps.into_iter().enumerate().map(|(n, (work, edges, items, within))| {
                let edges = edges.into_iter().take(n).enumerate();
                let after = edges.filter_map(|(other, policy)| Some((name(other), policy?))).collect();
                let task = "{}".to_owned();
                let work = match (work, within) {
                    (1, _) => {
                        let list = List::Items(format!("{:?}", vec![0; items]));
                        Work::Split { task, list, cut: Cut::Size(2) }
                    }
                    (2, Some(within)) => Work::Workflow(within),
                    _ => Work::Task(task),
                };
                (name(n), Step { work, after })
            });
            Definition { steps: steps.collect() }
        })
        .boxed()
}

// What must hold at any time.
fn check(graph: &Graph, flow: &Flow) -> Result<(), TestCaseError> {
    let again = Flow::stored(graph, flow.statuses.clone(), flow.stopped, flow.cancelled);
    prop_assert_eq!(&again, flow, "what is stored is all that there is");
    for place in graph.places() {
        let node = graph.node(place);
        let begun = !matches!(flow.status(place), Status::Waiting)
            && !matches!(
                flow.status(place).conclusion(),
                Some(Conclusion::Skipped | Conclusion::Stopped | Conclusion::Cancelled)
            );
        if begun {
            for edge in &node.before {
                let conclusion = flow.status(edge.place).conclusion();
                // A step before may be under way again: then this one was told of its failure.
                let may = conclusion.is_some() || edge.on_failure == OnFailure::GoOn;
                prop_assert!(may, "{} has begun before {}", node.path, graph.node(edge.place).path);
                if let Some(conclusion) = conclusion {
                    let may = *conclusion == Conclusion::Succeeded || edge.on_failure == OnFailure::GoOn;
                    prop_assert!(may, "{} has begun after {} failed", node.path, graph.node(edge.place).path);
                }
            }
            if let Some(parent) = node.parent {
                prop_assert!(*flow.status(parent) != Status::Waiting, "{} has begun before its workflow", node.path);
            }
        }
        if let (Some(_), Job::Workflow) = (flow.status(place).conclusion(), &node.job) {
            for child in &node.children {
                prop_assert!(flow.status(*child).conclusion().is_some(), "{} is over before its steps", node.path);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_thousand_random_graphs_run_to_their_end(
        definition in definitions(1),
        draws in proptest::collection::vec(any::<u16>(), 100),
        retries in 0_u8..3,
        cancel_at in proptest::option::of(0_usize..20),
    ) {
        let Ok(graph) = Graph::new(&definition) else { return Ok(()) };
        let (mut flow, effects) = Flow::begin(&graph);
        let mut due: Vec<_> = effects.due;
        let mut handed = BTreeSet::new();
        let mut draws = draws.into_iter().cycle();
        let mut turn = 0;
        for attempt in 0..=retries {
            while !due.is_empty() {
                prop_assert!(turn < 20_000, "it does not end");
                turn += 1;
                if cancel_at == Some(turn) {
                    let effects = flow.cancel(&graph);
                    prop_assert!(effects.due.is_empty());
                    check(&graph, &flow)?;
                }
                let draw = usize::from(draws.next().unwrap());
                let one @ (place, number, round) = due.remove(draw % due.len());
                prop_assert!(handed.insert(one), "{:?} is handed in twice", one);
                // The last attempt succeeds.
                let word = if draw % 5 == 0 && attempt < retries {
                    Word::Failed { why: "by chance".to_owned() }
                } else {
                    Word::Succeeded { items: None }
                };
                let effects = flow.hear(&graph, place, number, round, &word);
                prop_assert_eq!(flow.hear(&graph, place, number, round, &word), Effects::default(), "heard twice");
                if flow.cancelled {
                    prop_assert!(effects.due.is_empty());
                }
                due.extend(effects.due);
                check(&graph, &flow)?;
            }
            prop_assert!(flow.conclusion(&graph).is_some(), "it has not ended: {:?}", flow);
            prop_assert_eq!(flow.counts(&graph).waiting + flow.counts(&graph).running, 0);
            if attempt < retries {
                due = flow.retry(&graph).due;
                check(&graph, &flow)?;
            }
        }
        if !flow.is_cancelled() {
            prop_assert_eq!(flow.conclusion(&graph), Some(Conclusion::Succeeded));
        }
    }
}
