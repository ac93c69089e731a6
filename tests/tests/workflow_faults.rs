//! Random workflows, while workers, gateways and monitors are killed in turn: each runs to its end, in the right order, with the
//! right inputs, and no step is lost or released twice.
//!
//! `WARREN_GRAPHS` says how many (otherwise thirty), `WARREN_SEED` repeats those of a run; both are printed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use warren_tests::{
    Broker, Mill, Pool,
    broker::{headers, message},
    graph::{self, Graph},
    ledger::Executions,
    until,
    wait::unhurried,
};

// One for each fifty graphs, but each kind of process twice.
const FEWEST_STRIKES: usize = 6;
const PAIRS: u64 = 20;
const PATIENCE: Duration = Duration::from_mins(4);

// Each task of a workflow runs once, unless its worker was killed.
fn check_once(ran: &Executions, killed: &BTreeSet<u32>) {
    for (task, attempts) in ran {
        for (attempt, executions) in attempts {
            let by_the_living = executions.iter().filter(|execution| !killed.contains(&execution.process)).count();
            assert!(by_the_living <= 1, "{task}, attempt {attempt}, ran {executions:?}");
        }
    }
}

#[tokio::test]
async fn random_graphs_run_to_their_end_while_workers_gateways_and_monitors_are_killed_in_turn() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("WARREN_GRAPHS").unwrap_or(30);
    let seed = number("WARREN_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("WARREN_GRAPHS={count} WARREN_SEED={seed}");
    let graphs = Graph::draw(count, seed);
    let strikes = graphs.len().div_ceil(50).max(FEWEST_STRIKES);

    let mut mill = Mill::set(Pool::new(), 2, 2).await;
    let begun = Instant::now();
    for graph in &graphs {
        mill.submit(graph.definition()).await;
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
    let wanted: usize = graphs.iter().map(Graph::size).sum();
    for strike in 1..=strikes {
        // Each when some more has run, so that all of it is under way.
        let enough = wanted * 2 / 3 * strike / (strikes + 1);
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
    let ids: Vec<_> = graphs.iter().map(|graph| graph.id.as_str()).collect();
    mill.rest(&ids, unhurried(PATIENCE)).await;
    until("all that came by headers has run", unhurried(PATIENCE), async || {
        let ran = mill.ran();
        let done = |task: &str| ran.get(task).and_then(|attempts| attempts.values().flatten().find_map(|one| one.done));
        let open: Vec<_> = (0..PAIRS).filter(|pair| done(&format!("second-{pair}")).is_none()).collect();
        if open.is_empty() { Ok(()) } else { Err(open) }
    })
    .await;
    let ran = mill.ran();
    let tasks = ran.len();
    eprintln!("{count} graphs with {tasks} tasks in {:?}, {strikes} processes killed", begun.elapsed());
    check_once(&ran, &killed);
    for pair in 0..PAIRS {
        let (first, second) = (&ran[&format!("first-{pair}")][&1], &ran[&format!("second-{pair}")][&1]);
        let done = first.iter().filter_map(|execution| execution.done).min();
        assert!(Some(second[0].begun) >= done, "{pair}: {first:?} {second:?}");
    }
    graph::check_all(&mill, &graphs, &ran).await;
}
