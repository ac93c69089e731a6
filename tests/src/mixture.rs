//! Faults in random mixture, by a seed that repeats them: what strikes when and for how long is drawn before the run.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

use crate::{
    Stage,
    books::{Balance, Duplicate},
    fault::{Fault, Part, Struck},
    ledger, projection,
    stage::Size,
};

/// A fault at a time.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// When it strikes, from the beginning of the run.
    pub at: Duration,
    /// What.
    pub fault: Fault,
    /// How long it is left as it is.
    pub hold: Duration,
    draw: usize,
}

/// What a fault did.
#[derive(Debug, Clone)]
pub struct Aftermath {
    /// The fault.
    pub fault: Fault,
    /// When it struck, in milliseconds since 1970.
    pub struck: u64,
    /// When it was mended.
    pub mended: u64,
    /// Where no worker could consume: whether every worker that answered said so meanwhile.
    pub red: Option<bool>,
    /// The same: how long after the end of the fault every worker was ready again. `None` where another fault on the
    /// workers came between.
    pub back: Option<Duration>,
}

/// What is known at a moment of the run, for the display.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Since the beginning.
    pub elapsed: Duration,
    /// Tasks confirmed so far.
    pub confirmed: usize,
    /// What is broken at present.
    pub broken: Vec<Fault>,
    /// How many faults there were so far.
    pub struck: usize,
}

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
    /// How many workers each poison task has killed, at most and on average.
    pub poison: (usize, f64),
    /// Tasks that a projection which was flushed and rebuilt at the end shows otherwise.
    pub rebuilt_otherwise: Vec<String>,
    /// The largest resident sizes at the end, in MiB: of a worker, and of a monitor.
    pub peaks: (u64, u64),
}

/// Draws the blows of a run.
pub fn draw(seed: u64, length: Duration) -> Vec<Blow> {
    let mut rng = Rng::with_seed(seed);
    let mut free = [Duration::ZERO; 5];
    let (mut blows, mut at) = (Vec::new(), Duration::from_secs(3));
    while at < length {
        let fault = Fault::ALL[rng.usize(..Fault::ALL.len())];
        let hold = Duration::from_millis(rng.u64(longest(fault) / 8..=longest(fault)));
        let (draw, gap) = (rng.usize(..1_000_000), rng.u64(500..7_000));
        let part = &mut free[place(fault.part())];
        if *part <= at {
            // A while in which the part is whole again, so that each fault shows what it does.
            *part = at + hold + Duration::from_secs(6);
            blows.push(Blow { at, fault, hold, draw });
        }
        at += Duration::from_millis(gap);
    }
    blows
}

fn place(part: Part) -> usize {
    match part {
        Part::Broker => 0,
        Part::Redis => 1,
        Part::Workers => 2,
        Part::Monitors => 3,
        Part::Producers => 4,
    }
}

// In milliseconds.
fn longest(fault: Fault) -> u64 {
    match fault.part() {
        Part::Broker | Part::Redis => 12_000,
        // Past the heartbeats (2 s, twice) and the lease (10 s).
        Part::Workers | Part::Monitors => 16_000,
        Part::Producers => 1_000,
    }
}

/// Runs the mixture of a seed for a while, and balances the books. `show` is called a few times a second.
pub async fn run(seed: u64, length: Duration, size: Size, mut show: impl FnMut(Moment)) -> Report {
    let mut stage = Stage::set(size).await;
    let begun = Instant::now();
    let mut waiting = draw(seed, length).into_iter().peekable();
    let mut course = Course::default();
    while begun.elapsed() < length || !course.active.is_empty() {
        stage.tend();
        course.mend(&mut stage).await;
        // What is mended late, for another took its time, is not struck again meanwhile.
        if let Some(blow) = waiting.next_if(|blow| blow.at <= begun.elapsed() && !course.has_broken(blow.fault.part()))
        {
            course.strike(blow, &mut stage).await;
        }
        course.watch(&stage).await;
        show(Moment {
            elapsed: begun.elapsed(),
            confirmed: stage.confirmed(),
            broken: course.active.iter().map(|active| active.struck.fault).collect(),
            struck: course.aftermaths.len() + course.active.len(),
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let balance = stage.balance().await;
    let before = projection::states(&stage.monitors[0]).await;
    stage.stand.redis_command(&["FLUSHALL"]).await;
    let rebuilt_otherwise = rebuilt(&mut stage, &before).await;
    let executions = ledger::executions(stage.ledger());
    let poison: Vec<_> =
        executions.iter().filter(|(id, _)| id.starts_with("poison")).map(|(_, runs)| count(runs)).collect();
    let (worker, monitor) = stage.peaks();
    Report {
        seed,
        length,
        aftermaths: course.aftermaths,
        executions: executions.values().map(count).sum(),
        poison: (poison.iter().copied().max().unwrap_or(0), mean(&poison)),
        rebuilt_otherwise,
        peaks: (worker >> 10, monitor >> 10),
        balance,
    }
}

impl Report {
    /// The faults that may be the reason for an execution too many: each that breaks off what runs or what is to be
    /// acknowledged, and was at work between its first and its second beginning.
    pub fn reasons(&self, duplicate: &Duplicate) -> Vec<Fault> {
        let near = |aftermath: &&Aftermath| {
            aftermath.struck <= duplicate.again && duplicate.first <= aftermath.mended + AFTERWARDS
        };
        let causes = self.aftermaths.iter().filter(|aftermath| aftermath.fault.repeats_work());
        causes.filter(near).map(|aftermath| aftermath.fault).collect()
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
        let unexplained = self.balance.duplicates.iter().filter(|duplicate| self.reasons(duplicate).is_empty());
        note(unexplained.count(), "executions too many have no reason");
        let green = self.aftermaths.iter().filter(|aftermath| aftermath.red == Some(false));
        note(green.count(), "times a worker was ready that could not consume");
        let late = self.aftermaths.iter().filter(|aftermath| aftermath.back.is_some_and(|back| back > PROMPT));
        note(late.count(), "times a worker took longer than 5 s to come back");
        broken
    }
}

// What a fault breaks off is noticed and begun again within this time of its end, in milliseconds.
const AFTERWARDS: u64 = 15_000;
const PROMPT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Course {
    active: Vec<Active>,
    returning: Vec<(usize, Instant)>,
    aftermaths: Vec<Aftermath>,
}

struct Active {
    struck: Struck,
    since: u64,
    until: Instant,
    red: Vec<bool>,
}

impl Course {
    async fn strike(&mut self, blow: Blow, stage: &mut Stage) {
        let since = ledger::now();
        let struck = blow.fault.strike(stage, blow.draw).await;
        if blow.fault.part() == Part::Workers {
            // What the workers do now is no longer the doing of the broker's fault.
            self.returning.clear();
        }
        let red = vec![false; stage.workers.len()];
        self.active.push(Active { struck, since, until: Instant::now() + blow.hold, red });
    }

    fn has_broken(&self, part: Part) -> bool {
        self.active.iter().any(|active| active.struck.fault.part() == part)
    }

    async fn mend(&mut self, stage: &mut Stage) {
        while let Some(n) = self.active.iter().position(|active| active.until <= Instant::now()) {
            let active = self.active.remove(n);
            let fault = active.struck.fault;
            active.struck.mend(stage).await;
            // A silent peer takes two heartbeats of 2 s to be noticed.
            let noticeable =
                active.until.elapsed() + Duration::from_millis(ledger::now() - active.since) > Duration::from_secs(7);
            let alone = !self.has_broken(Part::Workers);
            let red = (fault.stops_consumption() && noticeable && alone).then(|| active.red.iter().all(|red| *red));
            if fault.stops_consumption() && alone {
                self.returning.push((self.aftermaths.len(), Instant::now()));
            }
            self.aftermaths.push(Aftermath { fault, struck: active.since, mended: ledger::now(), red, back: None });
        }
    }

    async fn watch(&mut self, stage: &Stage) {
        let watched =
            !self.returning.is_empty() || self.active.iter().any(|active| active.struck.fault.stops_consumption());
        if !watched {
            return;
        }
        let ready = stage.workers_ready().await;
        for active in self.active.iter_mut().filter(|active| active.struck.fault.stops_consumption()) {
            active.red.iter_mut().zip(&ready).for_each(|(red, ready)| *red |= !ready);
        }
        if ready.iter().all(|ready| *ready) {
            for (n, since) in self.returning.drain(..) {
                self.aftermaths[n].back = Some(since.elapsed());
            }
        }
    }
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

fn count(runs: &BTreeMap<u32, Vec<ledger::Execution>>) -> usize {
    runs.values().map(Vec::len).sum()
}

fn mean(counts: &[usize]) -> f64 {
    let sum: u32 = counts.iter().filter_map(|count| u32::try_from(*count).ok()).sum();
    f64::from(sum) / f64::from(u32::try_from(counts.len().max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_blows_and_no_part_is_broken_twice_at_once() {
        let length = Duration::from_mins(30);
        let blows = draw(7, length);
        assert_eq!(format!("{blows:?}"), format!("{:?}", draw(7, length)));
        assert_ne!(format!("{blows:?}"), format!("{:?}", draw(8, length)));
        assert!(
            Fault::ALL.iter().all(|fault| blows.iter().any(|blow| blow.fault == *fault)),
            "half an hour has them all"
        );
        for (n, blow) in blows.iter().enumerate() {
            let overlaps = |later: &Blow| later.fault.part() == blow.fault.part() && later.at < blow.at + blow.hold;
            assert!(!blows[n + 1..].iter().any(overlaps), "{blow:?}");
        }
    }
}
