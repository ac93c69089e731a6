use super::*;

fn definition(json: &str) -> Definition {
    serde_json::from_str(json).unwrap()
}

fn wrong(json: &str) -> String {
    let wrong = Graph::new(&definition(json)).unwrap_err();
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_steps_of_a_workflow_within_stand_beside_the_others() {
    let graph = Graph::new(&definition(
        r#"{"steps":{"a":{"task":"{}"},"b":{"workflow":{"steps":{"x":{"task":"{}"},"y":{"task":"{}","after":{"x":"go_on"}}}},
            "after":{"a":"stop"}}}}"#,
    ));
    let graph = graph.unwrap();
    let paths: Vec<_> = graph.nodes().iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "b/x", "b/y"]);
    let [a, b, x, y] = [0, 1, 2, 3].map(Place);
    assert_eq!((graph.node(x).parent, &graph.node(b).children), (Some(b), &vec![x, y]));
    assert_eq!(graph.node(y).before, [Edge { place: x, on_failure: OnFailure::GoOn }]);
    // What waits for nothing within gets what the workflow waits for.
    assert_eq!(graph.inputs(x), [Edge { place: a, on_failure: OnFailure::Stop }]);
    assert_eq!(graph.place("b/y"), Some(y));
}

#[test]
fn unknown_names_and_empty_workflows_are_named_together() {
    let json = r#"{"steps":{"a":{"task":"{}","after":{"z":"stop"}},"b":{"workflow":{"steps":{}}},
        "c":{"split":{"task":"{}","list":{"from":"a"},"cut":{"size":1}}}}}"#;
    assert_eq!(
        wrong(json),
        "steps.a.after: there is no step z in this workflow\n\
         steps.c.split.from: expected a step that this one is after, got a\n\
         steps.b.workflow.steps: expected at least one step, got none"
    );
    assert_eq!(wrong(r#"{"steps":{}}"#), "steps: expected at least one step, got none");
}

#[test]
fn a_cycle_is_named() {
    let json = r#"{"steps":{"a":{"task":"{}"},"b":{"task":"{}","after":{"a":"stop","d":"stop"}},
        "c":{"task":"{}","after":{"b":"stop"}},"d":{"task":"{}","after":{"c":"stop"}},"e":{"task":"{}","after":{"d":"stop"}}}}"#;
    assert_eq!(wrong(json), "steps: expected no cycle, got c → d → b → c");
    assert_eq!(wrong(r#"{"steps":{"a":{"task":"{}","after":{"a":"stop"}}}}"#), "steps: expected no cycle, got a → a");
}

#[test]
fn what_is_too_large_is_refused() {
    let step = || Step { work: Work::Task("{}".to_owned()), after: std::collections::BTreeMap::new() };
    let steps = |count: usize| (0..count).map(|n| (StepName::parse(&format!("s{n}")).unwrap(), step())).collect();
    assert!(Graph::new(&Definition { steps: steps(LARGEST) }).is_ok());
    let wrong = Graph::new(&Definition { steps: steps(LARGEST + 1) }).unwrap_err();
    assert_eq!(wrong[0].to_string(), "steps: expected at most 10000 steps, with those of workflows within");
    let items = format!("[{}0]", "0,".repeat(LARGEST));
    let split = Work::Split { task: "{}".to_owned(), list: List::Items(items), cut: Cut::Size(1) };
    let split = Step { work: split, after: std::collections::BTreeMap::new() };
    let steps = [(StepName::parse("a").unwrap(), split)].into();
    let wrong = Graph::new(&Definition { steps }).unwrap_err();
    assert_eq!(wrong[0].to_string(), "steps.a.split.items: expected at most 10000 chunks, got 10001");
    let deep = (0..9).fold(r#"{"steps":{"a":{"task":"{}"}}}"#.to_owned(), |inner, _| {
        format!(r#"{{"steps":{{"a":{{"workflow":{inner}}}}}}}"#)
    });
    assert!(self::wrong(&deep).contains("at most 8 deep"));
}
