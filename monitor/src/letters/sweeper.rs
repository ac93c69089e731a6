//! Serves whoever wants something of the dead letters, for one term of leadership.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use warren_core::{QueueName, TaskId};
use warren_runtime::{
    amqp::{self, Connector, Link, Publisher, Topology, session::Sessions, session::chain},
    clock,
    event_log::EventLog,
    redis::Store,
};

use super::{
    desk::Desk,
    job::{Open, State, follow},
    journal::{self, Entry, Stage},
    pace::Pace,
    pass::{self, Ended, Failed, Pass},
    question::{self, Question},
};
use crate::{metrics::Metrics, projection::Probe};

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const BETWEEN_PASSES: Duration = Duration::from_millis(500);
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
const BETWEEN_TIDYINGS: Duration = Duration::from_mins(1);
// A letter comes into its queue a moment after the record says that it is dead, or comes back with a lost channel.
const BELATED: Duration = Duration::from_secs(5);

/// The component.
#[derive(Debug)]
pub struct Sweeper {
    /// How to reach the broker.
    pub connector: Connector,
    /// What its queues are called.
    pub topology: Topology,
    /// Publishes copies.
    pub publisher: Publisher,
    /// Takes the facts.
    pub log: EventLog,
    /// Where the records are.
    pub store: Store,
    /// Where the jobs are.
    pub desk: Desk,
    /// Whether the records say what the log says.
    pub probe: Arc<Probe>,
    /// What is measured.
    pub metrics: Metrics,
}

// What is kept from one pass to the next, for as long as a connection lasts.
#[derive(Debug, Default)]
struct Business {
    questions: Vec<Question>,
    paces: BTreeMap<String, Pace>,
    refused: BTreeMap<String, BTreeSet<TaskId>>,
    settling: VecDeque<(TaskId, Entry)>,
    // What somebody else began and did not count.
    begun: Vec<(TaskId, Entry)>,
    // Of those, the tasks whose letters were met.
    still: BTreeSet<TaskId>,
    mending: BTreeSet<QueueName>,
    missed: BTreeMap<String, Instant>,
    tidied: Option<Instant>,
}

impl Sweeper {
    /// Serves until `stop`. What is under way then is in the journal, for the next leader.
    pub async fn run(self, stop: CancellationToken) {
        let mut sessions = Sessions::new(self.connector.clone(), "dead letters");
        while let Some(link) = sessions.next(&stop).await {
            let ended = stop.run_until_cancelled(link.during(self.session(&link))).await;
            sessions.ended(link, ended.unwrap_or(Ok(()))).await;
        }
    }

    /// Whether the records are as old as the log: while they are built anew, what is missing there means nothing.
    pub(super) fn knows_the_past(&self) -> bool {
        self.probe.lag().is_some()
    }

    async fn session(&self, link: &Link) -> Result<(), amqp::Error> {
        let mut business = Business::default();
        let (mut opened, mut told) = (false, false);
        loop {
            let round = async {
                if !mem::replace(&mut opened, true) {
                    self.take_over(&mut business).await.inspect_err(|_| opened = false)?;
                }
                self.round(link, &mut business).await
            };
            let wait = match round.await {
                Ok(wait) => {
                    told = false;
                    wait
                }
                Err(Failed::Broker(error)) if error.is_not_found() => BETWEEN_PASSES,
                Err(Failed::Broker(error)) => return Err(error),
                Err(error @ (Failed::Redis(_) | Failed::Log(_) | Failed::Publish(_))) => {
                    if !mem::replace(&mut told, true) {
                        warn!(error = chain(&error), "cannot deal with dead letters");
                    }
                    // What broke off is in the journal.
                    opened = false;
                    AFTER_A_FAILURE
                }
            };
            sleep(wait).await;
        }
    }

    // What the last one left undone, whoever that was.
    async fn take_over(&self, business: &mut Business) -> Result<(), Failed> {
        let entries = journal::all(&self.store).await?;
        business.mending = entries.values().map(|entry| entry.queue.clone()).collect();
        if !business.mending.is_empty() {
            info!(queues = ?business.mending, letters = entries.len(), "going on with dead letters");
        }
        let (counted, begun): (Vec<_>, _) = entries.into_iter().partition(|(_, entry)| entry.stage == Stage::Counted);
        (business.settling, business.begun) = (counted.into(), begun);
        Ok(())
    }

    // One pass through each queue of which somebody wants something. Returns how long to wait.
    async fn round(&self, link: &Link, business: &mut Business) -> Result<Duration, Failed> {
        self.heed_words().await?;
        let now = clock::now();
        business.questions.retain(|question| question.until > now);
        business.questions.extend(question::take(&self.store, now).await?);
        if !self.knows_the_past() {
            return Ok(BETWEEN_LOOKS);
        }
        let mut jobs = self.desk.open().await?;
        let open = jobs.len();
        for id in business.begun.iter().map(|(_, entry)| entry.job.clone()).collect::<BTreeSet<_>>() {
            if !jobs.iter().any(|job| job.job.id == id)
                && let Some((job, progress)) = self.desk.job(&id).await?
            {
                jobs.push(Open { job, progress, tasks: BTreeSet::new(), refused: BTreeSet::new() });
            }
        }
        for job in &mut jobs {
            job.refused = business.refused.get(job.job.id.as_str()).cloned().unwrap_or_default();
        }
        let mut walked = BTreeMap::new();
        let mut interrupted = false;
        for queue in queues(&jobs, business) {
            let ended = self.pass(link, &queue, &mut jobs, open, business).await;
            for job in &jobs {
                business.refused.insert(job.job.id.to_string(), job.refused.clone());
            }
            let ended = ended?;
            if ended == Ended::Whole {
                self.mended(&queue, business).await?;
            }
            walked.insert(queue, ended);
            interrupted = ended == Ended::Interrupted;
            if interrupted {
                break;
            }
        }
        pass::settle(&self.store, &mut business.settling).await?;
        let wait = self.conclude(&jobs, &walked, business).await?;
        if business.tidied.is_none_or(|tidied| tidied.elapsed() > BETWEEN_TIDYINGS) {
            self.desk.tidy().await?;
            business.tidied = Some(Instant::now());
        }
        Ok(if interrupted { Duration::ZERO } else { wait })
    }

    // The whole queue was walked: a letter that was begun and is not there any more needs nobody.
    async fn mended(&self, queue: &QueueName, business: &mut Business) -> Result<(), Failed> {
        if !business.mending.remove(queue) {
            return Ok(());
        }
        let begun = mem::take(&mut business.begun).into_iter();
        let (here, elsewhere): (Vec<_>, _) = begun.partition(|(_, entry)| entry.queue == *queue);
        business.begun = elsewhere;
        let gone = here.into_iter().map(|(task, _)| task).filter(|task| !business.still.contains(task));
        Ok(journal::forget(&self.store, &gone.collect::<Vec<_>>()).await?)
    }

    async fn heed_words(&self) -> Result<(), Failed> {
        for (id, word) in self.desk.take_words().await? {
            let Some((_, progress)) = self.desk.job(&id).await? else { continue };
            if let Some(state) = follow(progress.state, word) {
                info!(job = %id, state = state.name(), "a job of dead letters was told to");
                self.desk.set(&id, state, None, clock::now()).await?;
            }
        }
        Ok(())
    }

    async fn pass(
        &self,
        link: &Link,
        queue: &QueueName,
        jobs: &mut [Open],
        open: usize,
        business: &mut Business,
    ) -> Result<Ended, Failed> {
        let (asked, others) = mem::take(&mut business.questions).into_iter().partition(|asked| asked.queue == *queue);
        business.questions = others;
        let mut questions = question::by_task(asked);
        let pass = Pass {
            sweeper: self,
            queue,
            jobs,
            open,
            paces: &mut business.paces,
            questions: &mut questions,
            settling: &mut business.settling,
            begun: &mut business.still,
            mends: business.mending.contains(queue),
            looked: Instant::now(),
        };
        let ended = pass.run(link).await;
        // Those that were not answered are asked again.
        business.questions.extend(questions.into_values().flatten());
        match ended {
            Err(Failed::Broker(error)) if error.is_not_found() => {
                let gone: Vec<_> = mem::take(&mut business.questions);
                let (asked, others) = gone.into_iter().partition::<Vec<_>, _>(|asked| asked.queue == *queue);
                business.questions = others;
                for question in asked {
                    let answer = question::Answer::Missed { looked_at: 0, all: true };
                    question::answer(&self.store, &question, &answer).await?;
                }
                Ok(Ended::Whole)
            }
            ended => ended,
        }
    }

    // What this round means for the jobs.
    async fn conclude(
        &self,
        jobs: &[Open],
        walked: &BTreeMap<QueueName, Ended>,
        business: &mut Business,
    ) -> Result<Duration, Failed> {
        let mut wait = if jobs.iter().any(Open::is_going) { BETWEEN_PASSES } else { BETWEEN_LOOKS };
        for open in jobs.iter().filter(|open| open.progress.state == State::Running) {
            let id = open.job.id.as_str();
            let is_whole = open.job.queues.iter().all(|queue| walked.get(queue) == Some(&Ended::Whole));
            if !open.is_going() {
                self.end(open, None).await?;
            } else if !is_whole {
                business.missed.remove(id);
                continue;
            } else if open.missing() == 0 {
                self.end(open, None).await?;
            } else if business.missed.entry(id.to_owned()).or_insert_with(Instant::now).elapsed() > BELATED {
                let missing = open.missing();
                let error = format!("{missing} letters were not in their queue any more, or their tasks had gone on");
                if !open.tasks.is_empty() {
                    let tasks: Vec<_> = open.tasks.iter().cloned().collect();
                    self.desk.give_up(&open.job.id, &tasks, &error).await?;
                }
                self.end(open, Some(&error)).await?;
            } else {
                continue;
            }
            business.forget(id);
            wait = BETWEEN_LOOKS;
        }
        Ok(wait)
    }

    async fn end(&self, open: &Open, error: Option<&str>) -> Result<(), Failed> {
        let did_nothing = open.progress.done == 0 && open.job.total > 0;
        let state = if did_nothing { State::Failed } else { State::Done };
        info!(job = %open.job.id, state = state.name(), done = open.progress.done, "a job of dead letters is over");
        Ok(self.desk.set(&open.job.id, state, error, clock::now()).await?)
    }
}

impl Business {
    fn forget(&mut self, job: &str) {
        self.paces.remove(job);
        self.refused.remove(job);
        self.missed.remove(job);
    }
}

// The queues of which somebody wants something.
fn queues(jobs: &[Open], business: &Business) -> BTreeSet<QueueName> {
    let wanted = jobs.iter().filter(|open| open.is_going()).flat_map(|open| &open.job.queues);
    let asked = business.questions.iter().map(|question| &question.queue);
    wanted.chain(asked).chain(&business.mending).cloned().collect()
}
