//! What came of a mixture of faults, and which promise was not kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Stage,
    books::{Balance, Duplicate},
    fault::{Fault, Part},
    history,
    ledger::{self, Execution},
    mixture::Aftermath,
    projection,
};

// What a fault breaks off is noticed and begun again within this time of its end, in milliseconds.
const AFTERWARDS: u64 = 15_000;
// So long a monitor may take until what was told meanwhile is on record.
const CATCHING_UP: u64 = 5_000;
// What it leaves on the ladder, or behind an alarm, comes within this.
const LEFT_BEHIND: u64 = 60_000;
const PROMPT: Duration = Duration::from_secs(5);
// Of each broken promise so many histories are told.
const EXAMPLES: usize = 10;

/// What came of it all.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How long faults struck.
    pub length: Duration,
    /// Every fault.
    pub aftermaths: Vec<Aftermath>,
    /// The balance of the books.
    pub balance: Balance,
    /// How many executions there were.
    pub executions: usize,
    /// Those beyond one for each attempt, with the faults that may be the reason.
    pub again: Vec<(Duplicate, Vec<Fault>)>,
    /// How many workers each poison task has killed, at most and on average.
    pub poison: (usize, f64),
    /// Tasks that a projection which was flushed and rebuilt at the end shows otherwise.
    pub rebuilt_otherwise: Vec<String>,
    /// The largest resident sizes at the end, in MiB: of a worker, and of a monitor.
    pub peaks: (u64, u64),
    /// Where a promise was not kept: the folder with the books, the logs and the histories.
    pub evidence: Option<PathBuf>,
}

impl Report {
    /// Draws it up. The projection is flushed for that.
    pub async fn draw_up(
        seed: u64,
        length: Duration,
        stage: &mut Stage,
        aftermaths: Vec<Aftermath>,
        mut balance: Balance,
    ) -> Self {
        let executions = ledger::executions(stage.ledger());
        let poisoned = executions.iter().filter(|(id, _)| id.starts_with("poison"));
        let poison: Vec<_> = poisoned.clone().map(|(_, runs)| count(runs)).collect();
        let deaths: Vec<_> = poisoned.flat_map(|(_, runs)| runs.values().flatten().map(|run| run.begun)).collect();
        let duplicates = std::mem::take(&mut balance.duplicates).into_iter();
        let explain = |duplicate| {
            let reasons = reasons(&aftermaths, &deaths, &duplicate);
            (duplicate, reasons)
        };
        let again: Vec<_> = duplicates.map(explain).collect();
        // Before the projection is flushed: it may know of more than the log.
        let histories = history::tell(stage, &examples(&balance, &again), &aftermaths).await;
        let before = projection::states(&stage.monitors[0]).await;
        stage.stand.redis_command(&["FLUSHALL"]).await;
        let rebuilt_otherwise = rebuilt(stage, &before).await;
        let (worker, monitor) = stage.peaks();
        let mut report = Self {
            seed,
            length,
            aftermaths,
            executions: executions.values().map(count).sum(),
            again,
            poison: (poison.iter().copied().max().unwrap_or(0), mean(&poison)),
            rebuilt_otherwise,
            peaks: (worker >> 10, monitor >> 10),
            balance,
            evidence: None,
        };
        if !report.broken_promises().is_empty() {
            report.evidence = Some(report.keep(stage, &histories));
        }
        report
    }

    /// The executions beyond one for each attempt for which no fault is the reason.
    pub fn unexplained(&self) -> usize {
        self.again.iter().filter(|(_, reasons)| reasons.is_empty()).count()
    }

    /// What was promised and not kept, in words. Empty: everything was kept.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                broken.push(format!("{count} {what}"));
            }
        };
        note(self.balance.missing.len(), "confirmed tasks are lost");
        note(self.balance.disagreements.len(), "tasks are shown wrongly");
        note(self.rebuilt_otherwise.len(), "tasks are shown otherwise after a flush and a rebuild");
        note(self.unexplained(), "executions too many have no reason");
        let green = self.aftermaths.iter().filter(|aftermath| aftermath.red == Some(false));
        note(green.count(), "times a worker was ready that could not consume");
        let late = self.aftermaths.iter().filter(|aftermath| aftermath.back.is_some_and(|back| back > PROMPT));
        note(late.count(), "times a worker took longer than 5 s to come back");
        broken
    }

    fn keep(&self, stage: &mut Stage, histories: &str) -> PathBuf {
        let folder = stage.keep();
        let faults = self.aftermaths.iter().map(|one| {
            let Aftermath { fault, struck, mended, red, back } = one;
            format!("{struck} {mended} {}, red {red:?}, back {back:?}", fault.name())
        });
        let faults: Vec<_> = faults.collect();
        let wrong: Vec<_> = self.balance.disagreements.iter().chain(&self.rebuilt_otherwise).cloned().collect();
        for (name, text) in
            [("faults", faults.join("\n")), ("wrong", wrong.join("\n")), ("histories", histories.to_owned())]
        {
            std::fs::write(folder.join(name), text).expect("a file in the test's folder");
        }
        folder
    }
}

// The faults that may be the reason for an execution too many: each that breaks off what runs or what is to be
// acknowledged, and was at work between its first and its second beginning. A task that kills its workers is at work
// whenever it begins, which is at `deaths`. Copies that an earlier fault has left are told apart only by the record.
fn reasons(aftermaths: &[Aftermath], deaths: &[u64], duplicate: &Duplicate) -> Vec<Fault> {
    let hid_it = |one: &Aftermath| {
        let was_away = one.struck <= duplicate.again && duplicate.again <= one.mended + CATCHING_UP;
        matches!(one.fault.part(), Part::Redis | Part::Monitors) && was_away
    };
    let is_blind = aftermaths.iter().any(hid_it);
    let reach = if is_blind { LEFT_BEHIND } else { AFTERWARDS };
    let was_at_work = |one: &&Aftermath| match one.fault {
        Fault::Poison => deaths.iter().any(|death| (duplicate.first..=duplicate.again).contains(death)),
        _ => one.struck <= duplicate.again && duplicate.first <= one.mended + reach,
    };
    let causes = aftermaths.iter().filter(|aftermath| aftermath.fault.repeats_work());
    causes.filter(was_at_work).map(|aftermath| aftermath.fault).collect()
}

fn examples(balance: &Balance, again: &[(Duplicate, Vec<Fault>)]) -> BTreeSet<String> {
    let missing = balance.missing.iter().map(String::as_str);
    let wrong = balance.disagreements.iter().filter_map(|what| what.split(' ').next());
    let unexplained = again.iter().filter(|(_, reasons)| reasons.is_empty()).map(|(one, _)| one.task.as_str());
    let mut tasks: BTreeSet<String> = missing.take(EXAMPLES).map(str::to_owned).collect();
    tasks.extend(wrong.take(EXAMPLES).map(str::to_owned));
    tasks.extend(unexplained.take(EXAMPLES).map(str::to_owned));
    tasks
}

async fn rebuilt(stage: &mut Stage, before: &BTreeMap<String, String>) -> Vec<String> {
    let begun = Instant::now();
    loop {
        stage.tend();
        let differing = projection::differences(before, &projection::states(&stage.monitors[0]).await);
        if differing.is_empty() || begun.elapsed() > Duration::from_mins(2) {
            return differing;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn count(runs: &BTreeMap<u32, Vec<Execution>>) -> usize {
    runs.values().map(Vec::len).sum()
}

fn mean(counts: &[usize]) -> f64 {
    let sum: u32 = counts.iter().filter_map(|count| u32::try_from(*count).ok()).sum();
    f64::from(sum) / f64::from(u32::try_from(counts.len().max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(fault: Fault, struck: u64, mended: u64) -> Aftermath {
        Aftermath { fault, struck, mended, red: None, back: None }
    }

    #[test]
    fn an_earlier_fault_is_a_reason_only_where_no_record_could_tell() {
        let again = |first, again| Duplicate { task: "t".to_owned(), attempt: 1, first, done: None, again };
        let killed = || fault(Fault::WorkerKilled, 100_000, 101_000);
        let away = |mended| fault(Fault::RedisKilled, 120_000, mended);
        for (faults, duplicate, is_reason) in [
            (vec![killed()], again(116_000, 117_000), true),
            (vec![killed()], again(116_001, 117_000), false),
            (vec![killed(), away(135_000)], again(139_000, 140_000), true),
            (vec![killed(), away(134_999)], again(139_000, 140_000), false),
            (vec![killed(), away(170_000)], again(161_001, 162_000), false),
            (vec![away(170_000)], again(139_000, 140_000), false),
        ] {
            assert_eq!(!reasons(&faults, &[], &duplicate).is_empty(), is_reason, "{faults:?} {duplicate:?}");
        }
    }
}
