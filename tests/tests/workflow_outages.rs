//! Workflows while what they rest on is gone, forgets, or comes back late: each runs to its end with the right inputs, no step
//! is lost, and none is released twice.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Map, Value, json};
use warren_tests::{
    Mill, Pool, Proxy, Stand, Wire,
    books::{Duplicate, duplicates},
    graph::{self, Graph},
    ledger,
    pool::PATIENCE,
    until,
    wait::unhurried,
};

const GRAPHS: u64 = 40;
// So many are handed in by the leader one batch after another.
const FAN: usize = 300;
// Longer than the lease of the one who leads.
const PAST_THE_LEASE: Duration = Duration::from_secs(8);

/// Everything that is handed in, and what must come of it.
struct Work {
    graphs: Vec<Graph>,
}

impl Work {
    async fn hand_in(mill: &Mill) -> Self {
        let seed = fastrand::u64(..);
        eprintln!("the graphs are those of seed {seed}");
        let graphs = Graph::draw(GRAPHS, seed);
        for graph in &graphs {
            mill.submit(graph.definition()).await;
        }
        mill.submit(fan("fan")).await;
        Self { graphs }
    }

    fn ids(&self) -> Vec<&str> {
        self.graphs.iter().map(|graph| graph.id.as_str()).chain(["fan"]).collect()
    }

    // At least as many tasks as this run, whatever fails.
    fn least(&self) -> usize {
        FAN + 2 + self.graphs.iter().map(Graph::size).sum::<usize>() / 2
    }

    // Until so many hundredths of it have run.
    async fn runs(&self, mill: &Mill, hundredths: usize) {
        let enough = self.least() * hundredths / 100;
        until(&format!("{hundredths} % have run"), unhurried(PATIENCE), async || {
            let ran = mill.ran().len();
            if ran >= enough { Ok(()) } else { Err((ran, enough)) }
        })
        .await;
    }

    // Waits for the end of all, looks at each step, and returns what ran more than once.
    async fn settle(&self, mill: &Mill) -> Vec<Duplicate> {
        mill.rest(&self.ids(), unhurried(PATIENCE * 2)).await;
        let ran = mill.ran();
        graph::check_all(mill, &self.graphs, &ran).await;
        check_fan(mill, "fan").await;
        duplicates(&ran)
    }
}

// A step, many behind it, and one behind all of these.
fn fan(id: &str) -> Value {
    let step = |after: Value| json!({"task": {"kind": "step", "payload": {"ms": 30}}, "after": after});
    let mut steps: Map<_, _> = (0..FAN).map(|n| (format!("s{n}"), step(json!("first")))).collect();
    let all: Vec<_> = steps.keys().cloned().collect();
    steps.insert("first".to_owned(), step(json!([])));
    steps.insert("last".to_owned(), step(json!(all)));
    json!({"id": id, "steps": steps})
}

async fn check_fan(mill: &Mill, id: &str) {
    let first = json!({"first": format!("flow:{id}:first")});
    let last = mill.result(id, "last").await;
    let saw: BTreeSet<_> = last["saw"].as_object().into_iter().flatten().map(|(_, task)| task.to_string()).collect();
    assert_eq!(saw.len(), FAN, "the last step gets the result of each before it: {last}");
    let checks = stream::iter(0..FAN).map(|n| {
        let first = &first;
        async move { assert_eq!(mill.result(id, &format!("s{n}")).await["saw"], *first, "step {n}") }
    });
    checks.buffer_unordered(8).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn a_redis_that_forgets_everything_again_and_again_costs_no_step_and_no_result() {
    let stand = Stand::start().await;
    let mut mill = Mill::set(Pool::on(&stand), 0, 2).await;
    // With a slow wire to Redis, what was written down lies there for a while before it is read again.
    let redis = Proxy::to(stand.redis()).await;
    for _ in 0..2 {
        let variables = [("WARREN_REDIS__URL", redis.url().to_owned())];
        mill.gateways.push(mill.pool.start("warren-producer", &["serve"], &variables).await);
    }
    redis.set(Wire::Slow(Duration::from_millis(20)));
    let work = Work::hand_in(&mill).await;
    for hundredths in [5, 20, 40, 60, 80] {
        work.runs(&mill, hundredths).await;
        drop(stand.redis_command(&["FLUSHALL"]).await);
    }
    redis.set(Wire::Open);
    let twice = work.settle(&mill).await;
    assert!(twice.is_empty(), "{twice:?}");
    // And what is over comes back from the log as it was.
    let views = async || {
        let mut views = Vec::new();
        for id in work.ids() {
            let (status, view) = mill.ask(Method::GET, &format!("/{id}"), None).await;
            views.push((status, view));
        }
        views
    };
    let before = views().await;
    drop(stand.redis_command(&["FLUSHALL"]).await);
    until("all is shown as before", unhurried(PATIENCE), async || {
        let now = views().await;
        if now == before { Ok(()) } else { Err(now.iter().filter(|(status, _)| *status == 200).count()) }
    })
    .await;
    assert!(duplicates(&mill.ran()).is_empty(), "nothing of what is over runs again");
}

#[tokio::test]
async fn a_redis_that_restarts_or_dies_for_longer_than_a_lease_costs_no_step() {
    let stand = Stand::start().await;
    let mill = Mill::set(Pool::on(&stand), 2, 2).await;
    let work = Work::hand_in(&mill).await;
    work.runs(&mill, 25).await;
    stand.stop_redis().await;
    stand.restore_redis().await;
    work.runs(&mill, 50).await;
    stand.kill_redis().await;
    // What is handed in meanwhile rests.
    mill.submit(json!({"id": "late", "steps": {"a": {"task": {"kind": "step", "payload": {}}}}})).await;
    tokio::time::sleep(PAST_THE_LEASE).await;
    stand.restore_redis().await;
    let twice = work.settle(&mill).await;
    assert!(twice.is_empty(), "{twice:?}");
    mill.ends("late", "succeeded").await;
}

#[tokio::test]
async fn a_broker_that_is_killed_costs_no_step_and_repeats_only_what_it_took_along() {
    let stand = Stand::start().await;
    let mill = Mill::set(Pool::on(&stand), 2, 2).await;
    let work = Work::hand_in(&mill).await;
    work.runs(&mill, 40).await;
    let killed = ledger::now();
    stand.kill_broker().await;
    stand.restore_broker().await;
    for service in mill.gateways.iter().chain(&mill.workers).chain(&mill.monitors) {
        service.ready().await;
    }
    let blind = [(killed, ledger::now())];
    let twice = work.settle(&mill).await;
    eprintln!("{} ran twice, for the broker was killed before it knew of their end", twice.len());
    for duplicate in &twice {
        assert!(!duplicate.was_known(&blind), "its end was on record: {duplicate:?} {blind:?}");
        let [(killed, back)] = blind;
        assert!(
            duplicate.first <= back && duplicate.again >= killed,
            "not by the broker's death: {duplicate:?} {blind:?}"
        );
    }
}

#[tokio::test]
async fn a_leader_that_is_frozen_past_its_lease_and_comes_back_while_another_leads_releases_nothing_twice() {
    let mut mill = Mill::set(Pool::new(), 2, 2).await;
    let work = Work::hand_in(&mill).await;
    for hundredths in [10, 40] {
        work.runs(&mill, hundredths).await;
        // Which must not be asked meanwhile.
        let frozen = mill.gateways.remove(mill.leader().await);
        frozen.process.freeze();
        mill.leader().await;
        work.runs(&mill, hundredths + 10).await;
        frozen.process.thaw();
        mill.gateways.push(frozen);
        until("one leads", PATIENCE, async || {
            let leaders = mill.leaders().await;
            if leaders.len() == 1 { Ok(()) } else { Err(leaders) }
        })
        .await;
    }
    let twice = work.settle(&mill).await;
    assert!(twice.is_empty(), "{twice:?}");
}
