//! Faults in random mixture, by a seed that repeats them: what strikes when and for how long is drawn before the run.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::{
    Stage,
    fault::{Fault, Part, Struck},
    ledger,
    report::Report,
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

/// Draws the blows of a run from these faults.
pub fn draw(seed: u64, length: Duration, faults: &[Fault]) -> Vec<Blow> {
    let mut rng = Rng::with_seed(seed);
    let mut free = [Duration::ZERO; 5];
    let (mut blows, mut at) = (Vec::new(), Duration::from_secs(3));
    while at < length {
        let fault = faults[rng.usize(..faults.len())];
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
pub async fn run(seed: u64, length: Duration, faults: &[Fault], size: Size, mut show: impl FnMut(Moment)) -> Report {
    let mut stage = Stage::set(size).await;
    let begun = Instant::now();
    let mut waiting = draw(seed, length, faults).into_iter().peekable();
    let mut course = Course::default();
    while begun.elapsed() < length || !course.active.is_empty() {
        stage.tend();
        course.mend(&mut stage).await;
        // What is mended late, for another took its time, is not struck again meanwhile; nor is anything after the end.
        let is_next = |blow: &Blow| {
            let now = begun.elapsed();
            now < length && blow.at <= now && !course.has_broken(blow.fault.part())
        };
        if let Some(blow) = waiting.next_if(is_next) {
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
    Report::draw_up(seed, length, &mut stage, course.aftermaths, balance).await
}

// A silent peer takes two heartbeats of 2 s to be noticed; the rest is for a loaded machine.
const NOTICEABLE: u64 = 7_000;

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
        if matches!(blow.fault.part(), Part::Workers | Part::Broker) {
            // What the workers do now is no longer the doing of the fault before.
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
            let noticeable = ledger::now() - active.since > NOTICEABLE;
            active.struck.mend(stage).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_blows_and_no_part_is_broken_twice_at_once() {
        let length = Duration::from_mins(30);
        let blows = draw(7, length, &Fault::ALL);
        assert_eq!(format!("{blows:?}"), format!("{:?}", draw(7, length, &Fault::ALL)));
        assert_ne!(format!("{blows:?}"), format!("{:?}", draw(8, length, &Fault::ALL)));
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
