//! Everything that a monitor says of its tasks: to hold it against itself, and against another monitor.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{http, pool::Service};

/// Each task as the lists show it, by its id.
pub async fn tasks(monitor: &Service) -> BTreeMap<String, Value> {
    let (mut tasks, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = monitor.get(&format!("/api/tasks?limit=500{cursor}")).await.expect("a page of tasks");
        for task in page["tasks"].as_array().expect("a list of tasks") {
            tasks.insert(task["id"].as_str().expect("a task has an id").to_owned(), task.clone());
        }
        let Value::String(next) = &page["next"] else { return tasks };
        cursor = format!("&cursor={next}");
    }
}

/// The state of each task.
pub async fn states(monitor: &Service) -> BTreeMap<String, String> {
    let state = |task: &Value| task["state"].as_str().expect("a task has a state").to_owned();
    tasks(monitor).await.iter().map(|(id, task)| (id.clone(), state(task))).collect()
}

/// The tasks of which two projections say different things.
pub fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let tasks: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differing = tasks.into_iter().filter(|task| one.get(*task) != other.get(*task));
    differing.map(|task| format!("{task}: {:?}, {:?}", one.get(task), other.get(task))).collect()
}

/// Where the counters, which are kept by adding and taking away, are not what counting the tasks one by one comes to.
pub async fn miscounts(monitor: &Service) -> Vec<String> {
    let mut counted = BTreeMap::<(String, String), u64>::new();
    for task in tasks(monitor).await.values() {
        let text = |field: &str| task[field].as_str().unwrap_or_default().to_owned();
        for group in ["all".to_owned(), format!("queue {}", text("queue"))] {
            *counted.entry((group, text("state"))).or_default() += 1;
        }
    }
    let overview = monitor.get("/api/overview").await.expect("an overview");
    let mut said = BTreeMap::new();
    let mut hear = |group: &str, states: &Value| {
        for (state, number) in states.as_object().expect("numbers by state") {
            let number = number.as_u64().expect("a number");
            if number > 0 {
                said.insert((group.to_owned(), state.clone()), number);
            }
        }
    };
    hear("all", &overview["states"]);
    for queue in overview["queues"].as_array().expect("a list of queues") {
        hear(&format!("queue {}", queue["queue"].as_str().expect("a name")), &queue["states"]);
    }
    let places: BTreeSet<_> = counted.keys().chain(said.keys()).collect();
    let wrong = places.into_iter().filter(|place| counted.get(place) != said.get(place));
    wrong.map(|place| format!("{place:?}: {:?} tasks, shown as {:?}", counted.get(place), said.get(place))).collect()
}

/// A figure from `/metrics`; `None` where it is not there.
pub async fn metric(service: &Service, name: &str) -> Option<f64> {
    let text = http::client().get(format!("{}/metrics", service.url)).send().await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
