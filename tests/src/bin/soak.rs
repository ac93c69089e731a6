//! Breaks everything, in random mixture, and balances the books. `scripts/soak` builds and runs it.

use std::{collections::BTreeMap, io::IsTerminal, process::ExitCode, time::Duration};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use warren_tests::{
    fault::Fault,
    flat,
    mixture::{self, Moment},
    report::Report,
    stage::Size,
};

/// Puts a pool under load, breaks everything in random mixture, and balances the books at the end.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 every promise was kept, 1 one was not.")]
struct Arguments {
    /// How long faults strike.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Which mixture: the same seed strikes the same things at the same times. Drawn and printed if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these faults, by their names in the table, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FAULTS", value_parser = fault)]
    only: Vec<Fault>,
    /// Tasks a second.
    #[arg(long, default_value_t = 60)]
    rate: u32,
    /// Break nothing: watch the memory of a worker and a monitor while this many tasks wait, Redis is stopped and the
    /// handler is slow.
    #[arg(long, value_name = "TASKS")]
    flat: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(tasks) = arguments.flat {
        return watch_memory(tasks, Duration::from_secs(60 * arguments.minutes)).await;
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let length = Duration::from_secs(60 * arguments.minutes);
    eprintln!("seed {seed}: the same again with --seed {seed} --minutes {}", arguments.minutes);
    let size = Size { rate: arguments.rate.div_ceil(2), producers: 2, ..Size::default() };
    let faults = if arguments.only.is_empty() { &Fault::ALL } else { arguments.only.as_slice() };
    let bar = progress(length);
    let mut last = Vec::new();
    let report = mixture::run(seed, length, faults, size, |moment| {
        bar.set_position(moment.elapsed.as_secs());
        let line = describe(&moment);
        if bar.is_hidden() && moment.broken != last {
            eprintln!("{:>5} s  {line}", moment.elapsed.as_secs());
            last.clone_from(&moment.broken);
        }
        bar.set_message(line);
    })
    .await;
    bar.finish_and_clear();
    if arguments.json {
        println!("{:#}", as_json(&report));
    } else {
        print_table(&report);
    }
    if let Some(folder) = &report.evidence {
        let histories = std::fs::read_to_string(folder.join("histories")).unwrap_or_default();
        eprintln!("{histories}kept are the books, the logs and these histories: {}", folder.display());
    }
    let broken = report.broken_promises();
    for promise in &broken {
        eprintln!("NOT KEPT: {promise}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fault(name: &str) -> Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|fault| fault.name() == name.trim());
    known.ok_or_else(|| format!("expected one of: {}", Fault::ALL.map(Fault::name).join(", ")))
}

async fn watch_memory(tasks: u64, time: Duration) -> ExitCode {
    let report = flat::watch(tasks, time, |what| eprintln!("{what}")).await;
    let (early, late) = (time.as_secs() / 5, time.as_secs());
    println!("| MiB, {tasks} tasks waiting, no Redis | after {early} s | after {late} s | growth | peak |");
    println!("|---|---|---|---|---|");
    for (name, course) in [("worker, slow handler", report.worker), ("monitor", report.monitor)] {
        let [early, late, peak] = [course.early, course.late, course.peak].map(|kib| kib >> 10);
        println!("| {name} | {early} | {late} | {:+.1} % | {peak} |", 100.0 * course.growth());
    }
    let (seconds, peak) = (report.caught_up.as_secs(), report.catching_up >> 10);
    println!("\nwith Redis back, the monitor has caught up in {seconds} s; peak {peak} MiB");
    let flat = [report.worker, report.monitor].iter().all(|course| course.growth() <= 0.1);
    if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn progress(length: Duration) -> ProgressBar {
    // Hidden where standard error is no terminal: then each change is a line.
    let bar = ProgressBar::new(length.as_secs());
    let style = ProgressStyle::with_template("{bar:30} {pos:>4}/{len} s  {msg}").expect("a valid template");
    bar.set_style(style);
    bar
}

fn describe(moment: &Moment) -> String {
    let broken: Vec<_> = moment.broken.iter().map(|fault| fault.name()).collect();
    let broken = if broken.is_empty() { "whole".to_owned() } else { broken.join(", ") };
    format!("{} tasks confirmed, {} faults; now: {broken}", moment.confirmed, moment.struck)
}

#[derive(Default)]
struct Row {
    times: usize,
    held: u64,
    red: (usize, usize),
    back: Vec<Duration>,
    unfinished: usize,
    unacknowledged: usize,
}

fn rows(report: &Report) -> BTreeMap<Fault, Row> {
    let mut rows: BTreeMap<Fault, Row> = BTreeMap::new();
    for aftermath in &report.aftermaths {
        let row = rows.entry(aftermath.fault).or_default();
        row.times += 1;
        row.held += aftermath.mended - aftermath.struck;
        row.red.0 += usize::from(aftermath.red == Some(true));
        row.red.1 += usize::from(aftermath.red.is_some());
        row.back.extend(aftermath.back);
    }
    for (duplicate, reasons) in &report.again {
        // Where several were at work, the latest gets the blame.
        if let Some(fault) = reasons.last() {
            let row = rows.entry(*fault).or_default();
            if duplicate.done.is_some() { row.unacknowledged += 1 } else { row.unfinished += 1 }
        }
    }
    for row in rows.values_mut() {
        row.back.sort();
    }
    rows
}

fn print_table(report: &Report) {
    let bold = if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    println!(
        "{}| fault | times | held, s | red | ready again, s: median, longest | again: unfinished | again: unacknowledged |{}",
        bold.0, bold.1
    );
    println!("|---|---|---|---|---|---|---|");
    for (fault, row) in rows(report) {
        let red = if row.red.1 == 0 { String::new() } else { format!("{}/{}", row.red.0, row.red.1) };
        let back = match row.back.as_slice() {
            [] => String::new(),
            all => format!("{:.1}, {:.1}", all[all.len() / 2].as_secs_f32(), all[all.len() - 1].as_secs_f32()),
        };
        let (held, unfinished, unacknowledged) = (row.held / 1000, row.unfinished, row.unacknowledged);
        println!("| {} | {} | {held} | {red} | {back} | {unfinished} | {unacknowledged} |", fault.name(), row.times);
    }
    let balance = &report.balance;
    println!("\n- seed {}, {} min of faults", report.seed, report.length.as_secs() / 60);
    println!(
        "- confirmed {} = succeeded {} + dead {} + cancelled {} + expired {} + still queued 0 + lost {}",
        balance.confirmed,
        balance.succeeded,
        balance.dead,
        balance.cancelled,
        balance.expired,
        balance.missing.len()
    );
    println!(
        "- executions {}, of these once more {} (without a reason {}); shown wrongly {}, after a flush and a rebuild {}",
        report.executions,
        report.again.len(),
        report.unexplained(),
        balance.disagreements.len(),
        report.rebuilt_otherwise.len()
    );
    println!("- workers killed by a poison task: at most {}, {:.1} on average", report.poison.0, report.poison.1);
    println!("- largest resident size: worker {} MiB, monitor {} MiB", report.peaks.0, report.peaks.1);
}

fn as_json(report: &Report) -> Value {
    let faults: Vec<_> = rows(report)
        .into_iter()
        .map(|(fault, row)| {
            json!({
                "fault": fault.name(), "times": row.times, "held_ms": row.held,
                "red": row.red.0, "red_expected": row.red.1,
                "ready_again_ms": row.back.iter().map(Duration::as_millis).collect::<Vec<_>>(),
                "again_unfinished": row.unfinished, "again_unacknowledged": row.unacknowledged,
            })
        })
        .collect();
    let balance = &report.balance;
    json!({
        "seed": report.seed, "seconds": report.length.as_secs(), "faults": faults,
        "confirmed": balance.confirmed, "succeeded": balance.succeeded, "dead": balance.dead,
        "cancelled": balance.cancelled,
        "expired": balance.expired, "lost": balance.missing, "executions": report.executions,
        "duplicates": report.again.len(), "shown_wrongly": balance.disagreements,
        "rebuilt_otherwise": report.rebuilt_otherwise, "poison_kills_at_most": report.poison.0,
        "worker_peak_mib": report.peaks.0, "monitor_peak_mib": report.peaks.1,
        "not_kept": report.broken_promises(),
    })
}
