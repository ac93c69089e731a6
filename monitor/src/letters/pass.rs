//! One pass through a queue of dead letters, for everybody who wants something of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use ::redis::AsyncCommands;
use lapin::message::Delivery;
use tokio::time::{Instant, sleep_until};
use warren_core::{
    QueueName, TaskId,
    letter::{Relation, relate},
    record::TaskRecord,
};
use warren_runtime::{
    amqp::{self, Link, PublishError},
    clock,
    event_log::Closed,
    redis::{self, Store},
};

use super::{
    job::Open,
    journal::{self, Entry, Stage},
    letter::Letter,
    pace::Pace,
    question::{self, Answer, Question},
    sweeper::Sweeper,
    walk::Walk,
};

// How soon somebody who wants something else is heard.
const SETTLED_AT_ONCE: usize = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
// Whoever asks waits for no longer.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// Why a pass broke off.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] amqp::Error),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] redis::Error),
    /// The process ends.
    #[error(transparent)]
    Log(#[from] Closed),
    /// The broker takes no copies at present.
    #[error("a copy is not safe yet")]
    Publish(#[from] PublishError),
}

impl From<::redis::RedisError> for Failed {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// At the end of the queue, with nothing left that somebody wants.
    Whole,
    /// At the end of the queue, but not everything that is wanted could be taken yet.
    Wanting,
    /// Before its end, for nobody wanted more of it, or it took too long.
    Early,
    /// Before its end, for somebody wants something else.
    Interrupted,
}

/// What is wanted of a queue, and what came of it.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Who walks.
    pub sweeper: &'a Sweeper,
    /// The queue.
    pub queue: &'a QueueName,
    /// The jobs: those that are not over, and those that are and left something undone.
    pub jobs: &'a mut [Open],
    /// How many of them are not over.
    pub open: usize,
    /// Their paces, by job.
    pub paces: &'a mut BTreeMap<String, Pace>,
    /// The questions about letters of this queue, by task.
    pub questions: &'a mut BTreeMap<TaskId, Vec<Question>>,
    /// Letters that were dealt with, and whose journal is not yet closed.
    pub settling: &'a mut VecDeque<(TaskId, Entry)>,
    /// Tasks whose letters were begun and are still here.
    pub begun: &'a mut BTreeSet<TaskId>,
    /// Whether there is unfinished business of a crash.
    pub mends: bool,
    /// When somebody who wants something else was last looked for.
    pub looked: Instant,
}

/// A letter with all that is known of it.
#[derive(Debug)]
pub struct Met {
    /// What it says of itself.
    pub letter: Letter,
    /// The record of its task.
    pub record: Option<TaskRecord>,
    /// What the journal says of it.
    pub entry: Option<Entry>,
}

// What is to be done with a letter.
enum Plan {
    // It stays.
    Keep,
    // Its task lives elsewhere, or nobody wants it: what was left undone is made up for, and it goes.
    Remove,
    // For this job.
    Act(usize),
    // What was begun for this job is done to its end, whatever became of the job.
    Finish(usize),
}

impl Pass<'_> {
    /// Walks. What breaks off in the middle leaves every letter that was not acknowledged to the broker.
    pub async fn run(mut self, link: &Link) -> Result<Ended, Failed> {
        let mut walk = Walk::begin(link, self.sweeper.topology.names().dead(self.queue)).await?;
        let ended = self.walk(&mut walk).await?;
        // Who was interrupted looks again.
        if ended != Ended::Interrupted {
            let all = ended != Ended::Early;
            for question in mem::take(self.questions).values().flatten() {
                let answer = Answer::Missed { looked_at: walk.passed(), all };
                question::answer(&self.sweeper.store, question, &answer).await?;
            }
        }
        walk.end().await?;
        Ok(ended)
    }

    async fn walk(&mut self, walk: &mut Walk) -> Result<Ended, Failed> {
        let mut served_all = true;
        while self.wants_anything() {
            if self.is_wanted_elsewhere().await? {
                return Ok(Ended::Interrupted);
            }
            let reads_only = !self.mends && !self.jobs.iter().any(|job| self.serves(job));
            if walk.is_too_long() || (reads_only && walk.took() > LONGEST_READING) {
                return Ok(Ended::Early);
            }
            let letters = walk.next().await?;
            if letters.is_empty() {
                return Ok(if served_all { Ended::Whole } else { Ended::Wanting });
            }
            match self.serve(letters).await? {
                Served::All => {}
                Served::Some => served_all = false,
                Served::Interrupted => return Ok(Ended::Interrupted),
            }
        }
        Ok(Ended::Early)
    }

    // Whether somebody has asked for something else, or the records cannot be trusted any more.
    async fn is_wanted_elsewhere(&mut self) -> Result<bool, Failed> {
        if self.looked.elapsed() < BETWEEN_LOOKS {
            return Ok(false);
        }
        self.looked = Instant::now();
        Ok(!self.sweeper.knows_the_past() || self.sweeper.desk.has_news(self.open).await?)
    }

    fn serves(&self, job: &Open) -> bool {
        job.is_going() && job.job.queues.contains(self.queue)
    }

    fn wants_anything(&self) -> bool {
        self.mends || !self.questions.is_empty() || self.jobs.iter().any(|job| self.serves(job))
    }

    async fn serve(&mut self, letters: Vec<Delivery>) -> Result<Served, Failed> {
        let met = self.look_up(letters).await?;
        self.answer(&met).await?;
        let (mut removing, mut begun) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        let mut wanted: BTreeMap<usize, VecDeque<Met>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut served = Served::All;
        for met in met {
            if met.entry.as_ref().is_some_and(|entry| entry.stage == Stage::Begun) {
                self.begun.insert(met.letter.task.clone());
            }
            // Of two copies of one letter the second is looked at when the first is done with.
            if !seen.insert((met.letter.task.clone(), met.letter.attempt)) {
                served = Served::Some;
                continue;
            }
            match self.plan(&met) {
                Plan::Keep => {}
                Plan::Remove => removing.push(met),
                Plan::Act(job) => wanted.entry(job).or_default().push_back(met),
                Plan::Finish(job) => begun.entry(job).or_default().push(met),
            }
        }
        self.remove(removing).await?;
        for (job, letters) in begun {
            self.act(job, letters).await?;
        }
        let is_alone = self.jobs.iter().filter(|job| self.serves(job)).count() < 2;
        for (job, mut letters) in wanted {
            while !letters.is_empty() {
                if self.is_wanted_elsewhere().await? {
                    return Ok(Served::Interrupted);
                }
                if !self.jobs[job].is_going() {
                    break;
                }
                let number = self.allowed(job, letters.len());
                if number > 0 {
                    let now: Vec<_> = letters.drain(..number).collect();
                    self.act(job, now).await?;
                } else if is_alone && !self.jobs[job].wants_canary() {
                    let next = self.paces[self.jobs[job].job.id.as_str()].next();
                    sleep_until(next.min(Instant::now() + BETWEEN_LOOKS)).await;
                } else {
                    served = Served::Some;
                    break;
                }
            }
        }
        self.settle().await?;
        Ok(served)
    }

    // Everything that is known of these letters: their records, and the journal.
    async fn look_up(&self, letters: Vec<Delivery>) -> Result<Vec<Met>, Failed> {
        let now = clock::now();
        let letters: Vec<_> = letters.into_iter().filter_map(|letter| Letter::read(letter, self.queue, now)).collect();
        let tasks: Vec<_> = letters.iter().map(|letter| letter.task.clone()).collect();
        let entries = journal::read(&self.sweeper.store, &tasks).await?;
        let records = records(&self.sweeper.store, &tasks).await?;
        let met = letters.into_iter().zip(records).map(|(letter, record)| {
            let entry = entries.get(&letter.task).filter(|entry| entry.attempt == letter.attempt).cloned();
            Met { letter, record, entry }
        });
        Ok(met.collect())
    }

    async fn answer(&mut self, met: &[Met]) -> Result<(), Failed> {
        for met in met {
            // One that was overtaken is no longer what is asked for.
            if relate(met.record.as_ref(), met.letter.attempt) != Relation::Current {
                continue;
            }
            for question in self.questions.remove(&met.letter.task).unwrap_or_default() {
                let names = self.sweeper.topology.names();
                let answer = question::of(&met.letter, &question, names, clock::now());
                question::answer(&self.sweeper.store, &question, &answer).await?;
            }
        }
        Ok(())
    }

    fn plan(&self, met: &Met) -> Plan {
        let (letter, record) = (&met.letter, met.record.as_ref());
        let acts = self.mends || self.jobs.iter().any(|job| self.serves(job));
        match relate(record, letter.attempt) {
            // Who only asks changes nothing.
            Relation::Overtaken | Relation::Discarded if acts => Plan::Remove,
            Relation::Overtaken | Relation::Discarded | Relation::Undecided => Plan::Keep,
            // Its copy has been handed out, and may be gone with a broker that was killed.
            Relation::Underway => met.entry.as_ref().map_or(Plan::Keep, |entry| match entry.stage {
                Stage::Counted if acts => Plan::Remove,
                Stage::Counted => Plan::Keep,
                Stage::Begun => {
                    self.jobs.iter().position(|open| open.job.id == entry.job).map_or(Plan::Keep, Plan::Finish)
                }
            }),
            Relation::Current if met.entry.as_ref().is_some_and(|entry| entry.stage == Stage::Counted) => Plan::Remove,
            Relation::Current => {
                let (group, died) = (letter.group(record), letter.died(record));
                let wants = |job: &Open| self.serves(job) && job.wants(&letter.task, group, died);
                self.jobs.iter().position(wants).map_or(Plan::Keep, Plan::Act)
            }
        }
    }

    fn allowed(&mut self, job: usize, wanted: usize) -> usize {
        let open = &self.jobs[job];
        if open.wants_canary() {
            return 1;
        }
        let Some(rate) = open.job.act.rate() else { return wanted };
        let now = Instant::now();
        let pace = self.paces.entry(open.job.id.to_string()).or_insert_with(|| Pace::new(rate, now));
        pace.take(wanted, now)
    }

    async fn settle(&mut self) -> Result<(), Failed> {
        settle(&self.sweeper.store, self.settling).await
    }
}

enum Served {
    All,
    Some,
    Interrupted,
}

/// Closes the journal of letters of which the projection knows what was done.
pub async fn settle(store: &Store, settling: &mut VecDeque<(TaskId, Entry)>) -> Result<(), Failed> {
    let tasks: Vec<_> = settling.iter().take(SETTLED_AT_ONCE).map(|(task, _)| task.clone()).collect();
    let records = records(store, &tasks).await?;
    let mut forgotten = Vec::new();
    for record in records {
        let (task, entry) = settling.pop_front().expect("a record for each");
        match relate(record.as_ref(), entry.attempt) {
            Relation::Overtaken | Relation::Discarded => forgotten.push(task),
            Relation::Current | Relation::Underway | Relation::Undecided => settling.push_back((task, entry)),
        }
    }
    Ok(journal::forget(store, &forgotten).await?)
}

async fn records(store: &Store, tasks: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Failed> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = tasks.iter().map(|task| store.keys().task(task)).collect();
    let stored: Vec<Option<Vec<u8>>> = store.shared().mget(names).await?;
    Ok(stored.into_iter().map(|record| serde_json::from_slice(&record?).ok()).collect())
}
